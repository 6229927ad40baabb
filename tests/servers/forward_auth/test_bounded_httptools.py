"""The bound itself, to the byte, without a network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httptools", reason="NOT TESTED HERE: httptools is not installed")

import uvicorn
from uvicorn.server import ServerState

from aveverify.cli.serve.bounded_httptools import BoundedHttpToolsProtocol
from aveverify.cli.serve.settings import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aveverify.asgi import Receive, Scope, Send


class Wire(asyncio.Transport):
    """Keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = 0

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed += 1

    def is_closing(self) -> bool:
        return self.closed > 0

    def pause_reading(self) -> None:
        """Never needed: nothing comes that a test does not send."""

    def resume_reading(self) -> None:
        """As above."""


async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serve(pieces: Iterable[bytes]) -> tuple[list[int], bool]:
    """Send pieces over one connection; return the statuses of the answers, and whether it was closed."""

    async def scenario() -> tuple[bytes, bool]:
        config = uvicorn.Config(answer, http=BoundedHttpToolsProtocol, ws="none", lifespan="off", log_config=None)
        config.load()
        protocol, wire = BoundedHttpToolsProtocol(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            if not wire.closed:
                protocol.data_received(piece)
                for _ in range(10):
                    await asyncio.sleep(0)
        found = wire.written, wire.is_closing()
        protocol.connection_lost(None)
        return found

    written, closed = asyncio.run(scenario())
    return [int(part[:3]) for part in written.split(b"HTTP/1.1 ")[1:]], closed


def head(length: int) -> bytes:
    """A request whose address and headers have so many bytes, as the bound counts them."""
    shortest = len("/" + "host" + "x" + "x")
    return b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (length - shortest) + b"\r\n\r\n"


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("length", "statuses"), [(MAX_HEAD_BYTES - 1, [200]), (MAX_HEAD_BYTES, [200]), (MAX_HEAD_BYTES + 1, [400])]
)
def test_htp_047_a_head_that_comes_at_once_is_as_long_as_the_bound(length: int, statuses: list[int]) -> None:
    found, closed = serve([head(length)])

    assert found == statuses
    assert closed is (statuses == [400])


@pytest.mark.parametrize(("more", "statuses"), [(-1, []), (0, []), (1, [400])])
def test_htp_047_a_head_that_drips_ends_with_the_byte_beyond_the_bound(more: int, statuses: list[int]) -> None:
    begun = head(2 * MAX_HEAD_BYTES)[: MAX_HEAD_BYTES + more]

    assert serve(in_pieces(begun, 1000))[0] == statuses


def test_htp_047_every_head_of_a_connection_is_measured() -> None:
    assert serve([head(60_000), head(60_000), head(60_000)])[0] == [200, 200, 200]
    assert serve([head(100), head(MAX_HEAD_BYTES + 1)])[0] == [200, 400]
    # In one read with another request before it, whose answer comes too late.
    assert serve([head(100) + head(MAX_HEAD_BYTES + 1)])[0][0] == 400


def test_htp_047_a_body_is_no_head() -> None:
    body = b"x" * 500_000
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
    chunk = b"186A0\r\n" + b"x" * 100_000 + b"\r\n"
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5 + b"0\r\n\r\n"

    assert serve([*in_pieces(post + body, 7000), *in_pieces(chunked, 7000), head(100)])[0] == [200, 200, 200]


def test_htp_047_what_comes_behind_a_body_is_measured_too() -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"

    assert serve([begun, *in_pieces(b"X: " + b"a" * 200_000, 1000)])[0] == [400]
