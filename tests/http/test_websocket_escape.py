"""What escapes the application of a WebSocket: a refusal is a clean close, the end of the token is a normal end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from litestar import Litestar
from litestar import WebSocket as LitestarWebSocket
from litestar import websocket as litestar_websocket
from litestar.logging import LoggingConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import aveverify.litestar
import aveverify.starlette
from aveverify import (
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify.asgi import AveAuthMiddleware, Message, Receive, Scope, Send, get_live_connection
from aveverify.errors import Problem
from aveverify.fastapi import AveAuth
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Client, bearer, websocket_scope

App = Callable[[Scope, Receive, Send], Awaitable[None]]
# Serves one WebSocket; gets the scope, and what raises the error.
Talk = Callable[[Any], Awaitable[None]]
Edge = Callable[[Verifier, Talk], App]

CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
CLOSED: Message = {"type": "websocket.close", "code": 3000, "reason": "the token has expired"}
REFUSED: Message = {"type": "websocket.close", "code": 3000, "reason": "the token is refused"}
VIOLATION: Message = {"type": "websocket.close", "code": 1008}
LEFT: Message = {"type": "websocket.disconnect", "code": 1001}
HELLO: Message = {"type": "websocket.receive", "text": "hello"}
LIFE_SECONDS = 60


# --- the edges ------------------------------------------------------------------------------------------------------


def raw(verifier: Verifier, talk: Talk) -> App:
    class Socket:
        """The little of a framework's WebSocket that the tests use."""

        def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.scope, self.receive, self.send = scope, receive, send

        async def accept(self) -> None:
            assert await self.receive() == CONNECT
            await self.send(dict(ACCEPT))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await talk(Socket(scope, receive, send))

    return AveAuthMiddleware(app, verifier, required=False)


def starlette_app(talk: Talk, *middleware: Middleware) -> App:
    async def endpoint(websocket: WebSocket) -> None:
        await talk(websocket)

    return Starlette(routes=[WebSocketRoute("/", endpoint)], middleware=list(middleware))


def behind_asgi(verifier: Verifier, talk: Talk) -> App:
    return starlette_app(talk, Middleware(AveAuthMiddleware, verifier=verifier, required=False))


def behind_two(verifier: Verifier, talk: Talk) -> App:
    return AveAuthMiddleware(behind_asgi(verifier, talk), verifier, required=False)


def in_starlette(verifier: Verifier, talk: Talk) -> App:
    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=False)
    return starlette_app(talk, own)


def with_handlers(verifier: Verifier, talk: Talk) -> App:
    async def endpoint(websocket: WebSocket) -> None:
        await talk(websocket)

    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=False)
    handlers = aveverify.starlette.exception_handlers
    return Starlette(routes=[WebSocketRoute("/", endpoint)], middleware=[own], exception_handlers=handlers)


def with_install(verifier: Verifier, talk: Talk) -> App:
    app, ave = FastAPI(), AveAuth(verifier)
    ave.install(app)

    @app.websocket("/", dependencies=[Depends(ave.optional)])
    async def endpoint(websocket: FastAPIWebSocket) -> None:
        await talk(websocket)

    return app


def behind_middleware(verifier: Verifier, talk: Talk) -> App:
    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=False)
    app, ave = FastAPI(middleware=[own]), AveAuth(verifier)

    @app.websocket("/", dependencies=[Depends(ave.optional)])
    async def endpoint(websocket: FastAPIWebSocket) -> None:
        await talk(websocket)

    return app


def in_litestar(verifier: Verifier, talk: Talk) -> App:
    @litestar_websocket("/")
    async def endpoint(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await talk(socket)

    plugin = aveverify.litestar.AveAuthPlugin(verifier, required=False)
    # The most that it can log, where the test can read it.
    logs = LoggingConfig(log_exceptions="always", configure_root_logger=False, loggers={})
    return Litestar([endpoint], plugins=[plugin], logging_config=logs)  # type: ignore[return-value]


EDGES: dict[str, Edge] = {
    "raw": raw,
    "starlette behind asgi": behind_asgi,
    "starlette behind two": behind_two,
    "starlette": in_starlette,
    "starlette with handlers": with_handlers,
    "fastapi with install": with_install,
    "fastapi behind the middleware": behind_middleware,
    "litestar": in_litestar,
}
# Those whose WebSocket is Starlette's.
OF_STARLETTE = [name for name in EDGES if name not in ("raw", "litestar")]


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> Edge:
    return EDGES[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the log has: the records of refusals, and anything that is worse."""
    caplog.set_level(logging.INFO)

    def read() -> list[str]:
        # A failed refresh of the keys is a warning of its own.
        others = [record for record in caplog.records if record.name != "aveverify"]
        assert [record for record in others if record.levelno > logging.INFO or record.exc_info] == []
        return [record.getMessage() for record in caplog.records if record.name == "aveverify.http"]

    return read


def serve(app: App, token: str | None, *messages: Message, **members: Any) -> list[Message]:
    """Serve one WebSocket; return what the server was sent, without what has no value."""
    client = Client(*messages)
    # Litestar numbers its requests by the application.
    scope = websocket_scope(bearer(token) if token is not None else (), **members)
    client.call(app, scope)
    return [{key: value for key, value in message.items() if value not in (None, [])} for message in client.sent]


def speaking(error: Callable[[], BaseException]) -> Talk:
    async def talk(websocket: Any) -> None:
        await websocket.accept()
        raise error()

    return talk


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flaw", ["expired", "bad_signature"])
def test_a_bad_token_for_reauthenticate_is_a_clean_close(
    flaw: str, edge: Edge, issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    """HTP-030: the application need not catch anything."""

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        await get_live_connection(websocket).reauthenticate(issuer.forge(flaw))

    sent = serve(edge(verifier, talk), issuer.token(), CONNECT, LEFT)

    assert sent == [ACCEPT, REFUSED]
    [record] = log()
    assert flaw.upper() in record


def test_a_token_of_another_user_is_a_clean_close(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    async def talk(websocket: Any) -> None:
        await websocket.accept()
        await get_live_connection(websocket).reauthenticate(issuer.token(sub="grace"))

    sent = serve(edge(verifier, talk), issuer.token(sub="ada"), CONNECT, LEFT)

    assert sent == [ACCEPT, REFUSED]
    [record] = log()
    assert "OTHER_USER" in record


def test_keys_that_are_unavailable_are_a_clean_close(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    """The client may come back later with the same token."""

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        issuer.rotate(keep_old=False)
        issuer.go_down()
        await get_live_connection(websocket).reauthenticate(issuer.token())

    sent = serve(edge(verifier, talk), issuer.token(), CONNECT, LEFT)

    assert sent == [ACCEPT, {"type": "websocket.close", "code": 1013, "reason": "the keys are unavailable"}]
    [record] = [line for line in log() if "refused" in line]
    assert "KEYS_UNAVAILABLE" in record


def unavailable() -> KeysUnavailableError:
    return KeysUnavailableError(3, kind="oidc", issuer="https://idp.example")


CLOSES = [
    pytest.param(lambda: InvalidTokenError(Reason.EXPIRED, rule="x"), 3000, "the token is refused", id="token"),
    pytest.param(lambda: InsufficientScopeError(("admin",)), 1008, "the token does not permit this", id="scope"),
    pytest.param(InvalidRequestError, 1008, "the credentials are malformed", id="request"),
    pytest.param(unavailable, 1013, "the keys are unavailable", id="keys"),
]


@pytest.mark.parametrize(("error", "code", "reason"), CLOSES)
def test_any_refusal_is_a_close_that_says_nothing_of_the_token(  # noqa: PLR0913, PLR0917 - a row and four fixtures
    error: Callable[[], Exception],
    code: int,
    reason: str,
    edge: Edge,
    issuer: FakeIssuer,
    verifier: Verifier,
    log: Callable[[], list[str]],
) -> None:
    """Also that of another token, which the application has verified by itself. ERR-004."""
    sent = serve(edge(verifier, speaking(error)), issuer.token(), CONNECT, LEFT)

    assert sent == [ACCEPT, {"type": "websocket.close", "code": code, "reason": reason}]
    assert len(log()) == 1


@pytest.mark.parametrize("depth", [1, 2], ids=["a group", "a group in a group"])
def test_a_refusal_in_a_group_of_tasks_is_one_close(
    depth: int, edge: Edge, issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    async def talk(websocket: Any) -> None:
        async def renew(level: int) -> None:
            async with anyio.create_task_group() as tasks:
                if level < depth:
                    tasks.start_soon(renew, level + 1)
                else:
                    tasks.start_soon(get_live_connection(websocket).reauthenticate, issuer.forge("expired"))
                    tasks.start_soon(asyncio.sleep, 3600)

        await websocket.accept()
        await renew(1)

    assert serve(edge(verifier, talk), issuer.token(), CONNECT, LEFT) == [ACCEPT, REFUSED]
    assert len(log()) == 1


@pytest.mark.parametrize("listens", [False, True], ids=["at once", "after the handshake began"])
def test_a_refusal_before_the_websocket_is_accepted_is_its_response(
    listens: bool,  # noqa: FBT001 - a row
    edge: Edge,
    issuer: FakeIssuer,
    verifier: Verifier,
    log: Callable[[], list[str]],
) -> None:
    async def talk(websocket: Any) -> None:
        if listens:
            assert await websocket.receive() == CONNECT
        await verifier.verify_async(issuer.forge("expired"))

    denial: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    [start, body] = serve(edge(verifier, talk), None, CONNECT, **denial)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"cache-control", b"no-store") in start["headers"]
    assert b"invalid_token" in body["body"]
    assert serve(edge(verifier, talk), None, CONNECT) == [VIOLATION]
    assert len(log()) == 2


def test_the_response_names_the_scopes_that_were_missing(edge: Edge, verifier: Verifier) -> None:
    async def talk(_websocket: Any) -> None:
        raise InsufficientScopeError(("admin",))

    start, _ = serve(edge(verifier, talk), None, CONNECT, extensions={"websocket.http.response": {}})

    assert start["status"] == 403
    assert b'scope="admin"' in dict(start["headers"])[b"www-authenticate"]


def test_a_refusal_after_the_end_is_no_second_close(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    closed: Message = {"type": "websocket.close", "code": 4000}

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send(dict(closed))
        await verifier.verify_async(issuer.forge("expired"))

    assert serve(edge(verifier, talk), issuer.token(), CONNECT) == [ACCEPT, closed]
    assert len(log()) == 1


def test_a_server_that_has_lost_the_client_is_not_heard(issuer: FakeIssuer, verifier: Verifier) -> None:
    class Gone(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            raise OSError

    async def talk(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await verifier.verify_async(issuer.forge("expired"))

    client = Gone(CONNECT)
    client.call(AveAuthMiddleware(talk, verifier, required=False), websocket_scope())

    assert client.sent == [VIOLATION]


def test_with_install_a_refusal_where_no_dependency_ran_is_a_close(
    issuer: FakeIssuer, verifier: Verifier, log: Callable[[], list[str]]
) -> None:
    """HTP-029: a token in the first message, which the application verifies by itself."""
    app = FastAPI()
    AveAuth(verifier).install(app)

    @app.websocket("/")
    async def endpoint(websocket: FastAPIWebSocket) -> None:
        await websocket.accept()
        await verifier.verify_async(issuer.forge("expired"))

    assert serve(app, None, CONNECT, LEFT) == [ACCEPT, REFUSED]
    assert len(log()) == 1


# --- the normal end -------------------------------------------------------------------------------------------------


def test_a_loop_that_receives_ends_normally_at_exp(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, log: Callable[[], list[str]]
) -> None:
    """HTP-041."""

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        clock.tick(seconds=LIFE_SECONDS)
        if isinstance(websocket, (WebSocket, LitestarWebSocket)):
            while True:
                await websocket.receive_text()
        message = await websocket.receive()
        raise WebSocketDisconnect(message["code"])

    sent = serve(edge(verifier, talk), issuer.token(exp=clock.now() + LIFE_SECONDS), CONNECT, LEFT)

    assert sent == [ACCEPT, CLOSED]
    assert log() == []


@pytest.mark.parametrize("name", [name for name in EDGES if name != "litestar"])
@pytest.mark.parametrize("in_group", [False, True], ids=["alone", "in a group"])
def test_a_loop_that_sends_ends_normally_at_exp(  # noqa: PLR0913, PLR0917 - two rows and four fixtures
    name: str,
    in_group: bool,  # noqa: FBT001 - a row
    issuer: FakeIssuer,
    verifier: Verifier,
    clock: FakeClock,
    log: Callable[[], list[str]],
) -> None:
    """Starlette makes a disconnect with code 1006 of the error that sending raises."""

    async def talk(websocket: Any) -> None:
        async def send_on() -> None:
            while True:
                await websocket.send({"type": "websocket.send", "text": "news"})

        await websocket.accept()
        clock.tick(seconds=LIFE_SECONDS)
        if not in_group:
            await send_on()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_on)

    sent = serve(EDGES[name](verifier, talk), issuer.token(exp=clock.now() + LIFE_SECONDS), CONNECT, LEFT)

    assert sent == [ACCEPT, CLOSED]
    assert log() == []


def test_a_new_token_that_comes_too_late_is_no_failure(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, log: Callable[[], list[str]]
) -> None:
    """The client has sent it in time, and `exp` came while it was verified."""

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        clock.tick(seconds=LIFE_SECONDS)
        for _ in range(2):
            with pytest.raises(ConfigurationError) as caught:
                await get_live_connection(websocket).reauthenticate(issuer.token())
            assert caught.value.problem is Problem.CLOSED
        await get_live_connection(websocket).reauthenticate(issuer.token())

    sent = serve(edge(verifier, talk), issuer.token(exp=clock.now() + LIFE_SECONDS), CONNECT, LEFT)

    assert sent == [ACCEPT, CLOSED]
    assert log() == []


# --- failures of the application --------------------------------------------------------------------------------------


class BrokenError(Exception):
    """A mistake of the application."""


@pytest.mark.parametrize("name", [name for name in EDGES if name != "litestar"])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BrokenError, id="any"),
        pytest.param(lambda: ConfigurationError(Problem.CLOSED, "x"), id="configuration"),
        pytest.param(lambda: WebSocketDisconnect(1001), id="the client has left"),
        pytest.param(lambda: WebSocketDisconnect(3000), id="code 3000 before the end"),
        pytest.param(lambda: WebSocketDisconnect(1006), id="code 1006"),
        pytest.param(lambda: ExceptionGroup("", [InvalidRequestError(), BrokenError()]), id="with a refusal"),
        pytest.param(lambda: ExceptionGroup("", [WebSocketDisconnect(1001)]), id="in a group"),
        pytest.param(KeyboardInterrupt, id="interrupt"),
    ],
)
def test_a_failure_passes_as_it_is(
    name: str, error: Callable[[], BaseException], issuer: FakeIssuer, verifier: Verifier
) -> None:
    """In no group that was not there before: what logs it, and what catches it by type, stay as they were."""
    raised = error()

    with pytest.raises(type(raised)) as caught:
        serve(EDGES[name](verifier, speaking(lambda: raised)), issuer.token(), CONNECT)

    assert caught.value is raised


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(lambda: WebSocketDisconnect(1001), id="another code"),
        pytest.param(lambda: WebSocketDisconnect(1006), id="1006 of another WebSocket"),
        pytest.param(BrokenError, id="any"),
    ],
)
@pytest.mark.parametrize("name", [name for name in EDGES if name != "litestar"])
def test_a_failure_after_the_end_passes(
    name: str, error: Callable[[], Exception], issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    async def talk(websocket: Any) -> None:
        await websocket.accept()
        clock.tick(seconds=LIFE_SECONDS)
        assert (await websocket.receive())["code"] == 3000
        raise error()

    with pytest.raises(type(error())):
        serve(EDGES[name](verifier, talk), issuer.token(exp=clock.now() + LIFE_SECONDS), CONNECT, LEFT)


@pytest.mark.parametrize("name", OF_STARLETTE)
def test_a_client_that_leaves_is_the_applications_business(name: str, issuer: FakeIssuer, verifier: Verifier) -> None:
    """As without the middleware."""

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    with pytest.raises(WebSocketDisconnect) as caught:
        serve(EDGES[name](verifier, talk), issuer.token(), CONNECT, HELLO, LEFT)

    assert caught.value.code == 1001


def test_litestar_answers_a_failure_as_ever(issuer: FakeIssuer, verifier: Verifier) -> None:
    app = in_litestar(verifier, speaking(BrokenError))

    sent = serve(app, issuer.token(), CONNECT)

    assert [message.get("code") for message in sent] == [None, 4500]


def test_litestar_without_this_package_in_front_is_as_ever(verifier: Verifier) -> None:
    @litestar_websocket("/")
    async def endpoint(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await verifier.verify_async("bad")

    sent = serve(Litestar([endpoint]), None, CONNECT)  # type: ignore[arg-type]

    assert [message.get("code") for message in sent] == [None, 4500]


def test_an_application_that_catches_a_refusal_says_what_it_wants(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier
) -> None:
    own: Message = {"type": "websocket.close", "code": 4401}

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        try:
            await get_live_connection(websocket).reauthenticate("bad")
        except InvalidTokenError:
            await websocket.send(dict(own))

    assert serve(edge(verifier, talk), issuer.token(), CONNECT) == [ACCEPT, own]
