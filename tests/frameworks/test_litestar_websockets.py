"""How a WebSocket of Litestar ends where its code catches nothing: in a listener, a stream, a mounted application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, cast

import pytest
from litestar import Litestar, WebSocket, asgi, handlers, websocket, websocket_listener
from litestar.datastructures import State
from litestar.handlers import WebsocketListener
from litestar.logging import LoggingConfig
from litestar.types import Receive, Scope, Send  # noqa: TC002 - Litestar evaluates annotations

from aveverify import AuthRecord, InvalidTokenError, Reason, Verifier
from aveverify.asgi import get_live_connection
from aveverify.litestar import AveAuthPlugin, CurrentIdentity, RefusedError, requires_authenticated, requires_scopes
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Client, bearer, websocket_scope

if TYPE_CHECKING:
    from aveverify.asgi import ASGIApp as App
    from aveverify.asgi import Message

Socket = WebSocket[Any, Any, State]


@websocket_listener("/listener")
async def listener(data: str, socket: Socket) -> str:
    return (await get_live_connection(socket).reauthenticate(data)).subject


class Listening(WebsocketListener):
    """A listener that is a class."""

    path = "/class"

    async def on_receive(self, data: str, socket: Socket) -> str:
        return (await get_live_connection(socket).reauthenticate(data)).subject


@websocket("/loop")
async def loop(socket: Socket) -> None:
    await socket.accept()
    while True:
        identity = await get_live_connection(socket).reauthenticate(await socket.receive_text())
        await socket.send_text(identity.subject)


@websocket("/iterated")
async def iterated(socket: Socket) -> None:
    await socket.accept()
    async for text in socket.iter_data("text"):
        identity = await get_live_connection(socket).reauthenticate(text)
        await socket.send_text(identity.subject)


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    while (message := await receive())["type"] == "websocket.receive":
        text: Any = message["text"]
        # Litestar's scope is a typed dictionary.
        identity = await get_live_connection(cast("dict[str, Any]", scope)).reauthenticate(text)
        await send({"type": "websocket.send", "text": identity.subject, "bytes": None})


HANDLERS: list[Any] = [listener, Listening, loop, iterated, mounted]
PATHS = ["/listener", "/class", "/loop", "/iterated", "/mounted"]
if hasattr(handlers, "websocket_stream"):  # since 2.15

    @handlers.websocket_stream("/stream", warn_on_data_discard=False)
    async def stream(socket: Socket, identity: CurrentIdentity) -> AsyncGenerator[str, None]:
        yield identity.subject
        await get_live_connection(socket).reauthenticate("no token")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


class Peer(Client):
    """A client that sends some texts, and stays until it is sent a close."""

    def __init__(self, *texts: str) -> None:
        super().__init__(
            {"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)
        )
        self.closed = asyncio.Event()

    async def receive(self) -> Message:
        """Give the next message."""
        if self.pending:
            return await super().receive()
        await self.closed.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: Message) -> None:
        """Keep a message."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self.closed.set()


def talk(app: App, path: str, token: str | None, *texts: str) -> list[Message]:
    """Serve one WebSocket whose client sends some texts; return what it was sent."""
    peer = Peer(*texts)
    peer.call(app, websocket_scope(bearer(token) if token is not None else (), path=path))
    return peer.sent


def make_app(verifier: Verifier, routes: list[Any] | None = None, **settings: Any) -> App:
    plugin = AveAuthPlugin(verifier, required=False)
    return Litestar(routes or HANDLERS, plugins=[plugin], **({"logging_config": None} | settings))  # type: ignore[return-value] # Litestar's scope is a typed dictionary


@pytest.fixture
def logged() -> list[str]:
    """What Litestar logs of exceptions, where it logs the most that it can."""
    return []


@pytest.fixture
def logs(logged: list[str]) -> LoggingConfig:
    def record(_logger: object, _scope: object, lines: list[str]) -> None:
        logged.append(lines[-1])

    return LoggingConfig(log_exceptions="always", exception_logging_handler=record, configure_root_logger=False)


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_token_for_reauthenticate_is_a_clean_close(
    issuer: FakeIssuer, logs: LoggingConfig, logged: list[str], path: str
) -> None:
    """HTP-030."""
    app = make_app(issuer.verifier(), logging_config=logs)

    sent = talk(app, path, issuer.token(sub="ada"), issuer.token(sub="ada"), "no token")

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"].strip('"') == "ada"
    assert (sent[2]["code"], sent[2]["reason"]) == (3000, "the token is refused")
    assert logged == []


@pytest.mark.parametrize("path", PATHS)
def test_the_end_of_the_token_is_a_normal_one(
    issuer: FakeIssuer, clock: FakeClock, logs: LoggingConfig, logged: list[str], path: str
) -> None:
    """HTP-041: nothing that the client still sends is received."""
    token = issuer.token(sub="ada")
    inner = make_app(issuer.verifier(), logging_config=logs)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def send_and_wait(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.accept":
                clock.tick(seconds=86400)

        await inner(scope, receive, send_and_wait)

    sent = talk(app, path, token, token)

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 3000
    assert logged == []


@pytest.mark.skipif(not hasattr(handlers, "websocket_stream"), reason="Litestar has streams since 2.15")
def test_a_refusal_in_a_stream_is_a_clean_close(issuer: FakeIssuer, logs: LoggingConfig, logged: list[str]) -> None:
    app = make_app(issuer.verifier(), [stream], logging_config=logs)

    sent = talk(app, "/stream", issuer.token(sub="ada"))

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[2]["code"] == 3000
    assert logged == []


def test_a_failure_of_the_application_stays_one(issuer: FakeIssuer, logs: LoggingConfig, logged: list[str]) -> None:
    @websocket("/broken")
    async def broken(socket: Socket) -> None:
        await socket.accept()
        raise LookupError

    sent = talk(make_app(issuer.verifier(), [broken], logging_config=logs), "/broken", issuer.token())

    assert sent[-1]["code"] == 4500
    assert len(logged) == 1


@pytest.mark.parametrize(
    ("guard", "has_token", "reason"),
    [
        pytest.param(requires_authenticated, False, None, id="anonymous"),
        pytest.param(requires_scopes("read"), True, Reason.INSUFFICIENT_SCOPE, id="scopes"),
    ],
)
def test_a_guard_raises_a_refusal_that_closes_with_1008(
    issuer: FakeIssuer, guard: Any, reason: Reason | None, *, has_token: bool
) -> None:
    """HTP-029: a hook sees the same kind of exception as for a request."""
    seen: list[Exception] = []

    async def hook(error: Exception, _scope: Scope) -> None:
        seen.append(error)

    @websocket("/guarded", guards=[guard])
    async def guarded(socket: Socket) -> None:
        del socket
        raise NotImplementedError

    app = make_app(issuer.verifier(), [guarded], after_exception=[hook])
    sent = talk(app, "/guarded", issuer.token() if has_token else None)

    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]
    (refused,) = seen
    assert isinstance(refused, RefusedError)
    assert refused.reason is reason


def test_what_stands_in_front_learns_why_a_websocket_ended(issuer: FakeIssuer) -> None:
    records: list[AuthRecord] = []
    inner = make_app(issuer.verifier())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        records.append(AuthRecord.begin(scope))
        await inner(scope, receive, send)

    talk(app, "/loop", issuer.token(sub="ada"), issuer.token(sub="grace"))

    (record,) = records
    assert record.identity is not None
    assert record.refusal is not None
    assert (record.identity.subject, record.refusal.reason) == ("ada", Reason.OTHER_USER)


def test_the_application_may_catch_a_refusal_and_go_on(issuer: FakeIssuer) -> None:
    @websocket("/patient")
    async def patient(socket: Socket) -> None:
        await socket.accept()
        with pytest.raises(InvalidTokenError):
            await get_live_connection(socket).reauthenticate("no token")
        await socket.send_text(socket.user.subject)
        await socket.close()

    sent = talk(make_app(issuer.verifier(), [patient]), "/patient", issuer.token(sub="ada"))

    assert [message.get("text") for message in sent] == [None, "ada", None]
    assert sent[-1]["code"] == 1000
