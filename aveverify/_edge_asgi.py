"""One ASGI connection before its application runs: where its token is, what is decided, and how a refusal is sent.

Knows scopes and messages, no application and no framework. ASGI 3.0; design §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from aveverify._core.bearer import Answer, make_answer, parse_authorization
from aveverify._edge import GATE_KEY, REFUSALS, Gate, Recall
from aveverify._edge_caching import mark
from aveverify._edge_identity import IDENTITY_KEY, Deferred
from aveverify.errors import AveVerifyError
from aveverify.sources import DEFAULT_SOURCES, QueryParameter, RequestHead, read_token, single

if TYPE_CHECKING:
    from aveverify.identity import Identity

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# RFC 6455 §7.4.1: the endpoint received something that violates its policy.
POLICY_VIOLATION: Final = 1008
OFFERED_PROTOCOLS: Final = b"sec-websocket-protocol"
# Where the scope of a WebSocket, which an edge has copied, leads to the scope that it was copied from.
OUTER_KEY: Final = "aveverify.outer"
AUTHORIZATION: Final = b"authorization"
_MARKS: Final = frozenset({b"vary", b"cache-control"})
_NAME_BYTES: Final = len(AUTHORIZATION)
_DENIAL: Final = "websocket.http.response"
# Fetch §3.2.2: what makes an OPTIONS request a CORS preflight.
_PREFLIGHT: Final = frozenset({b"origin", b"access-control-request-method"})


def recognise(recall: Recall | None, scope: Scope) -> Identity | None:
    """Look whether an HTTP request carries a token that was accepted before, where nothing else counts.

    The hot path: it decides for most requests, without waiting and without taking the header apart. What was accepted
    before is one token, to the byte, so a malformed one is never among it.

    Args:
        recall: That of the gate.
        scope: The connection.

    Returns:
        The identity; None leaves the connection to `decide`.
    """
    if recall is None or scope["type"] != "http":
        return None
    found: bytes | None = None
    for name, value in scope["headers"]:
        if len(name) == _NAME_BYTES and name.lower() == AUTHORIZATION:
            if found is not None:
                # HTP-001
                return None
            found = value
    return recall(found[7:]) if found is not None and found[:7] == b"Bearer " else None


async def decide(gate: Gate, scope: Scope) -> Identity | Deferred | Answer | None:
    """Decide about an HTTP request or a WebSocket.

    Args:
        gate: The rules.
        scope: The connection; changed in one case only: a token in the query of a WebSocket is taken out.

    Returns:
        The identity, None for an anonymous request, what stands for a deferred refusal, or the answer of a refusal.
    """
    is_http = scope["type"] == "http"
    try:
        if is_exempt(gate, scope):
            redact_query(gate, scope)
        else:
            token = read_scope_token(gate, scope)
            if token is not None:
                return await gate.admit_async(token)
            if gate.required and not _is_preflight(scope):
                return gate.refuse(None)
    except REFUSALS as error:
        return gate.refuse_or_defer(error) if is_http else gate.refuse(error)
    return None


def is_exempt(gate: Gate, scope: Scope) -> bool:
    """Tell whether the path of a connection needs no credentials, so that nothing is read."""
    return bool(gate.exempt) and scope["path"] in gate.exempt


class MarkedApp:
    """An application whose HTTP answers tell caches by which headers they differ (HTP-050).

    It stands behind an edge, and in front of every cache of the application. What the edge has not looked at, it
    leaves alone.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection.

        Args:
            scope: The connection, from the edge.
            receive: Gives the client's messages.
            send: Takes the answer's messages.

        Returns:
            What the application returns, to be awaited.
        """
        gate = scope.get(GATE_KEY)
        if scope["type"] != "http" or not isinstance(gate, Gate) or is_exempt(gate, scope):
            return self._app(scope, receive, send)
        is_personal = scope[IDENTITY_KEY] is not None

        def send_marked(message: Message) -> Awaitable[None]:
            # No coroutine of its own, which would cost each message.
            return send(mark_message(message, gate, is_personal=is_personal))

        return self._app(scope, receive, send_marked)


def mark_message(message: Message, gate: Gate, *, is_personal: bool) -> Message:
    """Return a message, and where an answer begins, one that tells caches by which headers it differs.

    Args:
        message: A message to the server.
        gate: Knows which headers decide.
        is_personal: Whether the request had credentials.

    Returns:
        The same message, or a copy with further headers.
    """
    if message["type"] != "http.response.start":
        return message
    headers: list[tuple[bytes, bytes]] = [*message.get("headers", ())]
    if _MARKS.isdisjoint([name.lower() for name, _ in headers]):
        # Most answers have said nothing of it yet.
        return {**message, "headers": [*headers, *_new_marks(gate.parameters.vary, is_personal=is_personal)]}
    said = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    marked = mark(said, gate.parameters.vary, is_personal=is_personal)
    return {**message, "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in marked]}


@cache
def _new_marks(vary: str, *, is_personal: bool) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in mark((), vary, is_personal=is_personal)]


def read_scope_token(gate: Gate, scope: Scope) -> bytes | None:
    """Return the one token of a connection.

    Args:
        gate: Knows where to look.
        scope: The connection; a token in the query of a WebSocket is taken out.

    Returns:
        The token; None where there is none.

    Raises:
        InvalidRequestError: A token is malformed, or there are several.
    """
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    kind = scope["type"]
    if kind == "http" and gate.sources is DEFAULT_SOURCES:
        # Servers send lower-case names; a test client or a gateway may not.
        return parse_authorization(single([value for name, value in headers if name.lower() == AUTHORIZATION]))
    if kind == "websocket":
        headers = handshake_headers(scope)
    head = RequestHead(kind, scope.get("method", "GET"), headers, scope["query_string"])
    try:
        return read_token(head, gate.sources)
    finally:
        redact_query(gate, scope)


class OuterScope:
    """The scope that an edge has copied, with all that the edge hides from the application: to redact it, no more."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def redact(self, gate: Gate) -> None:
        """Take the token out of the query; see `redact_query`."""
        redact_query(gate, self._scope)


def redact_query(gate: Gate, scope: Scope) -> None:
    """Take the token out of the query of a WebSocket, and out of all that the scope was copied from.

    The server's own scope is what its log reads.

    Args:
        gate: Knows by which parameters a token may come.
        scope: The connection.
    """
    if scope["type"] != "websocket":
        return
    for source in gate.sources:
        if isinstance(source, QueryParameter):
            scope["query_string"] = source.redact(scope["query_string"])
    outer = scope.get(OUTER_KEY)
    if isinstance(outer, OuterScope):
        outer.redact(gate)


def handshake_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of a WebSocket with the offer of protocols, which wsproto shows only in `subprotocols`."""
    headers = list(scope["headers"])
    offered = scope.get("subprotocols")
    if offered and not any(name.lower() == OFFERED_PROTOCOLS for name, _ in headers):
        headers.append((OFFERED_PROTOCOLS, ", ".join(offered).encode("latin-1", "replace")))
    return headers


async def send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal: to a WebSocket as a denial where the server can, else by closing it before it is accepted."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    if scope["type"] == "http":
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()  # websocket.connect, which every answer must follow
    if can_deny(scope):
        await send({"type": f"{_DENIAL}.start", "status": answer.status, "headers": headers})
        await send({"type": f"{_DENIAL}.body", "body": answer.body})
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


def can_deny(scope: Scope) -> bool:
    """Tell whether the server can refuse this WebSocket with an HTTP answer."""
    return _DENIAL in (scope.get("extensions") or {})


def answer_deferred(scope: Scope, error: Exception) -> Answer | None:
    """Write the answer of a deferred refusal that escaped a view, for the exception handlers of frameworks.

    Args:
        scope: The connection.
        error: What escaped.

    Returns:
        The answer; None where it is not the deferred refusal of this very connection: the refusal of some other
        token, which the application verified by itself, is not this client's.
    """
    found = scope.get(IDENTITY_KEY)
    if not isinstance(error, AveVerifyError) or not isinstance(found, Deferred) or found.error is not error:
        return None
    return make_answer(error, scope[GATE_KEY].parameters)


def _is_preflight(scope: Scope) -> bool:
    # HTP-027: exactly this method, with both of Fetch's headers.
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return _PREFLIGHT.issubset(name.lower() for name, _ in scope["headers"])
