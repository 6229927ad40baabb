"""FastAPI: the token is looked at before the body of a request is read.

FastAPI reads and parses a body before it solves dependencies. So whatever first asks for a part of the body waits until
the dependencies on `AveAuth`, which the route names, have been asked: a refusal ends the request there. HTP-051.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

from fastapi import HTTPException
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Where FastAPI keeps the dependencies of a route together with those of the routers that include it, since it does so.
_FASTAPI_KEY: Final = "fastapi"
_CONTEXT_KEY: Final = "effective_route_context"


class Early(NamedTuple):
    """A dependency that is asked before the body is read.

    Attributes:
        ask: The dependency.
        scopes: What `Security` demands of it, here and further out.
    """

    ask: Callable[[HTTPConnection, SecurityScopes], Awaitable[object]]
    scopes: list[str]


class FailedError(HTTPException):
    """Something that is no refusal, on its way past FastAPI, which makes 400 of other errors while it reads a body.

    Attributes:
        error: What was raised, for instance by the application's `check`.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(500)
        self.error = error


def raise_failure(_connection: HTTPConnection, error: Exception) -> NoReturn:
    """Raise what a `FailedError` carries, as if the dependency had raised it; for the exception handlers.

    Raises:
        Exception: That.
    """
    raise cast("FailedError", error).error


class BodyAfterToken:
    """Hands the body of a request to a FastAPI application only once its token was looked at.

    It stands next to the router, where it sees the scope in which the router notes the route.

    Args:
        app: The application.
        is_early: Tells which dependencies are asked early.
    """

    def __init__(self, app: ASGIApp, is_early: Callable[[object], bool]) -> None:
        self._app = app
        self._is_early = is_early

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection.

        Args:
            scope: The connection.
            receive: Gives the client's messages.
            send: Takes the answer's messages.

        Returns:
            What the application returns, to be awaited.
        """
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        has_looked = False

        async def receive_after_token() -> Message:
            nonlocal has_looked
            if not has_looked:
                for ask, scopes in self._find_early(scope):
                    try:
                        await ask(HTTPConnection(scope), SecurityScopes(scopes))
                    except HTTPException:
                        raise
                    except Exception as error:
                        raise FailedError(error) from error
                has_looked = True
            return await receive()

        return self._app(scope, receive_after_token, send)

    def _find_early(self, scope: Scope) -> Iterator[Early]:
        """Yield what the route depends on, as long as a test has not replaced it."""
        route: Any = scope.get("route")
        included: Any = scope.get(_FASTAPI_KEY, {}).get(_CONTEXT_KEY)
        if route is not None and getattr(included, "original_route", None) is route:
            route = included
        overrides = getattr(getattr(route, "dependency_overrides_provider", None), "dependency_overrides", {})
        yield from self._walk(getattr(route, "dependant", None), overrides)

    def _walk(self, dependant: Any, overrides: Any) -> Iterator[Early]:  # noqa: ANN401 - FastAPI's, which has no public type
        for one in getattr(dependant, "dependencies", ()):
            if one.call in overrides:
                # What stands in its place asks for what it needs by itself.
                continue
            if self._is_early(one.call):
                yield Early(one.call, _scopes_of(one))
            yield from self._walk(one, overrides)


def _scopes_of(dependant: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the scopes of a dependency, by the names that FastAPI has given them over time."""
    names = ("security_scopes", "parent_oauth_scopes", "own_oauth_scopes")
    return list(dict.fromkeys(scope for name in names for scope in getattr(dependant, name, None) or ()))
