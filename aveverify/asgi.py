"""ASGI: one middleware in front of any application. Knows the protocol and no framework.

Everything but an HTTP request or a WebSocket passes untouched. A refusal is sent before the body is read and before a
WebSocket is accepted. Nothing is kept from one request to the next. ASGI 3.0.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from aveverify._core.provider_checks import check_flag
from aveverify._http.asgi_caching import MarkedApp
from aveverify._http.asgi_request import (
    OFFERED_PROTOCOLS,
    OUTER_KEY,
    AsgiRequest,
    OuterScope,
    find_cached_identity,
    handshake_headers,
)
from aveverify._http.asgi_response import send_denial, serve_deferred, without_body
from aveverify._http.asgi_types import ASGIApp, Message, Receive, Scope, Send
from aveverify._http.auth_options import AuthOptions
from aveverify._http.auth_record import RECORD_KEY, AuthRecord, record_outcome
from aveverify._http.authentication import Outcome, Preflight, authenticate_async
from aveverify._http.current_identity import current_identity, serving
from aveverify._http.ending_response import StreamEndingApp
from aveverify._http.live_connections import get_live_connection
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.live_request import LiveRequest
from aveverify._http.option_checks import check_app
from aveverify._http.policy import POLICY_KEY, AuthPolicy, Denial, make_policy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.shared_scope import NO_STATE, PRIVATE, ScopeCopy, SharedScope, SharedState, copy_scope, copy_state
from aveverify._http.websocket import LiveConnection, serve_live
from aveverify._http.websocket_scope import LiveScope, LiveState
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.sources import WebSocketProtocol, find_bearer, split_protocols

if TYPE_CHECKING:
    from aveverify._core.identity import Identity
    from aveverify.verifier import Verifier

__all__ = [
    "ASGIApp",
    "AuthOptions",
    "AuthRecord",
    "AveAuthMiddleware",
    "LiveConnection",
    "LiveRequest",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "get_live_connection",
]


class PolicyMiddleware:
    """Verifies the bearer token of every HTTP request and WebSocket by a policy.

    Args:
        app: The application behind it.
        policy: The rules.
        close_expired: Whether a WebSocket ends (code 3000) when its token expires.

    Attributes:
        own: The members that the application's copy of a scope does not share with what is in front.
    """

    own: ClassVar[frozenset[str]] = PRIVATE

    def __init__(self, app: ASGIApp, policy: AuthPolicy, *, close_expired: bool) -> None:
        self._policy = policy
        if policy.ends_streams:
            app = StreamEndingApp(app, policy)
        self._app: ASGIApp = MarkedApp(app) if policy.marks else app
        self._cached_identity = policy.cached_identity
        self._close_expired = close_expired

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection. The application gets a copy that shares what the application writes. Beside that it
                is changed in two cases only: headers that are no list become one, and a token in its query is taken
                out.
            receive: Gives the client's messages.
            send: Takes the messages of the response.
        """
        outcome: Outcome = find_cached_identity(self._cached_identity, scope)
        if outcome is None:
            if scope["type"] not in ("http", "websocket"):
                # HTP-032: nothing of an unknown protocol can be verified, so it has no identity, not even an anonymous
                # one.
                if IDENTITY_KEY in scope:
                    scope = copy_scope(scope, {}, SharedScope)
                    del scope[IDENTITY_KEY]
                await self._app(scope, receive, send)
                return
            outcome = await authenticate_async(self._policy, AsgiRequest(scope), required=self._policy.required)
            record_outcome(scope, self._policy, outcome)
            if scope["type"] == "websocket" or isinstance(outcome, (Denial, DeferredError, Preflight)):
                await self._serve_unusual(outcome, scope, receive, send)
                return
        elif RECORD_KEY in scope:
            record_outcome(scope, self._policy, outcome)
        # As `_serve`: its coroutine and `serving` would cost every request 0.4 µs more, of 2.3.
        inner, state = ScopeCopy(scope), ScopeCopy(scope.get("state") or NO_STATE)
        inner[IDENTITY_KEY] = state["identity"] = outcome
        inner[POLICY_KEY] = self._policy
        inner["state"] = state
        inner.front = state.front = scope
        inner.own = self.own
        inner.__class__, state.__class__ = SharedScope, SharedState
        token = current_identity.enter(served := [inner])
        try:
            await self._app(inner, receive, send)
        finally:
            served.clear()
            current_identity.leave(token)

    async def _serve_unusual(self, outcome: Outcome, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket, a preflight, or a request whose credentials are refused."""
        if isinstance(outcome, Denial):
            await self.refuse(outcome, scope, receive, send)
        elif isinstance(outcome, DeferredError):
            serve = partial(self._serve, self._app, outcome)
            await serve_deferred(serve, outcome, self._policy, scope, receive, send, refuse=self.refuse)
        elif isinstance(outcome, Preflight):
            await self._serve(self._app, None, scope, without_body(receive), send)
        else:
            await self._serve_websocket(outcome, scope, receive, send)

    async def refuse(self, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused connection; a framework may let its own error handlers do it.

        Args:
            denial: The refusal, and its response.
            scope: The connection.
            receive: Gives the client's messages.
            send: Takes the messages of the response.
        """
        await send_denial(denial, scope, receive, send)

    async def _serve(
        self, app: ASGIApp, outcome: DeferredError | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        state = copy_state(scope, SharedState)
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        if isinstance(outcome, DeferredError):
            state.pop("identity", None)
        else:
            state["identity"] = outcome
        members = {IDENTITY_KEY: outcome, POLICY_KEY: self._policy, "state": state}
        inner = copy_scope(scope, members, SharedScope, self.own)
        with serving(inner):
            await app(inner, receive, send)

    async def _serve_websocket(self, identity: Identity | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket: it ends with its token, and the token stays out of the application's sight."""
        answer_protocol: str | None = None
        hidden: dict[str, Any] = {}
        if any(isinstance(source, WebSocketProtocol) for source in self._policy.sources):
            answer_protocol, hidden = _hide_protocols(scope)
        live = LiveConnection(
            identity,
            self._policy,
            receive,
            send,
            closes=self._close_expired,
            answer_protocol=answer_protocol,
            outer=scope.get(LIVE_KEY),
        )
        state = copy_state(scope, LiveState)
        members = {**hidden, OUTER_KEY: OuterScope(scope), POLICY_KEY: self._policy, "state": state}
        inner = copy_scope(scope, members, LiveScope, (*self.own, *hidden))
        live.show_in(inner, IDENTITY_KEY)
        live.show_in(state, "identity")
        await serve_live(self._app, inner, live, self._policy)


class AveAuthMiddleware(PolicyMiddleware):
    """Verifies the bearer token of every HTTP request and WebSocket; `get_user_identity` gives the result.

    The same stands in `scope["state"]["identity"]`, which frameworks show as `request.state.identity`.

    Args:
        app: The application behind it.
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused; there is no default.
        close_expired: Whether a WebSocket ends (code 3000) when its token expires: its application receives
            `websocket.disconnect` and nothing else. Otherwise the application has to end it, with
            `get_live_connection(websocket).until_expired()`; messages go on until then, but not the user: after `exp`
            there is none, until `reauthenticate` with a new token.
        options: The options of `AuthOptions`.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.

    Example:
        ```python
        app = AveAuthMiddleware(app, verifier, required=True, exempt=["/healthz"])
        ```

    Source: HTTP-09; RFC 6750.
    """

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        **options: Unpack[AuthOptions],
    ) -> None:
        policy = make_policy(verifier, required=required, **options)
        check_flag("close_expired", close_expired)
        check_app(app, "ASGI")
        super().__init__(app, policy.in_front_of(app), close_expired=close_expired)


def _hide_protocols(scope: Scope) -> tuple[str | None, dict[str, Any]]:
    """Return the offered `bearer`, to be accepted, and the members of the scope without it and its token."""
    offered = split_protocols(value for name, value in handshake_headers(scope) if name.lower() == OFFERED_PROTOCOLS)
    places = find_bearer(offered)
    if not places:
        return None, {}
    # Several reach this only on exempt paths, where nothing is read.
    hidden = {place + offset for place in places for offset in (0, 1)}
    rest = [protocol for place, protocol in enumerate(offered) if place not in hidden]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != OFFERED_PROTOCOLS]
    if rest:
        headers.append((OFFERED_PROTOCOLS, b", ".join(rest)))
    return offered[places[0]].decode("latin-1"), {
        "headers": headers,
        "subprotocols": [text.decode("latin-1") for text in rest],
    }
