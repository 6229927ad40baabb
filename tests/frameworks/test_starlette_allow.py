"""Starlette's decorator `allow`: only some users reach an endpoint."""

from __future__ import annotations

from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, cast

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from aveverify import (
    AuthRecord,
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Reason,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify.asgi import get_live_connection
from aveverify.errors import Problem
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware, allow
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import bearer, scopes_of_challenge

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    return is_pro(identity)


def with_middleware(verifier: Verifier, **options: Any) -> Middleware:
    return Middleware(AveAuthMiddleware, verifier=verifier, **options)


def with_backend(verifier: Verifier, **options: Any) -> Middleware:
    backend = AveAuthBackend(verifier, **options)
    return Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)


every_front = pytest.mark.parametrize("front", [with_middleware, with_backend], ids=["middleware", "backend"])


def client_of(front: Middleware, endpoint: Any, handlers: Any = None, *, raises: bool = True) -> TestClient:
    routes = [endpoint if isinstance(endpoint, WebSocketRoute) else Route("/", endpoint)]
    app = Starlette(routes=routes, middleware=[front], exception_handlers=handlers)
    return TestClient(app, raise_server_exceptions=raises)


def endpoints(decorate: Callable[[Any], Any]) -> dict[str, Any]:
    """Every kind of endpoint under one decorator."""

    @decorate
    async def later(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.subject)

    @decorate
    def plain(request: Request) -> PlainTextResponse:
        assert current_thread() is not main_thread()
        return PlainTextResponse(request.user.subject)

    class Endpoint(HTTPEndpoint):
        @decorate
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.user.subject)

    class PlainEndpoint(HTTPEndpoint):
        @decorate
        def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.user.subject)

    @decorate
    @requires("authenticated")
    async def below_requires(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.subject)

    return {
        "coroutine function": later,
        "function": plain,
        "method": Endpoint,
        "plain method": PlainEndpoint,
        "above requires": below_requires,
    }


NAMES = list(endpoints(allow(is_pro)))


@every_front
@pytest.mark.parametrize("predicate", [is_pro, is_pro_later], ids=["function", "coroutine function"])
@pytest.mark.parametrize("name", NAMES)
def test_only_those_whom_the_predicate_allows_reach_an_endpoint(
    front: Any, shared_verifier: Verifier, shared_issuer: FakeIssuer, predicate: Any, name: str
) -> None:
    client = client_of(front(shared_verifier, required=False), endpoints(allow(predicate))[name])

    def ask(**claims: Any) -> Any:
        return client.get("/", headers=dict(bearer(shared_issuer.token(sub="ada", **claims))))

    assert ask(plan="pro").text == "ada"
    refused, anonymous = ask(plan="free"), client.get("/")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert refused.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    assert (anonymous.status_code, anonymous.json()["error"]) == (401, "unauthorized")
    assert anonymous.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("demand", "scope", "status", "challenge"),
    [
        pytest.param({"any_scopes": ["admin", "editor"]}, "editor", 200, None, id="one of several"),
        pytest.param({"any_scopes": ["admin", "editor"]}, "read", 403, "admin editor", id="none of several"),
        pytest.param({"scopes": ["read", "write"]}, "read write", 200, None, id="all"),
        pytest.param({"scopes": ["read", "write"]}, "read", 403, "read write", id="not all"),
        pytest.param({"scopes": ["read"], "any_scopes": ["a", "b"]}, "read b", 200, None, id="all, and one"),
        pytest.param({"scopes": ["read"], "any_scopes": ["a", "b"]}, "read", 403, "read a b", id="all, but none"),
    ],
)
def test_scopes_may_be_demanded_too(  # noqa: PLR0913 - columns of a table
    shared_verifier: Verifier,
    shared_issuer: FakeIssuer,
    *,
    demand: dict[str, Any],
    scope: str,
    status: int,
    challenge: str | None,
) -> None:
    """The claim that holds them is that of the middleware."""
    front = with_middleware(shared_verifier, required=True, scope_claims=["scp"])
    client = client_of(front, endpoints(allow(**demand))["function"])

    reply = client.get("/", headers=dict(bearer(shared_issuer.token(sub="ada", scp=scope))))

    assert reply.status_code == status
    assert scopes_of_challenge(reply.headers) == challenge


def test_requires_knows_the_scopes_of_the_configured_claims(
    shared_verifier: Verifier, shared_issuer: FakeIssuer
) -> None:
    front = with_middleware(shared_verifier, required=True, scope_claims=["permissions"])
    client = client_of(front, endpoints(requires("read"))["coroutine function"])

    assert client.get("/", headers=dict(bearer(shared_issuer.token(permissions=["read"])))).status_code == 200
    assert client.get("/", headers=dict(bearer(shared_issuer.token(scope="read")))).status_code == 403


@pytest.mark.parametrize("key", [HTTPException, 403], ids=["HTTPException", "403"])
def test_a_handler_of_the_application_answers_and_knows_who_it_was(
    shared_verifier: Verifier, tokens: dict[str, str], key: Any
) -> None:
    """The token is good, so the request has a user."""

    def handle(request: Request, error: Any) -> JSONResponse:
        return JSONResponse([error.reason.value, request.user.subject], error.status_code, error.headers)

    endpoint = endpoints(allow(is_pro))["coroutine function"]
    client = client_of(with_middleware(shared_verifier, required=True), endpoint, {key: handle})

    reply = client.get("/", headers=dict(bearer(tokens["good"])))

    assert (reply.status_code, reply.json()) == (403, ["NOT_ALLOWED", "ada"])


@every_front
@pytest.mark.parametrize("name", NAMES)
def test_without_a_predicate_every_verified_user_reaches_an_endpoint(
    front: Any, shared_verifier: Verifier, tokens: dict[str, str], name: str
) -> None:
    client = client_of(front(shared_verifier, required=False), endpoints(allow())[name])

    reply, anonymous = client.get("/", headers=dict(bearer(tokens["good"]))), client.get("/")

    assert (reply.status_code, reply.text) == (200, "ada")
    assert (anonymous.status_code, anonymous.json()["error"]) == (401, "unauthorized")
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert client.get("/", headers=dict(bearer(tokens["expired"]))).status_code == 401


def test_the_decorator_without_its_parentheses_opens_no_endpoint(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-043: it takes the endpoint for a predicate."""

    async def page(_request: Any) -> PlainTextResponse:
        raise NotImplementedError

    client = client_of(with_middleware(shared_verifier, required=False), allow(cast("Any", page)), raises=False)

    assert client.get("/", headers=dict(bearer(tokens["good"]))).status_code == 500


def at_the_top(front: Middleware, endpoint: Any, handlers: Any) -> TestClient:
    return client_of(front, endpoint, handlers)


def in_a_mounted_application(front: Middleware, endpoint: Any, handlers: Any) -> TestClient:
    """Starlette's own middleware stands between, and makes a failure of every exception."""
    inner = Starlette(routes=[Route("/", endpoint)], exception_handlers=handlers)
    return TestClient(Starlette(routes=[Mount("/", inner)], middleware=[front]))


@every_front
@pytest.mark.parametrize("place", [at_the_top, in_a_mounted_application])
@pytest.mark.parametrize("demand", [{"predicate": is_pro}, {"scopes": ["read"]}, {}], ids=["predicate", "scopes", "-"])
@pytest.mark.parametrize("name", NAMES)
def test_htp_036_a_deferred_refusal_is_a_refusal_before_the_endpoint_runs(  # noqa: PLR0913, PLR0917 - columns
    front: Any, shared_verifier: Verifier, tokens: dict[str, str], place: Any, demand: dict[str, Any], name: str
) -> None:
    """Wherever the endpoint stands, and without a handler for the errors of this package."""
    records: list[AuthRecord] = []
    options = {"required": False, "on_invalid": "defer"}
    inner = place(front(shared_verifier, **options), endpoints(allow(**demand))[name], None).app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        records.append(AuthRecord.begin(scope))
        await inner(scope, receive, send)

    reply = TestClient(app).get("/", headers=dict(bearer(tokens["expired"])))

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    assert reply.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    (record,) = records
    assert (record.refusal and record.refusal.reason) == Reason.EXPIRED


@pytest.mark.parametrize("place", [at_the_top, in_a_mounted_application])
def test_htp_044_a_handler_of_the_deferred_refusal_finds_no_user(
    shared_verifier: Verifier, tokens: dict[str, str], place: Any
) -> None:
    def handle(request: Request, error: Any) -> JSONResponse:
        for read in (lambda: get_user_identity(request), lambda: request.user.subject, current_identity.get):
            with pytest.raises(InvalidTokenError) as caught:
                read()
            assert caught.value is error.error
        return JSONResponse(error.reason.value, error.status_code, error.headers)

    front = with_middleware(shared_verifier, required=False, on_invalid="defer", load_user=lambda _identity: None)
    client = place(front, endpoints(allow())["coroutine function"], {401: handle})

    assert client.get("/", headers=dict(bearer(tokens["good"]))).json() == "UNKNOWN_USER"


@pytest.mark.parametrize(("plan", "reason"), [("pro", None), ("free", Reason.NOT_ALLOWED)])
def test_a_refusal_stands_in_the_record_in_front(
    shared_verifier: Verifier, shared_issuer: FakeIssuer, plan: str, reason: Reason | None
) -> None:
    inner = client_of(with_middleware(shared_verifier, required=True), endpoints(allow(is_pro))["function"]).app
    records: list[AuthRecord] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        records.append(AuthRecord.begin(scope))
        await inner(scope, receive, send)

    TestClient(app).get("/", headers=dict(bearer(shared_issuer.token(sub="ada", plan=plan))))

    (record,) = records
    assert record.identity is not None
    assert (record.refusal and record.refusal.reason) == reason


# --- WebSockets -----------------------------------------------------------------------------------------------------


@allow(is_pro)
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.subject)
    await websocket.close()


class Talk(WebSocketEndpoint):
    @allow(is_pro)
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.subject)


every_socket = pytest.mark.parametrize("endpoint", [talk, Talk], ids=["function", "method"])


@every_socket
def test_a_websocket_is_opened_for_those_whom_the_predicate_allows(
    shared_verifier: Verifier, shared_issuer: FakeIssuer, endpoint: Any
) -> None:
    client = client_of(with_middleware(shared_verifier, required=False), WebSocketRoute("/", endpoint))
    pro, free = (dict(bearer(shared_issuer.token(sub="ada", plan=plan))) for plan in ("pro", "free"))

    with client.websocket_connect("/", headers=pro) as session:
        assert session.receive_text() == "ada"
    for headers, status in ((free, 403), ({}, 401)):
        with (
            pytest.raises(WebSocketDenialResponse) as caught,
            client.websocket_connect("/", headers=headers),
        ):
            raise NotImplementedError
        assert caught.value.status_code == status
        assert caught.value.headers["www-authenticate"].startswith("Bearer")


@every_socket
def test_where_the_server_cannot_deny_a_websocket_is_closed(
    shared_verifier: Verifier, tokens: dict[str, str], endpoint: Any
) -> None:
    """HTP-029: code 1008."""
    app: ASGIApp = client_of(with_middleware(shared_verifier, required=True), WebSocketRoute("/", endpoint)).app

    async def without_extension(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect) as caught,
        TestClient(without_extension).websocket_connect("/", headers=dict(bearer(tokens["good"]))),
    ):
        raise NotImplementedError

    assert caught.value.code == 1008


def test_an_open_websocket_is_closed(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    class Late(WebSocketEndpoint):
        encoding = "text"

        @allow(is_pro)
        async def on_receive(self, _websocket: WebSocket, _data: Any) -> None:
            raise NotImplementedError

    client = client_of(with_middleware(shared_verifier, required=True), WebSocketRoute("/", Late))
    with client.websocket_connect("/", headers=dict(bearer(tokens["good"]))) as session:
        session.send_text("hello")
        assert session.receive()["code"] == 1008


def test_a_further_token_of_a_websocket_meets_the_predicate(
    shared_verifier: Verifier, shared_issuer: FakeIssuer
) -> None:
    """HTP-030."""

    @allow(is_pro, any_scopes=["a", "b"])
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        live = get_live_connection(websocket)
        for claims in ({"plan": "free", "scope": "a"}, {"plan": "pro", "scope": "c"}):
            with pytest.raises(InsufficientScopeError):
                await live.reauthenticate(shared_issuer.token({"sub": "ada"} | claims))
        await live.reauthenticate(shared_issuer.token(sub="ada", plan="pro", scope="b", name="Ada"))
        identity = get_user_identity(websocket)
        await websocket.send_text(f"{identity and identity.name}")
        await websocket.close()

    client = client_of(with_middleware(shared_verifier, required=True), WebSocketRoute("/", chat))
    good = dict(bearer(shared_issuer.token(sub="ada", plan="pro", scope="a")))
    with client.websocket_connect("/", headers=good) as session:
        assert session.receive_text() == "Ada"


def test_a_further_token_of_a_websocket_still_meets_the_predicate_of_the_middleware(
    shared_verifier: Verifier, shared_issuer: FakeIssuer
) -> None:
    """HTP-030: the endpoint adds its rules, which allow everyone, to those of the middleware."""

    @allow()
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        live = get_live_connection(websocket)
        with pytest.raises(InsufficientScopeError):
            await live.reauthenticate(shared_issuer.token(sub="ada", plan="free"))
        await websocket.send_text("refused")
        await websocket.close()

    client = client_of(with_middleware(shared_verifier, required=True, allow=is_pro), WebSocketRoute("/", chat))
    with client.websocket_connect("/", headers=dict(bearer(shared_issuer.token(sub="ada", plan="pro")))) as session:
        assert session.receive_text() == "refused"


def test_behind_the_backend_a_websocket_meets_the_predicate_when_it_is_opened(
    shared_verifier: Verifier, shared_issuer: FakeIssuer
) -> None:
    client = client_of(with_backend(shared_verifier, required=True), WebSocketRoute("/", talk))

    with client.websocket_connect("/", headers=dict(bearer(shared_issuer.token(sub="ada", plan="pro")))) as session:
        assert session.receive_text() == "ada"


# --- what cannot be right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "named", "problem", "field"),
    [
        pytest.param((None,), {}, Problem.OUT_OF_RANGE, "allow", id="None"),
        pytest.param((None,), {"scopes": ["read"]}, Problem.OUT_OF_RANGE, "allow", id="None, with scopes"),
        pytest.param(("pro",), {}, Problem.OUT_OF_RANGE, "allow", id="text"),
        pytest.param((lambda: True,), {}, Problem.OUT_OF_RANGE, "allow", id="a function of nothing"),
        pytest.param((), {"scopes": "read"}, Problem.OUT_OF_RANGE, "scopes", id="text as scopes"),
        pytest.param((), {"any_scopes": ["a b"]}, Problem.OUT_OF_RANGE, "any_scopes", id="a blank in a scope"),
    ],
)
def test_an_argument_that_cannot_be_right_is_refused_at_once(
    given: Any, named: Any, problem: Problem, field: str
) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError) as caught:
        allow(*given, **named)

    assert (caught.value.problem, caught.value.field) == (problem, field)


def test_a_class_cannot_be_decorated() -> None:
    """HTP-043: the decorator would never be called with a request."""
    decorate: Any = allow(is_pro)

    with pytest.raises(ConfigurationError) as caught:
        decorate(HTTPEndpoint)

    assert caught.value.problem is Problem.NOT_A_VIEW


def test_an_endpoint_must_take_the_request() -> None:
    @allow(is_pro)
    def endpoint() -> None:
        raise NotImplementedError

    call: Any = endpoint
    with pytest.raises(ConfigurationError) as caught:
        call().send(None)

    assert caught.value.problem is Problem.NOT_A_VIEW


def test_without_a_middleware_the_endpoint_is_closed() -> None:
    """HTTP-06: a forgotten middleware."""
    app = Starlette(routes=[Route("/", endpoints(allow(is_pro))["function"])])

    with pytest.raises(ConfigurationError) as caught:
        TestClient(app).get("/")

    assert caught.value.problem is Problem.NO_MIDDLEWARE
