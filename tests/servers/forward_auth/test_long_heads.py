"""A head that does not end, against a real `aveverify serve` with each parser: refused, and memory stays flat."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

import pytest

from aveverify.cli.serve.server import _choose_protocol
from aveverify.cli.serve.settings import MAX_HEAD_BYTES
from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer
from tests.processes import free_port, python, running
from tests.raw_http import Answer, ask, bearer, exchange, request

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
# What one read of asyncio takes at once, and what lies in the buffers of both sockets.
_MOST_SENT = 16 * MEBIBYTE
_MOST_GROWN = 4 * MEBIBYTE
_PIECE = b"a" * (64 * KIBIBYTE)
_ENDLESS = 64 * MEBIBYTE // len(_PIECE)


class Service(NamedTuple):
    """A process that serves.

    Attributes:
        port: Where.
        process: Its number.
        token: Is accepted.
    """

    port: int
    process: int
    token: str

    @property
    def resident_bytes(self) -> int:
        """What it holds in memory."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="utf-8")
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * KIBIBYTE


@pytest.fixture(scope="module", params=["httptools", "h11"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("serve")
    environment = {}
    if request.param == "h11":
        # Stands before the installed one, and cannot be imported.
        (folder / "httptools.py").write_text("raise ImportError\n", encoding="utf-8")
        environment = {"PYTHONPATH": str(folder)}
    else:
        pytest.importorskip("httptools", reason="NOT TESTED HERE: httptools is not installed")
    if not Path("/proc/self/status").exists():
        pytest.skip("NOT TESTED HERE: no /proc")
    issuer, port = FakeIssuer(clock=SystemClock()), free_port()
    with issuer.serve():
        trust = ("--issuer", issuer.issuer, "--application-id", issuer.application_id)
        command = python("aveverify", "serve", *trust, "--bind", f"127.0.0.1:{port}", "--admin-port", "off")
        with running(command, folder / "log", environment) as program:
            program.wait_for_port(port)
            service = Service(port, program.process.pid, issuer.token())
            assert ask(port, bearer(service.token), target=b"/auth").status == 200
            yield service


HEAD = b"GET /auth HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY = b"".join(b"X-%d: a\r\n" % number for number in range(8 * KIBIBYTE))


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        pytest.param(HEAD + b"X: ", _PIECE, id="a value"),
        pytest.param(HEAD, _PIECE, id="a name"),
        pytest.param(HEAD, MANY, id="many headers"),
        pytest.param(b"GET /", _PIECE, id="an address"),
        pytest.param(b"", _PIECE, id="a method"),
        pytest.param(HEAD + b"Authorization: Bearer ", _PIECE, id="a token"),
        pytest.param(CHUNKED + b"0\r\nX: ", _PIECE, id="a value behind the body"),
        pytest.param(CHUNKED + b"0\r\n", MANY, id="many headers behind the body"),
        pytest.param(CHUNKED + b"5;a=", _PIECE, id="an extension of a chunk"),
        pytest.param(CHUNKED, b"0" * len(_PIECE), id="a length of a chunk"),
        pytest.param(HEAD + b"\r\n" + HEAD + b"X: ", _PIECE, id="of a second request"),
    ],
)
def test_htp_047_a_head_that_does_not_end_is_refused_and_leaves_memory_flat(
    service: Service, begin: bytes, piece: bytes
) -> None:
    before = service.resident_bytes
    sent, most, ended = 0, before, False
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        for data in chain((begin,), repeat(piece, _ENDLESS)):
            try:
                connection.sendall(data)
            except (ConnectionError, TimeoutError):
                ended = True
                break
            sent += len(data)
            most = max(most, service.resident_bytes)

    assert ended
    assert sent < _MOST_SENT
    assert most - before < _MOST_GROWN
    # And it goes on serving.
    assert ask(service.port, bearer(service.token), target=b"/auth").status == 200


def padded(length: int) -> bytes:
    """A header line that makes a head about so long."""
    return b"X-Padding: " + b"a" * length


@pytest.mark.parametrize(("length", "statuses"), [(48 * KIBIBYTE, {200}), (400 * KIBIBYTE, {400, 0})])
def test_htp_047_a_long_head_passes_and_one_beyond_the_bound_does_not(
    service: Service, length: int, statuses: set[int]
) -> None:
    try:
        answer = ask(service.port, padded(length), bearer(service.token), target=b"/auth")
    except ConnectionError:
        answer = Answer(0)

    assert answer.status in statuses


def test_htp_047_requests_with_bodies_and_pauses_go_on(service: Service) -> None:
    body = b"x" * (300 * KIBIBYTE)
    head = request(
        b"Content-Length: %d" % len(body), bearer(service.token), padded(30 * KIBIBYTE), method=b"POST", target=b"/auth"
    )

    answers = exchange(service.port, *[head + body] * 4)

    assert [answer.status for answer in answers] == [200] * 4


def test_htp_047_both_parsers_have_one_bound() -> None:
    assert MAX_HEAD_BYTES == 64 * KIBIBYTE


@pytest.mark.parametrize("missing", ["httptools", "uvicorn.protocols.http.httptools_impl"])
def test_htp_047_without_httptools_h11_reads(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    import sys  # noqa: PLC0415 - for this test alone

    monkeypatch.delitem(sys.modules, "aveverify.cli.serve.bounded_httptools")
    monkeypatch.delitem(sys.modules, "uvicorn.protocols.http.httptools_impl", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)

    assert _choose_protocol() == "h11"
