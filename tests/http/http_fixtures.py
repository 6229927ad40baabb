"""What the tests of the integrations share: a request, a view, a reply, and four ways to get from one to the other.

Raw ASGI and raw WSGI are driven here by hand, Starlette and Flask through their own test clients.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary
from wsgiref.validate import validator

import trio
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Verifier, asgi, get_user_identity, wsgi
from aveverify.testing import FakeIssuer

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import WSGIApplication

    from starlette.requests import Request as StarletteRequest

App = TypeVar("App")
Headers = tuple[tuple[str, str], ...]
View = Callable[[Any], str]
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "TRACE")


class Request(NamedTuple):
    """A request; header values are latin-1 text, so every byte can stand in them."""

    headers: Headers = ()
    method: str = "GET"
    query: str = ""
    body: bytes = b""


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def subject_of(request: Any) -> str | None:
    """Who asks, in one word."""
    identity = get_user_identity(request)
    return identity.subject if identity is not None else None


class RecordingView:
    """A view that says who asks, and remembers everybody it served."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    def __call__(self, request: Any) -> str:
        self.seen.append(subject_of(request))
        return f"hello {self.seen[-1]}"


# An integration asks one question: verifier, view, request and the middleware's options, then the reply.
Integration = Callable[..., Reply]


class LeftOut(NamedTuple):
    """Rows that cannot apply to an integration.

    Attributes:
        integration: The integration.
        test: The test; `*` for every test.
        parameters: The parameters that name the rows; a row of a table by its id.
        reason: Why.
    """

    integration: str
    test: str
    parameters: Mapping[str, object]
    reason: str

    def names(self, test: str, parameters: dict[str, object]) -> bool:
        """Whether a test with these parameters is left out."""
        return (
            self.integration == parameters.get("integration")
            and self.test in ("*", test)
            and self.parameters.items() <= parameters.items()
        )


@dataclass(frozen=True)
class Scenario:
    """One way to ask, and whom to ask: what a row of the contract needs."""

    integration: Integration
    verifier: Verifier
    tokens: dict[str, str]
    observer: RecordingView = field(default_factory=RecordingView)

    def get(self, headers: Headers = (), *, view: View | None = None, **options: Any) -> Reply:
        """Send a request with these headers through a middleware with these options."""
        return self.send(Request(headers), view=view, **options)

    def send(self, request: Request, *, view: View | None = None, **options: Any) -> Reply:
        """Send a request through a middleware with these options."""
        return self.integration(self.verifier, view or self.observer, request, **options)

    def bearer(self, kind: str) -> Headers:
        """The header that carries a token of this kind."""
        return bearer(self.tokens[kind])


def bearer(token: str) -> Headers:
    """The header that carries a token."""
    return (("Authorization", f"Bearer {token}"),)


def scopes_of_challenge(headers: Mapping[str, str]) -> str | None:
    """The scopes that the challenge of a response names; None of a response without a challenge."""
    challenge = headers.get("www-authenticate")
    return None if challenge is None else challenge.partition(', scope="')[2].removesuffix('"')


def make_tokens(issuer: FakeIssuer) -> dict[str, str]:
    """One token of every kind that the tables name: some good ones, and one for each flaw."""
    good = {
        "good": issuer.token(sub="ada"),
        "other": issuer.token(sub="grace"),
        "reader": issuer.token(sub="ada", scope="openid read"),
    }
    return good | {flaw: issuer.forge(flaw) for flaw in issuer.FLAWS}


class Relay:
    """Calls the view of the present test, behind an application that is kept for several tests."""

    view: View

    def __call__(self, request: Any) -> str:
        return self.view(request)


def kept(build: Callable[..., App]) -> Callable[..., App]:
    """Keep one application for each verifier and plain options: to build one costs more than a request.

    An application with a function among its options is built anew.
    """
    kept_apps: WeakKeyDictionary[Verifier, dict[str, tuple[App, Relay]]] = WeakKeyDictionary()

    def get(verifier: Verifier, view: View, **options: Any) -> App:
        if not all(isinstance(value, (str, bool, list, tuple)) for value in options.values()):
            return build(verifier, view, **options)
        apps, key = kept_apps.setdefault(verifier, {}), repr(sorted(options.items()))
        if key not in apps:
            relay = Relay()
            apps[key] = build(verifier, relay, **options), relay
        app, relay = apps[key]
        relay.view = view
        return app

    return get


# --- ASGI -----------------------------------------------------------------------------------------------------------


def http_scope(request: Request = Request(), **members: Any) -> dict[str, Any]:  # noqa: B008 - a tuple
    """The scope of an HTTP request, as a server makes it."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    } | members


def websocket_scope(headers: Headers = (), **members: Any) -> dict[str, Any]:
    """The scope of a WebSocket, as a server makes it."""
    scope = http_scope(Request(headers), type="websocket", scheme="ws", subprotocols=[])
    del scope["method"]
    return scope | members


class Client:
    """The far side of one ASGI connection: gives the messages it was told, and keeps those it is sent."""

    def __init__(self, *messages: asgi.Message) -> None:
        self.pending = list(messages)
        self.sent: list[asgi.Message] = []

    async def receive(self) -> asgi.Message:
        """Give the next message; an application that waits for more than there is would hang in life."""
        return self.pending.pop(0)

    async def send(self, message: asgi.Message) -> None:
        """Keep a message."""
        self.sent.append(message)

    def call(self, app: asgi.ASGIApp, scope: asgi.Scope, *, in_trio: bool = False) -> None:
        """Serve the connection."""

        async def serve() -> None:
            await app(scope, self.receive, self.send)

        if in_trio:
            trio.run(serve)
        else:
            asyncio.run(serve())

    @property
    def reply(self) -> Reply:
        """What was sent, as an HTTP answer."""
        start, *chunks = self.sent
        assert start["type"] == "http.response.start"
        assert {chunk["type"] for chunk in chunks} == {"http.response.body"}
        pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
        assert len(dict(pairs)) == len(pairs)
        return Reply(start["status"], dict(pairs), b"".join(chunk.get("body", b"") for chunk in chunks))


def asgi_app(view: View) -> asgi.ASGIApp:
    """A view as a bare ASGI application that reads the whole body first."""

    async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await receive()
        body = view(scope).encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def send_to_asgi(verifier: Verifier, view: View, request: Request, *, in_trio: bool = False, **options: Any) -> Reply:
    """Ask a bare ASGI application."""
    client = Client({"type": "http.request", "body": request.body, "more_body": False})
    client.call(asgi.AveAuthMiddleware(asgi_app(view), verifier, **options), http_scope(request), in_trio=in_trio)
    return client.reply


def send_to_starlette(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a Starlette application through Starlette's test client."""

    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(view(request))

    app = Starlette(
        routes=[Route("/", endpoint, methods=list(METHODS))],
        middleware=[Middleware(asgi.AveAuthMiddleware, verifier=verifier, **options)],
    )
    # Bytes, so that the client does not choose an encoding.
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    with TestClient(app) as client:
        answer = client.request(request.method, f"/?{request.query}", headers=headers, content=request.body)
    return Reply(answer.status_code, dict(answer.headers), answer.content)


# --- WSGI -----------------------------------------------------------------------------------------------------------

ExcInfo = tuple[type[BaseException], BaseException, "TracebackType"] | tuple[None, None, None]


def wsgi_environ(request: Request = Request(), **members: Any) -> dict[str, Any]:  # noqa: B008 - a tuple
    """The environ of a request, as a server makes it: repeated headers are joined by a comma."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": request.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ | members


class Server:
    """The near side of PEP 3333: sends the head with the first bytes of the body, and not before."""

    def __init__(self) -> None:
        self.head: tuple[str, list[tuple[str, str]]] | None = None
        self.sent: list[bytes] = []
        self.closed = 0

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the head; replace it where exc_info is given and nothing was sent."""
        if exc_info is not None and self.sent:
            assert exc_info[1] is not None
            raise exc_info[1]
        assert self.head is None or exc_info is not None, "start_response was called twice"
        self.head = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send bytes, if there are any."""
        assert self.head is not None, "bytes before start_response"
        if data:
            self.sent.append(data)

    def call(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        """Serve one request."""
        self.send(app(environ, self.start_response))

    def send(self, chunks: Iterable[bytes]) -> None:
        """Send a body and close it."""
        try:
            for chunk in chunks:
                self.write(chunk)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    @property
    def reply(self) -> Reply:
        """What was sent."""
        assert self.head is not None
        status, headers = self.head
        assert len(dict(headers)) == len(headers)
        return Reply(int(status[:3]), dict(headers), b"".join(self.sent))


def wsgi_app(view: View) -> WSGIApplication:
    """A view as a bare WSGI application that reads the whole body first."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(len(environ.get("CONTENT_LENGTH", "")))
        body = view(environ).encode()
        start_response("200 OK", [("content-type", "text/plain")])
        return [body]

    return app


def send_to_wsgi(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a bare WSGI application; Python's own validator watches both sides of the middleware."""
    server = Server()
    server.call(
        validator(wsgi.AveAuthMiddleware(validator(wsgi_app(view)), verifier, **options)), wsgi_environ(request)
    )
    return server.reply


def open_app(app: Flask, request: Request) -> Reply:
    """Send a request through Flask's test client."""
    # Buffered: read to its end and closed, as servers do.
    answer = app.test_client().open(
        "/",
        method=request.method,
        headers=request.headers,
        query_string=request.query,
        data=request.body,
        buffered=True,
    )
    return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.get_data())


def send_to_flask(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a Flask application through Flask's test client."""
    app = Flask(__name__)
    # Flask answers 500 to any exception of a view by itself, unless told to let it pass.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", "view", lambda: view(flask_request), methods=list(METHODS), provide_automatic_options=False)
    app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, verifier, **options)  # type: ignore[method-assign]
    return open_app(app, request)


INTEGRATIONS: dict[str, Integration] = {
    "asgi": send_to_asgi,
    "asgi-trio": partial(send_to_asgi, in_trio=True),
    "starlette": send_to_starlette,
    "wsgi": send_to_wsgi,
    "flask": send_to_flask,
}
