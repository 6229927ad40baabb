"""Exempt paths and the prefix of a mount, a server or a proxy (HTP-026): the path that the router sees counts alone.

Every integration answers the same rows; what routers make of an odd `root_path` is taken from the routers themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from asgiref.wsgi import WsgiToAsgi
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import re_path
from fastapi import FastAPI
from flask import Flask
from flask import request as flask_request
from litestar import Litestar, Request, Response, Router
from litestar import asgi as litestar_asgi
from litestar import get as litestar_get
from litestar.enums import ScopeType
from litestar.static_files import StaticFilesConfig, create_static_files_router

# Litestar reads the annotations of handlers when it starts.
from litestar.types import Receive, Scope, Send  # noqa: TC002 - Litestar reads them
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from aveverify import Verifier, asgi, starlette, wsgi
from aveverify.flask import AveAuth
from aveverify.litestar import AveAuthMiddleware, AveAuthPlugin
from tests.http.django_client import MIDDLEWARE, PatientClient, configured
from tests.http.drf_client import make_view
from tests.http.http_fixtures import Client, Server, http_scope, subject_of, websocket_scope, wsgi_app, wsgi_environ

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

REFUSED = 401


class Asked(NamedTuple):
    """How an integration answered: the status, and for whom and for which path its application was run."""

    status: int
    served: list[str]


Ask = Callable[[Verifier, Sequence[str], str, str], Asked]


def say_user(request: Any) -> str:
    """A view that says who asks."""
    return f"hello {subject_of(request)}"


# --- ASGI


def send_to_app(app: Any, path: str, root_path: str, **members: Any) -> Client:
    """Send a request to an application."""
    client = PatientClient({"type": "http.request", "body": b"", "more_body": False})
    client.call(
        cast("asgi.ASGIApp", app), http_scope(path=path, raw_path=path.encode(), root_path=root_path, **members)
    )
    return client


def send_to_scope(app: Any, path: str, root_path: str) -> Asked:
    """Send a request to an application whose answer is the path that it saw."""
    client = send_to_app(app, path, root_path)
    status = client.sent[0]["status"]
    return Asked(status, [client.sent[1]["body"].decode()] if status == 200 else [])


def send_to_asgi(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the raw middleware, as a server with a prefix does."""
    served: list[str] = []

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        served.append(f"{subject_of(scope)} at {scope['path'].removeprefix(prefix)}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    integration = asgi.AveAuthMiddleware(app, verifier, required=True, exempt=exempt)
    return Asked(send_to_app(integration, prefix + path, prefix).sent[0]["status"], served)


def send_to_websocket(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask for a WebSocket."""
    served: list[str] = []

    async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        served.append(f"{subject_of(scope)} at {scope['path'].removeprefix(prefix)}")
        await send({"type": "websocket.accept"})

    scope = websocket_scope(path=prefix + path, root_path=prefix, extensions={"websocket.http.response": {}})
    client = Client({"type": "websocket.connect"})
    client.call(asgi.AveAuthMiddleware(app, verifier, required=True, exempt=exempt), scope)
    return Asked(client.sent[0].get("status", 200), served)


async def say_path(request: StarletteRequest) -> PlainTextResponse:
    """Say who asks for which path, as Starlette's router saw it."""
    return PlainTextResponse(f"{subject_of(request)} at /{request.path_params['path']}")


def starlette_app(*middleware: Middleware) -> Starlette:
    """An application that serves every path."""
    return Starlette(routes=[Route("/{path:path}", say_path)], middleware=middleware)


def send_to_starlette(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an application of Starlette that a server serves under a prefix."""
    integration = Middleware(starlette.AveAuthMiddleware, verifier=verifier, required=True, exempt=exempt)
    return send_to_scope(starlette_app(integration), prefix + path, prefix)


def send_to_backend(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask Starlette's own middleware."""
    backend = starlette.AveAuthBackend(verifier, required=True, exempt=exempt)
    integration = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    return send_to_scope(starlette_app(integration), prefix + path, prefix)


def send_to_mounted(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an application that another one has mounted."""
    integration = Middleware(asgi.AveAuthMiddleware, verifier=verifier, required=True, exempt=exempt)
    return send_to_scope(Starlette(routes=[Mount(prefix, starlette_app(integration))]), prefix + path, "")


def send_to_mounted_behind_a_prefix(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an application that another one has mounted, which a server serves under a prefix."""
    integration = Middleware(asgi.AveAuthMiddleware, verifier=verifier, required=True, exempt=exempt)
    outer = Starlette(routes=[Mount("/v1", starlette_app(integration))])
    return send_to_scope(outer, f"{prefix}/v1{path}", prefix)


# --- WSGI


def flask_app() -> Flask:
    """An application that says who asks for which path, as Flask's router saw it."""
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/")
    @app.get("/<path:path>")
    def say(path: str = "") -> str:
        return f"{subject_of(flask_request)} at /{path}"

    return app


def send_to_environ(app: Any, path: str, prefix: str) -> Asked:
    """Send a request to an application, as a server with a prefix does."""
    server = Server()
    server.call(app, wsgi_environ(SCRIPT_NAME=prefix, PATH_INFO=path))
    status = int((server.head or ("0",))[0][:3])
    return Asked(status, [b"".join(server.sent).decode()] if status == 200 else [])


def send_to_wsgi(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the raw middleware."""

    def view(environ: Any) -> str:
        return f"{subject_of(environ)} at {environ['PATH_INFO']}"

    return send_to_environ(wsgi.AveAuthMiddleware(wsgi_app(view), verifier, required=True, exempt=exempt), path, prefix)


def send_to_flask(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the extension."""
    app = flask_app()
    AveAuth(app, verifier, required=True, exempt=exempt)
    return send_to_environ(app, path, prefix)


def send_to_flask_behind_a_proxy(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an application that believes in the header X-Forwarded-Prefix."""
    app = flask_app()
    AveAuth(app, verifier, required=True, exempt=exempt)
    server = Server()
    server.call(ProxyFix(app, x_prefix=1), wsgi_environ(HTTP_X_FORWARDED_PREFIX=prefix, PATH_INFO=path))
    status = int((server.head or ("0",))[0][:3])
    return Asked(status, [b"".join(server.sent).decode()] if status == 200 else [])


def send_to_dispatched(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an application that Werkzeug has mounted."""
    app = flask_app()
    AveAuth(app, verifier, required=True, exempt=exempt)
    return send_to_environ(DispatcherMiddleware(wsgi_app(say_user), {prefix: app}), prefix + path, "")


# --- Django


def say_django(request: HttpRequest, path: str) -> HttpResponse:
    """Say who asks for which path, as Django's router saw it."""
    return HttpResponse(f"{subject_of(request)} at /{path}")


async def say_django_later(request: HttpRequest, path: str) -> HttpResponse:
    """Say the same."""
    return say_django(request, path)


def send_to_django(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the middleware over WSGI."""
    with override_settings(
        AVEVERIFY=configured(verifier, required=True, exempt=exempt),
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=(re_path("^(.*)$", say_django),),
    ):
        return send_to_environ(WSGIHandler(), path, prefix)


def send_to_django_async(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the middleware over ASGI."""
    with override_settings(
        AVEVERIFY=configured(verifier, required=True, exempt=exempt),
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=(re_path("^(.*)$", say_django_later),),
    ):
        return send_to_scope(ASGIHandler(), prefix + path, prefix)


def send_to_drf(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask an `APIView`."""
    view = make_view(lambda request: f"{subject_of(request)} at {request.path_info}")
    with override_settings(
        AVEVERIFY=configured(verifier, required=True, exempt=exempt),
        ROOT_URLCONF=(re_path("^.*$", view.as_view()),),
    ):
        asked = send_to_environ(WSGIHandler(), path, prefix)
    return asked._replace(served=[text.strip('"') for text in asked.served])


# --- Litestar


@litestar_get("/{path:path}")
async def say_litestar(request: Request[Any, Any, Any]) -> Response[str]:
    """Say who asks for which path, as Litestar's router saw it."""
    return Response(f"{subject_of(request)} at {request.path_params['path']}", media_type="text/plain")


def send_to_litestar(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the plugin."""
    plugin = AveAuthPlugin(verifier, required=True, exempt=exempt)
    return send_to_scope(Litestar([say_litestar], plugins=[plugin], logging_config=None), prefix + path, prefix)


def send_to_litestar_handler(verifier: Verifier, exempt: Sequence[str], path: str, prefix: str) -> Asked:
    """Ask the middleware of one router."""
    router = Router(
        "/",
        route_handlers=[say_litestar],
        middleware=[AveAuthMiddleware.define(verifier, required=True, exempt=exempt)],
    )
    return send_to_scope(Litestar([router], logging_config=None), prefix + path, prefix)


INTEGRATIONS: dict[str, Ask] = {
    "asgi": send_to_asgi,
    "websocket": send_to_websocket,
    "starlette": send_to_starlette,
    "starlette-backend": send_to_backend,
    "starlette-mount": send_to_mounted,
    "starlette-mount-behind-a-prefix": send_to_mounted_behind_a_prefix,
    "wsgi": send_to_wsgi,
    "flask": send_to_flask,
    "flask-proxy-fix": send_to_flask_behind_a_proxy,
    "flask-dispatcher": send_to_dispatched,
    "django": send_to_django,
    "django-asgi": send_to_django_async,
    "drf": send_to_drf,
    "litestar": send_to_litestar,
    "litestar-router": send_to_litestar_handler,
}


@pytest.mark.parametrize("ask", INTEGRATIONS.values(), ids=INTEGRATIONS)
@pytest.mark.parametrize(
    ("prefix", "path", "exempt", "is_open"),
    [
        pytest.param("/public", "/admin", ["/public/*"], False, id="a prefix that is exempt opens nothing"),
        pytest.param("/public", "/admin", ["/public/admin"], False, id="nor together with the path"),
        pytest.param("/public/a", "/admin", ["/public/*"], False, id="nor a longer one"),
        pytest.param("/api", "/healthz", ["/healthz"], True, id="an exempt path is open below a prefix"),
        pytest.param("/api", "/healthz", ["/api/healthz"], False, id="the prefix is no part of it"),
        pytest.param("/admin", "/public/a", ["/public/*"], True, id="whatever the prefix is"),
        pytest.param("/public", "/public/a", ["/public/*"], True, id="also if it is itself exempt"),
    ],
)
def test_a_prefix_exempts_nothing_and_hides_no_exempt_path(  # noqa: PLR0913 - a row of the table
    shared_verifier: Verifier, *, ask: Ask, prefix: str, path: str, exempt: list[str], is_open: bool
) -> None:
    """HTP-026: `--root-path`, SCRIPT_NAME, Daphne-Root-Path, X-Forwarded-Prefix, Mount."""
    asked = ask(shared_verifier, exempt, path, prefix)

    assert asked == (Asked(200, [f"None at {path}"]) if is_open else Asked(REFUSED, []))


def test_an_integration_around_a_whole_application_judges_the_whole_path(shared_verifier: Verifier) -> None:
    """HTP-026: its router reads the path with the prefixes of its mounts."""
    app = Starlette(
        routes=[
            Mount("/v1", starlette_app(Middleware(asgi.AveAuthMiddleware, verifier=shared_verifier, required=False)))
        ]
    )
    around = asgi.AveAuthMiddleware(app, shared_verifier, required=True, exempt=["/v1/healthz"])

    assert send_to_scope(around, "/v1/healthz", "") == Asked(200, ["None at /healthz"])
    assert send_to_scope(around, "/api/v1/healthz", "/api") == Asked(200, ["None at /healthz"])
    assert send_to_scope(around, "/healthz", "/v1").status == REFUSED


@pytest.mark.parametrize(
    ("path", "status"), [("", 200), ("/", 200), ("//", REFUSED)], ids=["empty", "a slash", "two slashes"]
)
def test_the_root_of_a_wsgi_application_is_a_slash(shared_verifier: Verifier, path: str, status: int) -> None:
    """PEP 3333: PATH_INFO may be empty; HTP-012."""
    assert send_to_wsgi(shared_verifier, ["/"], path, "/api").status == status
    # Flask sends a client without the slash to it.
    assert send_to_flask(shared_verifier, ["/"], path, "/api").status == (status if path else 308)


# --- an odd root_path


@pytest.mark.parametrize(
    ("path", "root_path", "is_open"),
    [
        pytest.param("/public/a", None, True, id="none"),
        pytest.param("/public/a", "", True, id="empty"),
        pytest.param("/public/a", "/api", True, id="a proxy has taken it away already"),
        pytest.param("/api/public/a", "/api", True, id="before a slash"),
        pytest.param("/api//public/a", "/api/", True, id="uvicorn with a slash at its end"),
        pytest.param("/public/a", "/", True, id="a slash"),
        pytest.param("/public/a", "/PUBLIC", True, id="in capitals, so that it is none"),
        pytest.param("/PUBLIC/me", "/PUBLIC", False, id="in capitals"),
        pytest.param("/api/public/a", "/API", False, id="another prefix in capitals"),
        pytest.param("/public/me", "/public", False, id="exempt itself"),
        pytest.param("/public", "/public", False, id="the whole path"),
        pytest.param("/public/me", "/public/", False, id="with the slash"),
        pytest.param("/public/ame", "/public/a", False, id="within a segment"),
        pytest.param("/public/me", "/pub", False, id="within the first segment"),
        pytest.param("/public/x/me", "/x", False, id="in the middle"),
        pytest.param("/public/me", "public", False, id="without its slash"),
        pytest.param("/a;b/public/a", "/a;b", False, id="parameters"),
        pytest.param("/a/../public/a", "/a/..", False, id="dots"),
        pytest.param("/a//public/a", "/a/", True, id="an empty segment before the path"),
        pytest.param("//a/public/a", "//a", False, id="an empty segment"),
        pytest.param("/a%2fb/public/a", "/a%2fb", False, id="encoded"),
        pytest.param("/public/a", b"/api", False, id="bytes"),
    ],
)
def test_an_odd_prefix_exempts_only_what_every_router_reads_as_exempt(
    shared_verifier: Verifier, path: str, root_path: object, *, is_open: bool
) -> None:
    """HTP-026."""
    client = Client({"type": "http.request", "body": b"", "more_body": False})

    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    integration = asgi.AveAuthMiddleware(app, shared_verifier, required=True, exempt=["/public/*"])
    client.call(integration, http_scope(path=path, root_path=root_path))

    assert client.sent[0]["status"] == (200 if is_open else REFUSED)


def in_a_method(app: Any) -> Any:
    """An application behind a middleware that is a class with a method."""

    class Passing:
        def __init__(self) -> None:
            self._app = app

        async def serve(self, scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)

    return Passing().serve


@pytest.mark.parametrize("wrap", [lambda app: app, in_a_method], ids=["around", "around a middleware"])
@pytest.mark.parametrize(
    "integration", [asgi.AveAuthMiddleware, starlette.AveAuthMiddleware], ids=["asgi", "starlette"]
)
@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/public/admin", REFUSED, id="the prefix exempts nothing"),
        pytest.param("/public/healthz", 200, id="with its prefix"),
        pytest.param("/healthz", 200, id="a proxy has taken it away"),
        pytest.param("/admin", REFUSED, id="a proxy has taken it away, not exempt"),
    ],
)
def test_a_prefix_that_an_application_gives_itself_exempts_nothing(
    shared_verifier: Verifier,
    integration: Callable[..., Any],
    wrap: Callable[[Any], Any],
    path: str,
    status: int,
) -> None:
    """HTP-026: FastAPI writes its own prefix into the scope, behind an integration that stands around it."""
    with warnings.catch_warnings():
        # Newer versions wish that the server says it.
        warnings.simplefilter("ignore")
        app = FastAPI(root_path="/public")
    for name in ("/admin", "/healthz"):
        app.get(name)(lambda: "served")
    guarded = integration(wrap(app), shared_verifier, required=True, exempt=["/public/*", "/healthz"])

    assert TestClient(guarded).get(path).status_code == status


def test_an_application_that_leads_to_itself_is_looked_at_once(shared_verifier: Verifier) -> None:
    class Circle:
        def __init__(self) -> None:
            self.app = self

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("served")(scope, receive, send)

    guarded = asgi.AveAuthMiddleware(Circle(), shared_verifier, required=True, exempt=["/healthz"])

    assert TestClient(guarded).get("/healthz").status_code == 200


def test_a_scope_without_a_prefix_has_none(shared_verifier: Verifier) -> None:
    """HTP-026: ASGI lets servers leave it out."""
    scope = http_scope(path="/public/a")
    del scope["root_path"]
    client = Client({"type": "http.request", "body": b"", "more_body": False})

    client.call(asgi.AveAuthMiddleware(starlette_app(), shared_verifier, required=True, exempt=["/public/*"]), scope)

    assert client.sent[0]["status"] == 200


ROOTS = ["", "/", "/a", "/a/", "a", "/a/b", "/ab", "/b", "/b/", "/p", "/p/", "/p/a", "p/", "/p/b/", "//", "/a//"]
PATHS = [
    "/a", "/p", "/p/a", "/a/p", "/a/p/a", "/p/a/b", "/p/b/a", "/b/p/a/b", "/a/p/b", "/ap/a", "/pa/b", "/p/ab",
    "/a//p/b", "//p/a", "/p/p/a", "/a/a/p/b", "/p/a/p/b", "/p/b/p/a/x",
]  # fmt: skip


def routers(verifier: Verifier) -> dict[str, Any]:
    """Applications of several frameworks that say which path their router saw, without an integration of their own."""
    blind = Middleware(asgi.AveAuthMiddleware, verifier=verifier, required=False)
    flask = flask_app()
    AveAuth(flask, verifier)
    litestar = Litestar([say_litestar], logging_config=None, plugins=[AveAuthPlugin(verifier, required=False)])
    return {
        "starlette": starlette_app(blind),
        "django": ASGIHandler(),
        "flask": cast("Any", WsgiToAsgi)(flask),
        "litestar": litestar,
    }


@pytest.mark.parametrize("name", ["starlette", "django", "flask", "litestar"])
def test_no_router_serves_another_path_than_an_exempt_one(shared_verifier: Verifier, name: str) -> None:
    """HTP-026: whatever text stands in `root_path`, every router behind the middleware sees an exempt path."""
    served: dict[tuple[str, str], str] = {}
    with override_settings(
        AVEVERIFY=configured(shared_verifier),
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=(re_path("^(.*)$", say_django_later),),
    ):
        integration = asgi.AveAuthMiddleware(
            routers(shared_verifier)[name], shared_verifier, required=True, exempt=["/p/a", "/p/b"]
        )
        for root_path in ROOTS:
            for path in PATHS:
                asked = send_to_scope(integration, path, root_path)
                if asked.status == 200:
                    served[path, root_path] = asked.served[0]

    # Of a prefix that ends with a slash, Django 6 leaves a second one in front: the same path, or no view at all.
    seen = {text.replace(" //", " /") if name == "django" else text for text in served.values()}
    assert seen <= {"None at /p/a", "None at /p/b"}
    assert {("/p/a", ""), ("/a/p/a", "/a"), ("/p/p/a", "/p"), ("/a//p/b", "/a/")} <= served.keys()


# --- what Litestar leaves of a path


async def say_rest(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - Litestar asks for all three
    """Say who asks for which path, as a mounted application sees it."""
    body = f"{subject_of(scope)} at {scope['path']}".encode()
    if scope["type"] == ScopeType.WEBSOCKET:
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": False})


Make = Callable[..., Litestar]


def with_plugin(verifier: Verifier, exempt: Sequence[str], *handlers: Any) -> Litestar:
    """An application with the plugin."""
    plugin = AveAuthPlugin(verifier, required=True, exempt=exempt)
    return Litestar(list(handlers), plugins=[plugin], logging_config=None)


def with_middleware(verifier: Verifier, exempt: Sequence[str], *handlers: Any) -> Litestar:
    """An application with the middleware on one of its routers."""
    middleware = AveAuthMiddleware.define(verifier, required=True, exempt=exempt)
    return Litestar([Router("/", route_handlers=handlers, middleware=[middleware])], logging_config=None)


either_way = pytest.mark.parametrize("make", [with_plugin, with_middleware], ids=["plugin", "middleware"])


@either_way
@pytest.mark.parametrize("is_static", [False, True], ids=["mount", "static"])
@pytest.mark.parametrize(
    ("path", "exempt", "served"),
    [
        pytest.param("/internal/public/admin", ["/public/*"], None, id="what is left of it is exempt"),
        pytest.param("/internal/public", ["/public", "/public/"], None, id="what is left of it is exempt itself"),
        pytest.param("/internal", ["/"], None, id="nothing is left of it"),
        pytest.param("/internal/public/a", ["/internal/public/*"], "/public/a", id="below an exempt path"),
        pytest.param("/internal/public", ["/internal/public"], "/public", id="an exempt path"),
        pytest.param("/internal/", ["/internal"], "/", id="the mount itself"),
        pytest.param("/internal//public", ["/internal/public"], "/public", id="as the router reads it"),
        pytest.param("/internalx/public", ["/internal/*"], None, id="another path that begins so"),
        pytest.param("/internal/admin", ["/internal/public/*"], None, id="another path"),
    ],
)
def test_the_path_inside_a_mount_of_litestar_is_judged_whole(  # noqa: PLR0913 - a row of the table
    shared_verifier: Verifier, *, make: Make, is_static: bool, path: str, exempt: list[str], served: str | None
) -> None:
    """HTP-026: Litestar shortens the path before any middleware runs."""
    handler = litestar_asgi("/internal", copy_scope=True, is_mount=not is_static, is_static=is_static)(say_rest)

    asked = send_to_scope(make(shared_verifier, exempt, handler), path, "")

    assert asked.status == (REFUSED if served is None else 200)
    assert [text.rstrip("/") for text in asked.served] == ([] if served is None else [f"None at {served}".rstrip("/")])


@either_way
def test_a_mount_of_litestar_at_several_paths_is_open_where_all_of_them_are(
    shared_verifier: Verifier, make: Make
) -> None:
    """HTP-026: which of them was asked for cannot be told from what is left."""
    handler = litestar_asgi(["/one", "/two"], is_mount=True, copy_scope=True)(say_rest)

    half = make(shared_verifier, ["/one/*"], handler)
    assert [send_to_scope(half, path, "").status for path in ("/one/a", "/two/a")] == [REFUSED, REFUSED]
    both = make(shared_verifier, ["/one/*", "/two/*"], handler)
    assert [send_to_scope(both, path, "").status for path in ("/one/a", "/two/a")] == [200, 200]


@either_way
def test_a_mount_of_litestar_at_the_root_is_judged_whole(shared_verifier: Verifier, make: Make) -> None:
    """HTP-026."""
    handler = litestar_asgi("/", is_mount=True, copy_scope=True)(say_rest)
    app = make(shared_verifier, ["/public/*"], handler)

    assert [send_to_scope(app, path, "").status for path in ("/public/a", "/admin", "/")] == [200, REFUSED, REFUSED]


@either_way
def test_a_mount_of_litestar_below_a_prefix_is_judged_without_it(shared_verifier: Verifier, make: Make) -> None:
    """HTP-026."""
    handler = litestar_asgi("/internal", is_mount=True, copy_scope=True)(say_rest)
    app = make(shared_verifier, ["/internal/public/*"], handler)

    assert send_to_scope(app, "/api/internal/public/a", "/api").status == 200
    assert send_to_scope(app, "/internal/public/internal/a", "/internal/public").status == REFUSED


@either_way
def test_a_handler_at_the_path_of_a_mount_keeps_its_path(shared_verifier: Verifier, make: Make) -> None:
    """HTP-026: there the router leaves the whole path, also for the mount."""

    @litestar_get("/internal")
    async def beside() -> str:
        return "beside"

    handler = litestar_asgi("/internal", is_mount=True, copy_scope=True)(say_rest)
    app = make(shared_verifier, ["/internal/*"], beside, handler)

    assert send_to_scope(app, "/internal", "").status == REFUSED
    assert send_to_scope(app, "/internal/a", "").status == 200


@either_way
def test_a_websocket_inside_a_mount_of_litestar_is_judged_by_its_whole_path(
    shared_verifier: Verifier, make: Make
) -> None:
    """HTP-026."""
    handler = litestar_asgi("/internal", is_mount=True, copy_scope=True)(say_rest)
    app = make(shared_verifier, ["/public/*", "/internal/open/*"], handler)

    def answer(path: str) -> asgi.Message:
        client = Client({"type": "websocket.connect"})
        client.call(cast("asgi.ASGIApp", app), websocket_scope(path=path, raw_path=path.encode()))
        return client.sent[0]

    assert answer("/internal/public/a") == {"type": "websocket.close", "code": 1008}
    assert answer("/internal/open/a")["type"] == "websocket.accept"


def test_static_files_of_litestar_are_open_by_their_whole_path(shared_verifier: Verifier, tmp_path: Path) -> None:
    """HTP-026: in both ways to serve them."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("a secret", encoding="ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        files = StaticFilesConfig("/files", directories=[tmp_path]).to_static_files_app()
        old = {exempt: with_plugin(shared_verifier, [exempt], files) for exempt in ("/public/*", "/files/public/*")}
    router = create_static_files_router("/files", directories=[tmp_path])
    new = {exempt: with_plugin(shared_verifier, [exempt], router) for exempt in ("/public/*", "/files/public/*")}

    for apps in (old, new):
        statuses = {
            exempt: send_to_app(app, "/files/public/a.txt", "").sent[0]["status"] for exempt, app in apps.items()
        }
        assert statuses == {"/public/*": REFUSED, "/files/public/*": 200}
