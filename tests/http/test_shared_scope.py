"""What the application writes into its scope and state is seen in front, as without the middleware; its user is not."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from fastapi import WebSocket as FastAPIWebSocket
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

import aveverify
import aveverify.litestar
import aveverify.starlette
from aveverify import Verifier, get_user_identity
from aveverify._http.asgi_request import OUTER_KEY
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify._http.shared_scope import PRIVATE
from aveverify._http.websocket_scope import LiveDict
from aveverify.asgi import AveAuthMiddleware, Receive, Scope, Send
from aveverify.fastapi import AveAuth
from tests.http.django_client import MIDDLEWARE, PatientClient, configured
from tests.http.http_fixtures import Client, Headers, Request, bearer, http_scope, websocket_scope

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

Write = Callable[[dict[str, Any]], object]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Wrap = Callable[[App], App]

PACKAGE = Path(aveverify.__file__).parent
BEFORE = {"a": 1, "b": 2}
WRITES: dict[str, Write] = {
    "set": lambda scope: scope.__setitem__("route", "r"),
    "change": lambda scope: scope.__setitem__("a", 3),
    "delete": lambda scope: scope.__delitem__("a"),
    "update": lambda scope: scope.update({"a": 3, "route": "r"}),
    "update with pairs and names": lambda scope: scope.update([("a", 3)], route="r"),
    "update with nothing": lambda scope: scope.update(),
    "setdefault of a new one": lambda scope: scope.setdefault("route", "r"),
    "setdefault of a known one": lambda scope: scope.setdefault("a", 3),
    "pop": lambda scope: scope.pop("a"),
    "pop of what is not there": lambda scope: scope.pop("route", None),
    "in place": lambda scope: scope.__ior__({"a": 3, "route": "r"}),
    "clear": lambda scope: scope.clear(),
    "popitem until all is gone": lambda scope: [scope.popitem() for _ in range(len(scope))],
    "another kind of key": lambda scope: scope.__setitem__(7, "seven"),  # type: ignore[index]
    "all of a copy": lambda scope: scope.update(scope.copy()),
    "all of another copy": lambda scope: scope.update({**scope}),
}
WRITTEN = [pytest.param(write, id=name) for name, write in WRITES.items()]
KINDS = [pytest.param(make, id=name) for name, make in {"http": http_scope, "websocket": websocket_scope}.items()]


def serve(verifier: Verifier, scope: Scope, write: Write, levels: int = 1) -> None:
    """Let an application behind some middlewares write into its scope."""

    async def app(inner: Any, _receive: Receive, _send: Send) -> None:
        write(inner)

    served: App = app
    for _ in range(levels):
        served = AveAuthMiddleware(served, verifier, required=False)
    Client().call(served, scope)


# --- each way to write ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2], ids=["one", "two middlewares"])
@pytest.mark.parametrize("make_scope", KINDS)
@pytest.mark.parametrize("write", WRITTEN)
def test_what_is_written_into_the_scope_is_written_in_front(
    write: Write, make_scope: Callable[..., dict[str, Any]], levels: int, shared_verifier: Verifier
) -> None:
    given, expected = make_scope(**BEFORE), make_scope(**BEFORE)
    write(expected)

    serve(shared_verifier, given, write, levels)

    assert given == expected


@pytest.mark.parametrize("levels", [1, 2], ids=["one", "two middlewares"])
@pytest.mark.parametrize("make_scope", KINDS)
@pytest.mark.parametrize("write", WRITTEN)
def test_what_is_written_into_the_state_is_written_in_front(
    write: Write, make_scope: Callable[..., dict[str, Any]], levels: int, shared_verifier: Verifier
) -> None:
    state = dict(BEFORE)
    given, expected = make_scope(state=state), dict(BEFORE)
    write(expected)

    serve(shared_verifier, given, lambda scope: write(scope["state"]), levels)

    assert given["state"] is state
    assert state == expected


@pytest.mark.parametrize("make_scope", KINDS)
@pytest.mark.parametrize("state", [{}, {"state": None}], ids=["absent", "None"])
def test_the_first_thing_written_makes_the_state_in_front(
    state: dict[str, Any], make_scope: Callable[..., dict[str, Any]], shared_verifier: Verifier
) -> None:
    given = make_scope()
    del given["state"]
    given |= state
    before = copy.deepcopy(given)

    serve(shared_verifier, given, lambda scope: scope["state"]["identity"])
    assert given == before

    serve(shared_verifier, given, lambda scope: scope["state"].update(tenant=7))
    assert given["state"] == {"tenant": 7}


def test_a_state_of_the_application_replaces_the_one_in_front(shared_verifier: Verifier) -> None:
    given, state = http_scope(), {"own": 1}

    serve(shared_verifier, given, lambda scope: scope.update(state=state))

    assert given["state"] is state


@pytest.mark.parametrize("kind", ["webtransport", "lifespan"])
def test_of_an_unknown_kind_of_connection_too(kind: str, shared_verifier: Verifier) -> None:
    """HTP-032: also where the scope is copied, because something had planted an identity."""
    for planted in ({}, {IDENTITY_KEY: "ada"}):
        scope: Scope = {"type": kind, "state": {}, **planted}
        serve(shared_verifier, scope, lambda scope: (scope.update(a=1), scope["state"].update(b=2)))
        assert scope == {"type": kind, "state": {"b": 2}, "a": 1, **planted}


# --- what stays in the copy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_scope", KINDS)
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda _scope: None, id="nothing"),
        pytest.param(lambda scope: scope.update(scope.copy()), id="a copy written back"),
        pytest.param(lambda scope: scope.update(**scope), id="written back by name"),
        pytest.param(lambda scope: [scope.__setitem__(key, scope[key]) for key in list(scope)], id="one by one"),
        pytest.param(lambda scope: scope["state"].update(scope["state"].copy()), id="the state written back"),
        pytest.param(lambda scope: scope["state"].update(identity=1), id="the application's own identity"),
        pytest.param(lambda scope: scope.update(dict.fromkeys(PRIVATE - {"state"}, 1)), id="our names"),
        pytest.param(lambda scope: (scope.pop(IDENTITY_KEY), scope["state"].pop("identity")), id="taken out"),
    ],
)
def test_htp_010_the_identity_stays_in_the_copy(
    write: Write, make_scope: Callable[..., dict[str, Any]], tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-037: whatever the application does with it."""
    given = make_scope() | {"headers": [(b"authorization", f"Bearer {tokens['good']}".encode())]}
    before = copy.deepcopy(given)
    seen: list[object] = []

    def look_and_write(scope: dict[str, Any]) -> None:
        seen.append(get_user_identity(scope))
        write(scope)

    serve(shared_verifier, given, look_and_write)

    assert given == before
    assert given["state"] == {}
    assert seen != [None]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_name_of_this_package_in_a_scope_is_private(path: Path) -> None:
    """HTP-010: what a new name holds must not be seen in front, either."""
    named = re.findall(r'^[A-Z]*_?KEY: Final = "(aveverify\.\w+)"', path.read_text(encoding="utf-8"), re.MULTILINE)

    # The extension of Flask that marks an application, which is in no scope.
    assert set(named) - {"aveverify.error_handling"} <= PRIVATE


def test_an_identity_that_stood_in_the_state_in_front_stays_there(shared_verifier: Verifier) -> None:
    given = http_scope(state={"identity": "of another middleware"})

    serve(shared_verifier, given, lambda scope: scope["state"].clear())

    assert given["state"] == {"identity": "of another middleware"}


def test_the_token_that_a_websocket_hides_is_not_taken_away_in_front(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """Starlette writes the headers back into the scope when it first reads them."""
    offered = ", ".join(("bearer", tokens["good"], "chat"))
    given = websocket_scope((("Sec-WebSocket-Protocol", offered),), subprotocols=offered.split(", "))
    before = copy.deepcopy(given)

    serve(shared_verifier, given, lambda scope: scope.update(headers=scope["headers"], subprotocols=["chat"]))

    assert given == before


@pytest.mark.parametrize(
    "copied",
    [
        pytest.param(lambda scope: scope.copy(), id="copy()"),
        pytest.param(dict, id="dict()"),
        pytest.param(copy.copy, id="copy.copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda scope: scope | {}, id="or"),
    ],
)
@pytest.mark.parametrize("make_scope", KINDS)
def test_a_copy_shares_nothing(
    copied: Callable[[Any], Any], make_scope: Callable[..., dict[str, Any]], shared_verifier: Verifier
) -> None:
    """Routers copy a scope to try something."""
    given = make_scope(state={"a": 1})
    before = copy.deepcopy(given)

    def write(scope: Any) -> None:
        for key in (POLICY_KEY, LIVE_KEY, OUTER_KEY):
            # These have a verifier and the server's scope, which a deep copy cannot or should not copy.
            scope.pop(key, None)
        own, state = copied(scope), copied(scope["state"])
        assert own["path"] == "/"
        assert get_user_identity(own) is None
        assert state == {"a": 1, "identity": None}
        own["route"], state["tenant"] = "r", 7
        own.pop("path")

    serve(shared_verifier, given, write)

    assert given == before


def test_a_deep_copy_of_a_websockets_scope_still_looks_its_user_up(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-041."""
    given = websocket_scope(bearer(tokens["good"]))

    def look(scope: Any) -> None:
        for one in (copy.deepcopy(scope["state"]), copy.copy(scope["state"])):
            assert type(one) is LiveDict
            assert one["identity"] is scope["state"]["identity"]

    serve(shared_verifier, given, look)


def test_a_state_can_be_pickled(shared_verifier: Verifier) -> None:
    def dump(scope: Any) -> None:
        assert pickle.loads(pickle.dumps(scope["state"])) == {"a": 1, "identity": None}  # noqa: S301 - our own bytes

    serve(shared_verifier, http_scope(state={"a": 1}), dump)


# --- frameworks -----------------------------------------------------------------------------------------------------


class InFront:
    """What stands in front sees: a pure ASGI middleware, at the start of the response and after the end."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012 - emptied before each request

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Made before, as some middlewares do.
        HTTPConnection(scope).state.first = 1

        async def watched_send(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                self.seen.append(described(scope))
            await send(message)

        await self._app(scope, receive, watched_send)
        self.seen.append(described(scope))


class AlsoInFront(BaseHTTPMiddleware):
    """An access log as Starlette's users write it."""

    async def dispatch(self, request: StarletteRequest, call_next: Callable[..., Awaitable[Response]]) -> Response:
        request.state.second = 2
        response = await call_next(request)
        InFront.seen.append(described(request.scope) | {"by state": dict(request.state._state)})
        return response


def described(scope: Any) -> dict[str, Any]:
    """What stands in a scope, comparable between two applications."""
    return {key: _describe(value) for key, value in scope.items()}


def _describe(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _describe(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_describe(member) for member in value]
    plain = isinstance(value, (str, bytes, int, type(None)))
    return value if plain else getattr(value, "name", None) or type(value).__name__


FRONT = [Middleware(InFront), Middleware(AlsoInFront)]


# The refusal of a WebSocket is never deferred.
REQUESTS = [
    pytest.param(kind, path, id=f"{kind or 'anonymous'} {path}")
    for path in ("/7", "/public/8", "/below/9", "/talk/10", "/below/talk/11")
    for kind in ("good", "expired", None)
    if kind != "expired" or "talk" not in path
]


class OwnUsers(AuthenticationBackend):
    """Users that the application finds by itself."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        del conn
        return AuthCredentials(["own"]), SimpleUser("own")


def starlette_app(auth: list[Middleware]) -> App:
    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        request.state.tenant = request.path_params["tenant"]
        del request.state.first
        return PlainTextResponse("hello")

    async def talk(websocket: WebSocket) -> None:
        websocket.state.tenant = websocket.path_params["tenant"]
        await websocket.accept()
        await websocket.close()

    routes = [
        Route("/public/{tenant}", endpoint, name="public"),
        Route("/{tenant:int}", endpoint, name="tenant"),
        Mount("/below", routes=[Route("/{tenant}", endpoint, name="inner"), WebSocketRoute("/talk/{tenant}", talk)]),
        WebSocketRoute("/talk/{tenant}", talk),
    ]
    return Starlette(routes=routes, middleware=[*FRONT, *auth])


def fastapi_app(auth: list[Middleware], front: list[Middleware] = FRONT) -> FastAPI:
    app = FastAPI(middleware=[*front, *auth])

    @app.get("/below/{tenant}", name="below")
    @app.get("/public/{tenant}", name="public")
    @app.get("/{tenant}", name="tenant")
    async def endpoint(request: FastAPIRequest, tenant: str) -> str:
        request.state.tenant = tenant
        del request.state.first
        return "hello"

    @app.websocket("/talk/{tenant}")
    @app.websocket("/below/talk/{tenant}")
    async def talk(websocket: FastAPIWebSocket, tenant: str) -> None:
        websocket.state.tenant = tenant
        await websocket.accept()
        await websocket.close()

    return app


def raw_app(auth: list[Middleware]) -> App:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        scope["route"] = "a route"
        scope["state"]["tenant"] = 7
        del scope["state"]["first"]
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})

    for middleware in reversed([*FRONT, *auth]):
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)  # type: ignore[assignment]
    return app


APPS: dict[str, Callable[[list[Middleware]], App]] = {
    "raw": raw_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
}


def middlewares(verifier: Verifier) -> dict[str, list[Middleware]]:
    options: dict[str, Any] = {"verifier": verifier, "exempt": ["/public/*"], "on_invalid": "defer"}
    raw = Middleware(AveAuthMiddleware, required=False, **options)
    own = Middleware(aveverify.starlette.AveAuthMiddleware, required=False, **options)
    return {"asgi": [raw], "starlette": [own], "both": [raw, own]}


@pytest.fixture
def world(shared_verifier: Verifier, tokens: dict[str, str]) -> tuple[Verifier, dict[str, str]]:
    return shared_verifier, tokens


def look(app: App, path: str, headers: Headers) -> list[dict[str, Any]]:
    InFront.seen.clear()
    client = TestClient(app)
    if "talk" in path:
        with client.websocket_connect(path, headers=dict(headers)):
            pass
    else:
        assert client.get(path, headers=dict(headers)).status_code == 200
    assert InFront.seen
    return list(InFront.seen)


@pytest.mark.parametrize(("kind", "path"), REQUESTS)
@pytest.mark.parametrize("auth", ["asgi", "starlette", "both"])
@pytest.mark.parametrize("framework", APPS)
def test_what_stands_in_front_sees_what_it_sees_without_the_middleware(
    framework: str, auth: str, kind: str | None, path: str, world: tuple[Verifier, dict[str, str]]
) -> None:
    """Route, path parameters and state; at the start of the response and after the end."""
    verifier, tokens = world
    headers, build = bearer(tokens[kind]) if kind else (), APPS[framework]

    assert look(build(middlewares(verifier)[auth]), path, headers) == look(build([]), path, headers)


def test_a_refused_request_leaves_what_stands_in_front_as_it_is(shared_verifier: Verifier) -> None:
    auth = [Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True)]
    InFront.seen.clear()

    assert TestClient(starlette_app(auth)).get("/7").status_code == 401

    assert [seen["state"] for seen in InFront.seen] == [{"first": 1, "second": 2}] * 3
    assert not any("path_params" in seen for seen in InFront.seen)


def test_users_of_the_application_itself_are_seen_in_front(shared_verifier: Verifier) -> None:
    """Where the middleware sets no user, `request.user` is the application's own."""
    own = Middleware(AuthenticationMiddleware, backend=OwnUsers())
    raw = Middleware(AveAuthMiddleware, verifier=shared_verifier, required=False)

    seen = look(starlette_app([raw, own]), "/7", ())

    assert seen == look(starlette_app([own]), "/7", ())
    assert all(each["user"] == "SimpleUser" for each in seen)


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
def test_htp_037_a_user_that_the_middleware_sets_is_not(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    async def load_user(_identity: object) -> object:
        return SimpleUser("loaded")

    for load in (None, load_user):
        auth = Middleware(
            aveverify.starlette.AveAuthMiddleware, verifier=shared_verifier, required=False, load_user=load
        )
        for path in ("/7", "/talk/7"):
            seen = look(starlette_app([auth]), path, bearer(tokens[kind]) if kind else ())
            assert not any({"user", "auth"} & each.keys() for each in seen)


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
def test_what_stands_in_front_of_fastapis_install_sees_the_same(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    headers = bearer(tokens[kind]) if kind else ()
    for path in ("/7", "/talk/7"):
        bare, installed = fastapi_app([], []), fastapi_app([], [])
        AveAuth(shared_verifier).install(installed)
        seen, expected = (look(InFront(app), path, headers) for app in (installed, bare))
        for each in (*seen, *expected):
            # Of these, `install` adds some.
            del each["starlette.exception_handlers"]
        assert seen == expected


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
def test_what_stands_in_front_of_litestar_sees_the_same(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    @litestar_get("/{tenant:int}")
    async def view(request: LitestarRequest[Any, Any, Any]) -> str:
        request.state.tenant = tenant = request.path_params["tenant"]
        del request.state["first"]
        request.scope["shown"] = tenant  # type: ignore[typeddict-unknown-key]
        return "hello"

    plugin = aveverify.litestar.AveAuthPlugin(shared_verifier, required=False)
    headers = bearer(tokens[kind]) if kind else ()

    seen, expected = (
        look(InFront(Litestar([view], plugins=plugins, logging_config=None)), "/7", headers)  # type: ignore[arg-type]
        for plugins in ([plugin], [])
    )

    assert seen == expected
    assert seen[-1]["state"]["tenant"] == 7
    assert seen[-1]["shown"] == 7


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
def test_what_stands_in_front_of_django_sees_the_same(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """What a view writes into the scope of its request."""

    async def view(request: Any) -> HttpResponse:
        request.scope["shown"] = 7
        request.scope["state"]["tenant"] = 8
        return HttpResponse("hello")

    def ask(middleware: list[str]) -> dict[str, Any]:
        scope = http_scope(Request(bearer(tokens[kind]) if kind else ()))
        settings = {"AVEVERIFY": configured(shared_verifier), "MIDDLEWARE": middleware}
        with override_settings(**settings, ROOT_URLCONF=(django_path("", view),)):
            PatientClient({"type": "http.request", "body": b"", "more_body": False}).call(ASGIHandler(), scope)  # type: ignore[arg-type]
        return scope

    seen = ask(MIDDLEWARE)

    assert seen == ask([])
    assert seen["shown"] == 7
    assert seen["state"] == {"tenant": 8}
