"""FastAPI: the token is verified before the body of a request is read.

FastAPI reads and parses a body before it runs dependencies. Here, whatever first asks for a part of the body waits
until the `AveAuth` dependencies of the route have run; a refusal ends the request there. HTP-051.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

from fastapi import HTTPException
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Where FastAPI keeps the dependencies of a route together with those of the routers that include it.
_FASTAPI_KEY: Final = "fastapi"
_CONTEXT_KEY: Final = "effective_route_context"
# The attributes in which versions of FastAPI keep the scopes of a dependency.
_SCOPE_ATTRIBUTES: Final = ("security_scopes", "parent_oauth_scopes", "own_oauth_scopes")


Early = Callable[[HTTPConnection, SecurityScopes], Awaitable[object]]
# Returns what runs early for a dependency; None where it has to wait.
FindEarly = Callable[[object], Early | None]


class EarlyDependency(NamedTuple):
    """A dependency that runs before the body is read.

    Attributes:
        call: What runs.
        scopes: The scopes that `Security` demands of it and of its parents.
    """

    call: Early
    scopes: list[str]


class FailedError(HTTPException):
    """Carries an error that is no refusal past FastAPI, which answers 400 to any other error while it reads a body.

    Attributes:
        error: The error, for instance one that the application's `check` has raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(500)
        self.error = error


def raise_failure(_connection: HTTPConnection, error: Exception) -> NoReturn:
    """Raise the error that a `FailedError` carries, as if the dependency had raised it; an exception handler."""
    raise cast("FailedError", error).error


class BodyAfterToken:
    """Runs the `AveAuth` dependencies of a route when a FastAPI application first asks for the body of the request.

    It is the innermost middleware: the scope names the route only there.

    Args:
        app: The application.
        find_early: Returns what runs for a dependency before the body is read.
    """

    def __init__(self, app: ASGIApp, find_early: FindEarly) -> None:
        self._app = app
        self._look_up = find_early

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        has_verified = False

        async def receive_after_token() -> Message:
            nonlocal has_verified
            if not has_verified:
                for call, scopes in self._find_early(scope):
                    try:
                        await call(HTTPConnection(scope), SecurityScopes(scopes))
                    except HTTPException:
                        raise
                    except Exception as error:
                        raise FailedError(error) from error
                has_verified = True
            return await receive()

        return self._app(scope, receive_after_token, send)

    def _find_early(self, scope: Scope) -> Iterator[EarlyDependency]:
        """Yield the early dependencies of the route, without those that a test has replaced."""
        route: Any = scope.get("route")
        included: Any = scope.get(_FASTAPI_KEY, {}).get(_CONTEXT_KEY)
        if route is not None and getattr(included, "original_route", None) is route:
            route = included
        overrides = getattr(getattr(route, "dependency_overrides_provider", None), "dependency_overrides", {})
        yield from self._walk(getattr(route, "dependant", None), overrides)

    def _walk(self, dependant: object, overrides: Container[object]) -> Iterator[EarlyDependency]:
        for child in getattr(dependant, "dependencies", ()):
            if child.call in overrides:
                # FastAPI runs the replacement and what it depends on.
                continue
            call = self._look_up(child.call)
            if call is not None and not any(inner.call in overrides for inner in child.dependencies):
                yield EarlyDependency(call, _scopes_of(child))
            yield from self._walk(child, overrides)


def _scopes_of(dependant: object) -> list[str]:
    return list(dict.fromkeys(scope for name in _SCOPE_ATTRIBUTES for scope in getattr(dependant, name, None) or ()))
