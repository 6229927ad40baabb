"""ASGI: one middleware in front of any application. Knows the protocol and no framework.

Everything but an HTTP request or a WebSocket passes untouched. A refusal is sent before the body is read and before a
WebSocket is accepted. Nothing is kept from one request to the next. ASGI 3.0; design §6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from aveverify._core.bearer import Answer, make_answer
from aveverify._edge import GATE_KEY, REFUSALS, EdgeOptions, make_gate
from aveverify._edge_asgi import (
    OFFERED_PROTOCOLS,
    OUTER_KEY,
    ASGIApp,
    MarkedApp,
    Message,
    OuterScope,
    Receive,
    Scope,
    Send,
    decide,
    handshake_headers,
    recognise,
    send_answer,
)
from aveverify._edge_identity import IDENTITY_KEY, LIVE_KEY, Deferred, current_identity
from aveverify._edge_live import LiveConnection, get_live_connection
from aveverify.sources import BEARER_PROTOCOL, WebSocketProtocol, split_protocols

if TYPE_CHECKING:
    from aveverify.identity import Identity
    from aveverify.verifier import Verifier

__all__ = [
    "ASGIApp",
    "AveAuthMiddleware",
    "LiveConnection",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "get_live_connection",
]


class AveAuthMiddleware:
    """Verifies the bearer token of every HTTP request and WebSocket; `get_user_identity` gives the result.

    The same stands in `scope["state"]["identity"]`, which frameworks show as `request.state.identity`.

    Args:
        app: The application behind it.
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        close_expired: Whether a WebSocket is closed (code 3000) when its token expires. Otherwise the application
            has to see to it, with `get_live_connection(websocket).until_expired()`.
        options: Everything else that an edge can be told: `aveverify._edge.EdgeOptions`.

    Raises:
        ConfigurationError: An argument is not what it must be.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        **options: Unpack[EdgeOptions],
    ) -> None:
        self._gate = make_gate(verifier, required=required, **options)
        self._app: ASGIApp = MarkedApp(app) if self._gate.marks else app
        self._recall = self._gate.recall
        self._close_expired = close_expired

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection; copied, and changed in one case only: a token in its query is taken out.
            receive: Gives the client's messages.
            send: Takes the answer's messages.
        """
        known = recognise(self._recall, scope)
        if known is not None:
            # As `_serve` does it; a call and a coroutine in between would cost every request.
            inner, state = {**scope}, {**(scope.get("state") or {})}
            inner[IDENTITY_KEY] = state["identity"] = known
            inner[GATE_KEY] = self._gate
            inner["state"] = state
            token = current_identity.enter(served := [inner])
            try:
                await self._app(inner, receive, send)
            finally:
                served.clear()
                current_identity.leave(token)
            return
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            # HTP-032: nothing of an unknown protocol can be verified, so it has no identity, not even an anonymous one.
            if IDENTITY_KEY in scope:
                scope = {name: value for name, value in scope.items() if name != IDENTITY_KEY}
            await self._app(scope, receive, send)
            return
        found = await decide(self._gate, scope)
        if isinstance(found, Answer):
            await send_answer(found, scope, receive, send)
        elif isinstance(found, Deferred):
            await self._serve_deferred(found, scope, receive, send)
        elif kind == "http":
            await self._serve(found, scope, receive, send)
        else:
            await self._serve_live(found, scope, receive, send)

    async def _serve(
        self, found: Identity | Deferred | None, scope: Scope, receive: Receive, send: Send, **extra: object
    ) -> None:
        inner, state = {**scope, **extra}, {**(scope.get("state") or {})}
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        state["identity"] = inner[IDENTITY_KEY] = found
        if isinstance(found, Deferred):
            del state["identity"]
        inner[GATE_KEY], inner["state"] = self._gate, state
        token = current_identity.enter(served := [inner])
        try:
            await self._app(inner, receive, send)
        finally:
            served.clear()
            current_identity.leave(token)

    async def _serve_live(self, found: Identity | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket: it ends with its token, and the token stays out of the application's sight."""
        answer_protocol: str | None = None
        extra: dict[str, Any] = {OUTER_KEY: OuterScope(scope)}
        if any(isinstance(source, WebSocketProtocol) for source in self._gate.sources):
            answer_protocol, hidden = _hide_protocols(scope)
            extra |= hidden
        live = LiveConnection(found, self._gate, send, closes=self._close_expired, answer_protocol=answer_protocol)
        try:
            await self._serve(found, scope, receive, live.send, **extra, **{LIVE_KEY: live})
        finally:
            live.end()

    async def _serve_deferred(self, deferred: Deferred, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request whose refusal is deferred: answer with it if it escapes before the response began."""
        began = False

        async def watched_send(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._serve(deferred, scope, receive, watched_send)
        except REFUSALS as error:
            if began or error is not deferred.error:
                raise
            await send_answer(make_answer(error, self._gate.parameters), scope, receive, send)


def _hide_protocols(scope: Scope) -> tuple[str | None, dict[str, Any]]:
    """Return what to answer to an offer of `bearer`, and the members of the scope without it and its token."""
    offered = split_protocols(value for name, value in handshake_headers(scope) if name.lower() == OFFERED_PROTOCOLS)
    if BEARER_PROTOCOL not in offered:
        return None, {}
    place = offered.index(BEARER_PROTOCOL)
    rest = offered[:place] + offered[place + 2 :]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != OFFERED_PROTOCOLS]
    if rest:
        headers.append((OFFERED_PROTOCOLS, b", ".join(rest)))
    return BEARER_PROTOCOL.decode(), {"headers": headers, "subprotocols": [text.decode("latin-1") for text in rest]}
