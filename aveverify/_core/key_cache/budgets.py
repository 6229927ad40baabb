"""The two budgets of forced refreshes, so that random key ids and forged signatures cannot flood an issuer.

A budget is a number of attempts within a sliding window. Attempts count from their start, whatever they result in.
DV-15; ROT-003; ROT-005.
"""

from __future__ import annotations

from typing import NamedTuple

from aveverify._core.key_cache.state import CacheState, Instant, RefreshReason
from aveverify.cache_policy import CachePolicy


class _Budget(NamedTuple):
    """How many forced refreshes are allowed within a window."""

    max_refreshes: int
    window_seconds: float


def _select_budget(policy: CachePolicy, reason: RefreshReason) -> _Budget:
    """Return the budget of a forced refresh for this reason."""
    if reason is RefreshReason.UNKNOWN_KEY:
        return _Budget(policy.unknown_key_refetches, policy.unknown_key_window_seconds)
    return _Budget(policy.bad_signature_refetches, policy.bad_signature_window_seconds)


def attempts_after_start(
    state: CacheState, policy: CachePolicy, reason: RefreshReason, started_for: RefreshReason, instant: Instant
) -> tuple[Instant, ...]:
    """Return the attempts that count against a budget once another refresh has started.

    Args:
        state: The state before.
        policy: The budgets.
        reason: Which budget.
        started_for: Why the refresh starts; only its own budget is charged.
        instant: When it starts.

    Returns:
        The attempts within the window, so that the state does not grow (ROT-018).
    """
    window_seconds = _select_budget(policy, reason).window_seconds
    counted = tuple(start for start in _attempts(state, reason) if instant.seconds_since(start) < window_seconds)
    return (*counted, instant) if reason is started_for else counted


def exhausted_for_seconds(state: CacheState, policy: CachePolicy, reason: RefreshReason, instant: Instant) -> float:
    """Return how many seconds a budget remains exhausted; 0 if a forced refresh may start."""
    attempts = _attempts(state, reason)
    max_refreshes, window_seconds = _select_budget(policy, reason)
    if not max_refreshes:
        # A budget of zero stays exhausted for ever; the window is as good a number as any.
        return window_seconds
    # Attempts are in order of time: only the oldest of the last `max_refreshes` counts. Every refused token asks this.
    if len(attempts) < max_refreshes:
        return 0.0
    return instant.seconds_until(attempts[-max_refreshes].plus(window_seconds))


def _attempts(state: CacheState, reason: RefreshReason) -> tuple[Instant, ...]:
    return state.unknown_key_attempts if reason is RefreshReason.UNKNOWN_KEY else state.bad_signature_attempts
