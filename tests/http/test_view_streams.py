"""Streamed responses of Flask and Django, which end with the token of their request where the application chose so."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from flask import Response, send_file

from aveverify import Verifier, asgi
from aveverify._http import ending_chunks
from aveverify._http.ending_chunks import EndingAsyncChunks, StreamEnd
from aveverify._http.policy import make_policy
from aveverify.django import ave_required
from aveverify.flask import AveAuth
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.django_client import MIDDLEWARE, PatientClient, configured
from tests.http.flask_client import new_app
from tests.http.http_fixtures import Request, Server, bearer, http_scope, wsgi_environ

LIFE_SECONDS = 60
# What waits looks again after the rest of the token's life, which a fake clock does not let pass.
SOON_SECONDS = 0.01
PATIENCE_SECONDS = 20


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def token(issuer: FakeIssuer) -> str:
    return issuer.token(sub="ada", exp=NOW + LIFE_SECONDS)


@pytest.fixture
def chunks(clock: FakeClock) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        yield b"two"

    return chunks


@pytest.fixture
def async_chunks(clock: FakeClock) -> Callable[[], AsyncIterator[bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        yield b"two"

    return chunks


def send(app: Any, token: str | None, **members: Any) -> bytes:
    server = Server()
    server.call(app, wsgi_environ(Request(bearer(token) if token is not None else ()), **members))
    return b"".join(server.sent)


# --- Flask ----------------------------------------------------------------------------------------------------------


def flask_app(verifier: Verifier, view: Callable[[], Any], **config: Any) -> Any:
    app = new_app(**config)
    ave = AveAuth(app, verifier)
    app.add_url_rule("/", "view", ave.optional(view))
    return app


@pytest.mark.parametrize(("ends", "body"), [(False, b"onetwo"), (True, b"one")], ids=["by default", "by choice"])
def test_htp_042_a_stream_of_flask(
    ends: bool,  # noqa: FBT001 - a row
    body: bytes,
    verifier: Verifier,
    token: str,
    chunks: Callable[[], Iterator[bytes]],
) -> None:
    app = flask_app(verifier, lambda: Response(chunks()), AVEVERIFY_END_EXPIRED_STREAMS=ends)

    assert send(app, token) == body


def test_htp_042_a_download_of_flask_is_cut_off(
    verifier: Verifier, token: str, chunks: Callable[[], Iterator[bytes]]
) -> None:
    app = flask_app(
        verifier, lambda: Response(chunks(), headers={"Content-Length": "6"}), AVEVERIFY_END_EXPIRED_STREAMS=True
    )

    with pytest.raises(BrokenPipeError):
        send(app, token)


def test_htp_042_a_file_of_flask_is_cut_off(verifier: Verifier, token: str, clock: FakeClock) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            clock.tick(seconds=LIFE_SECONDS / 2)
            return super().read(min(size or 3, 3))

    def view() -> Any:
        response = send_file(Slow(b"onetwothree"), mimetype="text/plain")
        response.content_length = 11
        return response

    app = flask_app(verifier, view, AVEVERIFY_END_EXPIRED_STREAMS=True)

    with pytest.raises(BrokenPipeError):
        send(app, token)


def test_what_flask_sends_at_once_is_not_touched(verifier: Verifier, token: str, clock: FakeClock) -> None:
    def view() -> str:
        clock.tick(seconds=LIFE_SECONDS)
        return "all"

    app = flask_app(verifier, view, AVEVERIFY_END_EXPIRED_STREAMS=True)

    assert send(app, token) == b"all"


def test_a_stream_of_flask_without_a_token_goes_on(verifier: Verifier, chunks: Callable[[], Iterator[bytes]]) -> None:
    app = flask_app(verifier, lambda: Response(chunks()), AVEVERIFY_END_EXPIRED_STREAMS=True)
    app.add_url_rule("/plain", "plain", lambda: Response(chunks()))

    assert send(app, None) == b"onetwo"
    assert send(app, None, PATH_INFO="/plain") == b"onetwo"


# --- Django ---------------------------------------------------------------------------------------------------------


def ask_django(verifier: Verifier, view: Any, token: str | None, *, over: str = "wsgi", **options: Any) -> bytes:
    """Ask a view behind the middleware."""
    settings = configured(verifier, end_expired_streams=True) | {name.upper(): value for name, value in options.items()}
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", view),)):
        if over == "wsgi":
            return send(WSGIHandler(), token)
        client = PatientClient({"type": "http.request", "body": b"", "more_body": False})
        scope = http_scope(Request(bearer(token) if token is not None else ()))

        async def serve() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await cast("asgi.ASGIApp", ASGIHandler())(scope, client.receive, client.send)

        asyncio.run(serve())
        return b"".join(message.get("body", b"") for message in client.sent)


@pytest.mark.parametrize(("ends", "body"), [(False, b"onetwo"), (True, b"one")], ids=["by default", "by choice"])
def test_htp_042_a_stream_of_django(
    ends: bool,  # noqa: FBT001 - a row
    body: bytes,
    verifier: Verifier,
    token: str,
    chunks: Callable[[], Iterator[bytes]],
) -> None:
    def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    assert ask_django(verifier, view, token, end_expired_streams=ends) == body


def test_htp_042_an_asynchronous_stream_of_django(
    verifier: Verifier, token: str, async_chunks: Callable[[], AsyncIterator[bytes]]
) -> None:
    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(async_chunks())

    assert ask_django(verifier, view, token, over="asgi") == b"one"


def test_htp_042_an_idle_stream_of_django_ends_too(issuer: FakeIssuer, verifier: Verifier, clock: FakeClock) -> None:
    closed: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            clock.tick(seconds=LIFE_SECONDS)
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    assert ask_django(verifier, view, issuer.token(exp=NOW + SOON_SECONDS), over="asgi") == b"one"
    assert closed == ["closed"]


def test_htp_048_an_idle_stream_of_django_reads_a_clock_that_is_put_back(
    issuer: FakeIssuer, verifier: Verifier, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_chunks, "_LONGEST_WAIT_SECONDS", SOON_SECONDS)

    async def chunks() -> AsyncIterator[bytes]:
        clock.set_now(NOW - 1e6)
        yield b"one"
        asyncio.get_running_loop().call_later(5 * SOON_SECONDS, clock.set_now, NOW + LIFE_SECONDS)
        await asyncio.Event().wait()

    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    assert ask_django(verifier, view, issuer.token(exp=NOW + LIFE_SECONDS), over="asgi") == b"one"


def test_an_asynchronous_stream_of_django_that_ends_first_is_whole(verifier: Verifier, token: str) -> None:
    class Chunks:
        """An asynchronous iterator that is no generator."""

        def __init__(self) -> None:
            self._left = [b"two", b"one"]

        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> bytes:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(Chunks())

    assert ask_django(verifier, view, token, over="asgi") == b"onetwo"


def test_a_download_of_django_is_cut_off(verifier: Verifier, token: str, chunks: Callable[[], Iterator[bytes]]) -> None:
    """HTP-042."""

    def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks(), headers={"Content-Length": "6"})

    with pytest.raises(BrokenPipeError):
        ask_django(verifier, view, token)


def test_htp_042_an_idle_download_is_cut_off(issuer: FakeIssuer, verifier: Verifier, clock: FakeClock) -> None:
    """What Django's handler for ASGI asks for its chunks."""
    received: list[bytes] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        await asyncio.Event().wait()

    async def read() -> None:
        identity = verifier.verify(issuer.token(exp=NOW + SOON_SECONDS))
        end = StreamEnd(identity, make_policy(verifier, required=True), 6)
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for chunk in EndingAsyncChunks(chunks(), end):
                received.append(chunk)  # noqa: PERF401 - the error that follows must not take them away

    verifier.warm_up()
    with pytest.raises(BrokenPipeError):
        asyncio.run(read())
    assert received == [b"one"]


def test_a_file_of_django_is_read_by_django(verifier: Verifier, token: str) -> None:
    def view(_request: HttpRequest) -> FileResponse:
        return FileResponse(io.BytesIO(b"all"))

    assert ask_django(verifier, view, token) == b"all"


def test_a_decorator_of_django_ends_streams_too(
    verifier: Verifier, token: str, chunks: Callable[[], Iterator[bytes]]
) -> None:
    """HTP-042: once, also behind the middleware."""

    @ave_required
    def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    assert ask_django(verifier, view, token) == b"one"


def test_what_django_sends_at_once_or_without_a_token_is_not_touched(
    verifier: Verifier, token: str, clock: FakeClock, chunks: Callable[[], Iterator[bytes]]
) -> None:
    def late(_request: HttpRequest) -> HttpResponse:
        clock.tick(seconds=LIFE_SECONDS)
        return HttpResponse("all")

    def stream(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    assert ask_django(verifier, late, token) == b"all"
    assert ask_django(verifier, stream, None) == b"onetwo"
