"""What uvicorn serves: an application behind the middleware, in workers that are spawned and start cold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aveverify import get_user_identity
from aveverify.asgi import AveAuthMiddleware
from drill.plan import WORKER_HEADER
from drill.worker import Card, make_verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_verifier = make_verifier()
_card = Card(_verifier)


async def greet(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with the subject."""
    identity = get_user_identity(scope)
    body = "" if identity is None else identity.subject
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


_protected = AveAuthMiddleware(greet, _verifier, required=True)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Write on each answer, good or bad, who gave it."""

    async def send_signed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            signed = [*message["headers"], (WORKER_HEADER.lower().encode(), _card.write().encode())]
            message = {**message, "headers": signed}
        await send(message)

    await _protected(scope, receive, send_signed)
