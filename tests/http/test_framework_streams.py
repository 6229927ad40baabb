"""Streamed responses of frameworks, which end with the token of their request where the application chose so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Security
from fastapi import Request as FastAPIRequest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.logging import LoggingConfig
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Route

import aveverify.litestar
import aveverify.starlette
from aveverify import ConfigurationError, Verifier
from aveverify.asgi import AveAuthMiddleware, Message, Receive, Scope, Send, get_live_connection
from aveverify.fastapi import AveAuth
from aveverify.sources import Cookie
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Request, bearer, http_scope

App = Callable[[Scope, Receive, Send], Awaitable[None]]
# Makes the chunks of a response from the request.
Chunks = Callable[[Any], AsyncIterator[bytes]]
Edge = Callable[..., App]

LIFE_SECONDS = 60
# What waits looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01
PATIENCE_SECONDS = 20


def behind_asgi(verifier: Verifier, chunks: Chunks, headers: dict[str, str], **options: Any) -> App:
    async def endpoint(request: Any) -> StreamingResponse:
        return StreamingResponse(chunks(request), headers=headers)

    return AveAuthMiddleware(Starlette(routes=[Route("/", endpoint)]), verifier, required=True, **options)


def starlette_app(verifier: Verifier, chunks: Chunks, headers: dict[str, str], **options: Any) -> App:
    async def endpoint(request: Any) -> StreamingResponse:
        return StreamingResponse(chunks(request), headers=headers)

    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=True, **options)
    return Starlette(routes=[Route("/", endpoint)], middleware=[own])


def around_another(verifier: Verifier, chunks: Chunks, headers: dict[str, str], **options: Any) -> App:
    async def endpoint(request: Any) -> StreamingResponse:
        return StreamingResponse(chunks(request), headers=headers)

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=True, **options)
    another = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return Starlette(routes=[Route("/", endpoint)], middleware=[own, another])


def fastapi_app(verifier: Verifier, chunks: Chunks, headers: dict[str, str], **options: Any) -> App:
    app, ave = FastAPI(), AveAuth(verifier)
    ave.install(app, **options)

    @app.get("/", dependencies=[Security(ave)])
    async def endpoint(request: FastAPIRequest) -> StreamingResponse:
        return StreamingResponse(chunks(request), headers=headers)

    return app


def litestar_app(verifier: Verifier, chunks: Chunks, headers: dict[str, str], **options: Any) -> App:
    @litestar_get("/")
    async def endpoint(request: LitestarRequest[Any, Any, Any]) -> Stream:
        return Stream(chunks(request), headers=headers)

    plugin = aveverify.litestar.AveAuthPlugin(verifier, required=True, **options)
    logs = LoggingConfig(log_exceptions="always", configure_root_logger=False, loggers={})
    return Litestar([endpoint], plugins=[plugin], logging_config=logs)  # type: ignore[return-value]


EDGES: dict[str, Edge] = {
    "asgi": behind_asgi,
    "starlette": starlette_app,
    "starlette around another middleware": around_another,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
}


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> Edge:
    return EDGES[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


class Sent:
    """What a server was sent."""

    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False
        self.has_begun = anyio.Event()
        self.has_ended = anyio.Event()
        self._requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self.has_ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            assert not self.is_complete
            self.body += message.get("body", b"")
            if self.body:
                self.has_begun.set()
            if not message.get("more_body", False):
                self.is_complete = True
                self.has_ended.set()


def serve(app: App, token: str, *headers: tuple[str, str], spec_version: str = "2.3") -> Sent:
    """Serve one request; the application finds what was sent in the scope."""
    kept: list[Sent] = []

    async def run() -> None:
        kept.append(sent := Sent())
        asgi = {"version": "3.0", "spec_version": spec_version}
        scope = http_scope(Request((*bearer(token), *headers)), asgi=asgi, sent=sent)
        with anyio.fail_after(PATIENCE_SECONDS):
            await app(scope, sent.receive, sent.send)

    anyio.run(run)
    return kept[0]


def ticking(clock: FakeClock, *, idles: bool = False) -> Chunks:
    async def chunks(request: Any) -> AsyncIterator[bytes]:
        live = get_live_connection(request)
        assert not live.has_expired
        yield b"one"
        await request.scope["sent"].has_begun.wait()
        clock.tick(seconds=LIFE_SECONDS)
        if idles:
            await anyio.sleep_forever()
        yield b"two"
        assert live.has_expired

    return chunks


# In the newer version, nothing tells an idle application of Starlette that its client has left.
@pytest.mark.parametrize(
    ("idles", "spec_version"),
    [
        pytest.param(False, "2.3", id="sends on, a message"),
        pytest.param(False, "2.4", id="sends on, an error"),
        pytest.param(True, "2.3", id="idle, a message"),
    ],
)
def test_htp_042_a_stream_ends_with_its_token(  # noqa: PLR0913, PLR0917 - two rows and four fixtures
    idles: bool,  # noqa: FBT001 - a row
    spec_version: str,
    edge: Edge,
    issuer: FakeIssuer,
    verifier: Verifier,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the version of ASGI, Starlette learns of a client that left by a message or by an error of `send`."""
    app = edge(verifier, ticking(clock, idles=idles), {}, end_expired_streams=True)

    sent = serve(app, issuer.token(exp=NOW + SOON_SECONDS), spec_version=spec_version)

    assert (sent.body, sent.is_complete) == (b"one", True)
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_htp_042_a_download_is_cut_off(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = edge(verifier, ticking(clock), {"Content-Length": "6"}, end_expired_streams=True)

    sent = serve(app, issuer.token(exp=NOW + LIFE_SECONDS))

    assert (sent.body, sent.is_complete) == (b"one", False)
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_htp_042_by_default_a_stream_goes_on(
    edge: Edge, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    sent = serve(edge(verifier, ticking(clock), {}), issuer.token(exp=NOW + LIFE_SECONDS))

    assert (sent.body, sent.is_complete) == (b"onetwo", True)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["the earlier first", "the later first"])
def test_htp_042_with_install_the_first_of_several_tokens_ends_a_stream(
    order: tuple[int, int], issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
) -> None:
    """Two dependencies read a token of their own each."""
    cookie = Cookie("session", allowed_origins=["https://app.test"])
    app, ave, other = FastAPI(), AveAuth(verifier), AveAuth(verifier, token_sources=[cookie], scheme_name="other")
    ave.install(app, end_expired_streams=True)

    @app.get("/", dependencies=[Security(ave), Security(other)])
    async def endpoint(request: FastAPIRequest) -> StreamingResponse:
        live = get_live_connection(request)
        assert live.identity is not None
        return StreamingResponse(ticking(clock)(request))

    first, second = (issuer.token(sub="ada", exp=NOW + lives * LIFE_SECONDS) for lives in order)

    sent = serve(app, first, ("Cookie", f"session={second}"), ("Origin", "https://app.test"))
    assert (sent.body, sent.is_complete) == (b"one", True)


def test_with_install_a_stream_without_a_token_goes_on(verifier: Verifier, clock: FakeClock) -> None:
    app, ave = FastAPI(), AveAuth(verifier)
    ave.install(app, end_expired_streams=True)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        clock.tick(seconds=86400)
        yield b"two"

    @app.get("/")
    async def endpoint(request: FastAPIRequest) -> StreamingResponse:
        assert get_live_connection(request).identity is None
        return StreamingResponse(chunks())

    assert serve(app, "").body == b"onetwo"


def test_the_option_of_install_is_checked(verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError):
        AveAuth(verifier).install(FastAPI(), end_expired_streams="yes")  # type: ignore[arg-type]
