"""How a refresh changes the key cache: when it starts, when it succeeds, when it fails.

A failed refresh changes the schedule, never the keys, except for newer ones that it loaded beside its error. A refresh
that is no longer the running one changes nothing, so a late response never replaces newer keys (ROT-011).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aveverify._core.key_cache.budgets import attempts_after_start
from aveverify._core.key_cache.state import (
    LONG_AGO,
    CacheState,
    FailedLoad,
    Instant,
    LoadedKeys,
    Refresh,
    RefreshReason,
    Snapshot,
)
from aveverify.cache_policy import CachePolicy

# A cool-down that has doubled 30 times is far beyond every `max_backoff_seconds`. Without a bound, a week of failures
# would compute a number of a thousand digits.
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
        jitter: -1 to 1; times `refresh_jitter`, the part by which the next refresh or cool-down is moved.

    Returns:
        The state with the refresh.
    """
    number = state.refreshes_started + 1
    unknown, forged = (
        attempts_after_start(state, policy, budget, reason, instant)
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
    return replace(state, snapshot=snapshot, refresh=None, failures=0, cool_until=LONG_AGO, last_cause=None)


def with_refresh_failed(
    state: CacheState, policy: CachePolicy, refresh: Refresh, failure: FailedLoad, ended: Instant
) -> CacheState:
    """Return the state after a refresh that failed: the schedule moves, the keys stay (ROT-008).

    Keys that the refresh loaded beside its error replace the present ones if they are newer.

    Args:
        state: The state before.
        policy: The cool-down.
        refresh: The refresh, as it started.
        failure: How it failed.
        ended: When it ended; the cool-down counts from then.

    Returns:
        The state with a cool-down; the same object if the refresh is not the running one (ROT-011).
    """
    if state.refresh != refresh:
        return state
    failures = state.failures + 1
    cool_down_seconds = _compute_cool_down_seconds(policy, failures, failure.error.retry_after_seconds, refresh.jitter)
    return replace(
        state,
        snapshot=_select_newer(state.snapshot, policy, refresh, failure.keys),
        refresh=None,
        failures=failures,
        cool_until=ended.plus(cool_down_seconds),
        last_cause=failure.error.cause,
    )


def _compute_cool_down_seconds(policy: CachePolicy, failures: int, retry_after_seconds: float, jitter: float) -> float:
    doublings = min(failures - 1, _MAX_DOUBLINGS)
    seconds: float = min(policy.min_backoff_seconds * 2**doublings, policy.max_backoff_seconds)
    seconds *= 1 + policy.refresh_jitter * jitter
    # NET-010: an issuer may lengthen the cool-down, up to a limit, and never shorten it.
    return max(seconds, min(retry_after_seconds, policy.max_retry_after_seconds))


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
        # Keys that are older than this refresh do not decide the question that caused it.
        refresh_number=0 if keys.predates_refresh else refresh.number,
        started=refresh.started.plus(-keys.age_seconds),
        refresh_seconds=min(refresh_seconds, keys.fresh_seconds),
        fresh_seconds=keys.fresh_seconds,
        usable_seconds=keys.fresh_seconds + policy.stale_if_error_seconds,
        generation=0 if last is None else last.generation + (not has_same_content),
    )
