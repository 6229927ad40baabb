"""Streamed responses behind real servers, which end with their token (HTP-042)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection, IncompleteRead
from typing import NamedTuple

import pytest

from aveverify.testing import FakeIssuer
from tests.servers.http.servers import STREAM_SERVERS, Running, run_server
from tests.servers.websocket_client import authorization

# Real time passes here, so these tests do not run beside each other.
pytestmark = pytest.mark.xdist_group("websockets")

# A token must live longer than a request takes on a busy machine, and short enough for a test to wait.
SHORT_SECONDS = 3
PATIENCE_SECONDS = 20


class Ending(NamedTuple):
    """What a client has received.

    Attributes:
        body: All of it.
        is_complete: Whether the response says that this is all.
        rest_seconds: How long after `exp` it ended.
    """

    body: bytes
    is_complete: bool
    rest_seconds: float


@pytest.fixture(scope="module", params=list(STREAM_SERVERS))
def running(
    request: pytest.FixtureRequest, live_issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    name: str = request.param
    with run_server(name, STREAM_SERVERS[name], live_issuer.issuer, tmp_path_factory.mktemp(name)) as running:
        yield running


def read_stream(running: Running, issuer: FakeIssuer, path: str) -> Ending:
    expires_at = int(time.time()) + SHORT_SECONDS
    connection = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", path, headers=authorization(issuer.token(sub="ada", exp=expires_at)))
    response = connection.getresponse()
    assert response.status == 200
    try:
        body, is_complete = response.read(), True
    except IncompleteRead as error:
        body, is_complete = error.partial, False
    connection.close()
    return Ending(body, is_complete, time.time() - expires_at)


class AtExpiry(NamedTuple):
    """What each client received; they wait for it at the same time, where the server serves several."""

    news: Future[Ending]
    idle: Future[Ending]
    download: Future[Ending]


@pytest.fixture(scope="module")
def at_expiry(running: Running, live_issuer: FakeIssuer) -> Iterator[AtExpiry]:
    workers = 1 if running.name == "gunicorn-sync" else 3
    with ThreadPoolExecutor(workers) as pool:
        yield AtExpiry(*(pool.submit(read_stream, running, live_issuer, f"/{path}") for path in AtExpiry._fields))


def test_htp_042_a_stream_is_completed_at_exp(at_expiry: AtExpiry) -> None:
    ending = at_expiry.news.result()

    assert ending.is_complete
    assert set(ending.body.split(b"\n\n")) == {b"data: news", b""}
    assert 0 <= ending.rest_seconds < PATIENCE_SECONDS


def test_htp_042_an_idle_stream_is_completed_at_exp(running: Running, at_expiry: AtExpiry) -> None:
    """Over WSGI nothing interrupts what is idle, so this one sends on there."""
    ending = at_expiry.idle.result()

    assert ending.is_complete
    assert "gunicorn" in running.name or running.name == "waitress" or ending.body == b"data: news\n\n"
    assert 0 <= ending.rest_seconds < PATIENCE_SECONDS


def test_htp_042_a_download_is_incomplete(running: Running, at_expiry: AtExpiry) -> None:
    """Waitress alone has no quiet way to say so."""
    ending = at_expiry.download.result()

    assert not ending.is_complete
    assert ending.body.startswith(b"data: news")
    assert 0 <= ending.rest_seconds < PATIENCE_SECONDS
    assert "Traceback" not in running.program.output or running.name == "waitress"
