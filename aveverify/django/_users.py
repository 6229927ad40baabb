"""`request.user` and `request.auser()` of a token: the project's user of it, or who is signed in, or the identity.

HTP-036; HTP-044.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from asgiref.sync import sync_to_async
from django.utils.functional import SimpleLazyObject, empty

from aveverify._core.identity import Identity
from aveverify.django._identity_user import IdentityUser

if TYPE_CHECKING:
    from django.http import HttpRequest

    from aveverify._http.authentication import Outcome
    from aveverify._http.request_auth import RequestAuth

Make = Callable[[Any], Any]

# The attribute of a request that holds the user that was shown last.
SHOWN_USER: Final = "_aveverify_shown_user"


def show_user(request: HttpRequest, request_auth: RequestAuth, outcome: Outcome) -> None:
    """Show the user of a token: that of the project's loader, or else a signed-in user, or else the identity.

    Args:
        request: The request, which is let in.
        request_auth: Its authentication.
        outcome: What it has decided; there were credentials.
    """
    members = request.__dict__
    if request_auth.users is None and isinstance(outcome, Identity):
        _prefer_other(members, IdentityUser, outcome)
        return
    make, argument = _how_to_make(request_auth)
    if make is not None:
        members["user"] = argument if make is _return else SimpleLazyObject(partial(make, argument))
        members["auser"] = partial(_make_async, make, argument)
        members[SHOWN_USER] = members["user"]


def show_again(request: HttpRequest, request_auth: RequestAuth) -> None:
    """Show the user of the token again where `AuthenticationMiddleware`, behind ours, has replaced it.

    Args:
        request: The request; another user that is signed in stays.
        request_auth: Its authentication.
    """
    members = request.__dict__
    if SHOWN_USER in members and members.get("user") is not members[SHOWN_USER]:
        make, argument = _how_to_make(request_auth)
        _prefer_other(members, cast("Make", make), argument)


def _how_to_make(request_auth: RequestAuth) -> tuple[Make | None, Any]:
    """Return a function that makes the user, and its argument; None where the user is not ours to show."""
    if request_auth.error is not None:
        # A deferred refusal is raised when the view reads the user (HTTP-09).
        return (None if request_auth.users is None else _refuse), request_auth
    if request_auth.users is None:
        return IdentityUser, request_auth.authenticate()
    return _return, request_auth.user


def _return(user: object) -> object:
    return user


def _refuse(request_auth: RequestAuth) -> object:
    return request_auth.identity_or_raise()


def _prefer_other(members: dict[str, Any], make: Make, argument: object) -> None:
    """Show a signed-in user that stands there, or else make one: when it is asked for, as a session costs a query."""
    find = partial(_find, members.get("user"), make, argument)
    # As SimpleLazyObject(find), which takes each request 1 µs more: every access to an attribute of one is a call.
    user = object.__new__(SimpleLazyObject)
    state = object.__getattribute__(user, "__dict__")
    state["_setupfunc"], state["_wrapped"] = find, empty
    members["user"] = members[SHOWN_USER] = user
    members["auser"] = partial(_find_async, members.get("auser"), find)


def _find(other: Any, make: Make, argument: object) -> Any:  # noqa: ANN401 - a user
    return other if other is not None and other.is_authenticated else make(argument)


async def _find_async(find_other: Callable[[], Awaitable[Any]] | None, find: partial[Any]) -> Any:  # noqa: ANN401 - a user
    if find_other is None:
        return await sync_to_async(find)()
    other = await find_other()
    return _find(other, *find.args[1:])


async def _make_async(make: Make, argument: object) -> Any:  # noqa: ANN401 - a user
    return make(argument)
