"""WebSockets under asyncio and under trio: the same end at `exp`, the same cancellation, the same errors."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aveverify import InvalidTokenError, Verifier, current_identity, get_user_identity
from aveverify._http import ending_connection, websocket_channel
from aveverify.asgi import AveAuthMiddleware, LiveConnection, Message, Receive, Scope, Send, get_live_connection
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import bearer, websocket_scope

App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
TEXT: Message = {"type": "websocket.send", "text": "hello"}
COMMAND: Message = {"type": "websocket.receive", "text": "delete everything"}
LEFT: Message = {"type": "websocket.disconnect", "code": 1001}
CLOSED: Message = {"type": "websocket.close", "code": 3000, "reason": "the token has expired"}
DISCONNECT: Message = {"type": "websocket.disconnect", "code": 3000, "reason": "the token has expired"}
LIFE_SECONDS = 60
# The watch looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01
PATIENCE_SECONDS = 20


class Server:
    """A server under any event loop. Its client answers a close, unless it is deaf."""

    def __init__(self, *messages: Message, is_deaf: bool = False) -> None:
        self.sent: list[Message] = []
        self._given, self._taken = anyio.create_memory_object_stream[Message](math.inf)
        for message in (CONNECT, *messages):
            self._given.send_nowait(message)
        self._is_deaf = is_deaf

    async def receive(self) -> Message:
        return await self._taken.receive()

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)
        if message["type"] == "websocket.close":
            if self._is_deaf:
                await anyio.sleep_forever()
            self._given.send_nowait(LEFT)

    def give(self, message: Message) -> None:
        self._given.send_nowait(message)

    async def serve(self, app: App, token: str) -> None:
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                await app(websocket_scope(bearer(token)), self.receive, self.send)
        finally:
            self._given.close()
            self._taken.close()


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def token(issuer: FakeIssuer, clock: FakeClock) -> str:
    return issuer.token(sub="ada", exp=clock.now() + LIFE_SECONDS)


@pytest.fixture
def serve(backend: str, verifier: Verifier) -> Callable[..., list[Message]]:
    """Serve one WebSocket, and return what the server was sent."""
    verifier.warm_up()

    def serve(app: App, token: str, *messages: Message, is_deaf: bool = False, **options: Any) -> list[Message]:
        async def run() -> list[Message]:
            server = Server(*messages, is_deaf=is_deaf)
            await server.serve(AveAuthMiddleware(app, verifier, required=True, **options), token)
            return server.sent

        return anyio.run(run, backend=backend)

    return serve


Serve = Callable[..., list[Message]]


async def opened(receive: Receive, send: Send) -> None:
    assert await receive() == CONNECT
    await send(ACCEPT)


def test_htp_041_from_exp_on_the_application_receives_a_disconnect_and_nothing_else(
    serve: Serve, clock: FakeClock, token: str
) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        seen.append(await receive())
        clock.tick(seconds=LIFE_SECONDS)
        seen.extend([await receive() for _ in range(3)])
        seen.extend([get_user_identity(scope), current_identity.get()])
        with pytest.raises(OSError, match="the token has expired"):
            await send(TEXT)

    assert serve(app, token, *[COMMAND] * 3) == [ACCEPT, CLOSED]
    assert seen == [COMMAND, *[DISCONNECT] * 3, None, None]


@pytest.mark.parametrize("count", [1, 3], ids=["one", "three"])
def test_htp_041_what_waits_for_a_message_at_exp_receives_the_disconnect(
    count: int, serve: Serve, issuer: FakeIssuer, clock: FakeClock
) -> None:
    seen: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        async def wait() -> None:
            seen.append(await receive())

        await opened(receive, send)
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            clock.tick(seconds=1)

    assert serve(app, issuer.token(exp=clock.now() + SOON_SECONDS)) == [ACCEPT, CLOSED]
    assert seen == [DISCONNECT] * count


def test_an_application_that_only_sends_ends_without_an_error(serve: Serve, clock: FakeClock, token: str) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        async def talk() -> None:
            await send(TEXT)

        await opened(receive, send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            await anyio.wait_all_tasks_blocked()
            clock.tick(seconds=LIFE_SECONDS)
            tasks.start_soon(talk)

    assert serve(app, token) == [ACCEPT, TEXT, CLOSED]


def test_no_message_waits_for_a_client_that_does_not_answer(
    serve: Serve, clock: FakeClock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTP-041."""
    monkeypatch.setattr(websocket_channel, "_LONGEST_CLOSE_SECONDS", SOON_SECONDS)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        assert [await receive() for _ in range(3)] == [DISCONNECT] * 3

    assert serve(app, token, is_deaf=True) == [ACCEPT, CLOSED]


def test_until_expired_ends_a_connection_whose_end_is_left_to_the_application(
    serve: Serve, issuer: FakeIssuer, clock: FakeClock, token: str
) -> None:
    """It notices a new token that ends earlier, and does not wait for the client."""
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def wait() -> None:
            seen.append(await receive())

        await opened(receive, send)
        live = get_live_connection(scope)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(live.until_expired)
            await anyio.wait_all_tasks_blocked()
            await live.reauthenticate(issuer.token(sub="ada", exp=clock.now() + SOON_SECONDS))
            clock.tick(seconds=1)

    assert serve(app, token, close_expired=False) == [ACCEPT, CLOSED]
    assert seen == [DISCONNECT]


def test_htp_048_a_clock_that_is_put_back_is_looked_at_again(
    serve: Serve, issuer: FakeIssuer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_connection, "_LONGEST_SLEEP_SECONDS", SOON_SECONDS)
    expires_at = clock.now() + LIFE_SECONDS

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.set_now(expires_at - 1e6)
        await anyio.sleep(2 * SOON_SECONDS)
        clock.set_now(expires_at)
        assert await receive() == DISCONNECT

    assert serve(app, issuer.token(exp=expires_at)) == [ACCEPT, CLOSED]


def test_a_receive_that_is_cancelled_loses_no_message(backend: str, verifier: Verifier, token: str) -> None:
    async def run() -> None:
        server = Server()

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await opened(receive, send)
            with anyio.move_on_after(SOON_SECONDS) as patience:
                await receive()
            assert patience.cancelled_caught
            server.give(COMMAND)
            assert await receive() == COMMAND

        await server.serve(AveAuthMiddleware(app, verifier, required=True), token)

    verifier.warm_up()
    anyio.run(run, backend=backend)


def test_what_cancels_the_application_ends_everything(backend: str, verifier: Verifier, token: str) -> None:
    """As a server does that shuts down."""
    happened: list[str] = []

    async def run() -> None:
        server = Server()

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await opened(receive, send)
            try:
                await receive()
            except anyio.get_cancelled_exc_class():
                happened.append("cancelled")
                raise

        with anyio.move_on_after(SOON_SECONDS) as scope:
            await server.serve(AveAuthMiddleware(app, verifier, required=True), token)
        assert scope.cancelled_caught
        assert server.sent == [ACCEPT]

    verifier.warm_up()
    anyio.run(run, backend=backend)
    assert happened == ["cancelled"]


class BrokenError(Exception):
    """A mistake of the application."""


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, ExceptionGroup("", [BrokenError()])], ids=repr)
def test_an_error_is_wrapped_in_nothing(error: type[BaseException] | BaseException, serve: Serve, token: str) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)) as caught:
        serve(app, token)

    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_refusal_that_escapes_is_a_clean_close(serve: Serve, issuer: FakeIssuer, token: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        await get_live_connection(scope).reauthenticate(issuer.forge("expired"))

    sent = serve(app, token)

    assert sent == [ACCEPT, {"type": "websocket.close", "code": 3000, "reason": "the token is refused"}]


def test_what_outlives_the_connection_waits_for_nothing(
    backend: str, verifier: Verifier, clock: FakeClock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that the application has started elsewhere, after the server was asked to close, and was never heard."""
    monkeypatch.setattr(websocket_channel, "_LONGEST_CLOSE_SECONDS", SOON_SECONDS)
    kept: list[tuple[LiveConnection, Receive]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        kept.append((get_live_connection(scope), receive))
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT

    async def run() -> None:
        server = Server(is_deaf=True)
        await server.serve(AveAuthMiddleware(app, verifier, required=True), token)
        [(live, receive)] = kept
        with anyio.fail_after(PATIENCE_SECONDS):
            await live.until_expired()
            assert await receive() == DISCONNECT

    verifier.warm_up()
    anyio.run(run, backend=backend)


@pytest.mark.parametrize("close_expired", [True, False], ids=["closes", "leaves it to the application"])
def test_under_no_event_loop_a_websocket_that_must_be_closed_is_not_served(
    close_expired: bool,  # noqa: FBT001 - a row
    verifier: Verifier,
    issuer: FakeIssuer,
) -> None:
    """Driven by hand. Without the option nothing waits, and a refusal is the application's own again."""

    async def receive() -> Message:
        return CONNECT

    async def send(_message: Message) -> None: ...

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await verifier.verify_async(issuer.forge("expired"))

    verifier.warm_up()
    middleware = AveAuthMiddleware(app, verifier, required=True, close_expired=close_expired)
    serving = middleware(websocket_scope(bearer(issuer.token())), receive, send)

    with pytest.raises(RuntimeError if close_expired else InvalidTokenError):
        serving.__await__().send(None)
