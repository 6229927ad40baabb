"""The one flow of every request: is its path exempt, what is its token, is that accepted, and what follows if not.

Knows neither ASGI nor WSGI nor a framework: each gives its request as an `IncomingRequest`. Only the hot path, a token
that was accepted before, is decided before this flow, by the two `find_cached_identity`. HTTP-06; HTTP-09; HTP-027.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aveverify._core.identity import Identity
from aveverify._http.live_identity import refuse_expired
from aveverify._http.policy import REFUSALS, AuthPolicy, Denial
from aveverify._http.request_identity import DeferredError

if TYPE_CHECKING:
    from aveverify._http.exempt_paths import ExemptPaths
    from aveverify.errors import AveVerifyError
    from aveverify.sources import TokenSource


class Preflight(NamedTuple):
    """A CORS preflight, which passes without a token where credentials are required: an anonymous request (HTP-027)."""


PREFLIGHT: Final = Preflight()
# What the flow decides: the identity; None or a preflight for an anonymous request; or what follows from a refusal.
Outcome = Identity | DeferredError | Denial | Preflight | None


class IncomingRequest(Protocol):
    """What the flow asks of a request: the adapters of ASGI, WSGI and forward authentication answer it."""

    @property
    def is_websocket(self) -> bool:
        """Whether the request opens a WebSocket, which ends with its token: its refusal is never deferred."""

    def is_at(self, paths: ExemptPaths) -> bool:
        """Tell whether the path is one of these."""

    def hide_token(self, sources: Sequence[TokenSource]) -> None:
        """Take a token out of the query, unread, on an exempt path."""

    def read_token(self, sources: Sequence[TokenSource]) -> bytes | None:
        """Return the one token of the request; None where there is none.

        Raises:
            InvalidRequestError: A token is malformed, or there are several.
        """

    def is_preflight(self) -> bool:
        """Tell whether the request is a CORS preflight."""

    def note_identity(self, identity: Identity) -> None:
        """Note whose token it is, for what stands in front, before the rules of the application are asked."""


async def identify_async(policy: AuthPolicy, request: IncomingRequest) -> Identity | None:
    """Read the token of a request and verify it, for an integration that raises refusals by itself.

    Args:
        policy: The rules.
        request: The request; its path is not exempt.

    Returns:
        The identity; None for a request without credentials.

    Raises:
        InvalidRequestError: The credentials are malformed.
        InvalidTokenError: The token is refused, by the verifier or by `check`.
        InsufficientScopeError: A scope is missing.
        KeysUnavailableError: The issuer's keys are unavailable; the token was not judged.
    """
    token = request.read_token(policy.sources)
    if token is None:
        return None
    identity = await policy.verifier.verify_async(token)
    # A crash report of the application's functions shows the locals of this frame (ERR-002).
    token = None
    request.note_identity(identity)
    await policy.authorize_async(identity)
    return identity


def authenticate(
    policy: AuthPolicy,
    request: IncomingRequest,
    *,
    required: bool,
    known: Identity | None = None,
    admit: Callable[[Identity], object] | None = None,
) -> Outcome:
    """Decide about a request.

    Args:
        policy: The rules.
        request: The request.
        required: Whether a request without credentials is refused here, but for the optional paths.
        known: The identity of a token that was accepted before, from `find_cached_identity`.
        admit: Loads the application's user of an identity; may raise `InvalidTokenError`.

    Returns:
        The identity; None or `PREFLIGHT` for an anonymous request; or what follows from a refusal, which is logged.
    """
    if request.is_at(policy.exempt):
        request.hide_token(policy.sources)
        return None
    try:
        identity = known
        if identity is None and (token := request.read_token(policy.sources)) is not None:
            identity = policy.verifier.verify(token)
            # A crash report of the application's functions shows the locals of this frame (ERR-002).
            token = None
            request.note_identity(identity)
            policy.authorize(identity)
        if identity is not None and admit is not None:
            admit(identity)
    except REFUSALS as error:
        return _deny_or_defer(policy, request, error)
    is_missing = identity is None and required and not request.is_at(policy.optional)
    return deny_anonymous(policy, request) if is_missing else identity


async def authenticate_async(
    policy: AuthPolicy,
    request: IncomingRequest,
    *,
    required: bool,
    known: Identity | None = None,
    admit: Callable[[Identity], Awaitable[object]] | None = None,
) -> Outcome:
    """Decide about a request, or about the opening of a WebSocket, without blocking the event loop; see `authenticate`.

    A WebSocket is refused from the `exp` of its token on: the leeway is for single requests (CJ-29).
    """
    if request.is_at(policy.exempt):
        request.hide_token(policy.sources)
        return None
    try:
        # As `identify_async`, whose coroutine would cost every request 0.2 µs.
        identity = known
        if identity is None and (token := request.read_token(policy.sources)) is not None:
            identity = await policy.verifier.verify_async(token)
            # As above.
            token = None
            request.note_identity(identity)
            await policy.authorize_async(identity)
        if identity is not None:
            if request.is_websocket:
                refuse_expired(identity, policy.verifier)
            if admit is not None:
                await admit(identity)
    except REFUSALS as error:
        return _deny_or_defer(policy, request, error)
    is_missing = identity is None and required and not request.is_at(policy.optional)
    return deny_anonymous(policy, request) if is_missing else identity


def deny_anonymous(policy: AuthPolicy, request: IncomingRequest) -> Denial | Preflight:
    """Refuse a request without credentials, unless it is a CORS preflight, which carries none.

    Args:
        policy: The rules.
        request: The request.

    Returns:
        The denial, which is logged; or `PREFLIGHT`: the caller must keep the body of the request from the application.

    Source: HTP-027; Fetch §4.8.
    """
    return PREFLIGHT if request.is_preflight() else policy.deny(None)


def _deny_or_defer(policy: AuthPolicy, request: IncomingRequest, error: AveVerifyError) -> Denial | DeferredError:
    return policy.deny(error) if request.is_websocket else policy.deny_or_defer(error)
