"""The end of a WebSocket's token: from that instant the application hears a disconnect, and no user is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aveverify import (
    ConfigurationError,
    Identity,
    InvalidTokenError,
    Provider,
    Reason,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify._http import ending_connection, websocket_channel
from aveverify.asgi import AveAuthMiddleware, LiveConnection, Message, Receive, Scope, Send, get_live_connection
from aveverify.errors import Problem
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Client, bearer, http_scope, websocket_scope

App = Callable[[Scope, Receive, Send], Awaitable[None]]

LIFE_SECONDS = 60
CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
TEXT: Message = {"type": "websocket.send", "text": "hello"}
COMMAND: Message = {"type": "websocket.receive", "text": "delete everything"}
LEFT: Message = {"type": "websocket.disconnect", "code": 1001}
CLOSED: Message = {"type": "websocket.close", "code": 3000, "reason": "the token has expired"}
DISCONNECT: Message = {"type": "websocket.disconnect", "code": 3000, "reason": "the token has expired"}
# The watcher looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01
PATIENCE_SECONDS = 20


class SilentClient(Client):
    """A client that sends nothing after the messages that it was told, and answers a close."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(*messages)
        self._is_closed = asyncio.Event()

    async def receive(self) -> Message:
        if not self.pending:
            await self._is_closed.wait()
            return LEFT
        return await super().receive()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            # Not at once: what waits for a message must not depend on the answer.
            asyncio.get_running_loop().call_later(10 * SOON_SECONDS, self._is_closed.set)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def token(issuer: FakeIssuer, clock: FakeClock) -> str:
    return issuer.token(sub="ada", exp=clock.now() + LIFE_SECONDS)


def serve(app: App, verifier: Verifier, token: str | None, client: Client, **options: Any) -> list[Message]:
    """Serve one WebSocket, and return what the server was sent. No task is left behind, and nothing goes unheard."""
    unheard: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
        middleware = AveAuthMiddleware(app, verifier, required=False, **options)
        scope = websocket_scope(bearer(token) if token is not None else ())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await middleware(scope, client.receive, client.send)
        # What was cancelled ends, each after what it waits for.
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert unheard == []
    return client.sent


async def opened(receive: Receive, send: Send) -> None:
    assert await receive() == CONNECT
    await send(ACCEPT)


# --- what the application receives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest_seconds", "ends"),
    [
        pytest.param(1, False, id="just before exp"),
        pytest.param(0, True, id="at exp"),
        pytest.param(-1, True, id="after"),
    ],
)
def test_htp_041_from_exp_on_the_application_receives_a_disconnect_and_nothing_else(
    verifier: Verifier, clock: FakeClock, token: str, *, rest_seconds: int, ends: bool
) -> None:
    seen: list[Any] = []
    client = Client(CONNECT, *[COMMAND] * 3)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS - rest_seconds)
        seen.extend([await receive() for _ in range(3)])
        seen.extend([get_user_identity(scope) is None, current_identity.get() is None])

    sent = serve(app, verifier, token, client)

    assert seen == ([DISCONNECT] * 3 + [True, True] if ends else [COMMAND] * 3 + [False, False])
    assert sent == [ACCEPT, CLOSED] if ends else [ACCEPT]


def test_htp_041_a_message_that_arrives_at_exp_is_not_obeyed(verifier: Verifier, clock: FakeClock, token: str) -> None:
    class Late(Client):
        async def receive(self) -> Message:
            message = await super().receive()
            if message is COMMAND:
                clock.tick(seconds=LIFE_SECONDS)
            return message

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Late(CONNECT, COMMAND)) == [ACCEPT, CLOSED]


def test_htp_041_what_is_queued_is_not_obeyed_by_a_slow_application(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    obeyed: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            obeyed.append(message)
            clock.tick(seconds=1)
        assert message == DISCONNECT

    serve(app, verifier, token, Client(CONNECT, *[COMMAND] * 500))

    assert len(obeyed) == LIFE_SECONDS


@pytest.mark.parametrize("count", [1, 3], ids=["one", "three"])
def test_htp_041_what_waits_for_a_message_at_exp_receives_the_disconnect(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, count: int
) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        waiting = [asyncio.create_task(_as_coroutine(receive)) for _ in range(count)]
        await asyncio.sleep(0)
        clock.tick(seconds=1)
        assert await asyncio.gather(*waiting) == [DISCONNECT] * count

    token = issuer.token(exp=clock.now() + SOON_SECONDS)

    assert serve(app, verifier, token, SilentClient(CONNECT)) == [ACCEPT, CLOSED]


async def _as_coroutine(receive: Receive) -> Message:
    return await receive()


def test_a_receive_that_is_cancelled_loses_no_message(verifier: Verifier, token: str) -> None:
    arrived: asyncio.Queue[Message] = asyncio.Queue()

    class Queued(Client):
        async def receive(self) -> Message:
            return await arrived.get()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await arrived.put(CONNECT)
        await opened(receive, send)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_as_coroutine(receive), SOON_SECONDS)
        cancelled = asyncio.create_task(_as_coroutine(receive))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        await arrived.put(COMMAND)
        assert await receive() == COMMAND

    assert serve(app, verifier, token, Queued()) == [ACCEPT]


def test_an_error_of_the_servers_receive_passes(verifier: Verifier, token: str) -> None:
    class Failing(Client):
        async def receive(self) -> Message:
            raise TimeoutError

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        with pytest.raises(TimeoutError):
            await receive()

    assert serve(app, verifier, token, Failing()) == []


def test_the_handshake_is_completed_before_it_ends(verifier: Verifier, clock: FakeClock, token: str) -> None:
    """Frameworks demand `websocket.connect` first, and only an accepted WebSocket has a code that says why."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clock.tick(seconds=LIFE_SECONDS)
        assert get_user_identity(scope) is None
        await opened(receive, send)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Client(CONNECT, COMMAND)) == [ACCEPT, CLOSED]


def test_what_comes_instead_of_the_handshake_is_not_obeyed(verifier: Verifier, clock: FakeClock, token: str) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT
        with pytest.raises(ConnectionError):
            await send(ACCEPT)

    assert serve(app, verifier, token, Client(COMMAND)) == [CLOSED]


# --- what the application sends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [False, True], ids=["at exp", "after the disconnect"])
def test_htp_041_what_is_sent_after_exp_is_an_error_and_a_close_is_none(
    verifier: Verifier, clock: FakeClock, token: str, *, listens: bool
) -> None:
    """The server is sent one close, whatever the application does."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        if listens:
            assert await receive() == DISCONNECT
        for _ in range(2):
            with pytest.raises(OSError, match="the token has expired"):
                await send(TEXT)
            await send({"type": "websocket.close", "code": 1000})

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, CLOSED]


def test_a_close_of_the_application_at_exp_says_why(verifier: Verifier, clock: FakeClock, token: str) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        await send({"type": "websocket.close", "code": 1000})

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, CLOSED]


def test_an_application_that_only_sends_ends_without_an_error(verifier: Verifier, clock: FakeClock, token: str) -> None:
    """Its end is a normal one: the server's log has no traceback of it."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        while True:
            await send(TEXT)
            clock.tick(seconds=LIFE_SECONDS / 2)

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, TEXT, TEXT, CLOSED]


def test_an_application_with_a_group_of_tasks_ends_without_an_error(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        async def talk() -> None:
            while True:
                await send(TEXT)
                await asyncio.sleep(0)

        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        async with asyncio.TaskGroup() as group:
            group.create_task(talk())
            group.create_task(talk())

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, CLOSED]


def test_any_other_connection_error_passes(verifier: Verifier, clock: FakeClock, token: str) -> None:
    """For instance that of another WebSocket, to which the application passes messages on."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        with pytest.raises(ConnectionError):
            await send(TEXT)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        serve(app, verifier, token, Client(CONNECT))


# --- how it is closed -------------------------------------------------------------------------------------------------


def test_a_server_that_cannot_close_any_longer_is_not_heard(verifier: Verifier, clock: FakeClock, token: str) -> None:
    class Gone(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "websocket.close":
                raise RuntimeError

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Gone(CONNECT)) == [ACCEPT, CLOSED]


def test_no_message_waits_for_the_clients_answer_to_the_close(
    verifier: Verifier, clock: FakeClock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTP-041: uvicorn waits for it ten seconds; nor does a client keep a connection by reading nothing at all."""
    monkeypatch.setattr(websocket_channel, "_LONGEST_CLOSE_SECONDS", SOON_SECONDS)

    class Deaf(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "websocket.close":
                await asyncio.Event().wait()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        assert [await receive() for _ in range(3)] == [DISCONNECT] * 3

    assert serve(app, verifier, token, Deaf(CONNECT)) == [ACCEPT, CLOSED]


def test_what_the_server_holds_back_is_taken_and_thrown_away(verifier: Verifier, clock: FakeClock, token: str) -> None:
    """HTP-041: hypercorn would never read the client's answer to the close behind it, and keep the connection."""
    client = Client(CONNECT, *[COMMAND] * 100, LEFT, COMMAND)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, client) == [ACCEPT, CLOSED]
    assert client.pending == [COMMAND]


def test_a_client_that_never_answers_keeps_no_connection(
    verifier: Verifier, clock: FakeClock, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_channel, "_LONGEST_ANSWER_SECONDS", SOON_SECONDS)

    class Busy(Client):
        async def receive(self) -> Message:
            await asyncio.sleep(0)
            return self.pending.pop() if self.pending else COMMAND

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Busy(CONNECT)) == [ACCEPT, CLOSED]


def test_until_expired_does_not_wait_for_the_client(verifier: Verifier, clock: FakeClock, token: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await get_live_connection(scope).until_expired()

    assert serve(app, verifier, token, SilentClient(CONNECT)) == [ACCEPT, CLOSED]


def test_a_client_that_has_left_is_sent_no_close(verifier: Verifier, clock: FakeClock, issuer: FakeIssuer) -> None:
    """What the application does then is still the user's, until `exp`; no new token extends it."""
    token = issuer.token(sub="ada", exp=clock.now() + SOON_SECONDS)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        assert await receive() == LEFT
        assert get_user_identity(scope) is not None
        with pytest.raises(ConfigurationError) as caught:
            await get_live_connection(scope).reauthenticate(issuer.token(sub="ada"))
        assert caught.value.problem is Problem.CLOSED
        clock.tick(seconds=1)
        await asyncio.sleep(2 * SOON_SECONDS)
        assert get_user_identity(scope) is None
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Client(CONNECT, LEFT)) == [ACCEPT]


def test_what_is_received_after_the_applications_own_close_ends_at_exp_too(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    closed: Message = {"type": "websocket.close", "code": 1000}

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        await send(closed)
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Client(CONNECT, COMMAND)) == [ACCEPT, closed]


def test_an_http_request_receives_from_the_server_itself(verifier: Verifier, token: str) -> None:
    """What WebSockets need costs no other request anything."""
    seen: list[object] = []
    client = Client()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([receive, send])

    client.call(AveAuthMiddleware(app, verifier, required=True), http_scope(headers=[_header(token)]))

    assert seen == [client.receive, client.send]


def _header(token: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {token}".encode()


# --- further tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(30, 40), (40, 30)], ids=["the earlier first", "the later first"])
def test_htp_041_the_first_further_token_to_expire_ends_the_connection(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str, order: tuple[int, int]
) -> None:
    """CJ-29: two integrations behind the middleware have let a user in by tokens of their own."""
    begin = clock.now()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)
        assert live.policy is not None
        for seconds in order:
            identity = verifier.verify(issuer.token(sub="grace", exp=begin + seconds))
            await live.add_identity(identity, live.policy)
        # A new token takes the place of the middleware's, and of no other.
        await live.reauthenticate(issuer.token(sub="ada"))
        clock.set_now(begin + 29)
        assert await receive() == COMMAND
        clock.set_now(begin + 30)
        assert await receive() == DISCONNECT
        assert get_user_identity(scope) is None

    assert serve(app, verifier, token, Client(CONNECT, COMMAND, COMMAND)) == [ACCEPT, CLOSED]


def test_htp_041_a_further_token_that_expires_first_ends_a_connection_on_which_nothing_is_sent(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    """What waits for the end of the middleware's token must learn of the earlier one."""
    expires_at = clock.now() + 2 * SOON_SECONDS

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        waiting = asyncio.create_task(_as_coroutine(receive))
        await asyncio.sleep(SOON_SECONDS)
        live = get_live_connection(scope)
        assert live.policy is not None
        await live.add_identity(verifier.verify(issuer.token(sub="ada", exp=expires_at)), live.policy)
        clock.set_now(expires_at)
        async with asyncio.timeout(LIFE_SECONDS / 10):
            assert await waiting == DISCONNECT

    assert serve(app, verifier, token, SilentClient(CONNECT)) == [ACCEPT, CLOSED]


def test_htp_041_a_new_token_extends_a_connection_until_its_own_exp(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        later = issuer.token(sub="ada", exp=clock.now() + 2 * LIFE_SECONDS)
        await get_live_connection(scope).reauthenticate(later)
        clock.tick(seconds=2 * LIFE_SECONDS - 1)
        assert await receive() == COMMAND
        assert get_user_identity(scope) is not None
        clock.tick(seconds=1)
        assert await receive() == DISCONNECT
        assert get_user_identity(scope) is None

    assert serve(app, verifier, token, Client(CONNECT, COMMAND, COMMAND)) == [ACCEPT, CLOSED]


def test_htp_041_after_exp_no_token_is_taken(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    """Not even one that is bad: nothing is verified for a connection that has ended."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.tick(seconds=LIFE_SECONDS)
        for further in (issuer.token(sub="ada"), "bad"):
            with pytest.raises(ConfigurationError) as caught:
                await get_live_connection(scope).reauthenticate(further)
            assert caught.value.problem is Problem.CLOSED
        assert get_user_identity(scope) is None
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, CLOSED]


def test_htp_041_a_token_that_is_looked_at_while_the_old_one_expires_is_not_taken(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)

        async def follow(_identity: Identity) -> Callable[[], None]:
            clock.tick(seconds=LIFE_SECONDS)
            return lambda: pytest.fail("made known after the end")

        live.on_new_user(follow)
        with pytest.raises(ConfigurationError) as caught:
            await live.reauthenticate(issuer.token(sub="ada"))
        assert caught.value.problem is Problem.CLOSED
        assert get_user_identity(scope) is None
        assert await receive() == DISCONNECT

    assert serve(app, verifier, token, Client(CONNECT)) == [ACCEPT, CLOSED]


def test_a_token_that_comes_while_a_dependencys_user_is_looked_for_stays_in_its_place(
    issuer: FakeIssuer, verifier: Verifier
) -> None:
    """HTP-030: the dependency changes no user unsaid; its token still limits the connection."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)
        assert live.policy is not None
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def follow(identity: Identity) -> Callable[[], None]:
            if identity.subject == "ada":
                has_begun.set()
                await may_end.wait()
            return lambda: None

        live.on_new_user(follow)
        slow = asyncio.create_task(live.add_identity(await verifier.verify_async(issuer.token(sub="ada")), live.policy))
        await has_begun.wait()
        grace = await live.reauthenticate(issuer.token(sub="grace"))
        may_end.set()
        await slow
        assert live.identity is live.in_front is grace

    assert serve(app, verifier, None, Client(CONNECT)) == [ACCEPT]


@pytest.mark.parametrize(
    ("rest_seconds", "counts"),
    [
        pytest.param(1, True, id="just before exp"),
        pytest.param(0, False, id="at exp"),
        pytest.param(-3, False, id="in the leeway"),
    ],
)
def test_the_leeway_opens_no_websocket_and_extends_none(
    issuer: FakeIssuer, clock: FakeClock, token: str, *, rest_seconds: int, counts: bool
) -> None:
    """CJ-29: it helps single requests, of which this token may still make some."""
    expiring = issuer.token(sub="ada", exp=clock.now() + rest_seconds)
    lenient = Provider(issuer=issuer.issuer, application_id=issuer.application_id, leeway_seconds=5)
    reasons: list[Reason] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        try:
            await get_live_connection(scope).reauthenticate(expiring)
        except InvalidTokenError as error:
            reasons.append(error.reason)
        assert await receive() == COMMAND

    with issuer.verifier(lenient) as verifier:
        assert verifier.verify(expiring).subject == "ada"
        opening = serve(app, verifier, expiring, Client(CONNECT, COMMAND))
        assert serve(app, verifier, token, Client(CONNECT, COMMAND)) == [ACCEPT]

    assert opening == ([ACCEPT] if counts else [{"type": "websocket.close", "code": 1008}])
    assert reasons == ([] if counts else [Reason.EXPIRED])


def test_a_middleware_in_front_ends_the_connection_for_the_one_behind(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    """HTP-041: the user of the inner one has a token for longer, which a verifier of its own has accepted."""
    longer = issuer.token(sub="grace")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        await get_live_connection(scope).reauthenticate(longer, allow_other_user=True)
        clock.tick(seconds=LIFE_SECONDS)
        assert [get_user_identity(scope), current_identity.get()] == [None, None]
        assert await receive() == DISCONNECT

    with issuer.verifier() as another:
        inner = AveAuthMiddleware(app, another, required=False)

        assert serve(inner, verifier, token, Client(CONNECT, COMMAND)) == [ACCEPT, CLOSED]


# --- where the application sees to the end ----------------------------------------------------------------------------


def test_without_close_expired_messages_go_on_without_a_user_until_a_new_token(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    """HTP-041: the option is about closing alone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == COMMAND
        await send(TEXT)
        assert [get_user_identity(scope), scope["state"]["identity"], live.identity] == [None] * 3
        # It is still that user's connection.
        with pytest.raises(InvalidTokenError) as caught:
            await live.reauthenticate(issuer.token(sub="grace"))
        assert caught.value.reason is Reason.OTHER_USER
        identity = await live.reauthenticate(issuer.token(sub="ada"))
        assert [get_user_identity(scope), scope["state"]["identity"], live.identity] == [identity] * 3

    assert serve(app, verifier, token, Client(CONNECT, COMMAND), close_expired=False) == [ACCEPT, TEXT]


def test_without_close_expired_until_expired_ends_what_waits_for_a_message(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        waiting = asyncio.create_task(_as_coroutine(receive))
        await asyncio.sleep(0)
        clock.tick(seconds=LIFE_SECONDS)
        await get_live_connection(scope).until_expired()
        assert await waiting == DISCONNECT
        assert await receive() == DISCONNECT

    sent = serve(app, verifier, token, SilentClient(CONNECT), close_expired=False)
    assert sent == [ACCEPT, CLOSED]


def test_until_expired_does_not_outlast_the_connection(verifier: Verifier, token: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        waiting = asyncio.create_task(get_live_connection(scope).until_expired())
        await asyncio.sleep(0)
        assert await receive() == LEFT
        await waiting

    assert serve(app, verifier, token, Client(CONNECT, LEFT), close_expired=False) == [ACCEPT]


def test_until_expired_notices_a_new_token_that_ends_earlier(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)
        waiting = asyncio.create_task(live.until_expired())
        await asyncio.sleep(0)
        await live.reauthenticate(issuer.token(sub="ada", exp=clock.now() + SOON_SECONDS))
        clock.tick(seconds=1)
        await waiting

    assert serve(app, verifier, token, Client(CONNECT), close_expired=False) == [ACCEPT, CLOSED]


def test_without_close_expired_another_event_loop_than_asyncios_serves_it(verifier: Verifier, token: str) -> None:
    client = Client(CONNECT, COMMAND)
    seen: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        seen.append(await receive())

    verifier.warm_up()
    middleware = AveAuthMiddleware(app, verifier, required=True, close_expired=False)
    serving = middleware(websocket_scope(bearer(token)), client.receive, client.send)

    # Driven by hand: nothing in it waits.
    with pytest.raises(StopIteration):
        serving.__await__().send(None)
    assert seen == [COMMAND]


# --- clocks -----------------------------------------------------------------------------------------------------------


class BrokenClock(FakeClock):
    """Shows a reading of the test's, or raises it."""

    reading: Any = None
    is_broken = False

    def now(self) -> float:
        if not self.is_broken:
            return super().now()
        if isinstance(self.reading, Exception):
            raise self.reading
        return self.reading  # type: ignore[no-any-return]


UNUSABLE = [
    pytest.param(reading, id=repr(reading))
    for reading in (OSError("no clock"), float("nan"), -1.0, float("inf"), float("-inf"), None, "noon")
]
UNCHECKED = {"code": 3000, "reason": "the token can no longer be checked"}


@pytest.fixture
def broken() -> BrokenClock:
    return BrokenClock()


@pytest.mark.parametrize("reading", UNUSABLE)
@pytest.mark.parametrize("way", ["receive", "send", "wait", "until_expired"])
def test_htp_048_a_clock_without_a_usable_time_ends_the_connection(
    broken: BrokenClock, reading: object, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At the next message, or at the next look; and it stays ended when the clock shows the time again."""
    issuer = FakeIssuer(clock=broken)
    seen: list[Any] = []
    caplog.set_level(logging.INFO, "aveverify.http")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        live = get_live_connection(scope)
        if way == "wait":
            # The watcher has begun, and will look again soon.
            await live.reauthenticate(issuer.token(exp=broken.now() + SOON_SECONDS))
        broken.reading, broken.is_broken = reading, True
        assert [get_user_identity(scope), live.identity, scope["state"]["identity"]] == [None] * 3
        if way == "send":
            with pytest.raises(OSError, match="checked"):
                await send(TEXT)
        elif way == "until_expired":
            await live.until_expired()
        else:
            seen.append(await receive())
        broken.is_broken = False
        seen.append(await receive())
        assert get_user_identity(scope) is None

    client: Client = SilentClient(CONNECT) if way == "wait" else Client(CONNECT, COMMAND)
    with issuer.verifier() as verifier:
        sent = serve(app, verifier, issuer.token(), client, close_expired=way != "until_expired")

    assert sent == [ACCEPT, {"type": "websocket.close", **UNCHECKED}]
    assert all(message == {"type": "websocket.disconnect", **UNCHECKED} for message in seen)
    assert len(seen) in (1, 2)
    assert [record.getMessage() for record in caplog.records if "CLOCK_UNUSABLE" in record.getMessage()] != []


def test_htp_048_a_clock_that_is_put_back_is_looked_at_again(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the rest of the token's life seems to be."""
    assert ending_connection._LONGEST_SLEEP_SECONDS <= 30
    monkeypatch.setattr(ending_connection, "_LONGEST_SLEEP_SECONDS", SOON_SECONDS)
    expires_at = clock.now() + LIFE_SECONDS

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        clock.set_now(expires_at - 1e6)
        waiting = asyncio.create_task(_as_coroutine(receive))
        await asyncio.sleep(2 * SOON_SECONDS)
        assert not waiting.done()
        clock.set_now(expires_at)
        assert await waiting == DISCONNECT

    assert serve(app, verifier, issuer.token(exp=expires_at), SilentClient(CONNECT)) == [ACCEPT, CLOSED]


def test_htp_048_a_clock_that_jumps_ahead_ends_the_connection_for_good(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        begin = clock.now()
        clock.set_now(begin + 1e6)
        assert await receive() == DISCONNECT
        clock.set_now(begin)
        assert await receive() == DISCONNECT
        assert get_user_identity(scope) is None

    assert serve(app, verifier, token, Client(CONNECT, COMMAND)) == [ACCEPT, CLOSED]


def test_an_anonymous_connection_asks_no_clock(broken: BrokenClock) -> None:
    """It has no token that could expire."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        broken.reading, broken.is_broken = None, True
        await asyncio.sleep(0)
        assert await receive() == COMMAND
        assert get_user_identity(scope) is None

    with FakeIssuer(clock=broken).verifier() as verifier:
        assert serve(app, verifier, None, Client(CONNECT, COMMAND)) == [ACCEPT]


def test_what_the_application_made_of_the_connection_still_says_that_it_has_no_user(
    verifier: Verifier, clock: FakeClock, token: str
) -> None:
    kept: list[LiveConnection] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await opened(receive, send)
        kept.append(get_live_connection(scope))

    serve(app, verifier, token, Client(CONNECT))

    (live,) = kept
    clock.tick(seconds=LIFE_SECONDS)
    assert live.identity is None
    assert live.has_expired
