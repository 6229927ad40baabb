"""`request.user` and `request.auser()` of a token: the project's user of it, or who is signed in, or the identity.

HTP-036; HTP-044.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.utils.functional import SimpleLazyObject

if TYPE_CHECKING:
    from django.http import HttpRequest

# The attribute of a request that holds the user that was shown last, and what makes it.
_SHOWN: Final = "_aveverify_shown_user"


class _PreferredUser:
    """Finds a signed-in user that something else has set, or else the token's; a session is read only when asked."""

    __slots__ = ("_find_other", "_make", "_other")

    def __init__(self, other: Any, find_other: Callable[[], Awaitable[Any]] | None, make: Callable[[], Any]) -> None:  # noqa: ANN401 - a user
        self._other = other
        self._find_other = find_other
        self._make = make

    def __call__(self) -> Any:  # noqa: ANN401 - a user
        other = self._other
        return other if other is not None and other.is_authenticated else self._make()

    async def find_async(self) -> Any:  # noqa: ANN401 - a user
        if self._find_other is None:
            return await sync_to_async(self)()
        other = await self._find_other()
        return other if other.is_authenticated else self._make()


def prefer_user(request: HttpRequest, make: Callable[[], Any]) -> None:
    """Show the user of a token, unless a user is signed in.

    Args:
        request: The request.
        make: Returns the user of the token, or raises its refusal.
    """
    members = request.__dict__
    find = _PreferredUser(members.get("user"), members.get("auser"), make)
    members["user"] = user = SimpleLazyObject(find)
    members["auser"] = find.find_async
    members[_SHOWN] = user, make


def replace_user(request: HttpRequest, user: object, make: Callable[[], Any]) -> None:
    """Show the user of a token, also where another one is signed in.

    Args:
        request: The request.
        user: The user, or a lazy object that raises the refusal of the token.
        make: Returns the user, or raises.
    """

    async def find_user() -> object:
        make()
        return user

    request.__dict__.update({"user": user, "auser": find_user, _SHOWN: (user, make)})


def show_again(request: HttpRequest) -> None:
    """Show the user of the token again where something behind ours, `AuthenticationMiddleware`, has replaced it.

    Args:
        request: The request.
    """
    shown = request.__dict__.get(_SHOWN)
    if shown is not None and request.__dict__.get("user") is not shown[0]:
        prefer_user(request, shown[1])
