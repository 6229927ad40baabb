"""Headers as ASGI allows them: any iterable of pairs, of bytes and what is like them (HTP-045).

However they come, a bad token is refused, two are refused, and the application sees all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI, Security
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from aveverify import Identity, Verifier, asgi, starlette
from aveverify.fastapi import AveAuth
from aveverify.forward_auth import make_app
from aveverify.litestar import AveAuthPlugin
from aveverify.sources import AuthorizationHeader, Cookie, QueryParameter, WebSocketProtocol
from tests.http.django_client import PatientClient, configured
from tests.http.http_fixtures import Client, http_scope, subject_of

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

Pairs = list[tuple[bytes, bytes]]
Shape = Callable[[Pairs], Iterable[Any]]

SHAPES: dict[str, Shape] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda pairs: (pair for pair in pairs),
    "iterator": iter,
    "map": lambda pairs: map(tuple, pairs),
    "view of a dictionary": lambda pairs: dict(pairs).items(),
    "list of lists": lambda pairs: [list(pair) for pair in pairs],
    "list of bytearrays": lambda pairs: [(bytearray(name), bytearray(value)) for name, value in pairs],
    "list of memoryviews": lambda pairs: [(memoryview(name), memoryview(value)) for name, value in pairs],
    "list of memoryviews as values": lambda pairs: [(name, memoryview(value)) for name, value in pairs],
    "list of bytearrays as values": lambda pairs: [(name, bytearray(value)) for name, value in pairs],
    "generator of lists of memoryviews": lambda pairs: ([memoryview(part) for part in pair] for pair in pairs),
}
any_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
AROUND = [(b"host", b"api.test"), (b"accept", b"*/*")]


def pairs_with(*values: str) -> Pairs:
    """Headers around so many of Authorization."""
    return [AROUND[0], *((b"authorization", f"Bearer {value}".encode()) for value in values), AROUND[1]]


class Seeing:
    """An application that says who asks, and keeps the headers that it sees."""

    def __init__(self) -> None:
        self.headers: list[Any] = []

    async def __call__(self, scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        self.headers.append([(bytes(name), bytes(value)) for name, value in scope["headers"]])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(subject_of(scope)).encode()})


def ask(app: Any, headers: Iterable[Any], **members: Any) -> tuple[int, bytes]:
    """Send a request whose headers have a shape; status and body."""
    client = PatientClient({"type": "http.request", "body": b"", "more_body": False})
    client.call(cast("asgi.ASGIApp", app), http_scope(headers=headers, **members))
    return client.sent[0]["status"], client.sent[1]["body"]


def warm(verifier: Verifier, token: str) -> None:
    """Let the token be known, so that the short way is taken where it can be."""
    assert verifier.verify(token).subject == "ada"


def raw(verifier: Verifier, app: asgi.ASGIApp, **options: Any) -> asgi.ASGIApp:
    """The raw middleware."""
    return asgi.AveAuthMiddleware(app, verifier, **{"required": False, **options})


def starlette_app(*middleware: Middleware) -> Starlette:
    """An application of Starlette that says who asks, and which headers it sees."""

    async def view(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(f"{subject_of(request)} {len(request.headers.items())}")

    return Starlette(routes=[Route("/", view)], middleware=middleware)


def with_class(verifier: Verifier) -> Any:
    """Starlette's class."""
    return starlette_app(Middleware(starlette.AveAuthMiddleware, verifier=verifier, required=False))


def with_backend(verifier: Verifier) -> Any:
    """Starlette's own middleware."""
    backend = starlette.AveAuthBackend(verifier, required=False)
    return starlette_app(Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error))


def with_dependency(verifier: Verifier) -> Any:
    """FastAPI's dependency."""
    ave = AveAuth(verifier)
    app = FastAPI()

    def view(identity: Identity | None) -> PlainTextResponse:
        return PlainTextResponse(f"{identity and identity.subject} 3")

    view.__annotations__["identity"] = Annotated[Identity | None, Security(ave.optional)]
    app.add_api_route("/", view)
    ave.install(app)
    return app


FRAMEWORKS = {"starlette": with_class, "starlette-backend": with_backend, "fastapi": with_dependency}


@any_shape
@pytest.mark.parametrize("options", [{}, {"check": lambda _: None}], ids=["known", "checked"])
def test_headers_of_any_shape_are_read_once_and_stay_complete(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape, options: dict[str, Any]
) -> None:
    """HTP-045: with a token that is known and one that is not, a bad one and none."""
    warm(shared_verifier, tokens["good"])
    app = Seeing()
    integration = raw(shared_verifier, app, **options)

    for values, expected in (
        ((tokens["good"],), (200, b"ada")),
        ((tokens["other"],), (200, b"grace")),
        ((), (200, b"None")),
    ):
        pairs = pairs_with(*values)
        assert ask(integration, shape(pairs)) == expected
        assert app.headers.pop() == pairs
    for kind in ("expired", "bad_signature"):
        assert ask(integration, shape(pairs_with(tokens[kind])))[0] == 401
    assert app.headers == []


@pytest.mark.parametrize("shape", [row for row in SHAPES if row != "view of a dictionary"])
@pytest.mark.parametrize("second", [b"authorization", b"Authorization", b"AUTHORIZATION"], ids=repr)
def test_a_second_token_is_refused_however_headers_come(
    shared_verifier: Verifier, tokens: dict[str, str], shape: str, second: bytes
) -> None:
    """HTP-001, HTP-045: also where the first of them is known, and the second one is written in capitals."""
    warm(shared_verifier, tokens["good"])
    app = Seeing()
    good, evil = (f"Bearer {tokens[kind]}".encode() for kind in ("good", "bad_signature"))

    for pairs in (
        [(b"authorization", good), (second, evil)],
        [(second, evil), (b"authorization", good)],
        [(b"authorization", good), (second, good)],
        [(second, good), (b"authorization", b"")],
    ):
        assert ask(raw(shared_verifier, app), SHAPES[shape](pairs))[0] == 400
    assert app.headers == []


@any_shape
@pytest.mark.parametrize("make", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_frameworks_read_headers_of_any_shape_once(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape, make: Callable[[Verifier], Any]
) -> None:
    """HTP-045."""
    app = make(shared_verifier)

    assert ask(app, shape(pairs_with(tokens["expired"])))[0] == 401
    assert ask(app, shape(pairs_with(tokens["other"]))) == (200, b"grace 3")


@any_shape
def test_a_known_token_passes_a_framework_however_headers_come(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape
) -> None:
    """HTP-045."""
    warm(shared_verifier, tokens["good"])

    assert ask(raw(shared_verifier, starlette_app()), shape(pairs_with(tokens["good"]))) == (200, b"ada 3")


@any_shape
def test_django_behind_the_raw_middleware_reads_headers_of_any_shape(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape
) -> None:
    """HTP-045."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{subject_of(request.scope)} {len(request.headers)}")  # type: ignore[attr-defined]

    with override_settings(AVEVERIFY=configured(shared_verifier), MIDDLEWARE=[], ROOT_URLCONF=(path("", view),)):
        integration = raw(shared_verifier, cast("asgi.ASGIApp", ASGIHandler()), check=lambda _: None)
        assert ask(integration, shape(pairs_with(tokens["good"]))) == (200, b"ada 3")
        assert ask(integration, shape(pairs_with(tokens["expired"])))[0] == 401


@any_shape
def test_the_application_that_proxies_ask_reads_headers_of_any_shape(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape
) -> None:
    """HTP-045: it looks at them twice."""
    app = make_app(shared_verifier, required=False)

    assert ask(app, shape(pairs_with(tokens["expired"])), path="/auth")[0] == 401
    assert ask(app, shape(pairs_with(tokens["good"])), path="/auth")[0] == 200


@pytest.mark.parametrize("shape", [row for row in SHAPES if "bytearrays" not in row and "memoryviews" not in row])
def test_litestar_lets_nobody_in_whose_headers_it_has_read_already(
    shared_verifier: Verifier, tokens: dict[str, str], shape: str
) -> None:
    """HTP-045: its router looks for the host before any middleware runs; what can be read once is gone then."""

    @litestar_get("/")
    async def view(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(subject_of(request))

    @litestar_get("/health", exclude_from_auth=True)
    async def health() -> str:
        return "well"

    plugin = AveAuthPlugin(shared_verifier, required=False)
    app = Litestar([view, health], plugins=[plugin], logging_config=None)
    is_whole = shape in ("list", "tuple", "view of a dictionary", "list of lists")

    for values, expected in (
        ((), (200, b"None")),
        ((tokens["good"],), (200, b"ada")),
        ((tokens["expired"],), (401, b"")),
    ):
        status, body = ask(app, SHAPES[shape](pairs_with(*values)))
        assert (status, body if status == 200 else b"") == (expected if is_whole else (400, b""))
    assert ask(app, SHAPES[shape](pairs_with(tokens["expired"])), path="/health") == (200, b"well")


@any_shape
def test_a_preflight_is_known_however_headers_come(shared_verifier: Verifier, shape: Shape) -> None:
    """HTP-045, HTP-027."""
    app = Seeing()
    integration = raw(shared_verifier, app, required=True)
    pairs = [*AROUND, (b"origin", b"https://app.test"), (b"access-control-request-method", b"PUT")]

    assert ask(integration, shape(pairs), method="OPTIONS") == (200, b"None")
    assert ask(integration, shape([*pairs, (b"x-http-method-override", b"PUT")]), method="OPTIONS")[0] == 401
    assert app.headers == [pairs]


@any_shape
def test_headers_of_an_exempt_path_stay_complete(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape
) -> None:
    """HTP-045."""
    app = Seeing()

    assert ask(raw(shared_verifier, app, required=True, exempt=["/"]), shape(pairs_with(tokens["expired"])))[0] == 200
    assert app.headers == [pairs_with(tokens["expired"])]


@any_shape
@pytest.mark.parametrize("exempt", [(), ("/",)], ids=["read", "exempt"])
def test_a_websocket_hides_its_token_however_headers_come(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape, exempt: tuple[str, ...]
) -> None:
    """HTP-045, HTP-029: among the protocols."""
    app, client = Seeing(), Client({"type": "websocket.connect"})
    offer = (b"sec-websocket-protocol", f"bearer, {tokens['good']}, chat".encode())
    integration = raw(shared_verifier, app, required=True, exempt=exempt)

    offered = ["bearer", tokens["good"], "chat"]
    client.call(integration, http_scope(type="websocket", headers=shape([*AROUND, offer]), subprotocols=offered))

    assert client.sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]
    assert app.headers == [[*AROUND, (b"sec-websocket-protocol", b"chat")]]


@any_shape
def test_every_source_reads_headers_of_any_shape(
    shared_verifier: Verifier, tokens: dict[str, str], shape: Shape
) -> None:
    """HTP-045: one after the other."""
    sources = [
        AuthorizationHeader(),
        WebSocketProtocol(),
        QueryParameter(),
        Cookie("id_token", allowed_origins=["https://app.test"]),
    ]
    app = Seeing()
    integration = raw(shared_verifier, app, token_sources=sources)
    pairs = [(b"cookie", f"id_token={tokens['good']}".encode()), (b"origin", b"https://app.test")]
    bad = [(b"cookie", f"id_token={tokens['expired']}".encode()), (b"origin", b"https://app.test")]

    assert ask(integration, shape(pairs)) == (200, b"ada")
    assert ask(integration, shape(bad))[0] == 401
    assert app.headers == [pairs]


@pytest.mark.parametrize("options", [{}, {"check": lambda _: None}], ids=["known", "checked"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("authorization", "Bearer {bad}")], id="text"),
        pytest.param([("authorization", b"Bearer {bad}")], id="text as a name"),
        pytest.param([(b"authorization", "Bearer {bad}")], id="text as a value"),
        pytest.param([(b"authorization", None)], id="None"),
        pytest.param([(b"authorization",)], id="a name alone"),
        pytest.param(None, id="no headers"),
    ],
)
def test_headers_that_are_no_bytes_let_nobody_in(
    shared_verifier: Verifier,
    headers: Any,
    options: dict[str, Any],
) -> None:
    """HTP-045: the fault of a server, which must not look like an anonymous request."""
    app = Seeing()

    with pytest.raises((TypeError, ValueError)):
        ask(raw(shared_verifier, app, **options), headers)
    assert app.headers == []
