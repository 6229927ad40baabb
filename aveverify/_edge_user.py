"""The application's own user behind an identity, and what stands there while a refusal is deferred.

Knows no framework. HTTP-09; HTP-036.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar, cast

from aveverify._edge_identity import Deferred
from aveverify.errors import InvalidTokenError, Reason
from aveverify.identity import Identity

UserT = TypeVar("UserT")

# Finds or makes the user of an identity. None refuses the token: a good token of nobody lets nobody in.
LoadUserAsync = Callable[[Identity], Awaitable[UserT | None]]
LoadUserSync = Callable[[Identity], UserT | None]
LoadUser = LoadUserAsync[UserT] | LoadUserSync[UserT]


async def find_user(load_user: LoadUser[UserT], identity: Identity) -> UserT:
    """Ask the application for its user.

    Args:
        load_user: The application's function; a coroutine function is awaited.
        identity: Whoever the token vouches for.

    Returns:
        The user.

    Raises:
        InvalidTokenError: The application knows no such user.
    """
    found: Any = load_user(identity)
    user = await found if inspect.isawaitable(found) else found
    if user is None:
        raise InvalidTokenError(
            Reason.REFUSED_BY_CHECK, rule="load_user", kind=identity.provider.kind, refusal="load_user found no user"
        )
    return cast("UserT", user)


class RefusedUser:
    """Stands where a framework keeps the user, and what it may do, while a refusal is deferred.

    Whoever reads anything of it learns of the refusal: a bad token must not pass for an anonymous visitor.
    """

    __slots__ = ("_deferred",)

    def __init__(self, deferred: Deferred) -> None:
        self._deferred = deferred

    def _refuse(self) -> NoReturn:
        # Whoever asks twice must not get a longer traceback each time.
        raise self._deferred.error.with_traceback(None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - never returns
        """Raise the refusal; what Python itself looks for is simply not there."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def __bool__(self) -> bool:  # noqa: PLE0304 - never returns
        """Raise the refusal."""
        self._refuse()

    def __contains__(self, _item: object) -> bool:
        """Raise the refusal."""
        self._refuse()

    def __iter__(self) -> Any:  # noqa: ANN401 - never returns
        """Raise the refusal."""
        self._refuse()
