"""A client that turns a connection into a tunnel: RFC 7540 §3.2, dropped by RFC 9113, still accepted by servers."""

from __future__ import annotations

import socket
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset

from tests.raw_http import TIMEOUT_SECONDS, request

# Needs a token, and has none; the client sends identity headers.
FORGED = [
    (":method", "DELETE"),
    (":path", "/admin"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("x-ave-subject", "mallory"),
    ("x-ave-token-identifier", "https://issuer.test|mallory"),
]


Headers = list[tuple[str, str]]


class TunnelResult(NamedTuple):
    """The responses to an attempt.

    Attributes:
        status: The status of the first answer, in HTTP/1.1; 0 where there was none.
        inner: The status of the HTTP/2 response; 0 where there was none.
    """

    status: int
    inner: int


def request_tunnel(port: int, *lines: bytes, method: bytes = b"OPTIONS", target: bytes = b"/") -> TunnelResult:
    """Request an upgrade with these lines, and then, whatever the response, `DELETE /admin` in HTTP/2."""
    client = _make_client()
    settings = client.initiate_upgrade_connection()
    assert settings is not None
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, FORGED, end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(request(*lines, b"HTTP2-Settings: " + settings, method=method, target=target))
        received = b""
        while b"\r\n\r\n" not in received and (data := connection.recv(65536)):
            received += data
        head, _, rest = received.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1]) if head else 0
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return TunnelResult(status, _converse(client, connection, stream, rest))
        # If the response ends the connection, the server reads nothing after it.
        if b"connection: close" not in head.lower():
            _send_in_vain(connection, client.data_to_send())
        return TunnelResult(status, 0)


def speak_at_once(port: int, headers: Headers, body: bytes = b"") -> int:
    """Speak HTTP/2 without an upgrade; the status of the response, or 0 where there was none in HTTP/2."""
    client = _make_client()
    client.initiate_connection()
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, headers, end_stream=not body)
    if body:
        client.send_data(stream, body, end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        return _converse(client, connection, stream, b"")


def _make_client() -> H2Connection:
    return H2Connection(
        H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
    )


def _converse(client: H2Connection, connection: socket.socket, stream: int, received: bytes) -> int:
    """Send the client's frames, and read until there is a response or the connection ends."""
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
    """Send bytes that are not HTTP/1.1, and read until they are refused, so that none of them is still on its way."""
    received = b""
    with suppress(ConnectionError):
        connection.sendall(data)
        while b"HTTP/1.1 4" not in received and (more := connection.recv(65536)):
            received += more
