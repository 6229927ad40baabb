"""The state of a key set, as the plain data of `aveverify.status`."""

from __future__ import annotations

from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING

from aveverify._core.key_cache.state import CacheState, Instant, RefreshReason, Snapshot
from aveverify.status import ProviderStatus, State

if TYPE_CHECKING:
    from aveverify._core.provider import Provider
    from aveverify._jwks.remote_key_set import RemoteKeySet


def describe_key_set(provider: Provider, remote_keys: RemoteKeySet, instant: Instant) -> ProviderStatus:
    """Describe the keys of one provider.

    Args:
        provider: The provider.
        remote_keys: Its key set.
        instant: The present.

    Returns:
        Plain data.
    """
    state = remote_keys.state
    snapshot = state.snapshot
    fetched_at = age_seconds = fresh_until = usable_until = None
    # A key set of the configuration has no age.
    if snapshot is not None and isfinite(snapshot.fresh_seconds):
        age_seconds = snapshot.age_seconds(instant)
        fetched_at = instant.wall - age_seconds
        fresh_until = fetched_at + snapshot.fresh_seconds
        usable_until = fetched_at + snapshot.usable_seconds
    return ProviderStatus(
        issuer=provider.issuer,
        kind=provider.kind,
        state=_state_of(state, instant),
        kids=snapshot.key_set.kids if snapshot is not None else (),
        thumbprint=_thumbprint_of(snapshot) if snapshot is not None else None,
        age_seconds=age_seconds,
        fresh_until=fresh_until,
        usable_until=usable_until,
        last_success_at=fetched_at,
        last_error=state.last_cause,
        failures=state.failures,
        retry_after_seconds=state.cool_down_seconds(instant),
        is_fetching=state.refresh is not None,
        unknown_key_refusals=remote_keys.budgets.refusals[RefreshReason.UNKNOWN_KEY],
        bad_signature_refusals=remote_keys.budgets.refusals[RefreshReason.BAD_SIGNATURE],
    )


def _state_of(state: CacheState, instant: Instant) -> State:
    if state.snapshot is None:
        return "unavailable" if state.refreshes_started else "unused"
    if state.snapshot.is_fresh(instant):
        return "fresh"
    return "stale" if state.snapshot.is_usable(instant) else "unavailable"


def _thumbprint_of(snapshot: Snapshot) -> str:
    # The order in the document does not matter, the key ids do.
    keys = sorted(
        f"{candidate.kid!a} {candidate.key.thumbprint}"
        for candidate in snapshot.key_set.candidates
        if candidate.key is not None
    )
    return sha256("\n".join(keys).encode()).hexdigest()
