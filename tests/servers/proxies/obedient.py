"""A service behind a proxy that obeys every override of a request: a real Hypercorn, which accepts h2c.

If a header, the query or a form names another method than the request's own, the service runs that method.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.servers.proxies.upstream import Upstream

OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")

_OVERRIDING = {name.lower() for name in OVERRIDES}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def _method_of(method: str, pairs: list[tuple[str, str]], query: str, body: str) -> str:
    """The method that the request overrides to: the last override counts, in any spelling."""
    asked = [method]
    asked += [value for name, value in pairs if name.lower().replace("_", "-") in _OVERRIDING and value]
    asked += [value for name, value in parse_qsl(query.replace(";", "&")) + parse_qsl(body) if name == "_method"]
    return asked[-1]


def _make_application(upstream: Upstream) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    async def run(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        subject = dict(pairs).get("x-ave-subject")
        path = scope["path"]
        if scope["type"] == "websocket":
            upstream.received.append(pairs)
            upstream.targets.append(f"WEBSOCKET {path}")
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": f"hello {subject}"})
            await send({"type": "websocket.close"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                # A request that was cut off is not counted.
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode("latin-1")
        method = _method_of(scope["method"], pairs, query, body.decode("latin-1"))
        upstream.received.append(pairs)
        upstream.targets.append(f"{method} {path}")
        content = json.dumps({"headers": pairs, "body": body.decode("latin-1"), "path": path}).encode()
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await run(scope, receive, send)

    return application


@contextmanager
def serve_obediently() -> Iterator[Upstream]:
    """Serve for the length of a `with` block."""
    upstream = Upstream()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream.port = listener.getsockname()[1]
        config = Config()
        # Hypercorn closes its socket.
        config.bind = [f"fd://{listener.detach()}"]
        config.errorlog = None
        config.graceful_timeout = 0.1
        loop = asyncio.new_event_loop()
        stopped = asyncio.Event()
        application: Any = _make_application(upstream)
        thread = Thread(
            target=lambda: loop.run_until_complete(serve(application, config, shutdown_trigger=stopped.wait)),
            daemon=True,
        )
        thread.start()
        try:
            yield upstream
        finally:
            loop.call_soon_threadsafe(stopped.set)
            thread.join()
            loop.close()
