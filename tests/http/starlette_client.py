"""Two more ways to ask a Starlette application: our middleware for Starlette, and Starlette's own with our backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Identity, Verifier
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware, exception_handlers
from tests.http.http_fixtures import METHODS, Integration, Reply, Request, View

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest
    from starlette.types import ASGIApp


def send_through_test_client(app: ASGIApp, request: Request) -> Reply:
    """Send a request through Starlette's test client."""
    # Bytes, so that the client does not choose an encoding.
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    with TestClient(app) as client:
        answer = client.request(request.method, f"/?{request.query}", headers=headers, content=request.body)
    return Reply(answer.status_code, dict(answer.headers), answer.content)


def routes_of(view: View) -> list[Route]:
    """One route, which the observer serves."""

    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        text = view(request)
        # Whoever the view saw, Starlette's own user is the same.
        if text.startswith("hello "):
            user = request.user
            assert text == f"hello {user.subject if isinstance(user, Identity) else None}"
            assert request.user.is_authenticated == ("authenticated" in request.auth.scopes)
        return PlainTextResponse(text)

    return [Route("/", endpoint, methods=list(METHODS))]


def send_to_middleware(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application behind `AveAuthMiddleware`."""
    app = Starlette(routes=routes_of(view), middleware=[Middleware(AveAuthMiddleware, verifier=verifier, **options)])
    return send_through_test_client(app, request)


def send_to_backend(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application behind Starlette's middleware with `AveAuthBackend`."""
    backend = AveAuthBackend(verifier, **options)
    app = Starlette(
        routes=routes_of(view),
        middleware=[Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)],
        exception_handlers=exception_handlers,
    )
    return send_through_test_client(app, request)


INTEGRATIONS: dict[str, Integration] = {
    "starlette-middleware": send_to_middleware,
    "starlette-backend": send_to_backend,
}
