"""WebSockets behind real servers, with a client of another project."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from aveverify.testing import FakeIssuer
from tests import raw_http
from tests.servers.http.servers import WEBSOCKET_SERVERS, Running, run_server
from tests.servers.websocket_client import authorization, open_websocket

if TYPE_CHECKING:
    from websockets.frames import Close

# Real time passes here, so these tests do not run beside each other.
pytestmark = pytest.mark.xdist_group("websockets")

PATH = "/live"
# A token must live longer than a handshake takes on a busy machine, and short enough for a test to wait.
SHORT_SECONDS = 3


@pytest.fixture(scope="module", params=list(WEBSOCKET_SERVERS))
def running(
    request: pytest.FixtureRequest, live_issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    name: str = request.param
    with run_server(name, WEBSOCKET_SERVERS[name], live_issuer.issuer, tmp_path_factory.mktemp(name)) as running:
        yield running


def open_with_header(running: Running, token: str) -> ClientConnection:
    return open_websocket(running.port, PATH, headers=authorization(token))


def test_a_token_in_the_header_opens_it(running: Running, live_issuer: FakeIssuer) -> None:
    """HTP-029."""
    with open_with_header(running, live_issuer.token(sub="ada")) as websocket:
        assert websocket.recv() == "hello ada, seen "
        assert websocket.subprotocol is None


@pytest.mark.parametrize("others", [(), ("chat",)], ids=["alone", "with another"])
def test_a_token_among_the_protocols_opens_it_and_is_hidden_from_the_application(
    running: Running, live_issuer: FakeIssuer, others: tuple[str, ...]
) -> None:
    """HTP-029: the answer names `bearer`, because a browser gives up without an answer to its offer."""
    token = live_issuer.token(sub="ada")

    with open_websocket(running.port, PATH, subprotocols=("bearer", token, *others)) as websocket:
        hello = websocket.recv()
        assert websocket.subprotocol == "bearer"

    assert hello == f"hello ada, seen {','.join(others + others)}"
    assert token not in running.program.output


def test_a_token_in_the_query_opens_it_and_is_neither_seen_nor_logged(
    running: Running, live_issuer: FakeIssuer
) -> None:
    """HTP-033, ERR-002: by choice only, and out of the access log."""
    token = live_issuer.token(sub="ada")

    with open_websocket(running.port, f"{PATH}?room=1&access_token={token}") as websocket:
        assert websocket.recv() == "hello ada, seen room=1"

    running.program.wait_for_text("/live")
    assert token.rpartition(".")[2] not in running.program.output


def open_with_protocols(running: Running, *protocols: str) -> ClientConnection:
    return open_websocket(running.port, PATH, subprotocols=protocols)


# How a client opens the WebSocket, with a good and an expired token.
Open = Callable[[Running, str, str], ClientConnection]
REFUSED = [
    pytest.param(lambda at, _good, _expired: open_websocket(at.port, PATH), 401, "Bearer", id="no token"),
    pytest.param(lambda at, _good, expired: open_with_header(at, expired), 401, "invalid_token", id="expired"),
    pytest.param(
        lambda at, _good, expired: open_with_protocols(at, "bearer", expired),
        401,
        "invalid_token",
        id="expired protocol",
    ),
    pytest.param(
        lambda at, _good, _expired: open_with_protocols(at, "bearer"),
        400,
        "invalid_request",
        id="bearer without a token",
    ),
    pytest.param(
        lambda at, good, _expired: open_websocket(
            at.port, PATH, headers=authorization(good), subprotocols=("bearer", good)
        ),
        400,
        "invalid_request",
        id="two tokens",
    ),
    pytest.param(
        lambda at, _good, expired: open_websocket(at.port, f"{PATH}?access_token={expired}"),
        401,
        "invalid_token",
        id="expired query",
    ),
]


@pytest.mark.parametrize(("open_it", "status", "challenge"), REFUSED)
def test_it_is_refused_before_it_is_opened(
    running: Running, live_issuer: FakeIssuer, open_it: Open, status: int, challenge: str
) -> None:
    """HTP-029: all of these servers have the extension for denials, so the client sees status, challenge and body."""
    good, expired = live_issuer.token(), live_issuer.forge("expired")

    with pytest.raises(InvalidStatus) as refused:
        open_it(running, good, expired)

    response = refused.value.response
    assert response.status_code == status
    assert challenge in response.headers["WWW-Authenticate"]
    assert response.headers["Cache-Control"] == "no-store"
    assert b'"error"' in response.body
    assert expired.rpartition(".")[2] not in running.program.output


@pytest.mark.parametrize(
    ("kind", "reason"), [("expired", "EXPIRED"), ("bad_signature", "BAD_SIGNATURE"), ("grace", "OTHER_USER")]
)
def test_a_new_token_that_is_refused_changes_nothing(
    running: Running, live_issuer: FakeIssuer, kind: str, reason: str
) -> None:
    """HTP-030: a change of user is explicit."""
    refused = live_issuer.token(sub="grace") if kind == "grace" else live_issuer.forge(kind)
    good = live_issuer.token(sub="ada")

    with open_with_header(running, good) as websocket:
        websocket.recv()
        websocket.send(refused)
        assert websocket.recv() == f"refused {reason}"
        websocket.send(good)
        assert websocket.recv() == "hello ada"


@pytest.mark.parametrize("kind", ["expired", "bad_signature", "grace"])
def test_a_new_token_whose_refusal_nothing_catches_closes_it(
    running: Running, live_issuer: FakeIssuer, kind: str
) -> None:
    """HTP-030: the client learns why, and the log has no traceback."""
    refused = live_issuer.token(sub="grace") if kind == "grace" else live_issuer.forge(kind)
    headers = authorization(live_issuer.token(sub="ada"))

    with open_websocket(running.port, "/trusting", headers=headers) as websocket:
        assert websocket.recv() == "ready"
        websocket.send(refused)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=20)

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3000, "the token is refused")
    assert "Traceback" not in running.program.output


# --- what happens at `exp` --------------------------------------------------------------------------------------------

# A text frame of a client that says "go", masked by zeros (RFC 6455 §5.2, §5.3).
COMMAND = b"\x81\x82\x00\x00\x00\x00go"
# How long a client goes on sending after `exp`.
DEFIANCE_SECONDS = 2.0


class Ending(NamedTuple):
    """How a server ended a WebSocket.

    Attributes:
        frame: The close frame that the client received.
        rest_seconds: How long after `exp` it came.
    """

    frame: Close | None
    rest_seconds: float


def end_with_token(running: Running, issuer: FakeIssuer) -> Ending:
    token, expires_at = make_short_token(issuer)
    with open_with_header(running, token) as websocket:
        assert websocket.recv() == "hello ada, seen "
        return wait_for_end(websocket, expires_at)


def end_what_catches_nothing(running: Running, issuer: FakeIssuer) -> Ending:
    token, expires_at = make_short_token(issuer)
    with open_websocket(running.port, "/trusting", headers=authorization(token)) as websocket:
        assert websocket.recv() == "ready"
        return wait_for_end(websocket, expires_at)


def end_with_second_token(running: Running, issuer: FakeIssuer) -> Ending:
    first, _ = make_short_token(issuer)
    second, expires_at = make_short_token(issuer, SHORT_SECONDS + 2)
    with open_with_header(running, first) as websocket:
        assert websocket.recv() == "hello ada, seen "
        websocket.send(second)
        assert websocket.recv() == "hello ada"
        return wait_for_end(websocket, expires_at)


def send_after_expiry(running: Running, issuer: FakeIssuer) -> list[str]:
    """Send a frame every tenth of a second, and never answer the close."""
    token, expires_at = make_short_token(issuer)
    with deaf_client(running, token, "/defiant") as connection, suppress(ConnectionError):
        while time.time() < expires_at + DEFIANCE_SECONDS:
            connection.sendall(COMMAND)
            time.sleep(0.1)
    return wait_for_lines(running, "/defiant")


def queue_before_expiry(running: Running, issuer: FakeIssuer) -> list[str]:
    """Send far more than the application can take until `exp`."""
    token, _ = make_short_token(issuer)
    with deaf_client(running, token, "/slow") as connection:
        connection.sendall(COMMAND * 1000)
        return wait_for_lines(running, "/slow")


def make_short_token(issuer: FakeIssuer, seconds: int = SHORT_SECONDS) -> tuple[str, int]:
    """A token of ada, and when it expires."""
    expires_at = int(time.time()) + seconds
    return issuer.token(sub="ada", exp=expires_at), expires_at


def wait_for_end(websocket: ClientConnection, expires_at: int) -> Ending:
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=20)
    return Ending(closed.value.rcvd, time.time() - expires_at)


def wait_for_lines(running: Running, path: str) -> list[str]:
    """What the application has printed of a path, once it has ended there."""
    running.program.wait_for_text(f"{path} ended")
    found = [line.partition(f"{path} ")[2] for line in running.program.output.splitlines() if f"{path} " in line]
    return [line for line in found if line.startswith(("obeyed", "ended"))]


@contextmanager
def deaf_client(running: Running, token: str, path: str) -> Iterator[socket.socket]:
    """A WebSocket, byte by byte, whose client reads the first message and nothing after it, not even the close."""
    request = raw_http.request(
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        raw_http.bearer(token),
        target=path.encode(),
    )
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(request)
        head = b""
        while b"ready" not in head:
            received = connection.recv(1)
            assert received, head
            head += received
        assert head.startswith(b"HTTP/1.1 101 ")
        yield connection


class AtExpiry(NamedTuple):
    """What each client saw at `exp`; they wait for it at the same time."""

    end: Future[Ending]
    uncaught_end: Future[Ending]
    extended_end: Future[Ending]
    defiant: Future[list[str]]
    slow: Future[list[str]]


@pytest.fixture(scope="module")
def at_expiry(running: Running, live_issuer: FakeIssuer) -> Iterator[AtExpiry]:
    with ThreadPoolExecutor(len(AtExpiry._fields)) as pool:
        yield AtExpiry(
            pool.submit(end_with_token, running, live_issuer),
            pool.submit(end_what_catches_nothing, running, live_issuer),
            pool.submit(end_with_second_token, running, live_issuer),
            pool.submit(send_after_expiry, running, live_issuer),
            pool.submit(queue_before_expiry, running, live_issuer),
        )


def test_it_ends_with_its_token(at_expiry: AtExpiry) -> None:
    """HTP-030: 3000 is IANA's code for Unauthorized."""
    ending = at_expiry.end.result()

    assert ending.rest_seconds >= 0
    assert ending.frame is not None
    assert (ending.frame.code, ending.frame.reason) == (3000, "the token has expired")


def test_the_end_is_no_failure_of_an_application_that_catches_nothing(running: Running, at_expiry: AtExpiry) -> None:
    """HTP-030: what frameworks raise for the disconnect escapes it."""
    ending = at_expiry.uncaught_end.result()

    assert ending.frame is not None
    assert (ending.frame.code, ending.frame.reason) == (3000, "the token has expired")
    assert "Traceback" not in running.program.output


def test_a_new_token_extends_it(at_expiry: AtExpiry) -> None:
    """HTP-030."""
    ending = at_expiry.extended_end.result()

    assert ending.rest_seconds >= 0
    assert ending.frame is not None
    assert ending.frame.code == 3000


def test_htp_041_a_client_that_ignores_the_close_is_not_obeyed_after_exp(at_expiry: AtExpiry) -> None:
    *obeyed, ended = at_expiry.defiant.result()

    assert set(obeyed) == {"obeyed ada"}
    assert ended == "ended 3000 3000 None"


def test_htp_041_what_a_client_has_queued_is_not_obeyed_after_exp(running: Running, at_expiry: AtExpiry) -> None:
    *obeyed, ended = at_expiry.slow.result()

    assert 0 < len(obeyed) < 1000
    assert set(obeyed) == {"obeyed ada"}
    assert ended == "ended 3000 3000 None"
    assert "Traceback" not in running.program.output
