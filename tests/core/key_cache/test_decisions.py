"""The key cache as a state machine: its table row by row, its budgets, and what each event changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aveverify import CachePolicy
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.key_cache.decisions import (
    EMPTY,
    Action,
    CacheState,
    Decision,
    Flight,
    LoadedKeys,
    RefreshReason,
    Snapshot,
    began,
    decide,
    failed,
    succeeded,
)
from tests.core.jose_factory import NOW, key_set, rsa_jwk

POLICY = CachePolicy()
AT = 50_000.0
KEYS = key_set(rsa_jwk(kid="a"))
OTHER_KEYS = key_set(rsa_jwk(kid="b"))
DUE, FRESH, CAP = 480.0, 600.0, 4200.0


def snapshot(age: float, *, number: int = 1) -> Snapshot:
    """Keys of this age, due at 480 s and fresh until 600 s."""
    return Snapshot(
        key_set=KEYS,
        document_issuer=None,
        content=b"a",
        flight_number=number,
        began_at=AT - age,
        began_now=NOW - age,
        refresh_seconds=DUE,
        fresh_seconds=FRESH,
        generation=0,
    )


def flight(number: int = 2, *, age: float = 1.0, forced: bool = False) -> Flight:
    """A fetch under way."""
    return Flight(number, AT - age, NOW - age, forced)


def cached(  # noqa: PLR0913 - one for each column of the table
    age: float | None,
    *,
    failures: int = 0,
    cooling: float = 0.0,
    flying: bool = False,
    unknown: tuple[float, ...] = (),
    forged: tuple[float, ...] = (),
) -> CacheState:
    """A state: the age of its keys, the failures in a row, and how long it cools down."""
    return CacheState(
        snapshot=None if age is None else snapshot(age),
        flight=flight() if flying else None,
        flights=2 if flying else 1,
        failures=failures,
        cool_until=AT + cooling if failures else 0.0,
        unknown_key_attempts=tuple(AT - ago for ago in unknown),
        bad_signature_attempts=tuple(AT - ago for ago in forged),
        last_cause="the issuer answered with status 500" if failures else None,
    )


def ask(  # noqa: PLR0913 - the question and the two instants
    state: CacheState,
    need: RefreshReason = RefreshReason.KEYS,
    *,
    policy: CachePolicy = POLICY,
    refreshes_seen: int = 1,
    now: float = NOW,
    at: float = AT,
    patient: bool = True,
) -> Decision:
    """Ask for a decision at `AT`."""
    return decide(state, policy, need, refreshes_seen=refreshes_seen, now=now, at=at, patient=patient)


# --- the table, row by row: keys, age, key, last attempt -> decision

USE, BEHIND, WAIT = Action.USE, Action.USE_AND_REFRESH, Action.WAIT
REFUSE, UNAVAILABLE = Action.REFUSE, Action.UNAVAILABLE


@pytest.mark.parametrize(
    "age", [None, CAP, CAP + 1, 10 * CAP], ids=["no keys", "at the cap", "beyond it", "far beyond"]
)
@pytest.mark.parametrize("need", list(RefreshReason))
@pytest.mark.parametrize(
    ("failures", "cooling", "flying", "action"),
    [
        pytest.param(0, 0, False, WAIT, id="no attempt yet, or the last one succeeded"),
        pytest.param(0, 0, True, WAIT, id="in flight"),
        pytest.param(1, 7, False, UNAVAILABLE, id="failed, cooling down"),
        pytest.param(1, 7, True, WAIT, id="failed, cooling down, in flight"),
        pytest.param(1, 0, False, WAIT, id="failed, the cool-down is just over"),
        pytest.param(3, -5, False, WAIT, id="failed, the cool-down is long over"),
    ],
)
def test_without_usable_keys(  # noqa: PLR0913 - one for each column
    age: float | None, need: RefreshReason, failures: int, cooling: float, action: Action, *, flying: bool
) -> None:
    decision = ask(cached(age, failures=failures, cooling=cooling, flying=flying), need)

    assert decision.action is action
    assert decision.retry_after_seconds == (7 if action is UNAVAILABLE else 0)


@pytest.mark.parametrize(
    ("age", "failures", "cooling", "flying", "action"),
    [
        pytest.param(0, 0, 0, False, USE, id="new"),
        pytest.param(DUE - 1, 0, 0, False, USE, id="fresh, just before due"),
        pytest.param(DUE - 1, 1, 0, False, USE, id="fresh, the last attempt failed"),
        pytest.param(DUE, 0, 0, False, BEHIND, id="due"),
        pytest.param(DUE + 1, 0, 0, False, BEHIND, id="due, just after"),
        pytest.param(FRESH - 1, 0, 0, False, BEHIND, id="due, just before stale"),
        pytest.param(DUE, 0, 0, True, USE, id="due, in flight"),
        pytest.param(DUE, 1, 7, False, USE, id="due, cooling down"),
        pytest.param(DUE, 1, 0, False, BEHIND, id="due, the cool-down is over"),
        pytest.param(FRESH, 0, 0, False, WAIT, id="stale, the last attempt succeeded"),
        pytest.param(FRESH + 1, 0, 0, False, WAIT, id="stale, just after"),
        pytest.param(CAP - 1, 0, 0, False, WAIT, id="stale, just before the cap"),
        pytest.param(FRESH, 0, 0, True, WAIT, id="stale, in flight"),
        pytest.param(FRESH, 1, 7, False, USE, id="stale, failed and cooling down"),
        pytest.param(FRESH, 1, 0, False, BEHIND, id="stale, failed, the cool-down is over"),
        pytest.param(FRESH, 1, 0, True, USE, id="stale, failed, in flight again"),
        pytest.param(CAP - 1, 5, 7, False, USE, id="stale, a long outage, just before the cap"),
    ],
)
def test_with_keys_the_age_decides(age: float, failures: int, cooling: float, action: Action, *, flying: bool) -> None:
    assert ask(cached(age, failures=failures, cooling=cooling, flying=flying)) == (action, 0)


@pytest.mark.parametrize(
    ("failures", "cooling", "flying", "spent", "action", "retry_after_seconds"),
    [
        pytest.param(0, 0, False, 0, WAIT, 0, id="succeeded, budget left"),
        pytest.param(0, 0, False, 1, WAIT, 0, id="succeeded, one attempt left"),
        pytest.param(0, 0, False, 2, REFUSE, 10, id="succeeded, budget spent"),
        pytest.param(0, 0, True, 2, WAIT, 0, id="in flight, whatever is spent"),
        pytest.param(1, 7, False, 0, UNAVAILABLE, 7, id="failed, cooling down"),
        pytest.param(1, 7, True, 0, WAIT, 0, id="failed, in flight again"),
        pytest.param(1, 0, False, 0, WAIT, 0, id="failed, the cool-down is over, budget left"),
        pytest.param(1, 0, False, 2, UNAVAILABLE, 10, id="failed, the cool-down is over, budget spent"),
    ],
)
@pytest.mark.parametrize("age", [0, DUE, FRESH, CAP - 1], ids=["fresh", "due", "stale", "just before the cap"])
def test_with_keys_of_which_none_is_the_tokens(  # noqa: PLR0913 - one for each column
    age: float,
    failures: int,
    cooling: float,
    spent: int,
    *,
    flying: bool,
    action: Action,
    retry_after_seconds: float,
) -> None:
    state = cached(age, failures=failures, cooling=cooling, flying=flying, unknown=(20.0, 10.0)[:spent])

    assert ask(state, RefreshReason.UNKNOWN_KEY) == (action, retry_after_seconds)


@pytest.mark.parametrize(
    ("failures", "cooling", "flying", "spent", "action", "retry_after_seconds"),
    [
        pytest.param(0, 0, False, 0, WAIT, 0, id="budget left"),
        pytest.param(0, 0, True, 0, WAIT, 0, id="budget left, in flight"),
        pytest.param(1, 0, False, 0, WAIT, 0, id="budget left, the cool-down is over"),
        pytest.param(0, 0, False, 1, REFUSE, 30, id="budget spent"),
        pytest.param(1, 7, False, 0, REFUSE, 0, id="cooling down"),
        pytest.param(1, 7, False, 1, REFUSE, 30, id="cooling down and budget spent"),
    ],
)
def test_with_a_key_under_which_the_signature_is_bad(  # noqa: PLR0913 - one for each column
    failures: int, cooling: float, spent: int, action: Action, retry_after_seconds: float, *, flying: bool
) -> None:
    state = cached(0, failures=failures, cooling=cooling, flying=flying, forged=(30.0,)[:spent])

    assert ask(state, RefreshReason.BAD_SIGNATURE) == (action, retry_after_seconds)


@pytest.mark.parametrize("need", [RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE])
@pytest.mark.parametrize(
    ("refreshes_seen", "action"), [(0, REFUSE), (1, WAIT), (2, WAIT)], ids=["before", "at the same", "after"]
)
def test_keys_that_are_newer_than_the_question_are_the_last_word(
    need: RefreshReason, refreshes_seen: int, action: Action
) -> None:
    """The snapshot is of flight 1; the question was asked when `refreshes_seen` flights had begun."""
    assert ask(cached(0), need, refreshes_seen=refreshes_seen).action is action


# --- patience


@pytest.mark.parametrize(
    ("state", "need", "decision"),
    [
        pytest.param(EMPTY, RefreshReason.KEYS, (UNAVAILABLE, 0), id="no keys"),
        pytest.param(cached(None, flying=True), RefreshReason.KEYS, (UNAVAILABLE, 0), id="no keys, in flight"),
        pytest.param(
            cached(None, failures=1, cooling=7), RefreshReason.KEYS, (UNAVAILABLE, 7), id="no keys, cooling down"
        ),
        pytest.param(cached(CAP, flying=True), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 0), id="beyond the cap"),
        pytest.param(cached(0), RefreshReason.KEYS, (USE, 0), id="fresh"),
        pytest.param(cached(FRESH, flying=True), RefreshReason.KEYS, (USE, 0), id="stale, in flight"),
        pytest.param(cached(FRESH), RefreshReason.KEYS, (BEHIND, 0), id="stale, nothing in flight"),
        pytest.param(cached(0, flying=True), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 0), id="unknown key"),
        pytest.param(
            cached(0, failures=1, cooling=7), RefreshReason.UNKNOWN_KEY, (UNAVAILABLE, 7), id="unknown key, cooling"
        ),
        pytest.param(cached(0, flying=True), RefreshReason.BAD_SIGNATURE, (REFUSE, 0), id="bad signature"),
    ],
)
def test_who_has_waited_long_enough_gets_an_answer_at_once(
    state: CacheState, need: RefreshReason, decision: tuple[Action, float]
) -> None:
    """Whatever the state, the answer is never to wait."""
    assert ask(state, need, patient=False) == decision


@pytest.mark.parametrize("patient", [True, False], ids=["patient", "impatient"])
@pytest.mark.parametrize("flying", [True, False], ids=["in flight", "nothing in flight"])
@pytest.mark.parametrize("failures", [0, 1], ids=["succeeded", "failed"])
@pytest.mark.parametrize("cooling", [-1, 0, 7], ids=["cooled down", "just cooled down", "cooling down"])
@pytest.mark.parametrize("age", [None, 0, DUE, FRESH, CAP], ids=["no keys", "fresh", "due", "stale", "beyond"])
@pytest.mark.parametrize("need", list(RefreshReason))
@pytest.mark.parametrize("budget", [0, 1, 2], ids=["no budget", "budget of 1", "budget of 2"])
def test_every_state_has_a_decision(  # noqa: PLR0913 - one for each column
    need: RefreshReason, age: float | None, cooling: float, failures: int, budget: int, *, flying: bool, patient: bool
) -> None:
    policy = replace(POLICY, unknown_key_refetches=budget, bad_signature_refetches=budget)
    attempts = (20.0, 10.0)[:budget]
    for spent in ((), attempts):
        state = cached(age, failures=failures, cooling=cooling, flying=flying, unknown=spent, forged=spent)

        decision = ask(state, need, policy=policy, patient=patient)

        assert decision.retry_after_seconds >= 0
        if not patient:
            assert decision.action is not WAIT
        if need is not RefreshReason.KEYS:
            assert decision.action not in (USE, BEHIND)
        if decision.action in (USE, BEHIND):
            assert age is not None
            assert age < CAP


# --- limits of the policy


def test_without_stale_time_the_cache_fails_closed() -> None:
    """`stale_if_error_seconds=0`: one below, at, and one above the end of the freshness."""
    policy = replace(POLICY, stale_if_error_seconds=0)

    assert ask(cached(FRESH - 1, failures=1, cooling=7), policy=policy).action is USE
    assert ask(cached(FRESH, failures=1, cooling=7), policy=policy).action is UNAVAILABLE
    assert ask(cached(FRESH + 1, failures=1, cooling=7), policy=policy).action is UNAVAILABLE


@pytest.mark.parametrize(("ago", "action"), [(29.0, REFUSE), (30.0, WAIT), (31.0, WAIT)], ids=["in", "at", "out"])
def test_attempts_for_unknown_keys_count_for_thirty_seconds(ago: float, action: Action) -> None:
    """DV-15; ROT-003."""
    assert ask(cached(0, unknown=(ago, 1.0)), RefreshReason.UNKNOWN_KEY).action is action


@pytest.mark.parametrize(("ago", "action"), [(59.0, REFUSE), (60.0, WAIT), (61.0, WAIT)], ids=["in", "at", "out"])
def test_attempts_for_bad_signatures_count_for_sixty_seconds(ago: float, action: Action) -> None:
    """DV-15; ROT-005."""
    assert ask(cached(0, forged=(ago,)), RefreshReason.BAD_SIGNATURE).action is action


def test_the_two_budgets_are_apart() -> None:
    assert ask(cached(0, unknown=(1.0, 2.0)), RefreshReason.BAD_SIGNATURE).action is WAIT
    assert ask(cached(0, forged=(1.0,)), RefreshReason.UNKNOWN_KEY).action is WAIT


@pytest.mark.parametrize("failures", [0, 1], ids=["the last attempt succeeded", "it failed, long ago"])
def test_without_a_budget_nothing_is_ever_forced(failures: int) -> None:
    """`unknown_key_refetches=0`: the token is refused, or unavailable in an outage, and nothing else happens."""
    policy = replace(POLICY, unknown_key_refetches=0, bad_signature_refetches=0)
    state = cached(0, failures=failures)

    assert ask(state, RefreshReason.BAD_SIGNATURE, policy=policy).action is REFUSE
    assert ask(state, RefreshReason.UNKNOWN_KEY, policy=policy).action is (UNAVAILABLE if failures else REFUSE)


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
    assert snapshot(100).age_seconds(now, at) == age


def test_a_suspended_machine_asks_again() -> None:
    """ROT-019."""
    assert ask(cached(0), now=NOW + 43_200).action is WAIT
    assert ask(cached(0), now=NOW + FRESH).action is WAIT


def test_a_clock_that_is_set_back_makes_no_storm() -> None:
    """CLK-001."""
    assert ask(cached(0), now=NOW - 86_400).action is USE


@pytest.mark.parametrize(
    ("now", "at", "quiet"),
    [
        (NOW + DUE - 1, AT + DUE - 1, True), (NOW + DUE, AT, False), (NOW, AT + DUE, False), (NOW - 5000, AT, True),
        (NOW - 5000, AT - 5000, True),
    ],
    ids=["just before due", "due by the wall clock", "due by the monotonic clock", "set back", "both set back"],
)  # fmt: skip
def test_keys_are_quiet_until_they_are_due_by_either_clock(now: float, at: float, *, quiet: bool) -> None:
    assert snapshot(0).is_before_refresh_time(now, at) is quiet
    assert (ask(cached(0), now=now, at=at).action is USE) is quiet


# --- a flight begins


def test_a_flight_has_the_next_number_and_both_instants() -> None:
    state = began(cached(0), POLICY, RefreshReason.KEYS, now=NOW, at=AT)

    assert state.flight == Flight(2, AT, NOW, forced=False)
    assert state.flights == 2
    assert state.snapshot == cached(0).snapshot


@pytest.mark.parametrize(
    ("need", "unknown", "forged"),
    [(RefreshReason.KEYS, 0, 0), (RefreshReason.UNKNOWN_KEY, 1, 0), (RefreshReason.BAD_SIGNATURE, 0, 1)],
    ids=lambda value: getattr(value, "value", None),
)
def test_a_forced_flight_is_charged_to_its_budget(need: RefreshReason, unknown: int, forged: int) -> None:
    state = began(EMPTY, POLICY, need, now=NOW, at=AT)

    assert state.flight is not None
    assert state.flight.forced is (need is not RefreshReason.KEYS)
    assert state.unknown_key_attempts == (AT,) * unknown
    assert state.bad_signature_attempts == (AT,) * forged


@pytest.mark.parametrize("need", list(RefreshReason))
def test_attempts_outside_their_window_are_forgotten(need: RefreshReason) -> None:
    """ROT-018: nothing grows."""
    state = cached(0, unknown=(1000.0, 31.0, 30.0, 29.0), forged=(1000.0, 60.0, 59.0))

    after = began(state, POLICY, need, now=NOW, at=AT)

    assert after.unknown_key_attempts == (AT - 29,) + (AT,) * (need is RefreshReason.UNKNOWN_KEY)
    assert after.bad_signature_attempts == (AT - 59,) + (AT,) * (need is RefreshReason.BAD_SIGNATURE)


# --- a flight succeeds

HARVEST = LoadedKeys(KEYS, "https://idp.example", b"a", 600.0)


def in_flight(state: CacheState) -> tuple[CacheState, Flight]:
    """The state with a flight that began at `AT`."""
    state = began(state, POLICY, RefreshReason.KEYS, now=NOW, at=AT)
    assert state.flight is not None
    return state, state.flight


def test_the_first_harvest_becomes_the_snapshot() -> None:
    state, current = in_flight(replace(EMPTY, failures=3, cool_until=AT + 9, last_cause="x"))

    after = succeeded(state, POLICY, current, HARVEST, jitter=0)

    assert after.snapshot == Snapshot(KEYS, "https://idp.example", b"a", 1, AT, NOW, 480.0, 600.0, 0)
    assert (after.flight, after.failures, after.cool_until, after.last_cause) == (None, 0, 0.0, None)


def test_the_age_counts_from_the_beginning_of_the_fetch() -> None:
    """Design §5: the cap is counted from the beginning of the fetch."""
    state, current = in_flight(EMPTY)

    after = succeeded(state, POLICY, current, HARVEST, jitter=0)

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(NOW + 4, AT + 4) == 4


@pytest.mark.parametrize(
    ("jitter", "due"), [(-1, 432.0), (0, 480.0), (1, 528.0)], ids=["earliest", "as planned", "latest"]
)
def test_keys_are_due_at_eighty_percent_with_ten_percent_of_jitter(jitter: float, due: float) -> None:
    state, current = in_flight(EMPTY)

    after = succeeded(state, POLICY, current, HARVEST, jitter=jitter)

    assert after.snapshot is not None
    assert after.snapshot.refresh_seconds == pytest.approx(due)


def test_jitter_never_puts_due_behind_stale() -> None:
    policy = replace(POLICY, refresh_ahead=1.0, refresh_jitter=0.5)
    state, current = in_flight(EMPTY)

    after = succeeded(state, policy, current, HARVEST, jitter=1)

    assert after.snapshot is not None
    assert after.snapshot.refresh_seconds == after.snapshot.fresh_seconds == 600.0


def generations(*harvests: LoadedKeys) -> list[tuple[int, KeySet]]:
    """The generation and the keys after each of several flights."""
    state, found = EMPTY, []
    for harvest in harvests:
        state, current = in_flight(state)
        state = succeeded(state, POLICY, current, harvest, jitter=0)
        assert state.snapshot is not None
        found.append((state.snapshot.generation, state.snapshot.key_set))
    return found


def test_the_generation_rises_only_when_the_content_changes() -> None:
    """Design §5; ROT-010."""
    same = HARVEST._replace(key_set=key_set(rsa_jwk(kid="a")), fresh_seconds=700.0)
    other = HARVEST._replace(key_set=OTHER_KEYS, content=b"b")

    assert generations(HARVEST, same, other, other, HARVEST) == [
        (0, KEYS), (0, KEYS), (1, OTHER_KEYS), (1, OTHER_KEYS), (2, KEYS),
    ]  # fmt: skip


def test_equal_content_keeps_its_parsed_keys_and_renews_their_age() -> None:
    state, current = in_flight(cached(500))

    after = succeeded(state, POLICY, current, HARVEST._replace(key_set=OTHER_KEYS), jitter=0)

    assert after.snapshot is not None
    assert after.snapshot.key_set is KEYS
    assert after.snapshot.age_seconds(NOW, AT) == 0
    assert after.snapshot.flight_number == current.number


def test_a_snapshot_is_replaced_as_a_whole() -> None:
    """ROT-004: a key that is gone from the document is gone."""
    state, current = in_flight(cached(500))

    after = succeeded(state, POLICY, current, LoadedKeys(OTHER_KEYS, None, b"b", 600.0), jitter=0)

    assert after.snapshot is not None
    assert after.snapshot.key_set.kids == ("b",)


def test_a_success_keeps_what_was_charged_to_the_budgets() -> None:
    """Counted by attempts, whatever becomes of them."""
    state = began(cached(0, unknown=(5.0,)), POLICY, RefreshReason.UNKNOWN_KEY, now=NOW, at=AT)
    assert state.flight is not None

    assert succeeded(state, POLICY, state.flight, HARVEST, jitter=0).unknown_key_attempts == (AT - 5, AT)


@pytest.mark.parametrize(
    "old",
    [Flight(1, AT - 60, NOW - 60, forced=False), Flight(2, AT - 60, NOW - 60, forced=False)],
    ids=["an older number", "the number of another flight"],
)
@pytest.mark.parametrize("current", [None, flight(3)], ids=["nothing in flight", "a newer one in flight"])
def test_a_flight_that_is_no_longer_the_current_one_changes_nothing(old: Flight, current: Flight | None) -> None:
    """ROT-011."""
    state = replace(cached(10), flight=current, flights=3)

    assert succeeded(state, POLICY, old, LoadedKeys(OTHER_KEYS, None, b"b", 600.0), jitter=0) is state
    assert failed(state, POLICY, old, cause="x", retry_after_seconds=0, at=AT, jitter=0) is state


# --- a flight fails


def fail(state: CacheState, *, policy: CachePolicy = POLICY, retry_after: float = 0, jitter: float = 0) -> CacheState:
    """A flight begins and fails at `AT`."""
    state, current = in_flight(state)
    return failed(state, policy, current, cause="x", retry_after_seconds=retry_after, at=AT, jitter=jitter)


@pytest.mark.parametrize("state", [EMPTY, cached(500, unknown=(5.0,))], ids=["no keys", "keys"])
def test_a_failure_moves_the_schedule_and_keeps_the_keys(state: CacheState) -> None:
    """ROT-006; ROT-008."""
    after = fail(state)

    assert after.snapshot is state.snapshot
    assert after.unknown_key_attempts == state.unknown_key_attempts
    assert (after.flight, after.failures, after.cool_until, after.last_cause) == (None, 1, AT + 1, "x")


def test_the_pause_doubles_up_to_thirty_seconds() -> None:
    """NET-021."""
    state, pauses = EMPTY, []
    for _ in range(8):
        state = fail(state)
        pauses.append(state.cool_until - AT)

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_pause_stays_bounded_after_a_million_failures() -> None:
    assert fail(cached(None, failures=1_000_000)).cool_until == AT + 30


@pytest.mark.parametrize(("jitter", "pause"), [(-1, 0.9), (0, 1.0), (1, 1.1)], ids=["shortest", "middle", "longest"])
def test_the_pause_varies_a_little(jitter: float, pause: float) -> None:
    assert fail(EMPTY, jitter=jitter).cool_until == pytest.approx(AT + pause)


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [(0, 1), (1, 1), (2, 2), (120, 120), (299, 299), (300, 300), (301, 300), (10**10, 300)],
    ids=str,
)
def test_the_issuer_may_lengthen_the_pause_to_five_minutes(retry_after: float, pause: float) -> None:
    """NET-010: never beyond, never shorter."""
    assert fail(EMPTY, retry_after=retry_after).cool_until == AT + pause


def test_the_pause_counts_from_the_end_of_the_attempt() -> None:
    state, current = in_flight(EMPTY)

    after = failed(state, POLICY, current, cause="x", retry_after_seconds=0, at=AT + 5, jitter=0)

    assert after.cool_until == AT + 6
    assert ask(after, at=AT + 5.5) == (UNAVAILABLE, 0.5)
    assert ask(after, at=AT + 6).action is WAIT


def test_a_success_ends_the_row_of_failures() -> None:
    state, current = in_flight(fail(fail(EMPTY)))
    recovered = succeeded(state, POLICY, current, HARVEST, jitter=0)

    assert fail(recovered).cool_until == AT + 1


# --- what another worker has fetched


def test_keys_that_another_worker_had_fetched_are_as_old_as_they_are() -> None:
    state, current = in_flight(EMPTY)

    after = succeeded(state, POLICY, current, HARVEST._replace(is_shared=True, age_seconds=100.0), jitter=0)

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(NOW, AT) == 100
    assert (after.snapshot.began_at, after.snapshot.began_now) == (AT - 100, NOW - 100)


@pytest.mark.parametrize("need", [RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE])
@pytest.mark.parametrize(("shared", "action"), [(True, WAIT), (False, REFUSE)], ids=["shared", "asked by this flight"])
def test_keys_that_nobody_asked_the_issuer_for_do_not_answer_the_question(
    need: RefreshReason, action: Action, *, shared: bool
) -> None:
    """The question came before this flight, and after the one that had brought them to the other worker."""
    state, current = in_flight(EMPTY)

    after = succeeded(state, POLICY, current, HARVEST._replace(is_shared=shared), jitter=0)

    assert ask(after, need, refreshes_seen=0).action is action


@pytest.mark.parametrize(
    ("found_age", "kept_age", "age"),
    [(700.0, None, 700.0), (700.0, 701.0, 700.0), (701.0, 700.0, 700.0)],
    ids=["cold", "newer", "older"],
)
def test_a_failure_takes_keys_that_another_worker_had_fetched_where_they_are_newer(
    found_age: float, kept_age: float | None, age: float
) -> None:
    """Keys within the cap serve everywhere, and the issuer is left alone for a while all the same."""
    state, current = in_flight(cached(kept_age))
    found = HARVEST._replace(content=b"other", is_shared=True, age_seconds=found_age)

    after = failed(state, POLICY, current, cause="down", retry_after_seconds=0, at=AT, jitter=0, last_good=found)

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(NOW, AT) == age
    assert (after.flight, after.failures, after.cool_until) == (None, 1, AT + 1)
    assert ask(after, RefreshReason.KEYS).action is Action.USE


@pytest.mark.parametrize("kept_age", [None, 700.0, 701.0], ids=["cold", "as old", "older"])
def test_net_028_a_failure_takes_the_keys_of_the_last_address_whatever_their_age(kept_age: float | None) -> None:
    """No known keys are newer; what ages is the discovery document that led to them, and no question is answered."""
    state, current = in_flight(cached(kept_age))
    found = HARVEST._replace(content=b"other", is_shared=True, is_latest=True, age_seconds=700.0)

    after = failed(state, POLICY, current, cause="down", retry_after_seconds=0, at=AT, jitter=0, last_good=found)

    assert after.snapshot is not None
    assert (after.snapshot.content, after.snapshot.flight_number) == (b"other", 0)
    assert after.snapshot.age_seconds(NOW, AT) == 700
