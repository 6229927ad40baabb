"""WebSockets that live on after they were accepted: they end with their token, and a new token extends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aveverify import (
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    Identity,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
    get_user_identity,
)
from aveverify.asgi import AveAuthMiddleware, LiveConnection, Message, Receive, Scope, Send, get_live_connection
from aveverify.errors import Problem
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Client, bearer, http_scope, websocket_scope

Talk = Callable[[Scope, LiveConnection, Send], Awaitable[None]]
CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
TEXT: Message = {"type": "websocket.send", "text": "hello"}
EXPIRED: Message = {"type": "websocket.close", "code": 3000, "reason": "the token has expired"}
# The watcher looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


def soon(issuer: FakeIssuer, **claims: Any) -> str:
    """A token that is good for a moment."""
    return issuer.token({"exp": issuer.clock.now() + SOON_SECONDS, **claims})


def converse(verifier: Verifier, token: str | None, talk: Talk, **options: Any) -> Client:
    """Accept a WebSocket, say something, and return what the server was sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == CONNECT
        await send(ACCEPT)
        await talk(scope, get_live_connection(scope), send)

    client = Client(CONNECT)
    headers = bearer(token) if token is not None else ()
    client.call(AveAuthMiddleware(app, verifier, required=False, **options), websocket_scope(headers))
    return client


async def talk_on(send: Send) -> None:
    """Go on talking, whatever happens; the test's own limit of time ends talk without an end."""
    while True:
        await send(TEXT)
        await asyncio.sleep(SOON_SECONDS)


@pytest.mark.parametrize(
    ("rest_seconds", "ends"),
    [
        pytest.param(1, False, id="just before exp"),
        pytest.param(0, True, id="at exp"),
        pytest.param(-1, True, id="after"),
    ],
)
def test_a_connection_is_closed_at_the_expiry_of_its_token(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, *, rest_seconds: int, ends: bool
) -> None:
    """HTP-030; CJ-29: at exp, without leeway."""
    token = issuer.token(exp=int(clock.now()) + 60)
    refused: list[type[BaseException]] = []

    async def talk(_scope: Scope, live: LiveConnection, send: Send) -> None:
        clock.tick(seconds=60 - rest_seconds)
        if ends:
            await live.until_expired()
        try:
            await send(TEXT)
        except OSError as error:
            refused.append(type(error))

    client = converse(verifier, token, talk, close_expired=False)

    assert client.sent == [ACCEPT, EXPIRED if ends else TEXT]
    assert refused == ([ConnectionError] if ends else [])


def test_the_middleware_sees_to_it_without_being_asked(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    async def talk(_scope: Scope, _live: LiveConnection, send: Send) -> None:
        clock.tick(seconds=1)
        with pytest.raises(ConnectionError):
            await talk_on(send)

    sent = converse(verifier, soon(issuer), talk).sent

    assert sent[0] == ACCEPT
    assert sent[-1] == EXPIRED


def test_a_connection_whose_end_is_left_to_the_application_goes_on(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    async def talk(_scope: Scope, _live: LiveConnection, send: Send) -> None:
        clock.tick(seconds=3600)
        await asyncio.sleep(2 * SOON_SECONDS)
        await send(TEXT)

    assert converse(verifier, soon(issuer), talk, close_expired=False).sent == [ACCEPT, TEXT]


def test_a_new_token_extends_a_connection(issuer: FakeIssuer, verifier: Verifier, clock: FakeClock) -> None:
    seen: list[Any] = []

    async def talk(scope: Scope, live: LiveConnection, send: Send) -> None:
        identity = await live.reauthenticate(issuer.token(email="later@example.com"))
        seen.extend([identity, get_user_identity(scope), live.identity])
        clock.tick(seconds=60)
        await asyncio.sleep(2 * SOON_SECONDS)
        await send(TEXT)

    assert converse(verifier, soon(issuer), talk).sent == [ACCEPT, TEXT]
    assert {identity.email for identity in seen} == {"later@example.com"}


def test_a_new_token_that_ends_earlier_ends_the_connection_earlier(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    async def talk(_scope: Scope, live: LiveConnection, send: Send) -> None:
        await live.reauthenticate(soon(issuer).encode())
        clock.tick(seconds=1)
        with pytest.raises(ConnectionError):
            await talk_on(send)

    client = converse(verifier, issuer.token(), talk)

    assert client.sent[-1] == EXPIRED


def test_whoever_was_anonymous_may_become_a_user(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-029: the token in the first message."""
    seen: list[Any] = []

    async def talk(scope: Scope, live: LiveConnection, _send: Send) -> None:
        # The watch begins, and finds no token that could expire.
        await asyncio.sleep(0)
        seen.append(get_user_identity(scope))
        await live.reauthenticate(issuer.token(sub="ada"))
        identity = get_user_identity(scope)
        assert identity is not None
        seen.append(identity.subject)

    converse(verifier, None, talk)

    assert seen == [None, "ada"]


def test_a_change_of_user_is_explicit(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-030."""
    seen: list[Any] = []

    async def talk(scope: Scope, live: LiveConnection, _send: Send) -> None:
        grace = issuer.token(sub="grace")
        with pytest.raises(InvalidTokenError) as caught:
            await live.reauthenticate(grace)
        seen.extend([caught.value.reason, get_user_identity(scope)])
        seen.append(await live.reauthenticate(grace, allow_other_user=True))

    converse(verifier, issuer.token(sub="ada"), talk)

    assert seen[0] is Reason.OTHER_USER
    assert [identity.subject for identity in seen[1:]] == ["ada", "grace"]


def test_sec_08_two_users_whose_token_identifiers_read_alike_are_not_the_same_user(clock: FakeClock) -> None:
    """Issuer and subject are compared, not `issuer|subject`: a path of an issuer may hold the separator."""
    issuers = [FakeIssuer("https://idp.example/x", clock=clock), FakeIssuer("https://idp.example/x|y", clock=clock)]
    ada, mallory = issuers[0].token(sub="y|ada"), issuers[1].token(sub="ada")
    seen: list[Any] = []

    class BothIssuers:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            return issuers["y" in request.url].fetch(request)

    async def talk(_scope: Scope, live: LiveConnection, _send: Send) -> None:
        with pytest.raises(InvalidTokenError) as caught:
            await live.reauthenticate(mallory)
        seen.extend([caught.value.reason, live.identity])

    providers = [Provider(issuer=each.issuer, application_id=each.application_id) for each in issuers]
    with Verifier(*providers, clock=clock, fetcher=BothIssuers()) as verifier:
        converse(verifier, ada, talk)

        assert verifier.verify(ada).token_identifier == verifier.verify(mallory).token_identifier
        assert seen == [Reason.OTHER_USER, verifier.verify(ada)]


def test_a_new_token_that_is_refused_changes_nothing(issuer: FakeIssuer, verifier: Verifier) -> None:
    async def talk(scope: Scope, live: LiveConnection, send: Send) -> None:
        before = live.identity
        with pytest.raises(InvalidTokenError):
            await live.reauthenticate(issuer.forge("expired"))
        issuer.rotate(keep_old=False)
        issuer.go_down()
        with pytest.raises(KeysUnavailableError):
            await live.reauthenticate(issuer.token())
        assert get_user_identity(scope) is live.identity is before
        await send(TEXT)

    assert converse(verifier, issuer.token(), talk).sent == [ACCEPT, TEXT]


def test_of_two_new_tokens_at_once_none_changes_the_user_unsaid(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-030: while the application looks for its user, another token may make it another user's connection."""
    users: list[str] = []

    async def talk(scope: Scope, live: LiveConnection, _send: Send) -> None:
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def follow(identity: Identity) -> Callable[[], None]:
            if identity.subject == "ada":
                has_begun.set()
                await may_end.wait()
            return lambda: users.append(identity.subject)

        live.on_new_user(follow)
        slow = asyncio.create_task(live.reauthenticate(issuer.token(sub="ada")))
        await has_begun.wait()
        await live.reauthenticate(issuer.token(sub="grace"), allow_other_user=True)
        may_end.set()
        with pytest.raises(InvalidTokenError) as caught:
            await slow
        assert caught.value.reason is Reason.OTHER_USER
        identity = get_user_identity(scope)
        assert identity is not None
        users.append(identity.subject)

    converse(verifier, issuer.token(sub="ada"), talk)

    assert users == ["grace", "grace"]


def test_a_connection_that_ends_while_a_user_is_looked_for_gets_none(issuer: FakeIssuer, verifier: Verifier) -> None:
    async def talk(_scope: Scope, live: LiveConnection, send: Send) -> None:
        async def follow(_identity: Identity) -> Callable[[], None]:
            await send({"type": "websocket.close", "code": 1000})
            return lambda: pytest.fail("made known after the end")

        live.on_new_user(follow)
        with pytest.raises(ConfigurationError) as caught:
            await live.reauthenticate(issuer.token(sub="ada"))
        assert caught.value.problem is Problem.CLOSED

    converse(verifier, issuer.token(sub="ada"), talk)


def test_a_connection_that_is_over_takes_no_token(issuer: FakeIssuer, verifier: Verifier) -> None:
    kept: list[LiveConnection] = []

    async def talk(_scope: Scope, live: LiveConnection, send: Send) -> None:
        kept.append(live)
        await send({"type": "websocket.close", "code": 1000})
        with pytest.raises(ConfigurationError) as caught:
            await live.reauthenticate(issuer.token())
        assert caught.value.problem is Problem.CLOSED
        await live.until_expired()

    client = converse(verifier, issuer.token(), talk)

    assert client.sent == [ACCEPT, {"type": "websocket.close", "code": 1000}]


def test_the_watch_ends_with_the_application(issuer: FakeIssuer, verifier: Verifier) -> None:
    tasks: list[int] = []

    async def serve() -> None:
        async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            tasks.append(len(asyncio.all_tasks()))

        client = Client(CONNECT)
        middleware = AveAuthMiddleware(app, verifier, required=False)
        await middleware(websocket_scope(bearer(issuer.token())), client.receive, client.send)
        await asyncio.sleep(0)
        tasks.append(len(asyncio.all_tasks()))

    asyncio.run(serve())

    assert tasks == [2, 1]


@pytest.mark.parametrize(
    "thing", [None, object(), {}, {"aveverify.live": "planted"}], ids=["None", "object", "empty", "planted"]
)
def test_without_middleware_there_is_no_live_connection(thing: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_live_connection(thing)

    assert caught.value.problem is Problem.NO_MIDDLEWARE


def test_a_planted_connection_is_none(verifier: Verifier) -> None:
    """HTP-010: nothing that another program wrote into the scope says who somebody is."""
    seen: list[Any] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(get_user_identity(scope))

    Client().call(
        AveAuthMiddleware(app, verifier, required=False), http_scope() | {"aveverify.live": {"identity": "ada"}}
    )

    assert seen == [None]
