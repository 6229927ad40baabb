"""Where servers show the protocols that a WebSocket offers: in a header, in `subprotocols`, or in both."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify import Verifier, asgi
from tests.http.http_fixtures import Client, http_scope, subject_of

HEADER = b"sec-websocket-protocol"


def offer(verifier: Verifier, headers: list[tuple[bytes, bytes]], **members: Any) -> tuple[Client, list[Any]]:
    """Open a WebSocket whose application accepts it, and say whom and which protocols that saw."""
    seen: list[Any] = []

    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        values = [value for name, value in scope["headers"] if name == HEADER]
        seen.extend((subject_of(scope), values, scope.get("subprotocols")))
        await send({"type": "websocket.accept"})

    scope = http_scope(type="websocket", headers=headers, **members)
    client = Client({"type": "websocket.connect"})
    client.call(asgi.AveAuthMiddleware(app, verifier, required=True, close_expired=False), scope)
    return client, seen


@pytest.mark.parametrize("shown", ["header", "subprotocols", "both"])
def test_an_offer_counts_wherever_a_server_shows_it_and_is_hidden_there(
    shared_verifier: Verifier, tokens: dict[str, str], shown: str
) -> None:
    """HTP-029: uvicorn with wsproto has no header for it."""
    offered = ["bearer", tokens["good"], "chat"]
    headers = [] if shown == "subprotocols" else [(HEADER, ", ".join(offered).encode())]
    members = {} if shown == "header" else {"subprotocols": offered}

    client, seen = offer(shared_verifier, headers, **members)

    assert seen == ["ada", [b"chat"], ["chat"]]
    assert client.sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]


def test_an_offer_that_can_be_read_only_once_is_read_once(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-045."""
    client, seen = offer(shared_verifier, [], subprotocols=iter(["Bearer", tokens["good"], "chat"]))

    assert seen == ["ada", [b"chat"], ["chat"]]
    assert client.sent == [{"type": "websocket.accept", "subprotocol": "Bearer"}]


@pytest.mark.parametrize("offered", [["bearer"], ["bearer", "\u20ac"], ["bearer", "a b"]], ids=repr)
def test_a_malformed_offer_is_refused_wherever_it_is_shown(shared_verifier: Verifier, offered: list[str]) -> None:
    client, seen = offer(shared_verifier, [], subprotocols=offered)

    assert seen == []
    assert client.sent == [{"type": "websocket.close", "code": 1008}]
