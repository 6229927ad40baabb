"""Responses over WSGI that go on after their token has expired: by default they do, and by choice they end."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from aveverify import Verifier, current_identity
from aveverify.testing import FakeClock, FakeIssuer
from aveverify.wsgi import AveAuthMiddleware
from tests.conftest import NOW
from tests.http.http_fixtures import Request, Server, bearer, wsgi_environ

LIFE_SECONDS = 60
PLAIN = [("content-type", "text/plain")]


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
def serve(verifier: Verifier) -> Callable[..., list[bytes]]:
    """Serve one request; return what the server has sent."""

    def serve(
        chunks: Any, token: str | None, *, headers: Any = PLAIN, ends: bool = True, **members: Any
    ) -> list[bytes]:
        def app(_environ: Any, start_response: Any) -> Iterable[bytes]:
            write = start_response("200 OK", list(headers))
            found: Iterable[bytes] = chunks(write)
            return found

        server = Server()
        middleware = AveAuthMiddleware(app, verifier, required=False, end_expired_streams=ends)
        environ = wsgi_environ(Request(bearer(token) if token is not None else ()), **members)
        try:
            server.call(middleware, environ)
        finally:
            server.sent.append(b"")
        return server.sent[:-1]

    return serve


Serve = Callable[..., list[bytes]]


@pytest.mark.parametrize(
    ("rest_seconds", "sent"),
    [
        pytest.param(1, [b"one", b"two"], id="just before exp"),
        pytest.param(0, [b"one"], id="at exp"),
        pytest.param(-1, [b"one"], id="after"),
    ],
)
def test_htp_042_from_exp_on_no_chunk_is_sent(
    serve: Serve, clock: FakeClock, token: str, rest_seconds: int, sent: list[bytes]
) -> None:
    closed: list[str] = []

    def chunks(_write: object) -> Iterator[bytes]:
        try:
            yield b"one"
            clock.tick(seconds=LIFE_SECONDS - rest_seconds)
            assert current_identity.get() is not None
            yield b"two"
        finally:
            closed.append("closed")

    assert serve(chunks, token) == sent
    assert closed == ["closed"]


def test_htp_042_by_default_a_stream_goes_on(serve: Serve, clock: FakeClock, token: str) -> None:
    def chunks(_write: object) -> Iterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        yield b"two"

    assert serve(chunks, token, ends=False) == [b"one", b"two"]


def test_a_stream_without_a_token_goes_on(serve: Serve, clock: FakeClock) -> None:
    def chunks(_write: object) -> Iterator[bytes]:
        yield b"one"
        clock.tick(seconds=86400)
        yield b"two"

    assert serve(chunks, None) == [b"one", b"two"]


def test_htp_042_a_response_with_a_length_is_cut_off(serve: Serve, clock: FakeClock, token: str) -> None:
    """The server must close the connection: the client would take what follows for the rest."""

    def chunks(_write: object) -> Iterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        yield b"two"

    with pytest.raises(BrokenPipeError):
        serve(chunks, token, headers=[*PLAIN, ("Content-Length", "6")])


@pytest.mark.parametrize("length", ["", "six", "٦", "-6", "6 "])
def test_a_length_that_is_no_number_is_none(length: str, serve: Serve, clock: FakeClock, token: str) -> None:
    def chunks(_write: object) -> Iterator[bytes]:
        yield b"one"
        clock.tick(seconds=LIFE_SECONDS)
        yield b"two"

    assert serve(chunks, token, headers=[*PLAIN, ("Content-Length", length)]) == [b"one"]


def test_a_response_that_is_sent_at_once_is_not_touched(serve: Serve, clock: FakeClock, token: str) -> None:
    """The token was good when the request came: a list, and one chunk that is all that Content-Length promises."""

    def late(_write: object) -> Iterator[bytes]:
        clock.tick(seconds=LIFE_SECONDS)
        yield b"all"

    def listed(_write: object) -> list[bytes]:
        clock.tick(seconds=LIFE_SECONDS)
        return [b"a", b"ll"]

    assert serve(late, token, headers=[*PLAIN, ("Content-Length", "3")]) == [b"all"]
    clock.set_now(NOW)
    assert serve(listed, token) == [b"a", b"ll"]


def test_a_first_chunk_that_comes_after_exp_is_not_sent(serve: Serve, clock: FakeClock, token: str) -> None:
    def chunks(_write: object) -> Iterator[bytes]:
        clock.tick(seconds=LIFE_SECONDS)
        yield b"one"

    assert serve(chunks, token) == []


def test_a_file_is_read_here(serve: Serve, clock: FakeClock, token: str) -> None:
    """A server that sends it by itself could not stop."""
    given: list[object] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            clock.tick(seconds=LIFE_SECONDS / 2)
            return super().read(size)

    file = Slow(b"one" * 3)
    sent = serve(lambda _write: FileWrapper(file, 3), token, **{"wsgi.file_wrapper": FileWrapper})

    assert sent == [b"one"]
    assert file.closed
    assert given == []


@pytest.mark.parametrize("length", [None, "6"], ids=["without a length", "with one"])
def test_what_is_written_after_exp_is_an_error(length: str | None, serve: Serve, clock: FakeClock, token: str) -> None:
    def chunks(write: Callable[[bytes], object]) -> list[bytes]:
        write(b"one")
        clock.tick(seconds=LIFE_SECONDS)
        write(b"two")
        return []

    with pytest.raises(ConnectionError):
        serve(chunks, token, headers=[*PLAIN, *([("Content-Length", length)] if length else [])])


def test_htp_048_a_clock_that_fails_ends_a_stream_for_good(
    serve: Serve, clock: FakeClock, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aveverify.http")
    written: list[str] = []

    def chunks(write: Callable[[bytes], object]) -> Iterator[bytes]:
        yield b"one"
        clock.set_now(float("nan"))
        for _ in range(2):
            try:
                write(b"two")
            except ConnectionError as error:
                written.append(str(error))
            clock.set_now(NOW)
        yield b"three"

    assert serve(chunks, token) == [b"one"]
    assert len(written) == 2
    logged = [message for name, _, message in caplog.record_tuples if name == "aveverify.http"]
    assert ["CLOCK_UNUSABLE" in message for message in logged] == [True]


def test_a_stream_that_ends_keeps_to_pep_3333(verifier: Verifier, clock: FakeClock, token: str) -> None:
    """Python's own validator watches both sides."""

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)

        def chunks() -> Iterator[bytes]:
            yield b"one"
            clock.tick(seconds=LIFE_SECONDS)
            yield b"two"

        return chunks()

    server = Server()
    middleware = AveAuthMiddleware(validator(app), verifier, required=True, end_expired_streams=True)
    server.call(validator(middleware), wsgi_environ(Request(bearer(token))))

    assert server.sent == [b"one"]
