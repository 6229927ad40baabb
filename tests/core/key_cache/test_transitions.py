"""What a refresh changes in the key cache when it starts, succeeds and fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.key_cache.decisions import Action
from aveverify._core.key_cache.state import (
    EMPTY,
    LONG_AGO,
    CacheState,
    FailedLoad,
    FetchFailure,
    Instant,
    LoadedKeys,
    Refresh,
    RefreshReason,
    Snapshot,
)
from aveverify._core.key_cache.transitions import with_refresh_failed, with_refresh_succeeded
from tests.core.jose_factory import NOW, key_set, rsa_jwk
from tests.core.key_cache.states import (
    AT,
    CAP,
    FAILURE,
    KEYS,
    LOADED,
    OTHER_KEYS,
    POLICY,
    PRESENT,
    Columns,
    cached,
    decide,
    question,
    refreshing,
    running,
    start,
)

# --- a refresh starts


def test_a_refresh_has_the_next_number_and_both_instants() -> None:
    state = start(cached(0))

    assert state.refresh == Refresh(2, PRESENT, is_forced=False)
    assert state.refreshes_started == 2
    assert state.snapshot == cached(0).snapshot


@pytest.mark.parametrize(
    ("reason", "unknown", "forged"),
    [(RefreshReason.KEYS, 0, 0), (RefreshReason.UNKNOWN_KEY, 1, 0), (RefreshReason.BAD_SIGNATURE, 0, 1)],
    ids=lambda value: getattr(value, "value", None),
)
def test_a_forced_refresh_is_charged_to_its_budget(reason: RefreshReason, unknown: int, forged: int) -> None:
    state = start(EMPTY, reason)

    assert state.refresh is not None
    assert state.refresh.is_forced is (reason is not RefreshReason.KEYS)
    assert state.unknown_key_attempts == (PRESENT,) * unknown
    assert state.bad_signature_attempts == (PRESENT,) * forged


@pytest.mark.parametrize("reason", list(RefreshReason))
def test_attempts_outside_their_window_are_forgotten(reason: RefreshReason) -> None:
    """ROT-018: nothing grows."""
    state = cached(0, unknown=(1000.0, 31.0, 30.0, 29.0), forged=(1000.0, 60.0, 59.0))

    after = start(state, reason)

    assert after.unknown_key_attempts == (PRESENT.plus(-29),) + (PRESENT,) * (reason is RefreshReason.UNKNOWN_KEY)
    assert after.bad_signature_attempts == (PRESENT.plus(-59),) + (PRESENT,) * (reason is RefreshReason.BAD_SIGNATURE)


# --- a refresh succeeds


def test_the_first_keys_become_the_snapshot() -> None:
    state, refresh = refreshing(replace(EMPTY, failures=3, cool_until=PRESENT.plus(9), last_cause="x"))

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED)

    assert after.snapshot == Snapshot(KEYS, "https://idp.example", b"a", 1, PRESENT, 480.0, 600.0, CAP, 0)
    assert (after.refresh, after.failures, after.cool_until, after.last_cause) == (None, 0, LONG_AGO, None)


def test_the_age_counts_from_the_beginning_of_the_fetch() -> None:
    """Design §5: the cap is counted from the beginning of the fetch."""
    state, refresh = refreshing(EMPTY)

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED)

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(Instant(NOW + 4, AT + 4)) == 4


@pytest.mark.parametrize(
    ("jitter", "refresh_seconds"), [(-1, 432.0), (0, 480.0), (1, 528.0)], ids=["earliest", "as planned", "latest"]
)
def test_keys_are_refreshed_at_eighty_percent_with_ten_percent_of_jitter(jitter: float, refresh_seconds: float) -> None:
    state, refresh = refreshing(EMPTY, jitter)

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED)

    assert after.snapshot is not None
    assert after.snapshot.refresh_seconds == pytest.approx(refresh_seconds)


def test_jitter_never_puts_the_refresh_after_the_freshness() -> None:
    policy = replace(POLICY, refresh_ahead=1.0, refresh_jitter=0.5)
    state, refresh = refreshing(EMPTY, jitter=1)

    after = with_refresh_succeeded(state, policy, refresh, LOADED)

    assert after.snapshot is not None
    assert after.snapshot.refresh_seconds == after.snapshot.fresh_seconds == 600.0


def generations(*loads: LoadedKeys) -> list[tuple[int, KeySet]]:
    """The generation and the keys after each of several refreshes."""
    state, found = EMPTY, []
    for keys in loads:
        state, refresh = refreshing(state)
        state = with_refresh_succeeded(state, POLICY, refresh, keys)
        assert state.snapshot is not None
        found.append((state.snapshot.generation, state.snapshot.key_set))
    return found


def test_the_generation_rises_only_when_the_content_changes() -> None:
    """Design §5; ROT-010."""
    same = LOADED._replace(key_set=key_set(rsa_jwk(kid="a")), fresh_seconds=700.0)
    other = LOADED._replace(key_set=OTHER_KEYS, content=b"b")

    assert generations(LOADED, same, other, other, LOADED) == [
        (0, KEYS), (0, KEYS), (1, OTHER_KEYS), (1, OTHER_KEYS), (2, KEYS),
    ]  # fmt: skip


def test_equal_content_keeps_its_parsed_keys_and_renews_their_age() -> None:
    state, refresh = refreshing(cached(500))

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED._replace(key_set=OTHER_KEYS))

    assert after.snapshot is not None
    assert after.snapshot.key_set is KEYS
    assert after.snapshot.age_seconds(PRESENT) == 0
    assert after.snapshot.refresh_number == refresh.number


def test_a_snapshot_is_replaced_as_a_whole() -> None:
    """ROT-004: a key that the document no longer holds is not used any more."""
    state, refresh = refreshing(cached(500))

    after = with_refresh_succeeded(state, POLICY, refresh, LoadedKeys(OTHER_KEYS, None, b"b", 600.0))

    assert after.snapshot is not None
    assert after.snapshot.key_set.kids == ("b",)


def test_a_success_keeps_what_was_charged_to_the_budgets() -> None:
    """Attempts count, whatever they result in."""
    state = start(cached(0, unknown=(5.0,)), RefreshReason.UNKNOWN_KEY)
    assert state.refresh is not None

    assert with_refresh_succeeded(state, POLICY, state.refresh, LOADED).unknown_key_attempts == (
        PRESENT.plus(-5),
        PRESENT,
    )


@pytest.mark.parametrize(
    "old",
    [running(1, age=60), running(2, age=60)],
    ids=["an older number", "the number of another refresh"],
)
@pytest.mark.parametrize("current", [None, running(3)], ids=["none running", "a newer one running"])
def test_rot_011_a_refresh_that_is_not_the_running_one_changes_nothing(old: Refresh, current: Refresh | None) -> None:
    state = replace(cached(10), refresh=current, refreshes_started=3)

    assert with_refresh_succeeded(state, POLICY, old, LoadedKeys(OTHER_KEYS, None, b"b", 600.0)) is state
    assert with_refresh_failed(state, POLICY, old, FAILURE, PRESENT) is state


# --- a refresh fails


def fail(state: CacheState, *, retry_after: float = 0, jitter: float = 0) -> CacheState:
    """The state after a refresh that started and failed at `PRESENT`."""
    state, refresh = refreshing(state, jitter)
    failure = FailedLoad(FetchFailure("x", retry_after_seconds=retry_after))
    return with_refresh_failed(state, POLICY, refresh, failure, PRESENT)


@pytest.mark.parametrize("state", [EMPTY, cached(500, unknown=(5.0,))], ids=["no keys", "keys"])
def test_a_failure_moves_the_schedule_and_keeps_the_keys(state: CacheState) -> None:
    """ROT-006; ROT-008."""
    after = fail(state)

    assert after.snapshot is state.snapshot
    assert after.unknown_key_attempts == state.unknown_key_attempts
    assert (after.refresh, after.failures, after.cool_until, after.last_cause) == (None, 1, PRESENT.plus(1), "x")


def test_the_pause_doubles_up_to_thirty_seconds() -> None:
    """NET-021."""
    state, pauses = EMPTY, []
    for _ in range(8):
        state = fail(state)
        pauses.append(PRESENT.seconds_until(state.cool_until))

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_pause_stays_bounded_after_a_million_failures() -> None:
    assert fail(cached(None, Columns(1_000_000))).cool_until == PRESENT.plus(30)


@pytest.mark.parametrize(("jitter", "pause"), [(-1, 0.9), (0, 1.0), (1, 1.1)], ids=["shortest", "middle", "longest"])
def test_the_pause_varies_a_little(jitter: float, pause: float) -> None:
    assert fail(EMPTY, jitter=jitter).cool_until == pytest.approx(PRESENT.plus(pause))


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [(0, 1), (1, 1), (2, 2), (120, 120), (299, 299), (300, 300), (301, 300), (10**10, 300)],
    ids=str,
)
def test_the_issuer_may_lengthen_the_pause_to_five_minutes(retry_after: float, pause: float) -> None:
    """NET-010: never beyond, never shorter."""
    assert fail(EMPTY, retry_after=retry_after).cool_until == PRESENT.plus(pause)


def test_the_pause_counts_from_the_end_of_the_attempt() -> None:
    state, refresh = refreshing(EMPTY)

    after = with_refresh_failed(state, POLICY, refresh, FAILURE, PRESENT.plus(5))

    assert after.cool_until == PRESENT.plus(6)
    assert decide(after, instant=PRESENT.plus(5.5)) == (Action.UNAVAILABLE, 0.5)
    assert decide(after, instant=PRESENT.plus(6)).action is Action.WAIT


@pytest.mark.parametrize(
    ("wall", "monotonic", "rest"),
    [
        pytest.param(0, 0, 1, id="no time passes"),
        pytest.param(0.5, 0, 0.5, id="suspended, or a test moves the wall clock"),
        pytest.param(1, 0, 0, id="the wall clock passes the end"),
        pytest.param(0, 1, 0, id="the wall clock stands still"),
        pytest.param(-86_400, 0.5, 0.5, id="the wall clock was set back"),
        pytest.param(-86_400, 1, 0, id="the wall clock was set back, and the pause is over"),
    ],
)
def test_rot_019_a_pause_is_as_long_as_the_clock_says_on_which_more_time_has_passed(
    wall: float, monotonic: float, rest: float
) -> None:
    instant = Instant(PRESENT.wall + wall, PRESENT.monotonic + monotonic)

    assert fail(EMPTY).cool_down_seconds(instant) == rest


def test_a_success_ends_the_row_of_failures() -> None:
    state, refresh = refreshing(fail(fail(EMPTY)))
    recovered = with_refresh_succeeded(state, POLICY, refresh, LOADED)

    assert fail(recovered).cool_until == PRESENT.plus(1)


# --- keys of another worker


def test_keys_of_another_worker_keep_their_age() -> None:
    state, refresh = refreshing(EMPTY)

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED._replace(predates_refresh=True, age_seconds=100.0))

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(PRESENT) == 100
    assert after.snapshot.started == PRESENT.plus(-100)


@pytest.mark.parametrize("reason", [RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE])
@pytest.mark.parametrize(
    ("shared", "action"), [(True, Action.WAIT), (False, Action.REFUSE)], ids=["shared", "fetched by this refresh"]
)
def test_keys_of_another_worker_do_not_answer_the_question(
    reason: RefreshReason, action: Action, *, shared: bool
) -> None:
    """The question is older than this refresh, and younger than the one with which the other worker fetched them."""
    state, refresh = refreshing(EMPTY)

    after = with_refresh_succeeded(state, POLICY, refresh, LOADED._replace(predates_refresh=shared))

    assert decide(after, question(reason, refreshes_seen=0)).action is action


@pytest.mark.parametrize(
    ("found_age", "kept_age", "age"),
    [(700.0, None, 700.0), (700.0, 701.0, 700.0), (701.0, 700.0, 700.0)],
    ids=["cold", "newer", "older"],
)
def test_a_failure_takes_keys_of_another_worker_if_they_are_newer(
    found_age: float, kept_age: float | None, age: float
) -> None:
    """Keys within the cap are used by every worker, and the issuer gets its pause all the same."""
    state, refresh = refreshing(cached(kept_age))
    found = LOADED._replace(content=b"other", predates_refresh=True, age_seconds=found_age)

    after = with_refresh_failed(state, POLICY, refresh, FAILURE._replace(keys=found), PRESENT)

    assert after.snapshot is not None
    assert after.snapshot.age_seconds(PRESENT) == age
    assert (after.refresh, after.failures, after.cool_until) == (None, 1, PRESENT.plus(1))
    assert decide(after).action is Action.USE


@pytest.mark.parametrize("kept_age", [None, 700.0, 701.0], ids=["cold", "as old", "older"])
def test_net_028_a_failure_takes_the_keys_of_the_last_address_whatever_their_age(kept_age: float | None) -> None:
    """No known keys are newer; the discovery document that named their address is old. They answer no question."""
    state, refresh = refreshing(cached(kept_age))
    found = LOADED._replace(content=b"other", predates_refresh=True, is_latest=True, age_seconds=700.0)

    after = with_refresh_failed(state, POLICY, refresh, FAILURE._replace(keys=found), PRESENT)

    assert after.snapshot is not None
    assert (after.snapshot.content, after.snapshot.refresh_number) == (b"other", 0)
    assert after.snapshot.age_seconds(PRESENT) == 700
