"""An application that takes its verifier and the options of its edge from whoever makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Verifier, get_user_identity
from aveverify.asgi import AveAuthMiddleware

if TYPE_CHECKING:
    from starlette.requests import Request


async def me(request: Request) -> PlainTextResponse:
    identity = get_user_identity(request)
    return PlainTextResponse(identity.subject if identity else "nobody")


def make_client(verifier: Verifier, **options: Any) -> TestClient:  # noqa: ANN401 - those of the middleware
    """Make the application and a client that turns its exceptions into a 500."""
    app = AveAuthMiddleware(Starlette(routes=[Route("/me", me)]), verifier, required=True, **options)
    return TestClient(app, raise_server_exceptions=False)
