"""ASGI: one middleware in front of any application. Knows the protocol and no framework.

Everything but an HTTP request or a WebSocket passes untouched. A refusal is sent before the body is read and before a
WebSocket is accepted. Nothing is kept from one request to the next. ASGI 3.0; design §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from aveverify._core.bearer import Answer, make_answer, parse_authorization
from aveverify._edge import IDENTITY_KEY, LIVE_KEY, REFUSALS, Deferred, EdgeOptions, current_identity, make_gate
from aveverify._edge_live import LiveConnection, get_live_connection
from aveverify.sources import (
    BEARER_PROTOCOL,
    DEFAULT_SOURCES,
    QueryParameter,
    RequestHead,
    WebSocketProtocol,
    read_token,
    single,
    split_protocols,
)

if TYPE_CHECKING:
    from aveverify.identity import Identity
    from aveverify.verifier import Verifier

__all__ = ["AveAuthMiddleware", "LiveConnection", "get_live_connection"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# RFC 6455 §7.4.1: the endpoint received something that violates its policy.
_POLICY_VIOLATION: Final = 1008
_DENIAL: Final = "websocket.http.response"
# Fetch §3.2.2: what makes an OPTIONS request a CORS preflight.
_PREFLIGHT: Final = frozenset({b"origin", b"access-control-request-method"})
_OFFERED: Final = b"sec-websocket-protocol"


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
        self._app = app
        self._gate = make_gate(verifier, required=required, **options)
        self._close_expired = close_expired
        self._has_default_sources = self._gate.sources == DEFAULT_SOURCES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection; copied, and changed in one case only: a token in its query is taken out.
            receive: Gives the client's messages.
            send: Takes the answer's messages.
        """
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            # HTP-032: nothing of an unknown protocol can be verified, so it has no identity, not even an anonymous one.
            if IDENTITY_KEY in scope:
                scope = {name: value for name, value in scope.items() if name != IDENTITY_KEY}
            await self._app(scope, receive, send)
            return
        gate = self._gate
        found: Identity | Deferred | Answer | None = None
        try:
            if not (gate.exempt and scope["path"] in gate.exempt):
                token = self._read_token(scope)
                if token is not None:
                    found = await gate.admit_async(token)
                elif gate.required and not _is_preflight(scope):
                    found = gate.refuse(None)
        except REFUSALS as error:
            found = gate.refuse_or_defer(error) if kind == "http" else gate.refuse(error)
        if isinstance(found, Answer):
            await _send_answer(found, scope, receive, send)
        elif isinstance(found, Deferred):
            await self._serve_deferred(found, scope, receive, send)
        elif kind == "http":
            await self._serve(found, scope, receive, send)
        else:
            await self._serve_live(found, scope, receive, send)

    def _read_token(self, scope: Scope) -> bytes | None:
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        kind = scope["type"]
        if kind == "http" and self._has_default_sources:
            # Servers send lower-case names; a test client or a gateway may not.
            return parse_authorization(single([value for name, value in headers if name.lower() == b"authorization"]))
        sources = self._gate.sources
        if kind == "websocket":
            headers = _handshake_headers(scope)
        head = RequestHead(kind, scope.get("method", "GET"), headers, scope["query_string"])
        try:
            return read_token(head, sources)
        finally:
            for source in sources:
                if kind == "websocket" and isinstance(source, QueryParameter):
                    # The server's own scope, because that is what its access log reads.
                    scope["query_string"] = source.redact(scope["query_string"])

    async def _serve(
        self, found: Identity | Deferred | None, scope: Scope, receive: Receive, send: Send, **extra: object
    ) -> None:
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        state = {**(scope.get("state") or {}), "identity": found}
        scope = {**scope, IDENTITY_KEY: found, "state": state, **extra}
        if isinstance(found, Deferred):
            del state["identity"]
        token = current_identity.enter(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            current_identity.leave(token)

    async def _serve_live(self, found: Identity | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket: it ends with its token, and the token stays out of the application's sight."""
        answer_protocol: str | None = None
        extra: dict[str, Any] = {}
        if any(isinstance(source, WebSocketProtocol) for source in self._gate.sources):
            answer_protocol, extra = _hide_protocols(scope)
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
            await _send_answer(make_answer(error, self._gate.parameters), scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    # HTP-027: exactly this method, with both of Fetch's headers.
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return _PREFLIGHT.issubset(name.lower() for name, _ in scope["headers"])


def _handshake_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of a WebSocket with the offer of protocols, which wsproto shows only in `subprotocols`."""
    headers = list(scope["headers"])
    offered = scope.get("subprotocols")
    if offered and not any(name.lower() == _OFFERED for name, _ in headers):
        headers.append((_OFFERED, ", ".join(offered).encode("latin-1", "replace")))
    return headers


def _hide_protocols(scope: Scope) -> tuple[str | None, dict[str, Any]]:
    """Return what to answer to an offer of `bearer`, and the members of the scope without it and its token."""
    offered = split_protocols(value for name, value in _handshake_headers(scope) if name.lower() == _OFFERED)
    if BEARER_PROTOCOL not in offered:
        return None, {}
    place = offered.index(BEARER_PROTOCOL)
    rest = offered[:place] + offered[place + 2 :]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != _OFFERED]
    if rest:
        headers.append((_OFFERED, b", ".join(rest)))
    return BEARER_PROTOCOL.decode(), {"headers": headers, "subprotocols": [text.decode("latin-1") for text in rest]}


async def _send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    if scope["type"] == "http":
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()  # websocket.connect, which every answer must follow
    if _DENIAL in (scope.get("extensions") or {}):
        await send({"type": f"{_DENIAL}.start", "status": answer.status, "headers": headers})
        await send({"type": f"{_DENIAL}.body", "body": answer.body})
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
