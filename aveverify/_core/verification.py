"""The whole verification on one page: six steps, each of which raises or returns a narrower type.

    token -> UnverifiedClaims -> provider -> UnverifiedToken -> key -> VerifiedToken -> Identity

It never waits: where keys are missing, it returns `KeysNeeded`; the caller may wait for them and call again. The order
of the steps is Convex's, and decides the error code when several things are wrong (PRE-07, OIDC-26).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, Protocol

from aveverify._core.identity import Identity, make_identity
from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jws import verify_signature
from aveverify._core.jose.jwt_claims import read_claims
from aveverify._core.key_cache.state import RefreshReason, Snapshot
from aveverify._core.provider import Provider
from aveverify._core.provider_context import ProviderContext, RemoteKeysT
from aveverify._core.rules.ave import check_id_token
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify.errors import InvalidTokenError, Reason

# DV-15: newer keys could turn these refusals into an acceptance.
_REFRESH_REASONS: Final = {
    Reason.UNKNOWN_KEY: RefreshReason.UNKNOWN_KEY,
    Reason.BAD_SIGNATURE: RefreshReason.BAD_SIGNATURE,
}
# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__


class Accepted(NamedTuple, Generic[RemoteKeysT]):
    """An accepted token, and when the token cache may accept the same bytes again without verifying them.

    Attributes:
        identity: The user.
        remote_keys: Where the key came from that verified it.
        generation: Which content of `remote_keys` that was; under another one the result must not be reused.
        valid_from: Earliest second since the epoch, by the wall clock, at which the result may be reused.
        valid_until: First second at which it must not be reused any more.
    """

    identity: Identity
    remote_keys: RemoteKeysT
    generation: int
    valid_from: int
    valid_until: int


class KeysNeeded(NamedTuple, Generic[RemoteKeysT]):
    """No result yet: keys have to be fetched first.

    Attributes:
        provider: The provider that the token chose.
        remote_keys: Where its keys come from.
        refresh_reason: Why they have to be fetched.
        refusal: The refusal of the token if fetching does not help; None where there are no usable keys at all.
    """

    provider: Provider
    remote_keys: RemoteKeysT
    refresh_reason: RefreshReason
    refusal: InvalidTokenError | None


class VerificationInput(Protocol[RemoteKeysT]):
    """The providers, their keys and the time, as one verification sees them."""

    @property
    def provider_index(self) -> ProviderIndex:
        """Which provider a token belongs to."""

    @property
    def contexts(self) -> Sequence[ProviderContext[RemoteKeysT]]:
        """The providers in written order."""

    @property
    def now(self) -> float:
        """The instant of this call in seconds since the epoch, finite and not negative; read after `usable_keys`."""

    def usable_keys(self, remote_keys: RemoteKeysT) -> Snapshot | None:
        """Return the keys that may be used at this instant; None where they have to be fetched first."""


def verify_without_waiting(
    token: bytes, keys: VerificationInput[RemoteKeysT]
) -> Accepted[RemoteKeysT] | KeysNeeded[RemoteKeysT]:
    """Verify one token as far as that is possible without waiting.

    Args:
        token: The token, within the size limit.
        keys: The providers, their keys and the time.

    Returns:
        The accepted token, or which keys have to be fetched first.

    Raises:
        InvalidTokenError: The token is refused.
        KeysUnavailableError: The discovery document belongs to another issuer.

    Source: the rules of the steps; DV-14; DV-15.
    """
    # 1 read the claims: none is trusted yet.
    unverified = read_claims(token)
    # 2 select the provider; there is no second try (SEL-03).
    context = keys.contexts[keys.provider_index.select(unverified)]
    provider, rules = context.provider, context.rules
    # 3 parse the whole token strictly, and refuse it before any fetch if no key could make it acceptable.
    header_segment = token[: unverified.header_end]
    known = context.headers.find(header_segment)
    parsed = rules.parse_token(unverified, None if known is None else known.header)
    if known is None:
        rules.check_header(parsed.header, provider.algorithm)
    if unverified.audiences != context.only_audience:
        rules.check_audiences(unverified, provider.application_id)
    # 4 find the key, and 5 verify the signature.
    snapshot = keys.usable_keys(context.remote_keys)
    if snapshot is None:
        return KeysNeeded(provider, context.remote_keys, RefreshReason.KEYS, None)
    if unverified.issuer != snapshot.document_issuer:
        rules.check_document_issuer(unverified.issuer, provider, snapshot.document_issuer)
    if known is not None and known.key_set is not snapshot.key_set:
        # Its key was chosen in an older key set.
        known = None
    try:
        key = rules.select_key(snapshot.key_set, parsed) if known is None else known.key
        verified = verify_signature(parsed, key, provider.kind)
    except InvalidTokenError as refusal:
        refresh_reason = _REFRESH_REASONS.get(refusal.reason)
        # DV-15: a token that would be refused all the same never spends a forced refresh.
        if refresh_reason is None or not _would_pass_step_6(context, parsed.claims, keys.now):
            raise
        # Without its traceback, whose frames hold the token.
        return KeysNeeded(provider, context.remote_keys, refresh_reason, refusal.with_traceback(None))
    if known is None:
        context.headers.remember(header_segment, parsed.header, snapshot.key_set, key)
    # 6 check the claims, and make the identity.
    claims = verified.claims
    _check_claims(context, claims, keys.now)
    identity = make_identity(provider, verified.payload, claims)
    valid_from, valid_until = rules.compute_validity(claims, context.leeway_seconds)
    return _new(Accepted, (identity, context.remote_keys, snapshot.generation, valid_from, valid_until))


def _check_claims(context: ProviderContext[RemoteKeysT], claims: JsonObject, now: float) -> None:
    context.rules.check_claims(claims, now, context.leeway_seconds)
    if context.ave_client_id is not None:
        check_id_token(claims, context.ave_client_id)


def _would_pass_step_6(context: ProviderContext[RemoteKeysT], claims: JsonObject, now: float) -> bool:
    try:
        _check_claims(context, claims, now)
    except InvalidTokenError:
        return False
    return True
