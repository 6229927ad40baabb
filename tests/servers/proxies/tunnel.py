"""A client that makes a tunnel of a connection: RFC 7540 §3.2, which RFC 9113 has dropped and servers still take."""

from __future__ import annotations

import socket
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset

from tests.raw_http import PATIENCE_SECONDS, request

# Needs a token, which it has not; and the identity headers come from the client.
FORGED = [
    (":method", "DELETE"),
    (":path", "/admin"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("x-ave-subject", "mallory"),
    ("x-ave-token-identifier", "https://issuer.test|mallory"),
]


Headers = list[tuple[str, str]]


class Told(NamedTuple):
    """What came back.

    Attributes:
        status: The status of the first answer, in HTTP/1.1; 0 where there was none.
        inner: The status of what was asked in HTTP/2; 0 where nothing answered in HTTP/2.
    """

    status: int
    inner: int


def dig(port: int, *lines: bytes, method: bytes = b"OPTIONS", target: bytes = b"/") -> Told:
    """Ask for an upgrade with these lines, and then, whatever the answer is, for `DELETE /admin` in HTTP/2."""
    client = _make_client()
    settings = client.initiate_upgrade_connection()
    assert settings is not None
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, FORGED, end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request(*lines, b"HTTP2-Settings: " + settings, method=method, target=target))
        received = b""
        while b"\r\n\r\n" not in received and (data := connection.recv(65536)):
            received += data
        head, _, rest = received.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1]) if head else 0
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return Told(status, _converse(client, connection, stream, rest))
        # Where the answer says that the connection ends with it, whatever follows is not read.
        if b"connection: close" not in head.lower():
            _send_in_vain(connection, client.data_to_send())
        return Told(status, 0)


def speak_at_once(port: int, headers: Headers, body: bytes = b"") -> int:
    """Ask in HTTP/2, without asking for HTTP/2 first; the status, or 0 where nothing answered in HTTP/2."""
    client = _make_client()
    client.initiate_connection()
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, headers, end_stream=not body)
    if body:
        client.send_data(stream, body, end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        return _converse(client, connection, stream, b"")


def _make_client() -> H2Connection:
    return H2Connection(
        H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
    )


def _converse(client: H2Connection, connection: socket.socket, stream: int, received: bytes) -> int:
    """Send what the client has to say, and read until it is answered or the other side hangs up."""
    status = 0
    connection.sendall(client.data_to_send())
    while not received.startswith(b"HTTP/1.1"):
        for event in client.receive_data(received):
            if isinstance(event, ResponseReceived) and event.stream_id == stream:
                status = int(dict(event.headers)[b":status"])
            if isinstance(event, ConnectionTerminated) or (
                isinstance(event, StreamEnded | StreamReset) and event.stream_id == stream
            ):
                return status
        connection.sendall(client.data_to_send())
        received = connection.recv(65536)
        if not received:
            return status
    return 0


def _send_in_vain(connection: socket.socket, data: bytes) -> None:
    """Send what is no HTTP/1.1, and read until it has been refused: by then nothing of it can be on its way."""
    received = b""
    with suppress(ConnectionError):
        connection.sendall(data)
        while b"HTTP/1.1 4" not in received and (more := connection.recv(65536)):
            received += more
