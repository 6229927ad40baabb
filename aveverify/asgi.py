"""ASGI: one middleware in front of any application. Knows the protocol and no framework.

Everything but an HTTP request or a WebSocket passes untouched. A refusal is sent before the body is read and before a
WebSocket is accepted. Nothing is kept from one request to the next. ASGI 3.0; design §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aveverify._core.bearer import Answer, make_answer, parse_authorization
from aveverify._edge import IDENTITY_KEY, REFUSALS, Deferred, OnInvalid, make_gate
from aveverify.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from aveverify.identity import Identity
    from aveverify.verifier import Verifier

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


class AveAuthMiddleware:
    """Verifies the bearer token of every HTTP request and WebSocket; `get_user_identity` gives the result.

    Args:
        app: The application behind it.
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        on_invalid: `"reject"` answers a refused token at once. `"defer"` lets the request go on until somebody asks
            for the identity, as Convex HTTP actions do, even where credentials are required: every view must ask. The
            refusal of a WebSocket is never deferred.
        scopes: What the token's `scope` claim must hold, if there is a token.
        realm: The realm named in challenges.
        resource_metadata: The URL of this service's metadata, named in challenges (RFC 9728).

    Raises:
        ConfigurationError: An argument is not what it must be.
    """

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        required: bool,
        on_invalid: OnInvalid = "reject",
        scopes: Sequence[str] = (),
        realm: str | None = None,
        resource_metadata: str | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._gate = make_gate(
            required=required, on_invalid=on_invalid, scopes=scopes, realm=realm, resource_metadata=resource_metadata
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection; copied, never changed.
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
            token = parse_authorization(_authorization(scope["headers"]))
            if token is not None:
                found = await self._verifier.verify_async(token)
                gate.check_scopes(found)
            elif gate.required and not _is_preflight(scope):
                found = gate.refuse(None)
        except REFUSALS as error:
            found = gate.refuse_or_defer(error) if kind == "http" else gate.refuse(error)
        if isinstance(found, Answer):
            await _send_answer(found, scope, receive, send)
            return
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        scope = {**scope, IDENTITY_KEY: found}
        if isinstance(found, Deferred):
            await self._watch(found, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _watch(self, deferred: Deferred, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request whose refusal is deferred: answer with it if it escapes before the response began."""
        began = False

        async def watched_send(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except REFUSALS as error:
            if began or error is not deferred.error:
                raise
            await _send_answer(make_answer(error, self._gate.parameters), scope, receive, send)


def _authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    # Servers send lower-case names; a test client or a gateway may not.
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if len(values) > 1:
        # HTP-001: whichever we took, somebody in front of us may have taken the other.
        raise InvalidRequestError(Reason.REPEATED_AUTHORIZATION)
    return values[0] if values else None


def _is_preflight(scope: Scope) -> bool:
    # HTP-027: exactly this method, with both of Fetch's headers.
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return _PREFLIGHT.issubset(name.lower() for name, _ in scope["headers"])


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
