"""Litestar: refusals and normal ends that escape the handler of a WebSocket (HTP-030, HTP-041).

Litestar answers every exception of a handler behind all middleware: it closes the WebSocket with code 4500, and may log
a traceback. So the one method that serves every route of a WebSocket is replaced.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from litestar.routes import WebSocketRoute

from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.policy import POLICY_KEY
from aveverify._http.websocket import LiveConnection

if TYPE_CHECKING:
    from litestar.types import Receive, Send, WebSocketScope


def close_cleanly_everywhere() -> None:
    """Let every WebSocket in this process that has passed a middleware of this package end cleanly."""
    handle = WebSocketRoute.handle

    @wraps(handle)
    async def handle_and_close(self: WebSocketRoute, scope: WebSocketScope, receive: Receive, send: Send) -> None:
        try:
            await handle(self, scope, receive, send)
        except Exception as error:
            members: Any = scope
            live = members.get(LIVE_KEY)
            if not isinstance(live, LiveConnection) or not await live.close_after(error, members, members[POLICY_KEY]):
                raise

    WebSocketRoute.handle = handle_and_close  # type: ignore[method-assign]
