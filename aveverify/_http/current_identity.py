"""`current_identity`: the identity of the request that this context serves, for code that has no request object.

Knows no framework and decides nothing: middlewares and integrations serve a request within `serving`. Where there is no
request, the application binds an identity itself. HTTP-06.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from aveverify._core.identity import Identity
from aveverify._http.request_identity import IDENTITY_KEY, get_user_identity
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from types import TracebackType


P = ParamSpec("P")
R = TypeVar("R")


class BoundIdentity(dict[str, Identity | None]):
    """What the context serves within `current_identity.bind`: in place of a scope, the identity alone."""

    __slots__ = ()

    def __init__(self, identity: Identity | None) -> None:
        super().__init__({IDENTITY_KEY: identity})

    @property
    def identity(self) -> Identity | None:
        """The identity; None for an anonymous one."""
        return self[IDENTITY_KEY]


class IdentityOfContext:
    """The identity of the request that this context serves, for code that has no request object.

    It follows the context of the request: a task sees the identity of the request that started it for as long as that
    request is served. Of requests within each other, the innermost counts. After the request, or where neither a
    middleware nor an integration of this package serves one, `get` raises. Code without a request, of a worker or a
    command, runs within `bind`.
    """

    __slots__ = ("_finders", "_served", "enter", "leave")

    def __init__(self) -> None:
        self._served: ContextVar[list[Any]] = ContextVar("aveverify.current_identity")
        # The methods of the variable itself, for `serving` and its inlined forms in `asgi` and `wsgi`: a method in
        # between would cost every request a call.
        self.enter: Final[Callable[[list[Any]], Token[list[Any]]]] = self._served.set
        self.leave: Final[Callable[[Token[list[Any]]], None]] = self._served.reset
        self._finders: list[Callable[[object], object]] = []

    def bind(self, identity: Identity | None) -> BoundBlock:
        """Give an identity to a block of code: `with current_identity.bind(identity):`, or `@` at a function.

        The identity is not verified again. A task or a thread that runs in a copy of this context has it until the
        block ends. Of requests and blocks within each other, the innermost counts.

        Args:
            identity: The identity, or None for an anonymous one.

        Returns:
            The block, for `with`; or the decorator of a function or coroutine function. A generator function is
            refused: it would run as the caller between its steps.

        Raises:
            TypeError: The argument is neither an identity nor None.
        """
        if identity is not None and not isinstance(identity, Identity):
            message = f"bind needs an Identity or None, not {type(identity).__name__}"
            raise TypeError(message)
        return BoundBlock(self, identity)

    def entered(self) -> object:
        """Return the scope, environ or request that this context serves; None where it serves none."""
        # A copy: another thread may empty the list meanwhile.
        served = self._served.get([])[:1]
        return served[0] if served else None

    def find_bound(self) -> BoundIdentity | None:
        """Return what `bind` gives to this context; None where it gives nothing, or a request within the block counts.

        For a framework whose own proxies do not call `get`.
        """
        entered = self.entered()
        # Only a bound identity pays for the finders.
        return entered if isinstance(entered, BoundIdentity) and self._find() is entered else None

    def look_in(self, finder: Callable[[object], object]) -> None:
        """Register a function that finds the request of a framework which keeps it in a context of its own.

        The integration of such a framework need not serve each request within `serving`.

        Args:
            finder: Called by `get` with the scope or environ that was entered last, or None, and at the beginning of
                each block of `bind`; returns the one that counts, which is its argument where the framework serves no
                request.
        """
        self._finders.append(finder)

    def get(self) -> Identity | None:
        """Return the identity as `get_user_identity` does for the request; None for an anonymous one.

        Returns:
            The identity.

        Raises:
            ConfigurationError: Nothing of this package serves a request in this context.
            InvalidTokenError: As `get_user_identity`.
            InsufficientScopeError: As `get_user_identity`.
            KeysUnavailableError: As `get_user_identity`.
        """
        scope_or_environ = self._find()
        if scope_or_environ is None:
            raise ConfigurationError(Problem.NO_REQUEST, "current_identity")
        return get_user_identity(scope_or_environ)

    def _find(self) -> object:
        scope_or_environ = self.entered()
        for find in self._finders:
            scope_or_environ = find(scope_or_environ)
        return scope_or_environ


class BoundBlock:
    """A block of code with an identity of its own; `current_identity.bind` makes it.

    Args:
        context: What finds the identity in the block.
        identity: The identity, or None for an anonymous one.
    """

    def __init__(self, context: IdentityOfContext, identity: Identity | None) -> None:
        self._context = context
        self._identity = identity
        self._entered: list[tuple[list[Any], Token[list[Any]]]] = []

    def __enter__(self) -> None:
        # A framework that keeps its request in a context of its own notes that this request is around the block.
        self._context._find()  # noqa: SLF001 - its other half
        bound: list[Any] = [BoundIdentity(self._identity)]
        self._entered.append((bound, self._context.enter(bound)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        bound, token = self._entered.pop()
        # HTP-010: as `serving`, emptied first.
        bound.clear()
        # A generator that is closed elsewhere ends the block in another context, which never held the identity.
        with suppress(ValueError):
            self._context.leave(token)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Let a function run within the block.

        Args:
            function: A function or coroutine function.

        Returns:
            The function, which gets a block of its own at each call.

        Raises:
            TypeError: It is a generator function.
        """
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            message = "bind decorates no generator function; write `with current_identity.bind(identity):` inside it"
            raise TypeError(message)
        context, identity = self._context, self._identity
        if iscoroutinefunction(function):

            @wraps(function)
            async def run_later(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - what the function returns
                with context.bind(identity):
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", run_later)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with context.bind(identity):
                return function(*args, **kwargs)

        return run


current_identity: Final = IdentityOfContext()
_enter: Final = current_identity.enter
_leave: Final = current_identity.leave


class _Serving:
    """Serve one request: `with serving(scope):`, so that `current_identity` gives the identity in it.

    At the end of the request the list that holds it is emptied, before anything else: a context is copied, into tasks
    that go on and, by uvicorn, into the next request of a connection. No copy may still give this user (HTP-010).

    Args:
        request: The scope or environ, or a request that has one, with the identity.
    """

    __slots__ = ("_served", "_token")

    def __init__(self, request: object) -> None:
        self._served = [request]

    def __enter__(self) -> None:
        self._token = _enter(self._served)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._served.clear()
        _leave(self._token)


# Named as it is read; an alias, because a function in between would cost every request a call.
serving: Final = _Serving
