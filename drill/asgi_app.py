"""The application of uvicorn, behind the middleware, in workers that are spawned and start without keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aveverify import get_user_identity
from aveverify.asgi import AveAuthMiddleware
from drill.plan import WORKER_HEADER
from drill.worker import WorkerHeader, make_verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_verifier = make_verifier()
_header = WorkerHeader(_verifier)


async def greet(scope: Scope, _receive: Receive, send: Send) -> None:
    """Respond with the subject."""
    identity = get_user_identity(scope)
    body = "" if identity is None else identity.subject
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


_protected = AveAuthMiddleware(greet, _verifier, required=True)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Add a header with the process to each answer."""

    async def send_with_header(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (WORKER_HEADER.lower().encode(), _header.write().encode())]
            message = {**message, "headers": headers}
        await send(message)

    await _protected(scope, receive, send_with_header)
