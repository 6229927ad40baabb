"""The table of the key cache, row by row, its budgets, and its two clocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aveverify._core.key_cache.decisions import Action
from aveverify._core.key_cache.state import EMPTY, CacheState, Instant, RefreshReason
from tests.core.jose_factory import NOW
from tests.core.key_cache.states import (
    AT,
    CAP,
    FRESH,
    POLICY,
    PRESENT,
    REFRESH,
    Columns,
    cached,
    decide,
    question,
    snapshot,
)

# --- the table, row by row: keys, age, key, last attempt -> decision

USE, BEHIND, WAIT = Action.USE, Action.USE_AND_REFRESH, Action.WAIT
REFUSE, UNAVAILABLE = Action.REFUSE, Action.UNAVAILABLE


@pytest.mark.parametrize(
    "age", [None, CAP, CAP + 1, 10 * CAP], ids=["no keys", "at the cap", "beyond it", "far beyond"]
)
@pytest.mark.parametrize("reason", list(RefreshReason))
@pytest.mark.parametrize(
    ("columns", "action"),
    [
        pytest.param(Columns(), WAIT, id="no attempt yet, or the last one succeeded"),
        pytest.param(Columns(is_running=True), WAIT, id="running"),
        pytest.param(Columns(1, 7), UNAVAILABLE, id="failed, cooling down"),
        pytest.param(Columns(1, 7, is_running=True), WAIT, id="failed, cooling down, running"),
        pytest.param(Columns(1), WAIT, id="failed, the cool-down is just over"),
        pytest.param(Columns(3, -5), WAIT, id="failed, the cool-down is long over"),
    ],
)
def test_without_usable_keys(age: float | None, reason: RefreshReason, columns: Columns, action: Action) -> None:
    decision = decide(cached(age, columns), reason)

    assert decision.action is action
    assert decision.retry_after_seconds == (7 if action is UNAVAILABLE else 0)


@pytest.mark.parametrize(
    ("age", "columns", "action"),
    [
        pytest.param(0, Columns(), USE, id="new"),
        pytest.param(REFRESH - 1, Columns(), USE, id="fresh, just before the refresh time"),
        pytest.param(REFRESH - 1, Columns(1), USE, id="fresh, the last attempt failed"),
        pytest.param(REFRESH, Columns(), BEHIND, id="at the refresh time"),
        pytest.param(REFRESH + 1, Columns(), BEHIND, id="just after the refresh time"),
        pytest.param(FRESH - 1, Columns(), BEHIND, id="just before stale"),
        pytest.param(REFRESH, Columns(is_running=True), USE, id="at the refresh time, running"),
        pytest.param(REFRESH, Columns(1, 7), USE, id="at the refresh time, cooling down"),
        pytest.param(REFRESH, Columns(1), BEHIND, id="at the refresh time, the cool-down is over"),
        pytest.param(FRESH, Columns(), WAIT, id="stale, the last attempt succeeded"),
        pytest.param(FRESH + 1, Columns(), WAIT, id="stale, just after"),
        pytest.param(CAP - 1, Columns(), WAIT, id="stale, just before the cap"),
        pytest.param(FRESH, Columns(is_running=True), WAIT, id="stale, running"),
        pytest.param(FRESH, Columns(1, 7), USE, id="stale, failed and cooling down"),
        pytest.param(FRESH, Columns(1), BEHIND, id="stale, failed, the cool-down is over"),
        pytest.param(FRESH, Columns(1, 0, is_running=True), USE, id="stale, failed, running again"),
        pytest.param(CAP - 1, Columns(5, 7), USE, id="stale, a long outage, just before the cap"),
    ],
)
def test_with_keys_the_age_decides(age: float, columns: Columns, action: Action) -> None:
    assert decide(cached(age, columns)) == (action, 0)


@pytest.mark.parametrize(
    ("columns", "spent", "decision"),
    [
        pytest.param(Columns(), 0, (WAIT, 0), id="succeeded, budget left"),
        pytest.param(Columns(), 1, (WAIT, 0), id="succeeded, one attempt left"),
        pytest.param(Columns(), 2, (REFUSE, 10), id="succeeded, budget spent"),
        pytest.param(Columns(is_running=True), 2, (WAIT, 0), id="running, whatever is spent"),
        pytest.param(Columns(1, 7), 0, (UNAVAILABLE, 7), id="failed, cooling down"),
        pytest.param(Columns(1, 7, is_running=True), 0, (WAIT, 0), id="failed, running again"),
        pytest.param(Columns(1), 0, (WAIT, 0), id="failed, the cool-down is over, budget left"),
        pytest.param(Columns(1), 2, (UNAVAILABLE, 10), id="failed, the cool-down is over, budget spent"),
    ],
)
@pytest.mark.parametrize(
    "age", [0, REFRESH, FRESH, CAP - 1], ids=["fresh", "to be refreshed", "stale", "just before the cap"]
)
def test_with_keys_of_which_none_is_the_tokens(
    age: float, columns: Columns, spent: int, decision: tuple[Action, float]
) -> None:
    state = cached(age, columns, unknown=(20.0, 10.0)[:spent])

    assert decide(state, RefreshReason.UNKNOWN_KEY) == decision


@pytest.mark.parametrize(
    ("columns", "spent", "decision"),
    [
        pytest.param(Columns(), 0, (WAIT, 0), id="budget left"),
        pytest.param(Columns(is_running=True), 0, (WAIT, 0), id="budget left, running"),
        pytest.param(Columns(1), 0, (WAIT, 0), id="budget left, the cool-down is over"),
        pytest.param(Columns(), 1, (REFUSE, 30), id="budget spent"),
        pytest.param(Columns(1, 7), 0, (REFUSE, 0), id="cooling down"),
        pytest.param(Columns(1, 7), 1, (REFUSE, 30), id="cooling down and budget spent"),
    ],
)
def test_with_a_key_under_which_the_signature_is_bad(
    columns: Columns, spent: int, decision: tuple[Action, float]
) -> None:
    assert decide(cached(0, columns, forged=(30.0,)[:spent]), RefreshReason.BAD_SIGNATURE) == decision


@pytest.mark.parametrize("reason", [RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE])
@pytest.mark.parametrize(
    ("refreshes_seen", "action"), [(0, REFUSE), (1, WAIT), (2, WAIT)], ids=["before", "at the same", "after"]
)
def test_keys_that_are_newer_than_the_question_are_the_last_word(
    reason: RefreshReason, refreshes_seen: int, action: Action
) -> None:
    """The keys are of refresh 1; the verification first saw them when `refreshes_seen` refreshes had started."""
    assert decide(cached(0), question(reason, refreshes_seen=refreshes_seen)).action is action


# --- verifications that may not wait


@pytest.mark.parametrize(
    ("state", "reason", "decision"),
    [
        pytest.param(EMPTY, RefreshReason.KEYS, (UNAVAILABLE, 0), id="no keys"),
        pytest.param(
            cached(None, Columns(is_running=True)), RefreshReason.KEYS, (UNAVAILABLE, 0), id="no keys, running"
        ),
        pytest.param(cached(None, Columns(1, 7)), RefreshReason.KEYS, (UNAVAILABLE, 7), id="no keys, cooling down"),
        pytest.param(
            cached(CAP, Columns(is_running=True)), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 0), id="beyond the cap"
        ),
        pytest.param(cached(0), RefreshReason.KEYS, (USE, 0), id="fresh"),
        pytest.param(cached(FRESH, Columns(is_running=True)), RefreshReason.KEYS, (USE, 0), id="stale, running"),
        pytest.param(cached(FRESH), RefreshReason.KEYS, (BEHIND, 0), id="stale, not running"),
        pytest.param(
            cached(0, Columns(is_running=True)), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 0), id="unknown key"
        ),
        pytest.param(cached(0, Columns(1, 7)), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 7), id="unknown key, cooling"),
        pytest.param(cached(0, Columns(is_running=True)), RefreshReason.BAD_SIGNATURE, (REFUSE, 0), id="bad signature"),
    ],
)
def test_a_verification_that_may_not_wait_gets_an_answer_at_once(
    state: CacheState, reason: RefreshReason, decision: tuple[Action, float]
) -> None:
    """Whatever the state, the answer is never to wait."""
    assert decide(state, question(reason, may_wait=False)) == decision


@pytest.mark.parametrize("may_wait", [True, False], ids=["may wait", "may not wait"])
@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(
            Columns(failures, cooling, is_running), id=f"{failures} failures, {cooling} s, running {is_running}"
        )
        for failures in (0, 1)
        for cooling in (-1, 0, 7)
        for is_running in (True, False)
    ],
)
@pytest.mark.parametrize(
    "age", [None, 0, REFRESH, FRESH, CAP], ids=["no keys", "fresh", "to be refreshed", "stale", "beyond"]
)
@pytest.mark.parametrize("reason", list(RefreshReason))
def test_every_state_has_a_decision(
    reason: RefreshReason, age: float | None, columns: Columns, *, may_wait: bool
) -> None:
    for budget in (0, 1, 2):
        policy = replace(POLICY, unknown_key_refetches=budget, bad_signature_refetches=budget)
        for spent in ((), (20.0, 10.0)[:budget]):
            state = cached(age, columns, unknown=spent, forged=spent)

            decision = decide(state, question(reason, may_wait=may_wait), policy=policy)

            assert decision.retry_after_seconds >= 0
            if not may_wait:
                assert decision.action is not WAIT
            if reason is not RefreshReason.KEYS:
                assert decision.action not in (USE, BEHIND)
            if decision.action in (USE, BEHIND):
                assert age is not None
                assert age < CAP


# --- limits of the policy


def test_without_stale_time_the_cache_fails_closed() -> None:
    """`stale_if_error_seconds=0`: one below, at, and one above the end of the freshness."""
    for age, action in ((FRESH - 1, USE), (FRESH, UNAVAILABLE), (FRESH + 1, UNAVAILABLE)):
        state = replace(cached(age, Columns(1, 7)), snapshot=snapshot(age, usable_seconds=FRESH))
        assert decide(state).action is action


@pytest.mark.parametrize(("ago", "action"), [(29.0, REFUSE), (30.0, WAIT), (31.0, WAIT)], ids=["in", "at", "out"])
def test_attempts_for_unknown_keys_count_for_thirty_seconds(ago: float, action: Action) -> None:
    """DV-15; ROT-003."""
    assert decide(cached(0, unknown=(ago, 1.0)), RefreshReason.UNKNOWN_KEY).action is action


@pytest.mark.parametrize(("ago", "action"), [(59.0, REFUSE), (60.0, WAIT), (61.0, WAIT)], ids=["in", "at", "out"])
def test_attempts_for_bad_signatures_count_for_sixty_seconds(ago: float, action: Action) -> None:
    """DV-15; ROT-005."""
    assert decide(cached(0, forged=(ago,)), RefreshReason.BAD_SIGNATURE).action is action


def test_the_two_budgets_are_apart() -> None:
    assert decide(cached(0, unknown=(1.0, 2.0)), RefreshReason.BAD_SIGNATURE).action is WAIT
    assert decide(cached(0, forged=(1.0,)), RefreshReason.UNKNOWN_KEY).action is WAIT


@pytest.mark.parametrize("failures", [0, 1], ids=["the last attempt succeeded", "it failed, long ago"])
def test_without_a_budget_nothing_is_ever_forced(failures: int) -> None:
    """`unknown_key_refetches=0`: the token is refused, or unavailable in an outage, and nothing else happens."""
    policy = replace(POLICY, unknown_key_refetches=0, bad_signature_refetches=0)
    state = cached(0, Columns(failures))

    assert decide(state, RefreshReason.BAD_SIGNATURE, policy=policy).action is REFUSE
    assert decide(state, RefreshReason.UNKNOWN_KEY, policy=policy).action is (UNAVAILABLE if failures else REFUSE)


# --- two clocks


@pytest.mark.parametrize(
    ("now", "at", "age"),
    [
        pytest.param(NOW, AT, 100, id="both clocks agree"),
        pytest.param(NOW + 50, AT + 50, 150, id="both went on"),
        pytest.param(NOW + 43_200, AT, 43_300, id="suspended: only the wall clock went on"),
        pytest.param(NOW, AT + 500, 600, id="only the monotonic clock went on"),
        pytest.param(NOW - 3600, AT, 100, id="the wall clock was set back"),
        pytest.param(NOW - 3600, AT - 3600, 0, id="both before the beginning: never below zero"),
        pytest.param(0, AT + 1, 101, id="the wall clock is at the epoch"),
    ],
)
def test_the_age_is_the_larger_of_the_two_elapsed_times(now: float, at: float, age: float) -> None:
    """Design §3; ROT-019; CLK-001."""
    assert snapshot(100).age_seconds(Instant(now, at)) == age


def test_a_suspended_machine_asks_again() -> None:
    """ROT-019."""
    assert decide(cached(0), instant=PRESENT._replace(wall=NOW + 43_200)).action is WAIT
    assert decide(cached(0), instant=PRESENT._replace(wall=NOW + FRESH)).action is WAIT


def test_a_clock_that_is_set_back_makes_no_storm() -> None:
    """CLK-001."""
    assert decide(cached(0), instant=PRESENT._replace(wall=NOW - 86_400)).action is USE


@pytest.mark.parametrize(
    ("instant", "is_used_alone"),
    [
        (Instant(NOW + REFRESH - 1, AT + REFRESH - 1), True), (Instant(NOW + REFRESH, AT), False),
        (Instant(NOW, AT + REFRESH), False), (Instant(NOW - 5000, AT), True), (Instant(NOW - 5000, AT - 5000), True),
    ],
    ids=["just before", "by the wall clock", "by the monotonic clock", "set back", "both set back"],
)  # fmt: skip
def test_keys_are_used_without_a_refresh_until_either_clock_reaches_the_refresh_time(
    instant: Instant, *, is_used_alone: bool
) -> None:
    keys = snapshot(0)

    # What `RemoteKeySet.lookup` and the cache of accepted tokens compare, and what the table says.
    assert (instant.wall < keys.refresh_at_wall and instant.monotonic < keys.refresh_at_monotonic) is is_used_alone
    assert (decide(cached(0), instant=instant).action is USE) is is_used_alone
