"""What a verification does with the keys of the cache: one table, decided from values alone.

The first row that fits, read from the top, names the action; "-" fits always. Keys are usable if they are loaded and
below the cap; "KEYS" and the other reasons are those of `RefreshReason`.

| usable keys | reason | may wait | refreshes | action |
| --- | --- | --- | --- | --- |
| none | - | yes | one is running, or no cool-down is left | WAIT |
| none | - | - | - | UNAVAILABLE |
| before their refresh time | KEYS | - | - | USE |
| stale | KEYS | yes | the last one did not fail | WAIT |
| from their refresh time on | KEYS | - | none is running, and no cool-down is left | USE_AND_REFRESH |
| from their refresh time on | KEYS | - | one is running, or a cool-down is left | USE |
| of a refresh that began after the question | the others | - | - | REFUSE |
| older than the question | UNKNOWN_KEY | no | - | UNAVAILABLE |
| older than the question | UNKNOWN_KEY | yes | one is running | WAIT |
| older than the question | UNKNOWN_KEY | yes | a cool-down is left | UNAVAILABLE |
| older than the question | UNKNOWN_KEY | yes | budget left | WAIT |
| older than the question | UNKNOWN_KEY | yes | budget exhausted, the last one failed | UNAVAILABLE |
| older than the question | UNKNOWN_KEY | yes | budget exhausted, the last one did not fail | REFUSE |
| older than the question | BAD_SIGNATURE | yes | a forced one is running | WAIT |
| older than the question | BAD_SIGNATURE | yes | budget left, and no cool-down is left | WAIT |
| older than the question | BAD_SIGNATURE | - | - | REFUSE |

DV-14; DV-15; ROT-001 to ROT-020. What a refresh changes stands in `transitions`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from aveverify._core.key_cache.budgets import exhausted_for_seconds
from aveverify._core.key_cache.state import CacheState, Instant, RefreshReason, Snapshot
from aveverify.cache_policy import CachePolicy


class Action(Enum):
    """What a verification does next."""

    USE = "use the keys"
    USE_AND_REFRESH = "use the keys, and refresh them in the background"
    WAIT = "wait for a refresh"
    REFUSE = "refuse the token"
    UNAVAILABLE = "keys unavailable"


class Decision(NamedTuple):
    """An action, and when another one becomes possible.

    Attributes:
        action: What to do.
        retry_after_seconds: For UNAVAILABLE, when a refresh may start again: after the cool-down, or when the exhausted
            budget for unknown keys allows one. For REFUSE, when the exhausted budget allows another forced refresh.
            Otherwise 0.
    """

    action: Action
    retry_after_seconds: float = 0.0


class Question(NamedTuple):
    """What one verification asks of the key cache.

    Attributes:
        reason: Why it asks.
        may_wait: Whether it may still wait for a refresh.
        refreshes_seen: How many refreshes had started when the verification first used the keys. Keys of a later
            refresh are as new as the question.
    """

    reason: RefreshReason
    may_wait: bool = True
    refreshes_seen: int = 0


def decide_action(state: CacheState, policy: CachePolicy, question: Question, instant: Instant) -> Decision:
    """Decide what one verification does.

    Args:
        state: The state of the key cache.
        policy: Durations and budgets.
        question: What the verification asks.
        instant: The instant of the verification.

    Returns:
        The action that the table above names.
    """
    snapshot = state.snapshot
    if snapshot is None or not snapshot.is_usable(instant):
        return _decide_without_keys(state, question, instant)
    if question.reason is RefreshReason.KEYS:
        return _decide_by_age(state, snapshot, question, instant)
    if snapshot.refresh_number > question.refreshes_seen:
        # The keys are as new as the question: another refresh would find the same.
        return Decision(Action.REFUSE)
    if question.reason is RefreshReason.UNKNOWN_KEY:
        return _decide_unknown_key(state, policy, question, instant)
    return _decide_bad_signature(state, policy, question, instant)


def _decide_without_keys(state: CacheState, question: Question, instant: Instant) -> Decision:
    cool_down_seconds = state.cool_down_seconds(instant)
    if question.may_wait and (state.refresh is not None or not cool_down_seconds):
        return Decision(Action.WAIT)
    return Decision(Action.UNAVAILABLE, cool_down_seconds)


def _decide_by_age(state: CacheState, snapshot: Snapshot, question: Question, instant: Instant) -> Decision:
    age_seconds = snapshot.age_seconds(instant)
    if age_seconds < snapshot.refresh_seconds:
        return Decision(Action.USE)
    if age_seconds >= snapshot.fresh_seconds and state.failures == 0 and question.may_wait:
        return Decision(Action.WAIT)
    may_refresh = state.refresh is None and not state.cool_down_seconds(instant)
    return Decision(Action.USE_AND_REFRESH if may_refresh else Action.USE)


def _decide_unknown_key(state: CacheState, policy: CachePolicy, question: Question, instant: Instant) -> Decision:
    cool_down_seconds = state.cool_down_seconds(instant)
    if not question.may_wait:
        return Decision(Action.UNAVAILABLE, cool_down_seconds)
    if state.refresh is not None:
        # A refresh that started before the question may find the old keys; then the budget is charged for one more.
        return Decision(Action.WAIT)
    if cool_down_seconds:
        return Decision(Action.UNAVAILABLE, cool_down_seconds)
    exhausted_seconds = exhausted_for_seconds(state, policy, RefreshReason.UNKNOWN_KEY, instant)
    if not exhausted_seconds:
        return Decision(Action.WAIT)
    # A rotation during an outage must not sign every user out.
    return Decision(Action.UNAVAILABLE if state.failures else Action.REFUSE, exhausted_seconds)


def _decide_bad_signature(state: CacheState, policy: CachePolicy, question: Question, instant: Instant) -> Decision:
    if question.may_wait and state.refresh is not None and state.refresh.is_forced:
        # A forced refresh is running; wait for it without charging this budget.
        return Decision(Action.WAIT)
    exhausted_seconds = exhausted_for_seconds(state, policy, RefreshReason.BAD_SIGNATURE, instant)
    may_refresh = question.may_wait and not exhausted_seconds and not state.cool_down_seconds(instant)
    return Decision(Action.WAIT) if may_refresh else Decision(Action.REFUSE, exhausted_seconds)
