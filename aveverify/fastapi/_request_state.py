"""FastAPI: what the dependencies of one request have found, and what a middleware had found before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aveverify._core.identity import Identity
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity
from aveverify._http.policy import POLICY_KEY, AuthPolicy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.shared_scope import FASTAPI_KEY
from aveverify._http.websocket import LiveConnection

if TYPE_CHECKING:
    from starlette.types import Scope

    from aveverify.errors import AveVerifyError

# What a dependency has found: the identity; of a WebSocket, what looks up the identity of the moment; None without
# credentials.
Result = Identity | LiveIdentity | None


class HasPolicy(Protocol):
    """What finds a result, by the rules of one `AveAuth`."""

    @property
    def policy(self) -> AuthPolicy:
        """The rules."""


class RequestState:
    """What has been found for one request so far.

    Args:
        middleware_policy: What the scope held as the rules of a middleware before any dependency ran. Only an
            `AuthPolicy` is that of a middleware of this package.
        middleware_outcome: What the scope held as the identity then: an identity, a deferred refusal, or None.

    Attributes:
        results: What each `AveAuth` has found, by its authenticator.
        authorized: The identity that meets the rule of a dependency, by the dependency.
        refusal: Why a dependency has refused the request; None where none has, or it has no credentials.
    """

    __slots__ = ("authorized", "middleware_outcome", "middleware_policy", "refusal", "results")

    def __init__(self, middleware_policy: object, middleware_outcome: object) -> None:
        self.middleware_policy = middleware_policy
        self.middleware_outcome = middleware_outcome
        self.results: dict[HasPolicy, Result] = {}
        self.authorized: dict[object, Identity] = {}
        self.refusal: AveVerifyError | None = None

    def find_middleware_outcome(self, live: LiveConnection | None) -> object:
        """Return what the middleware in front has found; of a WebSocket, by the latest token that it has seen."""
        if live is not None and live.policy is self.middleware_policy:
            return live.in_front
        return self.middleware_outcome


def identity_of(result: Result) -> Identity | None:
    """Return the identity that a dependency has found; of a WebSocket, that of this moment."""
    return result.identity if isinstance(result, LiveIdentity) else result


def find_request_state(scope: Scope) -> RequestState | None:
    """Return the state of a request; None before a dependency has run."""
    state = scope.get(FASTAPI_KEY)
    return state if isinstance(state, RequestState) else None


def get_request_state(scope: Scope) -> RequestState:
    """Return the state of a request; made at the first call, before any dependency has changed the scope."""
    state = find_request_state(scope)
    if state is None:
        state = scope[FASTAPI_KEY] = RequestState(scope.get(POLICY_KEY), scope.get(IDENTITY_KEY))
    return state


def find_live_connection(scope: Scope) -> LiveConnection | None:
    """Return the connection of a WebSocket behind a middleware or `install`; None for any other connection."""
    live = scope.get(LIVE_KEY)
    return live if isinstance(live, LiveConnection) else None


def show_refusal(scope: Scope, policy: AuthPolicy, error: AveVerifyError | None) -> None:
    """Let exception handlers of a refused HTTP request find the refusal where they look for the identity.

    They must find neither an error about a missing middleware, nor the user of a middleware in front that has another
    verifier.

    Args:
        scope: The connection.
        policy: The rules that refuse.
        error: Why; None where credentials are required and there are none.

    Source: HTP-036; HTP-044.
    """
    if scope["type"] == "http":
        get_request_state(scope).refusal = error
        scope[IDENTITY_KEY], scope[POLICY_KEY] = None if error is None else DeferredError(error), policy


def publish(scope: Scope, policy: AuthPolicy, identity: Identity | None, live: LiveConnection | None) -> Result:
    """Let the scope show what a dependency has found, for `get_user_identity` and `current_identity`.

    Args:
        scope: The connection.
        policy: The rules of the dependency.
        identity: What it has found.
        live: The connection of a WebSocket, if something in front follows it.

    Returns:
        What a further dependency on the same `AveAuth` takes.

    Source: HTP-010; HTP-041; HTP-046.
    """
    # HTP-010: this request's identity replaces whatever stood there, and None counts as one. But a dependency that
    # finds no credentials does not take away what another part of this package has found.
    replaces = identity is not None or not isinstance(scope.get(POLICY_KEY), AuthPolicy)
    if replaces:
        scope[IDENTITY_KEY], scope[POLICY_KEY] = identity, policy
    if scope["type"] != "websocket":
        return identity
    # HTP-041, HTP-046: a WebSocket has the user of the moment.
    own = LiveIdentity(identity, policy.verifier)
    if live is None:
        if replaces:
            scope[LIVE_KEY] = own
        return own
    if replaces:
        live.show_in(scope, IDENTITY_KEY)
    return live if identity is live.identity else own
