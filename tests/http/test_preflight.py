"""What passes without a token as a CORS preflight (HTP-027), whatever behind the integration overrides the method."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from aveverify import Verifier, asgi, starlette, wsgi
from aveverify._http.preflight import is_preflight
from aveverify.flask import AveAuth
from tests.http.django_client import MIDDLEWARE, PatientClient, configured, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Client, Headers, Request, Server, http_scope, wsgi_environ

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

PREFLIGHT: Headers = (("Origin", "https://app.test"), ("Access-Control-Request-Method", "DELETE"))
BYTES = [(b"origin", b"https://app.test"), (b"access-control-request-method", b"DELETE")]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param([], b"", id="the least"),
        pytest.param([(b"Access-Control-Request-Headers", b"authorization, x-http-method-override")], b"", id="asks"),
        pytest.param([(b"Access-Control-Request-Private-Network", b"true")], b"", id="private network"),
        pytest.param([(b"content-length", b"0")], b"", id="length 0"),
        pytest.param([(b"content-length", b" 0 ")], b"", id="length 0 with blanks"),
        pytest.param([(b"cookie", b"a=b"), (b"sec-fetch-mode", b"cors")], b"", id="what browsers send"),
        pytest.param([], b"method=card&payment_method=visa&page=1", id="parameters with other names"),
        pytest.param([], b"x=_method&m_method=1&;;&", id="the name as a value"),
        pytest.param([], b"\xff=%ff&%E2%82%AC", id="a query that is no text"),
    ],
)
def test_what_browsers_send_is_a_preflight(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """HTP-027."""
    assert is_preflight("OPTIONS", [*BYTES, *headers], query)


@pytest.mark.parametrize("method", ["GET", "options", "Options", "OPTIONS ", "TRACE", "CONNECT", "HEAD", ""])
def test_a_preflight_has_one_method(method: str) -> None:
    """HTP-027."""
    assert not is_preflight(method, BYTES, b"")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"authorization", b""), id="Authorization, empty"),
        pytest.param((b"Authorization", b"Basic YTpi"), id="Authorization of another scheme"),
        pytest.param((b"content-length", b"1"), id="length 1"),
        pytest.param((b"Content-Length", b"00"), id="length 00"),
        pytest.param((b"content_length", b"5"), id="length with an underscore"),
        pytest.param((b"content-length", b"+0"), id="a signed length"),
        pytest.param((b"transfer-encoding", b"chunked"), id="chunked"),
        pytest.param((b"Transfer-Encoding", b"identity"), id="identity"),
        pytest.param((b"x-http-method-override", b"DELETE"), id="X-HTTP-Method-Override"),
        pytest.param((b"X_HTTP_Method_Override", b"DELETE"), id="with underscores"),
        pytest.param((b"x-http_method-override", b"DELETE"), id="with both"),
        pytest.param((b"x-http-method-override", b""), id="empty"),
        pytest.param((b"x-http-method", b"DELETE"), id="X-HTTP-Method"),
        pytest.param((b"x-method-override", b"DELETE"), id="X-Method-Override"),
        pytest.param((b"method-override", b"DELETE"), id="Method-Override"),
        pytest.param((b"http-method", b"DELETE"), id="HTTP-Method"),
        pytest.param((b"_method", b"DELETE"), id="_method as a header"),
        pytest.param((b"x-forwarded-method", b"DELETE"), id="X-Forwarded-Method"),
        pytest.param((b"x-rewrite-method", b"DELETE"), id="X-Rewrite-Method"),
        pytest.param((b"x-http-verb-override", b"DELETE"), id="X-HTTP-Verb-Override"),
        pytest.param((b"x-http-override", b"DELETE"), id="X-HTTP-Override"),
    ],
)
def test_a_request_that_could_be_more_than_a_preflight_is_none(header: tuple[bytes, bytes]) -> None:
    """HTP-027: also before the headers that make a preflight."""
    assert is_preflight("OPTIONS", BYTES, b"")
    assert not is_preflight("OPTIONS", [*BYTES, header], b"")
    assert not is_preflight("OPTIONS", [header, *BYTES], b"")


@pytest.mark.parametrize(
    "query",
    [
        b"_method=DELETE", b"_method", b"a=b&_method=DELETE", b"a=b;_method=DELETE", b"%5fmethod=DELETE",
        b"_Method=PUT", b"%5F%6D%65%74%68%6F%64=DELETE", b"+_method=DELETE", b"__method=DELETE", b"_method[]=DELETE",
        b"_http_method=PUT", b"_HttpMethod=PATCH", b"_verb=PUT", b"X-HTTP-Method-Override=PUT",
        b"x_http_method_override=PUT", b"X-HTTP-Method=PUT", b"x-method=PUT", b"http_method_override=PUT",
        b"methodOverride=PUT", b"override_method=PUT",
    ],
    ids=repr,
)  # fmt: skip
def test_a_parameter_that_overrides_the_method_makes_it_none(query: bytes) -> None:
    """HTP-027."""
    assert not is_preflight("OPTIONS", BYTES, query)


@pytest.mark.parametrize("missing", [0, 1], ids=["Origin", "Access-Control-Request-Method"])
def test_a_preflight_has_both_headers(missing: int) -> None:
    """HTP-027; Fetch §3.2.2."""
    assert not is_preflight("OPTIONS", [BYTES[1 - missing]], b"")


def test_a_preflight_has_both_headers_as_they_are_written() -> None:
    """HTP-027: no browser writes an underscore there."""
    assert is_preflight("OPTIONS", [(b"ORIGIN", b"a"), (b"Access-Control-Request-Method", b"PUT")], b"")
    assert not is_preflight("OPTIONS", [(b"origin", b"a"), (b"access_control_request_method", b"PUT")], b"")


# --- what overrides the method, behind every kind of integration ------------------------------------------------------

OVERRIDES = [
    pytest.param(Request((("X-HTTP-Method-Override", "DELETE"),)), id="header"),
    pytest.param(Request((("X_HTTP_Method_Override", "DELETE"),)), id="header with underscores"),
    pytest.param(Request(query="_method=DELETE"), id="query"),
    pytest.param(Request(body=b"_method=DELETE"), id="body"),
]


def overridden(method: str, headers: dict[str, str], query: str, body: bytes) -> str:
    """What override middleware of the field does, all at once: header, parameter, form; of any method."""
    for name, value in headers.items():
        if name.lower().replace("_", "-") == "x-http-method-override":
            return value
    for text in (query, body.decode()):
        if text.startswith("_method="):
            return text.removeprefix("_method=")
    return method


class Store:
    """What a method may destroy."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def asgi(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve ASGI, with an override middleware in front."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.methods.append(overridden(scope["method"], headers, scope["query_string"].decode(), body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Serve WSGI, with an override middleware in front."""
        headers = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
        body = environ["wsgi.input"].read()
        self.methods.append(overridden(environ["REQUEST_METHOD"], headers, environ["QUERY_STRING"], body))
        start_response("200 OK", [])
        return []

    def django(self, get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
        """The override middleware for Django."""

        def serve(request: HttpRequest) -> HttpResponse:
            headers = {name.replace(" ", "-"): value for name, value in request.headers.items()}
            query = request.META["QUERY_STRING"]
            request.method = overridden(str(request.method), headers, query, request.body)
            return get_response(request)

        return serve

    def view(self, request: HttpRequest) -> HttpResponse:
        """Serve Django."""
        self.methods.append(str(request.method))
        return HttpResponse()


STORE = Store()


def django_overrides(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware of the one store, by name."""
    return STORE.django(get_response)


def django_forgets_body(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """What takes the body of a request away."""

    def serve(request: HttpRequest) -> HttpResponse:
        request.__dict__["_body"] = b""
        return get_response(request)

    return serve


def send_asgi(integration: Any, request: Request, **members: Any) -> int:
    """Ask over ASGI; the status."""
    client = Client({"type": "http.request", "body": request.body, "more_body": False})
    client.call(cast("asgi.ASGIApp", integration), http_scope(request, **members))
    return int(client.sent[0]["status"])


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("http_version", ["1.1", "2", "3"])
def test_no_preflight_becomes_another_method_over_asgi(
    shared_verifier: Verifier, override: Request, http_version: str
) -> None:
    """HTP-027: over HTTP/2 a body may come without a length; the application of a preflight never gets one."""
    store = Store()
    integration = asgi.AveAuthMiddleware(store.asgi, shared_verifier, required=True)

    status = send_asgi(
        integration,
        override._replace(method="OPTIONS", headers=(*PREFLIGHT, *override.headers)),
        http_version=http_version,
    )

    assert (status, store.methods) == ((200, ["OPTIONS"]) if override.body else (401, []))


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "without a length"])
def test_no_preflight_becomes_another_method_over_wsgi(
    shared_verifier: Verifier, override: Request, *, announced: bool
) -> None:
    """HTP-027."""
    store = Store()
    request = override._replace(method="OPTIONS", headers=(*PREFLIGHT, *override.headers))
    members = {"CONTENT_LENGTH": str(len(request.body))} if announced else {}
    server = Server()

    server.call(wsgi.AveAuthMiddleware(store.wsgi, shared_verifier, required=True), wsgi_environ(request, **members))

    passes = bool(override.body) and not announced
    assert (server.reply.status, store.methods) == ((200, ["OPTIONS"]) if passes else (401, []))


@pytest.mark.parametrize("override", [row for row in OVERRIDES if row.id != "header with underscores"])
@pytest.mark.parametrize("over", ["wsgi", "asgi"])
def test_no_preflight_becomes_another_method_in_django(shared_verifier: Verifier, override: Request, over: str) -> None:
    """HTP-027: Django drops headers with underscores, and has read the body before any middleware over ASGI."""
    STORE.methods.clear()
    request = override._replace(method="OPTIONS", headers=(*PREFLIGHT, *override.headers))
    ask = send_to_wsgi_handler if over == "wsgi" else send_to_asgi_handler
    with override_settings(
        AVEVERIFY=configured(shared_verifier, required=True),
        MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.django_overrides"],
        ROOT_URLCONF=(path("", STORE.view),),
    ):
        reply = ask(request)

    # Over WSGI, Django reads no body without a length.
    passes = bool(override.body) and over == "wsgi"
    assert (reply.status, STORE.methods) == ((200, ["OPTIONS"]) if passes else (401, []))


@pytest.mark.parametrize("override", [row for row in OVERRIDES if row.id != "header with underscores"])
def test_no_preflight_has_become_another_method_in_front_of_django(
    shared_verifier: Verifier, override: Request
) -> None:
    """HTP-027: the override middleware stands in front, and changes the request alone."""
    STORE.methods.clear()
    request = override._replace(method="OPTIONS", headers=(*PREFLIGHT, *override.headers))
    with override_settings(
        AVEVERIFY=configured(shared_verifier, required=True),
        MIDDLEWARE=[f"{__name__}.django_overrides", f"{__name__}.django_forgets_body", *MIDDLEWARE],
        ROOT_URLCONF=(path("", STORE.view),),
    ):
        reply = send_to_asgi_handler(request)

    assert (reply.status, STORE.methods) == (401, [])


def test_a_real_preflight_passes_django_over_asgi(shared_verifier: Verifier) -> None:
    """HTP-027."""
    STORE.methods.clear()
    with override_settings(
        AVEVERIFY=configured(shared_verifier, required=True),
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=(path("", STORE.view),),
    ):
        client = PatientClient({"type": "http.request", "body": b"", "more_body": False})
        client.call(
            cast("asgi.ASGIApp", ASGIHandler()),
            http_scope(Request(PREFLIGHT, method="OPTIONS"), http_version="2", query_string="name=€".encode()),
        )

    assert client.reply.status == 200
    assert STORE.methods == ["OPTIONS"]


def test_a_flask_view_gets_no_body_of_a_preflight(shared_verifier: Verifier) -> None:
    """HTP-027: also where the server says that the body may be read to its end."""
    app = Flask(__name__)
    AveAuth(app, shared_verifier, required=True)
    app.add_url_rule("/", "view", lambda: flask_request.get_data() or "none", methods=["OPTIONS"])
    environ = wsgi_environ(Request(PREFLIGHT, method="OPTIONS", body=b"_method=DELETE"))
    server = Server()

    server.call(app, environ | {"wsgi.input_terminated": True})

    assert b"".join(server.sent) == b"none"


@pytest.mark.parametrize(
    ("http_version", "headers", "status"),
    [
        pytest.param("1.1", (), 200, id="HTTP/1.1"),
        pytest.param("1.0", (), 200, id="HTTP/1.0"),
        pytest.param("2", (), 401, id="HTTP/2 without a length"),
        pytest.param("2", (("Content-Length", "0"),), 200, id="HTTP/2 with a length"),
        pytest.param("3", (), 401, id="HTTP/3 without a length"),
    ],
)
def test_starlettes_own_middleware_lets_no_preflight_pass_that_may_hide_a_body(
    shared_verifier: Verifier, http_version: str, headers: Headers, status: int
) -> None:
    """HTP-027: a backend cannot take the body away."""

    async def view(_request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("served")

    backend = starlette.AveAuthBackend(shared_verifier, required=True)
    integration = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    app = Starlette(routes=[Route("/", view, methods=["OPTIONS"])], middleware=[integration])

    request = Request((*PREFLIGHT, *headers), method="OPTIONS")
    assert send_asgi(app, request, http_version=http_version) == status


def test_the_application_of_a_preflight_learns_of_its_end_whatever_the_client_sends(shared_verifier: Verifier) -> None:
    """HTP-027: nothing of a body is kept."""
    received: list[asgi.Message] = []

    async def app(_scope: asgi.Scope, receive: asgi.Receive, _send: asgi.Send) -> None:
        received.extend([await receive(), await receive()])

    client = Client(
        {"type": "http.request", "body": b"a" * 65536, "more_body": True},
        {"type": "http.request", "body": b"b", "more_body": False},
        {"type": "http.disconnect"},
    )
    client.call(
        asgi.AveAuthMiddleware(app, shared_verifier, required=True),
        http_scope(Request(PREFLIGHT, method="OPTIONS"), http_version="2"),
    )

    assert received == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


def test_a_body_stays_where_no_preflight_is_needed_to_pass(shared_verifier: Verifier) -> None:
    """HTP-027: exempt paths, and integrations that let anonymous requests pass, change nothing of a request."""
    request = Request(PREFLIGHT, method="OPTIONS", body=b"_method=DELETE")
    for options in ({"required": False}, {"required": True, "exempt": ["/"]}):
        store, other = Store(), Store()
        assert send_asgi(asgi.AveAuthMiddleware(store.asgi, shared_verifier, **options), request) == 200
        environ = wsgi_environ(request) | {"wsgi.input": io.BytesIO(request.body)}
        Server().call(wsgi.AveAuthMiddleware(other.wsgi, shared_verifier, **options), environ)
        assert store.methods == other.methods == ["DELETE"]
