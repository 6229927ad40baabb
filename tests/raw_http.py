"""HTTP byte by byte: requests that a client library would not send, and responses that it would hide."""

from __future__ import annotations

import socket
from http.client import HTTPResponse
from typing import NamedTuple

TIMEOUT_SECONDS = 20


class Answer(NamedTuple):
    """One answer of a server.

    Attributes:
        status: The status; 0 where the server closed the connection without an answer.
        headers: Names in lower case and values, in their order.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """All values of a header, by its name in lower case."""
        return [value for key, value in self.headers if key == name]


def request(*lines: bytes, method: bytes = b"GET", target: bytes = b"/", host: bytes = b"localhost") -> bytes:
    """A request with these header lines and without a body."""
    return b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines, b"", b""))


def bearer(token: str) -> bytes:
    """The line that carries a token."""
    return b"Authorization: Bearer " + token.encode()


def exchange(port: int, *requests: bytes) -> list[Answer]:
    """Send requests over one connection, each after the answer to the one before."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        return [_exchange(connection, data) for data in requests]


def ask(port: int, *lines: bytes, method: bytes = b"GET", target: bytes = b"/", host: bytes = b"localhost") -> Answer:
    """Send one request over a connection of its own."""
    (answer,) = exchange(port, request(*lines, method=method, target=target, host=host))
    return answer


def _exchange(connection: socket.socket, data: bytes) -> Answer:
    connection.sendall(data)
    return receive(connection, data.partition(b" ")[0].decode("latin-1"))


def receive(connection: socket.socket, method: str) -> Answer:
    """Read the answer to a request that was sent with this method."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except ConnectionError:
        return Answer(0)
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Answer(response.status, headers, body)
