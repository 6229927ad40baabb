"""What only ASGI has: scopes that must not change, other kinds of connection, messages, WebSockets."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from aveverify import (
    ConfigurationError,
    InvalidTokenError,
    Reason,
    Verifier,
    get_user_identity,
)
from aveverify._http.auth_options import OnInvalid
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.asgi import AveAuthMiddleware, Message, Receive, Scope, Send
from aveverify.errors import Problem
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import (
    Client,
    Headers,
    RecordingView,
    Request,
    asgi_app,
    bearer,
    http_scope,
    subject_of,
    websocket_scope,
)

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest
    from starlette.websockets import WebSocket

BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
CONNECT: Message = {"type": "websocket.connect"}


class Recorder:
    """An application that keeps what it was called with, and does nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scope, Receive, Send]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append((scope, receive, send))


# --- the scope ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["good", None, "expired"], ids=["good", "anonymous", "deferred"])
def test_the_scope_of_the_server_is_never_changed(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """Design §6; the identity is gone with the copy (HTP-037)."""
    recorder = Recorder()
    scope = http_scope(Request(bearer(tokens[kind]) if kind else ()))
    before = copy.deepcopy(scope)

    Client().call(AveAuthMiddleware(recorder, shared_verifier, required=False, on_invalid="defer"), scope)

    [(seen, _, _)] = recorder.calls
    assert scope == before
    assert {name: value for name, value in seen.items() if name not in (IDENTITY_KEY, POLICY_KEY, "state")} == {
        name: value for name, value in before.items() if name != "state"
    }
    assert seen["state"] is not scope["state"]


def test_receive_and_send_of_the_server_reach_the_application(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    recorder = Recorder()

    async def receive() -> Message:
        raise NotImplementedError

    async def send(_message: Message) -> None:
        raise NotImplementedError

    for headers in (bearer(tokens["good"]), ()):
        coroutine = AveAuthMiddleware(recorder, shared_verifier, required=False, on_invalid="defer")(
            http_scope(Request(headers)), receive, send
        )
        run_without_loop(coroutine)

    assert [(one, two) for _, one, two in recorder.calls] == [(receive, send)] * 2


def run_without_loop(coroutine: Any) -> None:
    """Run a coroutine that never has to wait: a warm token costs no turn of the event loop."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


@pytest.mark.parametrize("planted", [None, "ada", object()], ids=["None", "text", "object"])
def test_an_identity_that_stood_there_before_is_overwritten(
    planted: object, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-010: at every request, anonymous ones too."""
    app = AveAuthMiddleware(asgi_app(observer), shared_verifier, required=False)

    for headers in ((), bearer(tokens["other"])):
        Client(BODY).call(app, http_scope(Request(headers), **{IDENTITY_KEY: planted}))

    assert observer.seen == [None, "grace"]


def test_the_inner_of_two_middlewares_decides(
    tokens: dict[str, str], issuer: FakeIssuer, verifier: Verifier, shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-010, with an identity of our own that stood there."""
    inner = AveAuthMiddleware(asgi_app(observer), verifier, required=False, on_invalid="defer")
    outer = AveAuthMiddleware(inner, shared_verifier, required=True)
    client = Client(BODY)

    client.call(outer, http_scope(Request(bearer(tokens["other"]))))

    assert issuer.token() != tokens["other"]
    assert client.reply.status == 401
    assert observer.seen == []


@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION", "aUTHORIZATION"])
def test_header_names_count_in_any_case(
    name: str, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """A gateway that forgets to write them in lower case must not turn users into visitors."""
    app = AveAuthMiddleware(asgi_app(observer), shared_verifier, required=False)
    good = (name.encode(), f"Bearer {tokens['good']}".encode())
    one, two = Client(BODY), Client(BODY)

    one.call(app, http_scope(headers=[good]))
    two.call(app, http_scope(headers=[good, (b"authorization", b"Bearer other")]))

    assert (one.reply.status, two.reply.status) == (200, 400)
    assert observer.seen == ["ada"]


@pytest.mark.parametrize("names", [(b"Authorization", b"authorization"), (b"authorization", b"Authorization")])
def test_htp_001_two_headers_that_differ_in_case_are_refused_also_if_one_token_is_known(
    names: tuple[bytes, bytes], tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """The hot path must see both: a proxy in front may have decided by the other one."""
    app = AveAuthMiddleware(asgi_app(observer), shared_verifier, required=False)
    shared_verifier.verify(tokens["good"])
    known = f"Bearer {tokens['good']}".encode()

    for values in ((known, b"Bearer other"), (b"Bearer other", known), (known, known)):
        client = Client(BODY)
        client.call(app, http_scope(headers=list(zip(names, values, strict=True))))
        assert client.reply.status == 400
    assert observer.seen == []


@pytest.mark.parametrize("control", [b"\x00", b"\n", b"\r", b"\r\n ", b"\x7f", b"\x0b"])
def test_control_characters_are_refused(
    control: bytes, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-007, should a server let them through."""
    client = Client(BODY)
    value = b"Bearer " + tokens["good"].encode()

    for place in (len(value), 20, 7):
        client.sent.clear()
        headers = [(b"authorization", value[:place] + control + value[place:])]
        client.call(AveAuthMiddleware(asgi_app(observer), shared_verifier, required=False), http_scope(headers=headers))
        assert client.reply.status == 400

    assert observer.seen == []


@pytest.mark.parametrize("method", ["options", "Options", "CONNECT", "TRACE", "HEAD", "PROPFIND", ""])
def test_no_other_method_passes_for_a_preflight(
    method: str, shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-027."""
    headers = (("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST"))
    client = Client(BODY)

    client.call(
        AveAuthMiddleware(asgi_app(observer), shared_verifier, required=True),
        http_scope(Request(headers, method=method)),
    )

    assert client.reply.status == 401
    assert observer.seen == []


# --- other kinds of connection --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lifespan", "webtransport", "HTTP"])
def test_what_is_neither_http_nor_websocket_passes_untouched(kind: str, shared_verifier: Verifier) -> None:
    """HTP-032."""
    recorder = Recorder()
    client = Client()
    scope: Scope = {"type": kind, "asgi": {"version": "3.0"}, "state": {}}

    client.call(AveAuthMiddleware(recorder, shared_verifier, required=True), scope)

    [(seen, receive, send)] = recorder.calls
    assert seen is scope
    assert (receive, send) == (client.receive, client.send)


def test_an_unknown_kind_of_connection_has_no_identity(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """HTP-032: not even an anonymous one, whatever stood there before."""
    recorder = Recorder()
    headers = [(b"authorization", f"Bearer {tokens['good']}".encode())]
    planted = shared_verifier.verify(tokens["good"])
    scope: Scope = {"type": "webtransport", "headers": headers, IDENTITY_KEY: planted}

    Client().call(AveAuthMiddleware(recorder, shared_verifier, required=True), scope)

    [(seen, _, _)] = recorder.calls
    assert scope[IDENTITY_KEY] is planted
    with pytest.raises(ConfigurationError) as caught:
        get_user_identity(seen)
    assert caught.value.problem is Problem.NO_MIDDLEWARE


def test_lifespan_and_its_state_reach_the_views(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, str]]:
        happened.append("begin")
        yield {"word": "from lifespan"}
        happened.append("end")

    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        request.state.word += ", changed"
        return PlainTextResponse(request.state.word)

    app = AveAuthMiddleware(Starlette(routes=[Route("/", endpoint)], lifespan=lifespan), shared_verifier, required=True)
    with TestClient(app, headers=dict(bearer(tokens["good"]))) as client:
        answers = [client.get("/").text for _ in range(2)]

    assert answers == ["from lifespan, changed"] * 2
    assert happened == ["begin", "end"]


# --- the body, the stream and what follows --------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [(), bearer("refused"), bearer("")], ids=["none", "refused", "malformed"])
def test_a_refusal_does_not_wait_for_the_body(
    headers: Headers, shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-040: the client has no message to give, so reading one would fail."""
    client = Client()

    client.call(
        AveAuthMiddleware(asgi_app(observer), shared_verifier, required=True),
        http_scope(Request((*headers, ("Expect", "100-continue"), ("Content-Length", "9999999999")), method="POST")),
    )

    assert client.reply.status in (400, 401)
    assert observer.seen == []


def test_streams_and_background_tasks_pass(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """HTP-037: they run in the request's scope and still know whose it is."""
    happened: list[str | None] = []

    async def endpoint(request: StarletteRequest) -> StreamingResponse:
        def note() -> None:
            happened.append(subject_of(request))

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in (b"one ", b"two ", b"three"):
                note()
                yield chunk

        return StreamingResponse(chunks(), background=BackgroundTask(note))

    app = Starlette(
        routes=[Route("/", endpoint)],
        middleware=[Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True)],
    )
    with TestClient(app) as client:
        assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "one two three"

    assert happened == ["ada"] * 4


def test_with_cors_outside_the_browser_may_read_the_refusal(shared_verifier: Verifier) -> None:
    """HTP-028: the documented order, and the preflight in either order."""

    async def endpoint(_request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("hello")

    cors = Middleware(CORSMiddleware, allow_origins=["https://app.test"], allow_headers=["Authorization"])
    auth = Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True)
    origin = {"Origin": "https://app.test"}
    asks = origin | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}

    for order in ([cors, auth], [auth, cors]):
        with TestClient(Starlette(routes=[Route("/", endpoint)], middleware=order)) as client:
            preflight = client.options("/", headers=asks)
            refusal = client.get("/", headers=origin)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.test"
        assert refusal.status_code == 401
        assert ("access-control-allow-origin" in refusal.headers) == (order[0] is cors)


# --- deferred refusals ----------------------------------------------------------------------------------------------


def deferring(app: Any, verifier: Verifier) -> AveAuthMiddleware:
    return AveAuthMiddleware(app, verifier, required=False, on_invalid="defer")


def test_a_deferred_refusal_propagates_once_the_response_began(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        get_user_identity(scope)

    client = Client()
    with pytest.raises(InvalidTokenError) as caught:
        client.call(deferring(app, shared_verifier), http_scope(Request(bearer(tokens["expired"]))))

    assert caught.value.reason is Reason.EXPIRED
    assert client.sent == [START]


def test_an_informational_response_is_no_beginning(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    hint: Message = {"type": "http.response.early_hint", "links": []}

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(hint)
        get_user_identity(scope)

    client = Client()
    client.call(deferring(app, shared_verifier), http_scope(Request(bearer(tokens["expired"]))))

    assert client.sent.pop(0) == hint
    assert client.reply.status == 401


def test_only_the_deferred_refusal_becomes_the_answer(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """The refusal of some other token, which the application verified by itself, is not this client's."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await shared_verifier.verify_async(tokens["bad_signature"])

    client = Client()
    for kind in ("expired", "good"):
        with pytest.raises(InvalidTokenError) as caught:
            client.call(deferring(app, shared_verifier), http_scope(Request(bearer(tokens[kind]))))
        assert caught.value.reason is Reason.BAD_SIGNATURE

    assert client.sent == []


def test_a_send_that_fails_is_not_answered_twice(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(START)
        except OSError:
            get_user_identity(scope)

    attempts: list[Message] = []

    async def broken_send(message: Message) -> None:
        attempts.append(message)
        raise OSError

    client = Client()
    client.send = broken_send  # type: ignore[method-assign]
    with pytest.raises(InvalidTokenError):
        client.call(deferring(app, shared_verifier), http_scope(Request(bearer(tokens["expired"]))))

    assert attempts == [START]


# --- WebSockets -----------------------------------------------------------------------------------------------------


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept a WebSocket and say who it is."""
    assert await receive() == CONNECT
    subject = subject_of(scope)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(subject)})


REFUSED = [
    pytest.param("expired", 401, id="refused"),
    pytest.param("reader", 403, id="scope missing"),
    pytest.param("", 400, id="malformed"),
    pytest.param(None, 401, id="no credentials"),
]


@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize(("kind", "status"), REFUSED)
def test_a_websocket_is_refused_before_it_is_accepted(
    tokens: dict[str, str], shared_verifier: Verifier, *, kind: str | None, status: int, on_invalid: OnInvalid
) -> None:
    """HTP-029: the answer of a request where the server can send it, else close 1008. `defer` is for requests."""
    recorder = Recorder()
    headers = bearer(tokens.get(kind, "")) if kind is not None else ()
    app = AveAuthMiddleware(recorder, shared_verifier, required=True, scopes=["write"], on_invalid=on_invalid)
    strict = AveAuthMiddleware(recorder, shared_verifier, required=True, scopes=["write"])

    request = Client()
    request.call(strict, http_scope(Request(headers)))
    denied = Client(CONNECT)
    denied.call(app, websocket_scope(headers, extensions={"websocket.http.response": {}}))
    cannot: list[dict[str, Any]] = [{}, {"extensions": None}, {"extensions": {"tls": {}}}]
    for members in cannot:
        closed = Client(CONNECT)
        closed.call(app, websocket_scope(headers, **members))
        assert closed.sent == [{"type": "websocket.close", "code": 1008}]
        assert closed.pending == []

    assert request.reply.status == status
    assert denied.pending == []
    assert denied.sent == [{**message, "type": f"websocket.{message['type']}"} for message in request.sent]
    assert recorder.calls == []


def test_a_websocket_whose_keys_are_unavailable_is_refused_with_503(issuer: FakeIssuer, verifier: Verifier) -> None:
    client = Client(CONNECT)
    headers = bearer(issuer.token())
    issuer.go_down()

    client.call(
        AveAuthMiddleware(Recorder(), verifier, required=False),
        websocket_scope(headers, extensions={"websocket.http.response": {}}),
    )

    assert client.sent[0]["status"] == 503
    assert b"retry-after" in dict(client.sent[0]["headers"])


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
def test_a_websocket_that_may_passes(kind: str | None, tokens: dict[str, str], shared_verifier: Verifier) -> None:
    client = Client(CONNECT)
    headers = bearer(tokens[kind]) if kind else ()

    client.call(AveAuthMiddleware(greet, shared_verifier, required=False), websocket_scope(headers))

    assert client.sent[-1] == {"type": "websocket.send", "text": "ada" if kind else "None"}


def test_a_websocket_is_no_preflight(shared_verifier: Verifier) -> None:
    """HTP-027, HTP-029: even if a server gave it a method."""
    headers = (("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST"))
    recorder = Recorder()

    Client(CONNECT).call(
        AveAuthMiddleware(recorder, shared_verifier, required=True), websocket_scope(headers, method="OPTIONS")
    )

    assert recorder.calls == []


def test_starlette_websockets(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(subject_of(websocket)))
        await websocket.close()

    app = Starlette(
        routes=[WebSocketRoute("/", endpoint)],
        middleware=[Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True)],
    )
    with TestClient(app) as client:
        with client.websocket_connect("/", headers=dict(bearer(tokens["good"]))) as session:
            assert session.receive_text() == "ada"
        with (
            pytest.raises(WebSocketDenialResponse) as caught,
            client.websocket_connect("/", headers=dict(bearer(tokens["expired"]))),
        ):
            pass

    assert caught.value.status_code == 401
