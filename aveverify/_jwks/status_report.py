"""The state of a key source, told as `aveverify.status` tells it."""

from __future__ import annotations

from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING

from aveverify._core.key_cache.decisions import RefreshReason, Snapshot
from aveverify.status import ProviderStatus, State

if TYPE_CHECKING:
    from aveverify._core.provider import Provider
    from aveverify._jwks.remote_key_set import RemoteKeySet
    from aveverify.cache_policy import CachePolicy


def describe_source(
    provider: Provider, source: RemoteKeySet, policy: CachePolicy, now: float, at: float
) -> ProviderStatus:
    """Describe the keys of one provider.

    Args:
        provider: The provider.
        source: Where its keys come from.
        policy: The limits of the cache.
        now: Wall clock, in seconds since the epoch.
        at: Monotonic clock, in seconds.

    Returns:
        Plain data.
    """
    state = source.state
    snapshot = state.snapshot
    age_seconds = fresh_until = usable_until = last_success_at = None
    # A key set in the configuration has no age.
    if snapshot is not None and isfinite(snapshot.fresh_seconds):
        age_seconds = snapshot.age_seconds(now, at)
        fresh_until = now - age_seconds + snapshot.fresh_seconds
        usable_until = fresh_until + policy.stale_if_error_seconds
        last_success_at = now - age_seconds
    return ProviderStatus(
        issuer=provider.issuer,
        kind=provider.kind,
        state=_state_of(snapshot, policy, now, at, attempts=state.flights),
        kids=snapshot.key_set.kids if snapshot is not None else (),
        thumbprint=_thumbprint_of(snapshot) if snapshot is not None else None,
        age_seconds=age_seconds,
        fresh_until=fresh_until,
        usable_until=usable_until,
        last_success_at=last_success_at,
        last_error=state.last_cause,
        failures=state.failures,
        retry_after_seconds=max(state.cool_until - at, 0.0),
        is_fetching=state.flight is not None,
        unknown_key_refusals=source.refusals[RefreshReason.UNKNOWN_KEY],
        bad_signature_refusals=source.refusals[RefreshReason.BAD_SIGNATURE],
    )


def _state_of(snapshot: Snapshot | None, policy: CachePolicy, now: float, at: float, *, attempts: int) -> State:
    if snapshot is None:
        return "unavailable" if attempts else "unused"
    age_seconds = snapshot.age_seconds(now, at)
    if age_seconds < snapshot.fresh_seconds:
        return "fresh"
    return "stale" if age_seconds < snapshot.fresh_seconds + policy.stale_if_error_seconds else "unavailable"


def _thumbprint_of(snapshot: Snapshot) -> str:
    # The order in the document does not matter, the key ids do.
    keys = sorted(
        f"{candidate.kid!a} {candidate.key.thumbprint}"
        for candidate in snapshot.key_set.candidates
        if candidate.key is not None
    )
    return sha256("\n".join(keys).encode()).hexdigest()
