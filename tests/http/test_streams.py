"""Responses that go on after their token has expired: by default they do, and by choice they end (HTP-042)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aveverify import ConfigurationError, InvalidTokenError, Verifier, get_user_identity
from aveverify._http import ending_connection, ending_response, live_request
from aveverify.asgi import AveAuthMiddleware, LiveRequest, Message, Receive, Scope, Send, get_live_connection
from aveverify.errors import Problem
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Request, bearer, http_scope

App = Callable[[Scope, Receive, Send], Awaitable[None]]

LIFE_SECONDS = 60
# What waits looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01
PATIENCE_SECONDS = 20
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
SIZED: Message = {**START, "headers": [(b"content-type", b"text/plain"), (b"Content-Length", b"100")]}
LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}
REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
LEFT: Message = {"type": "http.disconnect"}


def chunk(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


class Server:
    """A server under any event loop, whose client stays connected until it is told to leave."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.left = anyio.Event()
        self.has_ended = anyio.Event()
        self.is_slow = False
        self._has_received = False

    async def receive(self) -> Message:
        if not self._has_received:
            self._has_received = True
            return REQUEST
        await self.left.wait()
        return LEFT

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)
        if message == LAST:
            self.has_ended.set()
        if self.is_slow:
            await anyio.sleep_forever()


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
def token(issuer: FakeIssuer) -> str:
    return issuer.token(sub="ada", exp=NOW + LIFE_SECONDS)


@pytest.fixture(autouse=True)
def _is_soon_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending_response, "_LONGEST_LAST_SECONDS", SOON_SECONDS)


@pytest.fixture
def serve(backend: str, verifier: Verifier) -> Callable[..., list[Message]]:
    """Serve one request, and return what the server was sent."""
    verifier.warm_up()

    def serve(app: Any, token: str | None, *, ends: bool = True, **options: Any) -> list[Message]:
        async def run() -> list[Message]:
            server = Server()

            async def served(scope: Scope, receive: Receive, send: Send) -> None:
                await (app(scope, receive, send, server) if app.__code__.co_argcount > 3 else app(scope, receive, send))

            middleware = AveAuthMiddleware(served, verifier, required=False, end_expired_streams=ends, **options)
            scope = http_scope(Request(bearer(token) if token is not None else ()))
            with anyio.fail_after(PATIENCE_SECONDS):
                await middleware(scope, server.receive, server.send)
            return server.sent

        return anyio.run(run, backend=backend)

    return serve


Serve = Callable[..., list[Message]]


# --- the end of a stream --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest_seconds", "ends"),
    [
        pytest.param(1, False, id="just before exp"),
        pytest.param(0, True, id="at exp"),
        pytest.param(-1, True, id="after"),
    ],
)
def test_htp_042_from_exp_on_nothing_of_a_stream_reaches_the_client(
    serve: Serve, clock: FakeClock, token: str, *, rest_seconds: int, ends: bool
) -> None:
    """The response is complete for the client, and a disconnect for the application."""
    seen: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        await send(START)
        await send(chunk("one"))
        clock.tick(seconds=LIFE_SECONDS - rest_seconds)
        if not ends:
            await send(chunk("two"))
            await send(LAST)
            return
        for _ in range(2):
            with pytest.raises(OSError, match="the token has expired"):
                await send(chunk("two"))
            seen.append(await receive())
        with pytest.raises(OSError, match="the token has expired"):
            await send(LAST)

    sent = serve(app, token)

    assert sent == [START, chunk("one"), *([] if ends else [chunk("two")]), LAST]
    assert seen == [REQUEST, *([LEFT] * 2 if ends else [])]


def test_htp_042_a_stream_that_is_idle_ends_too(serve: Serve, issuer: FakeIssuer, clock: FakeClock) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(chunk("one"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expire, clock)
            assert await receive() == LEFT

    assert serve(app, issuer.token(exp=NOW + SOON_SECONDS)) == [START, chunk("one"), LAST]


async def expire(clock: FakeClock) -> None:
    await anyio.wait_all_tasks_blocked()
    clock.tick(seconds=LIFE_SECONDS)


def test_an_application_that_hears_of_nothing_may_go_on(serve: Serve, issuer: FakeIssuer, clock: FakeClock) -> None:
    """What it does after the response, such as a background task, is not cancelled."""
    happened: list[str] = []

    async def app(_scope: Scope, _receive: Receive, send: Send, server: Server) -> None:
        await send(START)
        await send(chunk("one"))
        clock.tick(seconds=LIFE_SECONDS)
        await server.has_ended.wait()
        await anyio.sleep(5 * SOON_SECONDS)
        happened.append("background")

    assert serve(app, issuer.token(exp=NOW + SOON_SECONDS)) == [START, chunk("one"), LAST]
    assert happened == ["background"]


@pytest.mark.parametrize("listens", [False, True], ids=["idle", "sends on"])
def test_htp_042_a_response_with_a_length_is_cut_off(
    listens: bool,  # noqa: FBT001 - a row
    serve: Serve,
    issuer: FakeIssuer,
    clock: FakeClock,
) -> None:
    """The client must see that a part is missing. An application that does not return is made to."""
    ended: list[str] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(SIZED)
            await send(chunk("one"))
            clock.tick(seconds=LIFE_SECONDS)
            while listens:
                await send(chunk("two"))
            await anyio.sleep_forever()
        finally:
            ended.append("cleaned up")

    assert serve(app, issuer.token(exp=NOW + SOON_SECONDS)) == [SIZED, chunk("one")]
    assert ended == ["cleaned up"]


def test_a_client_that_takes_nothing_keeps_no_stream(serve: Serve, issuer: FakeIssuer, clock: FakeClock) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send, server: Server) -> None:
        await send(START)
        await send(chunk("one"))
        server.is_slow = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expire, clock)
            await send(chunk("two"))

    assert serve(app, issuer.token(exp=NOW + SOON_SECONDS)) == [START, chunk("one"), chunk("two")]


def test_a_client_that_does_not_take_the_last_message_keeps_no_stream(
    serve: Serve, clock: FakeClock, token: str
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send, server: Server) -> None:
        await send(START)
        await send(chunk("one"))
        clock.tick(seconds=LIFE_SECONDS)
        server.is_slow = True
        with pytest.raises(OSError, match="expired"):
            await send(chunk("two"))

    assert serve(app, token) == [START, chunk("one"), LAST]


def test_trailers_are_sent_where_they_were_announced(serve: Serve, clock: FakeClock, token: str) -> None:
    start: Message = {**START, "trailers": True}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(chunk("one"))
        clock.tick(seconds=LIFE_SECONDS)
        await send(chunk("two"))

    trailers: Message = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    assert serve(app, token) == [start, chunk("one"), LAST, trailers]


def test_htp_048_a_clock_that_is_put_back_is_looked_at_again(
    serve: Serve, issuer: FakeIssuer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_connection, "_LONGEST_SLEEP_SECONDS", SOON_SECONDS)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        clock.set_now(NOW - 1e6)
        await send(chunk("one"))
        await anyio.sleep(2 * SOON_SECONDS)
        clock.set_now(NOW + LIFE_SECONDS)
        assert await receive() == LEFT

    assert serve(app, issuer.token(exp=NOW + LIFE_SECONDS)) == [START, chunk("one"), LAST]


# --- what is left alone ---------------------------------------------------------------------------------------------


def test_htp_042_by_default_a_stream_goes_on(serve: Serve, clock: FakeClock, token: str) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk("one"))
        clock.tick(seconds=LIFE_SECONDS)
        await send(chunk("two"))
        await send(LAST)
        assert get_user_identity(scope) is not None
        assert get_live_connection(scope).identity is None

    assert serve(app, token, ends=False) == [START, chunk("one"), chunk("two"), LAST]


@pytest.mark.parametrize("message", [{**LAST, "body": b"all"}, {"type": "http.response.body", "body": b"all"}])
def test_a_response_that_is_sent_at_once_is_not_touched(
    message: Message, serve: Serve, clock: FakeClock, token: str
) -> None:
    """The token was good when the request came."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == REQUEST
        await send(START)
        await send(message)

    assert serve(app, token) == [START, message]


def test_a_request_without_a_token_streams_as_long_as_it_likes(serve: Serve, clock: FakeClock) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        clock.tick(seconds=86400)
        await send(chunk("one"))
        await send(LAST)

    assert serve(app, None) == [START, chunk("one"), LAST]


def test_a_client_that_leaves_first_is_sent_nothing_more(serve: Serve, clock: FakeClock, token: str) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send, server: Server) -> None:
        await receive()
        await send(START)
        await send(chunk("one"))
        server.left.set()
        assert await receive() == LEFT
        clock.tick(seconds=LIFE_SECONDS)
        assert await receive() == LEFT

    assert serve(app, token) == [START, chunk("one")]


def test_a_refusal_by_a_view_is_not_touched(serve: Serve, issuer: FakeIssuer) -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        get_user_identity(scope)

    sent = serve(app, issuer.forge("expired"), on_invalid="defer")

    assert sent[0]["status"] == 401


@pytest.mark.parametrize("ends", [False, True], ids=["by default", "with the option"])
def test_receive_and_send_are_the_servers_own_unless_a_stream_may_end(
    ends: bool,  # noqa: FBT001 - a row
    verifier: Verifier,
    token: str,
) -> None:
    """The option costs no other request anything."""
    seen: list[object] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([receive, send])

    async def run() -> None:
        server = Server()
        middleware = AveAuthMiddleware(app, verifier, required=False, end_expired_streams=ends)
        for headers in (bearer(token), ()):
            await middleware(http_scope(Request(headers)), server.receive, server.send)
        assert [given == own for given, own in zip(seen, [server.receive, server.send] * 2, strict=True)] == [
            not ends,
            not ends,
            True,
            True,
        ]

    anyio.run(run)


# --- errors ---------------------------------------------------------------------------------------------------------


class BrokenError(Exception):
    """A mistake of the application."""


class DisconnectedError(Exception):
    """What a framework makes of an error of `send`."""


async def stream_on(send: Send, clock: FakeClock) -> None:
    await send(START)
    await send(chunk("one"))
    clock.tick(seconds=LIFE_SECONDS)
    await send(chunk("two"))


@pytest.mark.parametrize("way", ["as it is", "from a framework", "without its cause", "in a group"])
def test_what_sending_after_the_end_raises_is_no_failure(way: str, serve: Serve, clock: FakeClock, token: str) -> None:
    """The log of the server has no traceback of it."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            if way == "in a group":
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stream_on, send, clock)
            await stream_on(send, clock)
        except OSError as error:
            if way == "as it is":
                raise
            raise DisconnectedError from (error if way == "from a framework" else None)

    assert serve(app, token)[-1] == LAST


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, ExceptionGroup("", [BrokenError()])], ids=repr)
@pytest.mark.parametrize("late", [False, True], ids=["before exp", "after exp"])
def test_a_failure_of_the_application_passes_as_it_is(
    error: Any,
    late: bool,  # noqa: FBT001 - a row
    serve: Serve,
    clock: FakeClock,
    token: str,
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if late:
            with pytest.raises(OSError, match="expired"):
                await stream_on(send, clock)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)) as caught:
        serve(app, token)

    assert caught.value.__cause__ is None


def test_what_cancels_the_application_ends_everything(backend: str, verifier: Verifier, token: str) -> None:
    happened: list[str] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk("one"))
        try:
            await anyio.sleep_forever()
        finally:
            happened.append("cancelled")

    async def run() -> None:
        server = Server()
        middleware = AveAuthMiddleware(app, verifier, required=True, end_expired_streams=True)
        with anyio.move_on_after(SOON_SECONDS):
            await middleware(http_scope(Request(bearer(token))), server.receive, server.send)
        assert server.sent == [START, chunk("one")]

    verifier.warm_up()
    anyio.run(run, backend=backend)
    assert happened == ["cancelled"]


def test_a_server_that_has_lost_the_client_is_not_heard(
    backend: str, verifier: Verifier, clock: FakeClock, token: str
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await stream_on(send, clock)

    class Gone(Server):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message == LAST:
                raise OSError

    async def run() -> None:
        server = Gone()
        middleware = AveAuthMiddleware(app, verifier, required=True, end_expired_streams=True)
        await middleware(http_scope(Request(bearer(token))), server.receive, server.send)
        assert server.sent == [START, chunk("one"), LAST]

    verifier.warm_up()
    anyio.run(run, backend=backend)


# --- until_expired --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [False, True], ids=["by default", "with the option"])
def test_until_expired_returns_at_exp(
    ends: bool,  # noqa: FBT001 - a row
    serve: Serve,
    issuer: FakeIssuer,
    clock: FakeClock,
) -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        live = get_live_connection(scope)
        assert isinstance(live, LiveRequest)
        assert live.identity == get_user_identity(scope)
        assert not live.has_expired
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expire, clock)
            await live.until_expired()
        assert live.has_expired
        assert live.identity is None

    serve(app, issuer.token(exp=NOW + SOON_SECONDS), ends=ends)


def test_until_expired_returns_at_once_after_exp(serve: Serve, clock: FakeClock, token: str) -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        clock.tick(seconds=LIFE_SECONDS)
        await get_live_connection(scope).until_expired()

    serve(app, token, ends=False)


def test_htp_048_until_expired_returns_if_the_clock_fails(serve: Serve, clock: FakeClock, token: str) -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        clock.set_now(float("nan"))
        await get_live_connection(scope).until_expired()

    serve(app, token, ends=False)


@pytest.mark.parametrize("kind", ["anonymous", "good"])
@pytest.mark.parametrize("ends", [False, True], ids=["by default", "with the option"])
def test_until_expired_does_not_outlast_the_response(  # noqa: PLR0913, PLR0917 - two rows and four fixtures
    ends: bool,  # noqa: FBT001 - a row
    kind: str,
    backend: str,
    verifier: Verifier,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_request, "_LONGEST_PAUSE_SECONDS", SOON_SECONDS)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:

            async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
                tasks.start_soon(get_live_connection(scope).until_expired)
                await anyio.wait_all_tasks_blocked()

            server = Server()
            middleware = AveAuthMiddleware(app, verifier, required=False, end_expired_streams=ends)
            headers = bearer(token) if kind == "good" else ()
            with anyio.fail_after(PATIENCE_SECONDS):
                await middleware(http_scope(Request(headers)), server.receive, server.send)

    verifier.warm_up()
    anyio.run(run, backend=backend)


def test_until_expired_returns_when_the_client_has_left(serve: Serve, token: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send, server: Server) -> None:
        await receive()
        await send(START)
        await send(chunk("one"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get_live_connection(scope).until_expired)
            await anyio.wait_all_tasks_blocked()
            server.left.set()
            assert await receive() == LEFT

    serve(app, token)


@pytest.mark.parametrize("thing", [None, {}, {"type": "http"}, {"type": "http", "aveverify.stream": "planted"}])
def test_without_a_middleware_a_request_has_no_end(thing: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_live_connection(thing)

    assert caught.value.problem is Problem.NO_MIDDLEWARE


def test_the_end_of_a_refused_token_is_its_refusal(serve: Serve, issuer: FakeIssuer) -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        with pytest.raises(InvalidTokenError):
            get_live_connection(scope)

    serve(app, issuer.forge("expired"), on_invalid="defer")
