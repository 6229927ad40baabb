"""FastAPI: how the dependencies of one `AveAuth` find the identity of a request.

From what another dependency of the request has found, else from what a middleware in front has found, else from the
token. HTP-010; HTP-031; HTP-041; HTP-044.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aveverify._core.identity import Identity
from aveverify._http.asgi_request import AsgiRequest, find_cached_identity
from aveverify._http.auth_record import RECORD_KEY, record_outcome
from aveverify._http.authentication import identify_async
from aveverify._http.live_identity import refuse_expired
from aveverify._http.policy import REFUSALS, AuthPolicy
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import check_scope_list
from aveverify.errors import AveVerifyError, InsufficientScopeError, Reason
from aveverify.fastapi._refusals import make_exception
from aveverify.fastapi._request_state import (
    Result,
    find_live_connection,
    find_request_state,
    get_request_state,
    identity_of,
    publish,
    show_refusal,
)
from aveverify.sources import DEFAULT_SOURCES

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Scope

# Why a token is refused that the verifier has accepted.
_APPLICATION_REASONS: Final = frozenset({Reason.UNKNOWN_USER, Reason.INACTIVE_USER, Reason.REFUSED_BY_CHECK})
# Where Starlette caches what it has parsed of the query.
_QUERY_CACHES: Final = ("_query_params", "_url")


class Authenticator:
    """Finds the identity of a request for the dependencies of one `AveAuth`.

    Args:
        policy: The rules of that `AveAuth`.

    Attributes:
        policy: As given.
    """

    __slots__ = ("policy",)

    def __init__(self, policy: AuthPolicy) -> None:
        self.policy = policy

    async def authenticate(self, connection: HTTPConnection, scopes: Sequence[str]) -> Identity | None:
        """Return the identity of a request; None without credentials, and for a WebSocket whose token has expired.

        Args:
            connection: The request or WebSocket.
            scopes: What the view demands beside the scopes of the policy.

        Raises:
            HTTPException: The credentials are refused.
            WebSocketException: The same, where the server cannot answer a WebSocket with an HTTP response.
        """
        scope, policy = connection.scope, self._policy_with(scopes)
        live = find_live_connection(scope)
        if live is not None and live.has_expired:
            # HTP-041: this WebSocket has no user any longer, whatever the token would show.
            return None
        state = get_request_state(scope)
        outcome = state.find_middleware_outcome(live)
        try:
            if self in state.results:
                identity = _from_this_request(policy, state.results[self])
            else:
                identity = None if outcome is None else _from_middleware(policy, state.middleware_policy, outcome)
                if identity is not None:
                    await policy.authorize_async(identity)
                else:
                    identity = await _from_token(policy, connection)
            if live is not None:
                await live.add_identity(identity, policy)
            elif identity is not None and scope["type"] == "websocket":
                refuse_expired(identity, policy.verifier)
        except REFUSALS as error:
            # The middleware has logged what it deferred.
            is_logged = isinstance(outcome, DeferredError) and error is outcome.error
            if self not in state.results:
                show_refusal(scope, policy, error)
            raise make_exception(policy, connection, error, is_logged=is_logged) from None
        state.results[self] = publish(scope, self.policy, identity, live)
        if RECORD_KEY in scope:
            record_outcome(scope, policy, identity)
        return identity

    def refuse(self, connection: HTTPConnection, error: AveVerifyError | None, scopes: Sequence[str]) -> Exception:
        """Log a refusal and make the exception that FastAPI answers; see `make_exception`."""
        policy = self._policy_with(scopes)
        if error is None:
            show_refusal(connection.scope, policy, None)
        return make_exception(policy, connection, error)

    async def check_further_tokens(self, scope: Scope, identity: Identity | None, policy: AuthPolicy) -> None:
        """Let rules decide about every further token of a WebSocket, as they have decided about the first.

        Args:
            scope: The connection; nothing happens where it is no WebSocket behind a middleware or `install`.
            identity: The identity that the rules have accepted, or None.
            policy: The rules.

        Source: HTP-030; HTP-044.
        """
        live, state = find_live_connection(scope), find_request_state(scope)
        # Where a test replaces the dependency, the identity comes from no token of this connection.
        is_of_token = state is not None and self in state.results and identity_of(state.results[self]) is identity
        if live is not None and is_of_token:
            await live.add_identity(identity, policy)

    def _policy_with(self, scopes: Sequence[str]) -> AuthPolicy:
        if scopes:
            check_scope_list(list(scopes))
        return self.policy.with_scopes(scopes)


def _from_this_request(policy: AuthPolicy, result: Result) -> Identity | None:
    """Return what the same `AveAuth` has found for another dependency, which may demand other scopes."""
    identity = identity_of(result)
    if identity is not None:
        policy.scopes.check(identity)
    return identity


def _from_middleware(policy: AuthPolicy, middleware_policy: object, outcome: object) -> Identity | None:
    """Return the identity that a middleware in front has found by the same verifier; its other rules may differ.

    Raises:
        AveVerifyError: The middleware has deferred a refusal that holds here, too.
    """
    is_same_verifier = isinstance(middleware_policy, AuthPolicy) and middleware_policy.verifier is policy.verifier
    if isinstance(outcome, DeferredError) and (is_same_verifier or _is_refused_by_application(outcome.error)):
        # HTP-044: no other way to the same token admits a user that the application refuses. But another verifier may
        # accept a token that the one of the middleware refuses.
        raise outcome.error.with_traceback(None)
    if (
        isinstance(outcome, Identity)
        and isinstance(middleware_policy, AuthPolicy)
        and is_same_verifier
        # HTP-031: a dependency with token sources of its own takes no identity from other sources.
        and policy.sources in (DEFAULT_SOURCES, middleware_policy.sources)
    ):
        return outcome
    return None


async def _from_token(policy: AuthPolicy, connection: HTTPConnection) -> Identity | None:
    """Return the identity that the token of the request gives; None without a token."""
    identity = find_cached_identity(policy.cached_identity, connection.scope)
    if identity is not None:
        return identity
    try:
        return await identify_async(policy, AsgiRequest(connection.scope))
    finally:
        _forget_query(connection)


def _is_refused_by_application(error: AveVerifyError) -> bool:
    """Tell whether the verifier has accepted the token, and a rule of the application refuses it."""
    return isinstance(error, InsufficientScopeError) or error.reason in _APPLICATION_REASONS


def _forget_query(connection: HTTPConnection) -> None:
    """Let a WebSocket parse its query again: FastAPI has parsed it before the token was taken out of it (HTP-033)."""
    if connection.scope["type"] == "websocket":
        for name in _QUERY_CACHES:
            connection.__dict__.pop(name, None)
