"""The application's own user of an identity: which users are admitted, and what stands there for a deferred refusal.

Knows no framework. HTTP-09; HTP-036; HTP-044.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from types import NoneType
from typing import Any, Final, NoReturn, TypeVar, cast

from aveverify._core.identity import Identity
from aveverify._http.app_calls import AppCalls, is_awaitable
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.live_request import STREAM_KEY
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.errors import ConfigurationError, Hint, InvalidTokenError, Problem, Reason

UserT = TypeVar("UserT")

# Finds or makes the user of an identity. None refuses the token.
LoadUserAsync = Callable[[Identity], Awaitable[UserT | None]]
LoadUserSync = Callable[[Identity], UserT | None]
LoadUser = LoadUserAsync[UserT] | LoadUserSync[UserT]
# What a user says of itself in Django, Flask-Login and Starlette; a user without the member is admitted. The anonymous
# user of each of them is not authenticated: a loader that returns it has found no user.
_FLAGS: Final = (("is_authenticated", Reason.UNKNOWN_USER), ("is_active", Reason.INACTIVE_USER))

# What a database or a cache gives in the place of a record that is gone: no rows, a hash without members.
_NO_USER_IF_EMPTY: Final = (NoneType, bool, list, tuple, dict, set, frozenset)


async def find_user(load_user: LoadUser[UserT], identity: Identity) -> UserT:
    """Load the user of an identity and check that the application admits it.

    Args:
        load_user: The application's function; what it returns is awaited where it can be.
        identity: The verified identity.

    Returns:
        The user.

    Raises:
        InvalidTokenError: `UNKNOWN_USER`: there is none, an empty record, or an anonymous one. `INACTIVE_USER`:
            `is_active` of the user is false.
        ConfigurationError: `load_user` returned a generator, or an awaitable inside an awaitable.

    Source: HTP-044.
    """
    steps = admit_user(load_user, identity)
    result: object = None
    while True:
        try:
            value = steps.send(result)
        except StopIteration as end:
            return cast("UserT", end.value)
        result = await value if is_awaitable(value) else value


def find_user_now(load_user: LoadUser[UserT], identity: Identity, calls: AppCalls) -> UserT:
    """Load and check a user from synchronous code; see `find_user`.

    Args:
        load_user: As there.
        identity: As there.
        calls: Runs a coroutine to its end, where `load_user` or the user needs it.
    """
    steps = admit_user(load_user, identity)
    result: object = None
    while True:
        try:
            value = steps.send(result)
        except StopIteration as end:
            return cast("UserT", end.value)
        result = calls.finish("load_user", value) if is_awaitable(value) else value


def admit_user(load_user: LoadUser[UserT], identity: Identity) -> Generator[Any, Any, UserT]:
    """Decide whether the application admits the user of an identity: the one rule, synchronous and asynchronous.

    Yields:
        Each value that may have to be awaited; receives its result.

    Returns:
        The user.

    Raises:
        InvalidTokenError: As `find_user`.
        ConfigurationError: As `find_user`.
    """
    user: Any = yield load_user(identity)
    if is_awaitable(user):
        # Any object passes for an active user, so a forgotten `await` would admit a disabled one.
        raise ConfigurationError(Problem.OUT_OF_RANGE, "load_user", "what it returns must be awaited once, not twice")
    if inspect.isgenerator(user) or inspect.isasyncgen(user):
        # As above, of a `yield`: `check_function` does not see it in an object that is called, or behind a function.
        raise ConfigurationError(Problem.OUT_OF_RANGE, "load_user", "it must return a user, not yield one")
    # isinstance sees through the lazy objects of Django and Werkzeug; `is` does not.
    if isinstance(user, _NO_USER_IF_EMPTY) and not user:
        raise make_user_error(Reason.UNKNOWN_USER, identity)
    for name, reason in _FLAGS:
        if not (yield _read_flag(user, name)):
            raise make_user_error(reason, identity)
    return user  # type: ignore[no-any-return] # what load_user returned


def make_user_error(reason: Reason, identity: Identity) -> InvalidTokenError:
    """Make the error of a user that the application does not admit.

    Args:
        reason: `UNKNOWN_USER` or `INACTIVE_USER`.
        identity: The verified identity.

    Returns:
        The error.
    """
    hint = Hint.NO_USER if reason is Reason.UNKNOWN_USER else None
    return InvalidTokenError(reason, rule="HTP-044", kind=identity.provider.kind, hint=hint)


def _read_flag(user: object, name: str) -> object:
    """Return a flag of a user, an attribute, a method or a member of it; True where the user has none."""
    try:
        flag = getattr(user, name)
    except AttributeError:
        # A property that fails of an AttributeError inside must not pass for an absent one. __class__ sees through
        # the lazy objects of Django and Werkzeug.
        if any(inspect.getattr_static(one, name, None) is not None for one in (user, user.__class__)):
            raise
        flag = _read_member(user, name)
    # A bound method is true, whatever it would return.
    return flag() if callable(flag) else flag


def _read_member(user: object, name: str) -> object:
    # A dictionary, or a row of a database that is like one: sqlite3.Row and asyncpg.Record are no Mapping, and a row
    # iterates over its values.
    names = user.keys() if hasattr(user, "keys") and hasattr(user, "__getitem__") else ()
    return cast("Any", user)[name] if name in names else True


class Users:
    """The application's users, for integrations that serve synchronous and asynchronous views.

    Args:
        load_user: The application's function.
        calls: Runs a coroutine to its end, from synchronous code.
    """

    __slots__ = ("_calls", "_load_user")

    def __init__(self, load_user: LoadUser[Any], calls: AppCalls) -> None:
        self._load_user = load_user
        self._calls = calls

    def find(self, identity: Identity) -> object:
        """Load and check a user; see `find_user`."""
        return find_user_now(self._load_user, identity, self._calls)

    async def find_async(self, identity: Identity) -> object:
        """Load and check a user without blocking the event loop; see `find_user`."""
        if self._calls.needs_thread(self._load_user):
            # The whole of it: what the user says of itself may ask the database, too.
            return await self._calls.call_async(self.find, identity)
        return await find_user(self._load_user, identity)


def withhold(scope: MutableMapping[str, Any], deferred: DeferredError) -> None:
    """Replace the identity of a connection by a deferred refusal, in every place of its scope.

    Args:
        scope: The connection, as the application sees it.
        deferred: The refusal.

    Source: HTP-044: a handler of the refusal must not find the refused user.
    """
    scope[IDENTITY_KEY] = deferred
    scope["auth"] = scope["user"] = RefusedUser(deferred)
    scope.pop(LIVE_KEY, None)
    scope.pop(STREAM_KEY, None)
    state = scope.get("state")
    if state:
        state.pop("identity", None)


class RefusedUser:
    """Stands where a framework keeps the user, and what it may do, while a refusal is deferred.

    Reading any attribute raises the refusal: a bad token must not pass for an anonymous visitor.
    """

    __slots__ = ("_deferred",)

    def __init__(self, deferred: DeferredError) -> None:
        self._deferred = deferred

    def _refuse(self) -> NoReturn:
        # A further read must not get a longer traceback.
        raise self._deferred.error.with_traceback(None)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise the refusal; the names that Python itself looks up do not exist."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def __bool__(self) -> bool:  # noqa: PLE0304 - never returns
        """Raise the refusal."""
        self._refuse()

    def __contains__(self, _item: object) -> bool:
        """Raise the refusal."""
        self._refuse()

    def __iter__(self) -> NoReturn:
        """Raise the refusal."""
        self._refuse()
