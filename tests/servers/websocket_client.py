"""A WebSocket client of another project, for the tests of real servers and real proxies."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol


def open_websocket(
    port: int, path: str = "/", *, headers: Mapping[str, str] | None = None, subprotocols: Sequence[str] = ()
) -> ClientConnection:
    """Open a WebSocket on a port of this machine.

    Raises:
        InvalidStatus: The server refuses the handshake.
    """
    # With a socket of our own, the client uses no proxy that the environment names.
    connection = socket.create_connection(("127.0.0.1", port))
    offered = [Subprotocol(name) for name in subprotocols] or None
    return connect(
        f"ws://127.0.0.1:{port}{path}", sock=connection, additional_headers=dict(headers or {}), subprotocols=offered
    )


def authorization(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
