"""Ways to ask a Litestar application: with the plugin, and with the middleware alone."""

from __future__ import annotations

from typing import Any, NoReturn

from litestar import HttpMethod, Litestar, Response, route
from litestar import Request as LitestarRequest
from litestar.testing import TestClient

from aveverify import Verifier, get_user_identity
from aveverify.litestar import AveAuthMiddleware, AveAuthPlugin, exception_handlers
from tests.http.http_fixtures import Integration, LeftOut, Reply, Request, View, kept


def reraise(_request: object, error: Exception) -> NoReturn:
    """Litestar answers 500 to any exception of a view by itself, unless a handler lets it pass."""
    raise error


def make_app(view: View, **settings: Any) -> Litestar:
    """An application with one route."""

    @route("/", http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST, HttpMethod.OPTIONS])
    async def endpoint(request: LitestarRequest[Any, Any, Any]) -> Response[str]:
        text = view(request)
        # Whoever the view saw, Litestar's own user is the same.
        if text.startswith("hello "):
            assert request.user == get_user_identity(request)
        return Response(text, media_type="text/plain", status_code=200)

    handlers = settings.pop("exception_handlers", {})
    return Litestar([endpoint], exception_handlers={500: reraise, **handlers}, logging_config=None, **settings)


def ask(app: Litestar, request: Request) -> Reply:
    """Send a request through Litestar's test client."""
    # Bytes, so that the client does not choose an encoding.
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    with TestClient(app) as client:
        answer = client.request(request.method, f"/?{request.query}", headers=headers, content=request.body)
    return Reply(answer.status_code, dict(answer.headers), answer.content)


@kept
def app_with_plugin(verifier: Verifier, view: View, **options: Any) -> Litestar:
    """An application with `AveAuthPlugin`."""
    return make_app(view, plugins=[AveAuthPlugin(verifier, **options)])


@kept
def app_with_middleware(verifier: Verifier, view: View, **options: Any) -> Litestar:
    """An application with `AveAuthMiddleware` and the exception handlers."""
    middleware = AveAuthMiddleware.define(verifier, **options)
    return make_app(view, middleware=[middleware], exception_handlers=exception_handlers)


def send_to_plugin(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application with `AveAuthPlugin`."""
    return ask(app_with_plugin(verifier, view, **options), request)


def send_to_middleware(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application with `AveAuthMiddleware` and the exception handlers."""
    return ask(app_with_middleware(verifier, view, **options), request)


INTEGRATIONS: dict[str, Integration] = {"litestar-plugin": send_to_plugin, "litestar-middleware": send_to_middleware}
LEFT_OUT = [
    LeftOut(
        integration,
        "test_every_integration_keeps_the_contract",
        {"case": "HTP-027: TRACE like a preflight"},
        "Litestar routes no TRACE, and answers 405 before any middleware",
    )
    for integration in INTEGRATIONS
]
