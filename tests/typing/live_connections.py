"""What `get_live_connection` returns for a WebSocket, a request and a scope. Checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from aveverify import Identity
from aveverify.asgi import LiveConnection, LiveRequest, Scope, get_live_connection

if TYPE_CHECKING:
    from fastapi import Request, WebSocket


async def live(request: Request, websocket: WebSocket, scope: Scope) -> None:
    assert_type(get_live_connection(request), LiveRequest)
    assert_type(get_live_connection(websocket), LiveConnection)
    # It may be of either kind; both have what a request has.
    assert_type(get_live_connection(scope), LiveConnection)
    assert_type(get_live_connection(request).identity, Identity | None)
    assert_type(await get_live_connection(websocket).reauthenticate("token"), Identity)
    get_live_connection(request).reauthenticate  # type: ignore[attr-defined] # noqa: B018 - a request has one token
