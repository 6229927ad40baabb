"""How a refresh changes the key cache: when it starts, when it succeeds, when it fails.

A failed refresh changes the schedule, never the keys, except for newer ones that it loaded beside its error. A refresh
that is no longer the running one changes nothing, so a late answer never replaces newer keys (ROT-011).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aveverify._core.key_cache.budgets import attempts_after_start
from aveverify._core.key_cache.state import (
    CacheState,
    FailedLoad,
    Instant,
    LoadedKeys,
    Refresh,
    RefreshReason,
    Snapshot,
)
from aveverify.cache_policy import CachePolicy

# A pause that has doubled 30 times is far beyond every `max_backoff_seconds`. Without a bound, a week of failures would
# compute a number of a thousand digits.
_MAX_DOUBLINGS: Final = 30


def with_refresh_started(
    state: CacheState, policy: CachePolicy, reason: RefreshReason, instant: Instant, jitter: float
) -> CacheState:
    """Return the state in which a refresh is running; a forced one is charged to its budget, whatever its result.

    Args:
        state: A state without a running refresh.
        policy: The budgets.
        reason: Why the refresh starts.
        instant: When it starts.
        jitter: From -1 to 1: how far what follows is moved from its planned time.

    Returns:
        The state with the refresh.
    """
    number = state.refreshes_started + 1
    unknown, forged = (
        attempts_after_start(state, policy, budget, reason, instant.monotonic)
        for budget in (RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE)
    )
    return replace(
        state,
        refresh=Refresh(number, instant, is_forced=reason is not RefreshReason.KEYS, jitter=jitter),
        refreshes_started=number,
        unknown_key_attempts=unknown,
        bad_signature_attempts=forged,
    )


def with_refresh_succeeded(state: CacheState, policy: CachePolicy, refresh: Refresh, keys: LoadedKeys) -> CacheState:
    """Return the state after a refresh that loaded keys.

    Args:
        state: The state before.
        policy: How long before the end of their freshness keys are refreshed, and the cap.
        refresh: The refresh, as it started.
        keys: What it loaded.

    Returns:
        The state with the new snapshot; the same object if the refresh is not the running one (ROT-011).
    """
    if state.refresh != refresh:
        return state
    snapshot = _make_snapshot(state.snapshot, policy, refresh, keys)
    return replace(state, snapshot=snapshot, refresh=None, failures=0, cool_until=0.0, last_cause=None)


def with_refresh_failed(
    state: CacheState, policy: CachePolicy, refresh: Refresh, failure: FailedLoad, monotonic: float
) -> CacheState:
    """Return the state after a refresh that failed: the schedule moves, the keys stay.

    Keys that the refresh loaded beside its error replace the present ones if they are newer.

    Args:
        state: The state before.
        policy: The back-off.
        refresh: The refresh, as it started.
        failure: How it failed.
        monotonic: Monotonic clock at its end, from which the cool-down counts.

    Returns:
        The state with a cool-down; the same object if the refresh is not the running one (ROT-011).
    """
    if state.refresh != refresh:
        return state
    failures = state.failures + 1
    return replace(
        state,
        snapshot=_select_newer(state.snapshot, policy, refresh, failure.keys),
        refresh=None,
        failures=failures,
        cool_until=monotonic + _pause_seconds(policy, failures, failure.error.retry_after_seconds, refresh.jitter),
        last_cause=failure.error.cause,
    )


def _pause_seconds(policy: CachePolicy, failures: int, retry_after_seconds: float, jitter: float) -> float:
    pause: float = min(policy.min_backoff_seconds * 2 ** min(failures - 1, _MAX_DOUBLINGS), policy.max_backoff_seconds)
    pause *= 1 + policy.refresh_jitter * jitter
    # NET-010: an issuer may lengthen the pause, up to a limit, and never shorten it.
    return max(pause, min(retry_after_seconds, policy.max_retry_after_seconds))


def _select_newer(
    last: Snapshot | None, policy: CachePolicy, refresh: Refresh, keys: LoadedKeys | None
) -> Snapshot | None:
    if keys is None:
        return last
    found = _make_snapshot(last, policy, refresh, keys)
    return found if last is None or keys.is_latest or found.started.wall > last.started.wall else last


def _make_snapshot(last: Snapshot | None, policy: CachePolicy, refresh: Refresh, keys: LoadedKeys) -> Snapshot:
    refresh_seconds = keys.fresh_seconds * policy.refresh_ahead * (1 + policy.refresh_jitter * refresh.jitter)
    has_same_content = last is not None and last.content == keys.content
    return Snapshot(
        # Equal content keeps its parsed keys, and with them everything that was cached under them.
        key_set=last.key_set if last is not None and has_same_content else keys.key_set,
        document_issuer=keys.document_issuer,
        content=keys.content,
        # Keys that are older than this refresh do not answer the question that caused it.
        refresh_number=0 if keys.is_shared else refresh.number,
        started=refresh.started.minus(keys.age_seconds),
        refresh_seconds=min(refresh_seconds, keys.fresh_seconds),
        fresh_seconds=keys.fresh_seconds,
        usable_seconds=keys.fresh_seconds + policy.stale_if_error_seconds,
        generation=0 if last is None else last.generation + (not has_same_content),
    )
