"""The key cache of one key source as a state machine; time, jitter and answers are passed in.

| keys | age | key | last attempt | decision |
| --- | --- | --- | --- | --- |
| none, or beyond the cap | - | - | none, succeeded, cool-down over, or in flight | WAIT |
| none, or beyond the cap | - | - | failed, cooling down | UNAVAILABLE |
| some | fresh | found | - | USE |
| some | due | found | nothing in flight, nothing cooling down | USE_AND_REFRESH |
| some | stale, within the cap | found | succeeded | WAIT; impatient: USE |
| some | stale, within the cap | found | failed | USE, or USE_AND_REFRESH when the cool-down is over |
| some | within the cap | unknown | succeeded, budget left or in flight | WAIT |
| some | within the cap | unknown | succeeded, budget spent | REFUSE |
| some | within the cap | unknown | failed | UNAVAILABLE while cooling down or the budget is spent, else WAIT |
| some | within the cap | bad signature | budget left, or a forced flight under way | WAIT |
| some | within the cap | bad signature | budget spent, or cooling down | REFUSE |
| some, fetched for this verification | - | unknown, bad signature | - | REFUSE |

A failed attempt changes the schedule, never the keys, but for newer ones that another worker had fetched, or that the
last known address gave. An older flight never overwrites a newer snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple

from aveverify._core.jose.jwk_set import KeySet
from aveverify.cache_policy import CachePolicy


class RefreshReason(Enum):
    """What a verification found out about the key before it asks for a decision."""

    KEYS = "keys"
    UNKNOWN_KEY = "unknown key"
    BAD_SIGNATURE = "bad signature"

    # By identity: members are single. Enum's own is a function of Python, and every refusal would call it.
    __hash__ = object.__hash__


class Action(Enum):
    """What a verification does next."""

    USE = "use"
    USE_AND_REFRESH = "use, and refresh behind"
    WAIT = "wait for a flight"
    REFUSE = "refuse the token"
    UNAVAILABLE = "unavailable"


class Decision(NamedTuple):
    """An action, and how long until another one is possible.

    Attributes:
        action: What to do.
        retry_after_seconds: For UNAVAILABLE when to come back; for REFUSE when the spent budget has something again.
    """

    action: Action
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys of one source as one fetch found them. Replaced as a whole, never merged.

    Attributes:
        key_set: The candidates.
        document_issuer: The `issuer` of the discovery document; None where there is no document.
        content: What tells two contents apart.
        flight_number: Which flight asked the issuer for it; 0 where another worker had asked before.
        began_at: When that flight began, by the monotonic clock.
        began_now: When that flight began, by the wall clock.
        due_seconds: Age from which it is refreshed behind the requests.
        fresh_seconds: Age from which it is stale.
        generation: Rises only when the content changes.
    """

    key_set: KeySet
    document_issuer: str | None
    content: bytes
    flight_number: int
    began_at: float
    began_now: float
    refresh_seconds: float
    fresh_seconds: float
    generation: int
    # The two instants at which it is due: one comparison each for every verification, instead of an addition as well.
    refresh_at: float = field(init=False, repr=False, compare=False)
    refresh_now: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "refresh_at", self.began_at + self.refresh_seconds)
        object.__setattr__(self, "refresh_now", self.began_now + self.refresh_seconds)

    def age_seconds(self, now: float, at: float) -> float:
        """Return the larger of the two elapsed times, never below zero: a suspended machine ages too (ROT-019)."""
        return max(at - self.began_at, now - self.began_now, 0.0)

    def is_before_refresh_time(self, now: float, at: float) -> bool:
        """Tell whether the keys may be used with nothing else to think about."""
        return at < self.refresh_at and now < self.refresh_now


@dataclass(frozen=True, slots=True)
class Flight:
    """A fetch that is under way."""

    number: int
    began_at: float
    began_now: float
    forced: bool


@dataclass(frozen=True, slots=True)
class CacheState:
    """Everything the cache of one key source remembers. Bounded: nothing is kept per key id.

    Attributes:
        snapshot: The last good keys.
        flight: The fetch under way.
        flights: How many flights have begun; the number of the next one is one more.
        failures: How many attempts failed in a row.
        cool_until: Until when, by the monotonic clock, no new attempt is made.
        unknown_key_attempts: When forced refetches for unknown keys began, within the window.
        bad_signature_attempts: When forced refetches for bad signatures began, within the window.
        last_cause: What the last attempt failed of; None after a success.
    """

    snapshot: Snapshot | None = None
    flight: Flight | None = None
    flights: int = 0
    failures: int = 0
    cool_until: float = 0.0
    unknown_key_attempts: tuple[float, ...] = ()
    bad_signature_attempts: tuple[float, ...] = ()
    last_cause: str | None = None


EMPTY: Final = CacheState()


def decide(  # noqa: PLR0911, PLR0913 - one return for each row; the state, the question and the two instants
    state: CacheState,
    policy: CachePolicy,
    need: RefreshReason,
    *,
    refreshes_seen: int,
    now: float,
    at: float,
    patient: bool = True,
) -> Decision:
    """Decide what one verification does.

    Args:
        state: The state of the key source.
        policy: Durations and budgets.
        need: What the verification found out.
        refreshes_seen: How many flights had begun when the verification began; a snapshot of a later flight is as new
            as the question.
        now: Wall clock, in seconds since the epoch.
        at: Monotonic clock, in seconds.
        patient: Whether the verification may still wait.

    Returns:
        The action of the table above.

    Source: design of the key cache; DV-14; DV-15; ROT-001 to ROT-020.
    """
    snapshot = state.snapshot
    cooling = state.failures > 0 and at < state.cool_until
    rest = max(state.cool_until - at, 0.0)
    if snapshot is None or snapshot.age_seconds(now, at) >= snapshot.fresh_seconds + policy.stale_if_error_seconds:
        if state.flight is None and cooling:
            return Decision(Action.UNAVAILABLE, rest)
        return Decision(Action.WAIT) if patient else Decision(Action.UNAVAILABLE, rest)
    if need is RefreshReason.KEYS:
        return _decide_by_age(state, snapshot.age_seconds(now, at), cooling=cooling, patient=patient)
    if snapshot.flight_number > refreshes_seen:
        # The keys are as new as the question: asking again would answer the same.
        return Decision(Action.REFUSE)
    if need is RefreshReason.UNKNOWN_KEY:
        return _decide_unknown_key(state, policy, at, cooling=cooling, patient=patient)
    if patient and state.flight is not None and state.flight.forced:
        # The flight that may mend it is under way, whoever has paid for it.
        return Decision(Action.WAIT)
    rest = _budget_rest(state.bad_signature_attempts, policy, RefreshReason.BAD_SIGNATURE, at)
    return Decision(Action.REFUSE, rest) if cooling or rest or not patient else Decision(Action.WAIT)


def _decide_by_age(state: CacheState, age_seconds: float, *, cooling: bool, patient: bool) -> Decision:
    snapshot = state.snapshot
    refresh = Action.USE if state.flight is not None or cooling else Action.USE_AND_REFRESH
    if snapshot is None or age_seconds < snapshot.refresh_seconds:
        return Decision(Action.USE)
    if age_seconds >= snapshot.fresh_seconds and state.failures == 0 and patient:
        return Decision(Action.WAIT)
    return Decision(refresh)


def _decide_unknown_key(state: CacheState, policy: CachePolicy, at: float, *, cooling: bool, patient: bool) -> Decision:
    rest = max(state.cool_until - at, 0.0)
    if not patient:
        return Decision(Action.UNAVAILABLE, rest)
    if state.flight is not None:
        # A flight that began before the question may bring the old keys; then the budget pays for one more.
        return Decision(Action.WAIT)
    if cooling:
        return Decision(Action.UNAVAILABLE, rest)
    rest = _budget_rest(state.unknown_key_attempts, policy, RefreshReason.UNKNOWN_KEY, at)
    if rest == 0:
        return Decision(Action.WAIT)
    # A rotation during an outage must not log everyone out.
    return Decision(Action.UNAVAILABLE if state.failures else Action.REFUSE, rest)


def _budget(policy: CachePolicy, need: RefreshReason) -> tuple[int, float]:
    if need is RefreshReason.UNKNOWN_KEY:
        return policy.unknown_key_refetches, policy.unknown_key_window_seconds
    return policy.bad_signature_refetches, policy.bad_signature_window_seconds


def _within_window(
    attempts: tuple[float, ...], policy: CachePolicy, need: RefreshReason, at: float
) -> tuple[float, ...]:
    _, window_seconds = _budget(policy, need)
    return tuple(began_at for began_at in attempts if at - began_at < window_seconds)


def _budget_rest(attempts: tuple[float, ...], policy: CachePolicy, need: RefreshReason, at: float) -> float:
    """Return how many seconds a budget is spent for; 0 where something is left."""
    allowed, window_seconds = _budget(policy, need)
    if not allowed:
        # A budget of nothing never has anything; the window is as good an answer as any.
        return window_seconds
    # The attempts are in order of time, so only the oldest of so many counts: every refused token asks this.
    return max(attempts[-allowed] + window_seconds - at, 0.0) if len(attempts) >= allowed else 0.0


def began(state: CacheState, policy: CachePolicy, need: RefreshReason, *, now: float, at: float) -> CacheState:
    """Note that a flight begins; a forced one is charged to its budget, whatever becomes of it.

    Args:
        state: A state without a flight.
        policy: The budgets.
        need: Why it begins.
        now: Wall clock.
        at: Monotonic clock.

    Returns:
        The state with the flight.
    """
    flight = Flight(state.flights + 1, at, now, forced=need is not RefreshReason.KEYS)
    unknown = _within_window(state.unknown_key_attempts, policy, RefreshReason.UNKNOWN_KEY, at)
    forged = _within_window(state.bad_signature_attempts, policy, RefreshReason.BAD_SIGNATURE, at)
    return replace(
        state,
        flight=flight,
        flights=flight.number,
        unknown_key_attempts=(*unknown, at) if need is RefreshReason.UNKNOWN_KEY else unknown,
        bad_signature_attempts=(*forged, at) if need is RefreshReason.BAD_SIGNATURE else forged,
    )


class LoadedKeys(NamedTuple):
    """What a successful flight brought.

    Attributes:
        key_set: The candidates, at least one of them usable.
        document_issuer: The issuer of the discovery document; None where there is no document.
        content: What tells two contents apart.
        fresh_seconds: For how long the keys are fresh, within the policy's clamps.
        is_shared: Whether a part of them was older than this flight: from another worker, or led to by the last
            discovery document, where that could not be renewed.
        age_seconds: How old that part was when the flight began.
        is_latest: Whether this flight asked the issuer for the key set, so that no known one is newer.
    """

    key_set: KeySet
    document_issuer: str | None
    content: bytes
    fresh_seconds: float
    is_shared: bool = False
    age_seconds: float = 0.0
    is_latest: bool = False


def succeeded(
    state: CacheState, policy: CachePolicy, flight: Flight, harvest: LoadedKeys, *, jitter: float
) -> CacheState:
    """Note that a flight brought keys. A flight that is no longer the current one changes nothing (ROT-011).

    Args:
        state: The state.
        policy: The refresh-ahead.
        flight: The flight, as it began.
        harvest: What it brought.
        jitter: From -1 to 1: how much earlier or later than planned these keys are refreshed.

    Returns:
        The state with the new snapshot.
    """
    if state.flight != flight:
        return state
    snapshot = _make_snapshot(state.snapshot, policy, flight, harvest, jitter)
    return replace(state, snapshot=snapshot, flight=None, failures=0, cool_until=0.0, last_cause=None)


def _make_snapshot(
    last: Snapshot | None, policy: CachePolicy, flight: Flight, harvest: LoadedKeys, jitter: float
) -> Snapshot:
    same = last is not None and last.content == harvest.content
    due = harvest.fresh_seconds * policy.refresh_ahead * (1 + policy.refresh_jitter * jitter)
    return Snapshot(
        # Equal content keeps its parsed keys, and with them everything that was remembered under them.
        key_set=last.key_set if last is not None and same else harvest.key_set,
        document_issuer=harvest.document_issuer,
        content=harvest.content,
        # Keys that are older than this flight do not answer the question that caused it.
        flight_number=0 if harvest.is_shared else flight.number,
        began_at=flight.began_at - harvest.age_seconds,
        began_now=flight.began_now - harvest.age_seconds,
        refresh_seconds=min(due, harvest.fresh_seconds),
        fresh_seconds=harvest.fresh_seconds,
        generation=0 if last is None else last.generation + (not same),
    )


def failed(  # noqa: PLR0913 - the state, the flight and what it met
    state: CacheState,
    policy: CachePolicy,
    flight: Flight,
    *,
    cause: str,
    retry_after_seconds: float,
    at: float,
    jitter: float,
    last_good: LoadedKeys | None = None,
) -> CacheState:
    """Note that a flight failed: the schedule moves, the keys stay.

    Args:
        state: The state.
        policy: The back-off.
        flight: The flight, as it began.
        cause: What it failed of, in our own words.
        retry_after_seconds: What the issuer asked for, 0 or more.
        at: Monotonic clock at the end of the attempt.
        jitter: From -1 to 1.
        last_good: Keys that may be used up to the cap: past their freshness, or from the last known address. They count
            where they are newer.

    Returns:
        The state with a cool-down that counts from now.
    """
    if state.flight != flight:
        return state
    failures = state.failures + 1
    # The exponent is bounded so that a week of failures does not make a number of a thousand digits.
    pause = min(policy.min_backoff_seconds * 2 ** min(failures - 1, 30), policy.max_backoff_seconds)
    pause *= 1 + policy.refresh_jitter * jitter
    pause = max(pause, min(retry_after_seconds, policy.max_retry_after_seconds))
    snapshot = state.snapshot
    if last_good is not None:
        found = _make_snapshot(snapshot, policy, flight, last_good, jitter)
        is_newer = snapshot is None or last_good.is_latest or found.began_now > snapshot.began_now
        snapshot = found if is_newer else snapshot
    return replace(state, snapshot=snapshot, flight=None, failures=failures, cool_until=at + pause, last_cause=cause)
