"""One ASGI connection before its application runs: where its token is, what is decided, and how a refusal is sent.

Knows scopes and messages, no application and no framework. ASGI 3.0; design §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aveverify._core.bearer import ErrorResponse, make_answer, parse_authorization
from aveverify._http.app_user import withhold
from aveverify._http.caching import mark
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy, CachedIdentity
from aveverify._http.preflight import is_preflight
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError, refuse_expired
from aveverify.errors import AveVerifyError
from aveverify.sources import DEFAULT_SOURCES, QueryParameter, RequestHead, read_token, single

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Meet = Callable[[Scope, Any], Awaitable[Callable[[], None]]]

# RFC 6455 §7.4.1: the endpoint received something that violates its policy.
POLICY_VIOLATION: Final = 1008
OFFERED_PROTOCOLS: Final = b"sec-websocket-protocol"
# Where the scope of a WebSocket, which an edge has copied, leads to the scope that it was copied from.
OUTER_KEY: Final = "aveverify.outer"
AUTHORIZATION: Final = b"authorization"
_MARKS: Final = frozenset({b"vary", b"cache-control"})
_NAME_BYTES: Final = len(AUTHORIZATION)
_DENIAL: Final = "websocket.http.response"


class Preflight(NamedTuple):
    """A CORS preflight, which passes without a token where credentials are required: an anonymous request (HTP-027)."""


_PREFLIGHT: Final = Preflight()


def find_cached_identity(cached_identity: CachedIdentity | None, scope: Scope) -> Identity | None:
    """Look whether an HTTP request carries a token that was accepted before, where nothing else counts.

    The hot path: it decides for most requests, without waiting and without taking the header apart. What was accepted
    before is one token, to the byte, so a malformed one is never among it.

    Args:
        cached_identity: That of the gate.
        scope: The connection.

    Returns:
        The identity; None leaves the connection to `decide`.
    """
    if cached_identity is None or scope["type"] != "http":
        return None
    headers = scope["headers"]
    if type(headers) is not list:
        headers = keep_headers(scope)
    found: bytes | None = None
    try:
        for name, value in headers:
            if len(name) == _NAME_BYTES and name.lower() == AUTHORIZATION:
                if found is not None:
                    # HTP-001
                    return None
                found = value
    except (AttributeError, TypeError):
        # HTP-045: names that are no bytes, or no pairs. The full look makes bytes of them, or fails.
        return None
    return cached_identity(found[7:]) if type(found) is bytes and found[:7] == b"Bearer " else None


def keep_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Read the headers once, and leave them in the scope as a list of pairs of bytes.

    Args:
        scope: The connection, with headers as any iterable of pairs of anything like bytes (ASGI 3.0). One that can be
            read only once is read here, for the application and for all that stands in front, too.

    Returns:
        The headers.

    Raises:
        TypeError: A name or value is nothing like bytes: read as if it were not there, it could hide a token.

    Source: HTP-045.
    """
    headers = scope["headers"]
    if type(headers) is list:
        for name, value in headers:
            if type(name) is not bytes or type(value) is not bytes:
                break
        else:
            return headers
    headers = scope["headers"] = [(bytes(name), bytes(value)) for name, value in headers]
    return headers


async def decide(policy: AuthPolicy, scope: Scope) -> Identity | DeferredError | ErrorResponse | Preflight | None:
    """Decide about an HTTP request or a WebSocket.

    Args:
        policy: The rules.
        scope: The connection; its headers become a list, and a token in the query of a WebSocket is taken out.

    Returns:
        The identity, None or a preflight for an anonymous request, what stands for a deferred refusal, or the answer
        of a refusal.
    """
    try:
        if is_exempt(policy, scope):
            keep_headers(scope)
            redact_query(policy, scope)
        else:
            token = read_scope_token(policy, scope)
            if token is not None:
                identity = await policy.authenticate_async(token)
                if scope["type"] != "http":
                    refuse_expired(identity, policy.verifier)
                return identity
            if policy.required:
                passes = scope["type"] == "http" and is_preflight(
                    scope["method"], scope["headers"], scope["query_string"]
                )
                return _PREFLIGHT if passes else policy.deny(None)
    except REFUSALS as error:
        return deny_or_defer(policy, scope, error)
    return None


def deny_or_defer(policy: AuthPolicy, scope: Scope, error: AveVerifyError) -> ErrorResponse | DeferredError:
    """Log a refusal, and write its answer or defer it; that of a WebSocket is never deferred."""
    return policy.deny_or_defer(error) if scope["type"] == "http" else policy.deny(error)


def is_exempt(policy: AuthPolicy, scope: Scope) -> bool:
    """Tell whether the path of a connection needs no credentials, so that nothing is read."""
    return bool(policy.exempt) and policy.exempt.covers(scope["path"], scope.get("root_path"))


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
        policy = scope.get(POLICY_KEY)
        if scope["type"] != "http" or not isinstance(policy, AuthPolicy) or is_exempt(policy, scope):
            return self._app(scope, receive, send)
        is_personal = scope[IDENTITY_KEY] is not None

        def send_marked(message: Message) -> Awaitable[None]:
            # No coroutine of its own, which would cost each message.
            return send(mark_message(message, policy, is_personal=is_personal))

        return self._app(scope, receive, send_marked)


def mark_message(message: Message, policy: AuthPolicy, *, is_personal: bool) -> Message:
    """Return a message, and where an answer begins, one that tells caches by which headers it differs.

    Args:
        message: A message to the server.
        policy: Knows which headers decide.
        is_personal: Whether the request had credentials.

    Returns:
        The same message, or a copy with further headers.
    """
    if message["type"] != "http.response.start":
        return message
    headers: list[tuple[bytes, bytes]] = [*message.get("headers", ())]
    if _MARKS.isdisjoint([name.lower() for name, _ in headers]):
        # Most answers have said nothing of it yet.
        return {**message, "headers": [*headers, *_new_marks(policy.parameters.vary, is_personal=is_personal)]}
    said = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    marked = mark(said, policy.parameters.vary, is_personal=is_personal)
    return {**message, "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in marked]}


@cache
def _new_marks(vary: str, *, is_personal: bool) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in mark((), vary, is_personal=is_personal)]


def read_scope_token(policy: AuthPolicy, scope: Scope) -> bytes | None:
    """Return the one token of a connection.

    Args:
        policy: Knows where to look.
        scope: The connection; its headers become a list, and a token in the query of a WebSocket is taken out.

    Returns:
        The token; None where there is none.

    Raises:
        InvalidRequestError: A token is malformed, or there are several.
    """
    headers = keep_headers(scope)
    kind = scope["type"]
    if kind == "http" and policy.sources is DEFAULT_SOURCES:
        # Servers send lower-case names; a test client or a gateway may not.
        return parse_authorization(single([value for name, value in headers if name.lower() == AUTHORIZATION]))
    if kind == "websocket":
        headers = handshake_headers(scope)
    head = RequestHead(kind, scope.get("method", "GET"), headers, scope["query_string"])
    try:
        return read_token(head, policy.sources)
    finally:
        redact_query(policy, scope)


class OuterScope:
    """The scope that an edge has copied, with all that the edge hides from the application: to redact it, no more."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def redact(self, policy: AuthPolicy) -> None:
        """Take the token out of the query; see `redact_query`."""
        redact_query(policy, self._scope)


def redact_query(policy: AuthPolicy, scope: Scope) -> None:
    """Take the token out of the query of a WebSocket, and out of all that the scope was copied from.

    The server's own scope is what its log reads.

    Args:
        policy: Knows by which parameters a token may come.
        scope: The connection.
    """
    if scope["type"] != "websocket":
        return
    raw_path = scope.get("raw_path")
    for source in policy.sources:
        if isinstance(source, QueryParameter):
            scope["query_string"] = source.redact(scope["query_string"])
            if isinstance(raw_path, bytes) and b"?" in raw_path:
                # Not of ASGI 3.0, but of some servers and test clients.
                path, _, query = raw_path.partition(b"?")
                raw_path = scope["raw_path"] = b"?".join(filter(None, (path, source.redact(query))))
    outer = scope.get(OUTER_KEY)
    if isinstance(outer, OuterScope):
        outer.redact(policy)


def handshake_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of a WebSocket with the offer of protocols, which wsproto shows only in `subprotocols`."""
    headers = list(scope["headers"])
    offered = scope.get("subprotocols")
    if offered is not None:
        # HTP-045: any iterable, too.
        offered = scope["subprotocols"] = list(offered)
    if offered and not any(name.lower() == OFFERED_PROTOCOLS for name, _ in headers):
        headers.append((OFFERED_PROTOCOLS, ", ".join(offered).encode("latin-1", "replace")))
    return headers


async def send_answer(answer: ErrorResponse, scope: Scope, receive: Receive, send: Send) -> None:
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


async def serve_deferred(  # noqa: PLR0913, PLR0917 - one connection
    app: ASGIApp, deferred: DeferredError, policy: AuthPolicy, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve an HTTP request whose refusal is deferred: answer with it if it escapes before the response began.

    Args:
        app: The application, and what makes the refusal known to it.
        deferred: The refusal.
        policy: The rules that it came of.
        scope: The connection.
        receive: Gives the client's messages.
        send: Takes the answer's messages.
    """
    began = False

    async def watched_send(message: Message) -> None:
        nonlocal began
        began = began or message["type"] == "http.response.start"
        await send(message)

    try:
        await app(scope, receive, watched_send)
    except REFUSALS as error:
        if began or error is not deferred.error:
            raise
        await send_answer(make_answer(error, policy.parameters), scope, receive, send)


async def introduce(meet: Meet, scope: Scope) -> AveVerifyError | None:
    """Make the identity of a connection known to its framework, if the application admits its user.

    Args:
        meet: Loads the user, and returns what shows it to the framework.
        scope: The connection, with the identity.

    Returns:
        None, or the refusal.

    Source: HTP-044.
    """
    try:
        show = await meet(scope, scope[IDENTITY_KEY])
    except REFUSALS as error:
        return error.with_traceback(None)
    show()
    return None


async def refuse_user(app: ASGIApp, error: AveVerifyError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a connection whose user the application does not admit, or defer that; behind a middleware for ASGI.

    Args:
        app: The application.
        error: The refusal.
        scope: The connection; keeps nothing of the identity.
        receive: Gives the client's messages.
        send: Takes the answer's messages.

    Source: HTP-044.
    """
    policy: AuthPolicy = scope[POLICY_KEY]
    outcome = deny_or_defer(policy, scope, error)
    if isinstance(outcome, ErrorResponse):
        await send_answer(outcome, scope, receive, send)
        return
    withhold(scope, outcome)
    await serve_deferred(app, outcome, policy, scope, receive, send)


def can_deny(scope: Scope) -> bool:
    """Tell whether the server can refuse this WebSocket with an HTTP answer."""
    return _DENIAL in (scope.get("extensions") or {})


def answer_deferred(scope: Scope, error: Exception) -> ErrorResponse | None:
    """Write the answer of a deferred refusal that escaped a view, for the exception handlers of frameworks.

    Args:
        scope: The connection.
        error: What escaped.

    Returns:
        The answer; None where it is not the deferred refusal of this very connection: the refusal of some other
        token, which the application verified by itself, is not this client's.
    """
    found = scope.get(IDENTITY_KEY)
    if not isinstance(error, AveVerifyError) or not isinstance(found, DeferredError) or found.error is not error:
        return None
    return make_answer(error, scope[POLICY_KEY].parameters)


def may_hide_body(scope: Scope) -> bool:
    """Tell whether an HTTP request may have a body that none of its headers announces, as HTTP/2 allows (RFC 9113)."""
    is_old = scope.get("http_version", "1.1") in ("1.0", "1.1")
    return not is_old and not any(name.lower() == b"content-length" for name, _ in scope["headers"])


def without_body(receive: Receive) -> Receive:
    """Hide the body of a request from the application: it receives an empty one, and then only the end.

    What the client sends is read to no purpose and dropped, no more than one message at a time.

    Source: HTP-027: a preflight has no body, but HTTP/2 allows one that no header announces.
    """
    began = False

    async def receive_nothing() -> Message:
        nonlocal began
        if not began:
            began = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return receive_nothing
