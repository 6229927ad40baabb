"""`current_identity`: the identity of the request that this context serves, for code that has no request object.

Knows no framework and decides nothing: middlewares and integrations serve a request within `serving`. HTTP-06.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

from aveverify._http.request_identity import get_user_identity

if TYPE_CHECKING:
    from types import TracebackType

    from aveverify._core.identity import Identity


class IdentityOfContext:
    """The identity of the request that this context serves, for code that has no request object.

    It follows the context of the request: a task sees the identity of the request that started it for as long as that
    request is served. Of requests within each other, the innermost counts. After the request, or where neither a
    middleware nor an integration of this package serves one, `get` raises.
    """

    __slots__ = ("_finders", "_served", "enter", "leave")

    def __init__(self) -> None:
        self._served: ContextVar[list[Any]] = ContextVar("aveverify.current_identity")
        # The methods of the variable itself, for `serving` and its inlined forms in `asgi` and `wsgi`: a method in
        # between would cost every request a call.
        self.enter: Final[Callable[[list[Any]], Token[list[Any]]]] = self._served.set
        self.leave: Final[Callable[[Token[list[Any]]], None]] = self._served.reset
        self._finders: list[Callable[[object], object]] = []

    def entered(self) -> object:
        """Return the scope, environ or request that this context serves; None where it serves none."""
        # A copy: another thread may empty the list meanwhile.
        served = self._served.get([])[:1]
        return served[0] if served else None

    def look_in(self, finder: Callable[[object], object]) -> None:
        """Register a function that finds the request of a framework which keeps it in a context of its own.

        The integration of such a framework need not serve each request within `serving`.

        Args:
            finder: Called by `get` with the scope or environ that was entered last, or None; returns the one that
                counts, which is its argument where the framework serves no request.
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
        scope_or_environ = self.entered()
        for find in self._finders:
            scope_or_environ = find(scope_or_environ)
        return get_user_identity(scope_or_environ)


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
