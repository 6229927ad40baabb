"""The key cache under any sequence of tokens, answers, rotations and clocks: what never happens, whatever happens.

The machine plays the engine: verifications that wait, flights that land, fail, are given up and come back too late.
An issuer's set is a tuple of (key id, key material); what a flight reads is the set of some moment of its life, or, as
from a cache on the way, an older one. Issue 4, point 1; ROT-001 to ROT-020.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aveverify import CachePolicy
from aveverify._core.key_cache.decisions import (
    EMPTY,
    Action,
    CacheState,
    Decision,
    Flight,
    LoadedKeys,
    RefreshReason,
    began,
    decide,
    failed,
    succeeded,
)
from tests.core.jose_factory import key_set, rsa_jwk
from tests.suite.effort import examples

# One verification waits for at most so many flights, as in `_desk`.
MAX_WAITS = 3
START_NOW, START_AT = 1_700_000_000.0, 1_000.0
KEYS = key_set(rsa_jwk(kid="a"))
RULES_BY_KIND = [
    CachePolicy(),
    CachePolicy(stale_if_error_seconds=0, min_fresh_seconds=30, fresh_seconds=30),
    CachePolicy(unknown_key_refetches=0, bad_signature_refetches=0),
    CachePolicy(unknown_key_refetches=1, unknown_key_window_seconds=5, bad_signature_refetches=3, refresh_ahead=0.5),
    CachePolicy(max_backoff_seconds=2, max_retry_after_seconds=0, stale_if_error_seconds=60, refresh_jitter=0.5),
]
# Around every boundary of the policies, and far beyond them.
SECONDS = st.sampled_from(
    [0.0, 0.5, 1.0, 2.0, 4.5, 5.0, 10.0, 30.0, 59.0, 61.0, 300.0, 480.0, 601.0, 3_600.0, 86_400.0]
)
JITTER = st.sampled_from([-1.0, 0.0, 1.0])


class Key(NamedTuple):
    """A key of the issuer, or the key that a token names and was signed with."""

    kid: str
    material: int


Published = tuple[Key, ...]


@dataclass
class Verification:
    """A verification that waits for a flight."""

    key: Key
    refreshes_seen: int
    # The key was published when it began, and still is.
    is_genuine: bool
    is_patient: bool = True
    waits: int = 0


@dataclass
class Aloft:
    """A flight that has not come back, given up or not."""

    flight: Flight
    # The sets that the issuer published since it began; its answer is one of them.
    seen: list[Published]
    waiting: list[Verification] = field(default_factory=list)


class Begun(NamedTuple):
    """When a flight began, and why."""

    need: RefreshReason
    at: float
    now: float


def encode(published: Published) -> bytes:
    """What tells two sets apart."""
    return repr(published).encode()


class KeyCacheMachine(RuleBasedStateMachine):
    """One key source and everybody around it."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = CachePolicy()
        self.state: CacheState = EMPTY
        self.now, self.at = START_NOW, START_AT
        self.published: Published = (Key("k0", 0),)
        self.history: list[Published] = [self.published]
        self.contents: dict[bytes, Published] = {encode(self.published): self.published}
        self.materials = 0
        self.current: Aloft | None = None
        self.given_up: list[Aloft] = []
        self.begun: list[Begun] = []
        self.generation = -1
        self.last_number = 0

    @initialize(policy=st.sampled_from(RULES_BY_KIND))
    def choose_policy(self, policy: CachePolicy) -> None:
        self.policy = policy

    # --- time

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.at += seconds

    @rule(seconds=SECONDS, back=st.booleans())
    def the_wall_clock_steps_or_the_machine_was_suspended(self, seconds: float, *, back: bool) -> None:
        self.now += -seconds if back else seconds

    # --- the issuer

    @rule(keep_old=st.booleans(), same_kid=st.booleans())
    def the_issuer_rotates(self, *, keep_old: bool, same_kid: bool) -> None:
        self.materials += 1
        last = self.published[-1]
        fresh = Key(last.kid if same_kid else f"k{self.materials}", self.materials)
        kept = tuple(key for key in self.published if key.kid != fresh.kid)[-2:] if keep_old else ()
        self.published = (*kept, fresh)
        self.history.append(self.published)
        self.contents[encode(self.published)] = self.published
        for aloft in [*self.given_up, *([self.current] if self.current else [])]:
            aloft.seen.append(self.published)
            for verification in aloft.waiting:
                verification.is_genuine &= verification.key in self.published

    # --- tokens

    @rule()
    def a_token_of_the_newest_key(self) -> None:
        self.verify(self.published[-1])

    @rule(number=st.integers(0, 100))
    def a_token_of_some_old_key(self, number: int) -> None:
        published = self.history[number % len(self.history)]
        self.verify(published[0])

    @rule(number=st.integers(0, 3))
    def a_token_of_a_random_kid(self, number: int) -> None:
        self.verify(Key(f"random{number}", -1))

    @rule()
    def a_forged_token_under_a_known_kid(self) -> None:
        self.verify(Key(self.published[-1].kid, -1))

    @precondition(lambda self: self.current is not None and self.current.waiting)
    @rule()
    def somebody_has_waited_long_enough(self) -> None:
        assert self.current is not None
        verification = self.current.waiting.pop()
        verification.is_patient = False
        self.look(verification)

    # --- answers

    @precondition(lambda self: self.current is not None)
    @rule(which=st.integers(0, 100), fresh_seconds=st.sampled_from([0.0, 300.0, 3_600.0]), jitter=JITTER)
    def the_flight_brings_keys(self, which: int, fresh_seconds: float, jitter: float) -> None:
        assert self.current is not None
        self.land(self.current.seen[which % len(self.current.seen)], fresh_seconds, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(jitter=JITTER)
    def the_flight_brings_an_old_set_again(self, jitter: float) -> None:
        """A cache on the way did not ask the issuer: whoever hoped for a newer key may be disappointed."""
        assert self.current is not None
        for verification in self.current.waiting:
            verification.is_genuine = False
        self.land(self.history[max(len(self.history) - 2, 0)], 0.0, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 10.0, 59.0]), jitter=JITTER)
    def the_flight_takes_what_another_worker_has_fetched(self, age_seconds: float, jitter: float) -> None:
        self.land(self.published, 0.0, jitter, age_seconds=age_seconds)

    @precondition(lambda self: self.current is not None)
    @rule(retry_after_seconds=st.sampled_from([0.0, 60.0, 1e9]), jitter=JITTER)
    def the_flight_fails(self, retry_after_seconds: float, jitter: float) -> None:
        self.fail(retry_after_seconds, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 60.0, 601.0, 3_601.0, 86_400.0]), jitter=JITTER)
    def the_flight_fails_and_takes_what_another_worker_had(self, age_seconds: float, jitter: float) -> None:
        """Keys past their freshness: the schedule is that of a failure, and older keys replace nothing."""
        self.fail(0.0, jitter, self.harvest(self.published, 0.0, age_seconds))

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 60.0, 601.0, 3_601.0, 86_400.0]), jitter=JITTER)
    def discovery_fails_and_the_last_address_gives_its_keys(self, age_seconds: float, jitter: float) -> None:
        """NET-028: the newest set of that address counts, and is as old as the last discovery document."""
        harvest = self.harvest(self.published, 0.0, age_seconds)._replace(is_latest=True)
        flight = self.state.flight
        assert flight is not None
        self.fail(0.0, jitter, harvest)
        snapshot = self.state.snapshot
        assert snapshot is not None
        assert self.contents[snapshot.content] == self.published
        assert snapshot.began_now == flight.began_now - age_seconds

    @precondition(lambda self: self.given_up)
    @rule(which=st.integers(0, 100), is_good=st.booleans(), jitter=JITTER)
    def a_flight_that_was_given_up_comes_back(self, which: int, *, is_good: bool, jitter: float) -> None:
        aloft = self.given_up.pop(which % len(self.given_up))
        if is_good:
            after = succeeded(self.state, self.policy, aloft.flight, self.harvest(aloft.seen[0], 0.0), jitter=jitter)
        else:
            after = failed(
                self.state, self.policy, aloft.flight, cause="late", retry_after_seconds=1e9, at=self.at, jitter=jitter
            )
        assert after is self.state, "an older flight never overwrites anything"

    # --- the engine

    def verify(self, key: Key) -> None:
        self.look(Verification(key, self.state.flights, is_genuine=key in self.published))

    def look(self, verification: Verification) -> None:
        """Look at a token until there is an answer, or something to wait for."""
        for _ in range(MAX_WAITS + 2):
            need = self.what_is_missing(verification)
            if need is None:
                return
            verification.waits += 1
            if verification.waits > MAX_WAITS:
                verification.is_patient = False
            decision = self.settle(need, verification)
            if decision.action is Action.WAIT:
                assert self.current is not None
                self.current.waiting.append(verification)
                return
            if decision.action is Action.REFUSE:
                assert need is not RefreshReason.KEYS
                self.check_refusal(verification, need)
                return
            if decision.action is Action.UNAVAILABLE:
                self.check_unavailable(verification)
                return
        pytest.fail("a verification went round in circles")

    def what_is_missing(self, verification: Verification) -> RefreshReason | None:
        """What a look at the token finds out; None where it is accepted."""
        decision = self.ask(RefreshReason.KEYS, verification)
        snapshot = self.state.snapshot
        if snapshot is None or decision.action not in (Action.USE, Action.USE_AND_REFRESH):
            return RefreshReason.KEYS
        cap_seconds = snapshot.fresh_seconds + self.policy.stale_if_error_seconds
        assert self.at - snapshot.began_at < cap_seconds, "no key is used past the cap"
        assert self.now - snapshot.began_now < cap_seconds, "no key is used past the cap, by neither clock"
        if decision.action is Action.USE_AND_REFRESH:
            self.settle(RefreshReason.KEYS, verification)
        known = self.contents[snapshot.content]
        if verification.key in known:
            return None
        return (
            RefreshReason.BAD_SIGNATURE
            if verification.key.kid in {key.kid for key in known}
            else RefreshReason.UNKNOWN_KEY
        )

    def ask(self, need: RefreshReason, verification: Verification) -> Decision:
        return decide(
            self.state,
            self.policy,
            need,
            refreshes_seen=verification.refreshes_seen,
            now=self.now,
            at=self.at,
            patient=verification.is_patient,
        )

    def settle(self, need: RefreshReason, verification: Verification) -> Decision:
        flight = self.state.flight
        if flight is not None and self.at - flight.began_at >= self.policy.flight_deadline_seconds:
            self.give_up()
        decision = self.ask(need, verification)
        assert decision.retry_after_seconds >= 0
        if decision.action in (Action.WAIT, Action.USE_AND_REFRESH) and self.state.flight is None:
            self.begin(need)
        return decision

    def begin(self, need: RefreshReason) -> None:
        assert self.current is None, "at most one flight per source"
        if need is RefreshReason.KEYS and self.begun:
            last = self.begun[-1]
            # A failure, or a refresh of the shortest freshness: whatever comes first.
            pause = self.policy.min_backoff_seconds
            due = self.policy.min_fresh_seconds * self.policy.refresh_ahead
            least = min(pause, due) * (1 - self.policy.refresh_jitter)
            # A document of a store may be as old as it likes, within its freshness; here it is at most 59 s.
            shared = self.state.snapshot is not None and self.state.snapshot.flight_number == 0
            elapsed = max(self.at - last.at, self.now - last.now)
            assert shared or elapsed >= least, "fetches are bounded by 1 + elapsed / cool-down"
        self.state = began(self.state, self.policy, need, now=self.now, at=self.at)
        assert self.state.flight is not None
        self.current = Aloft(self.state.flight, [self.published])
        self.begun.append(Begun(need, self.at, self.now))
        for forced in (RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE):
            assert self.spent(forced) <= self.budget(forced)[0], "forced refetches are bounded by their budget"

    def budget(self, need: RefreshReason) -> tuple[int, float]:
        if need is RefreshReason.UNKNOWN_KEY:
            return self.policy.unknown_key_refetches, self.policy.unknown_key_window_seconds
        return self.policy.bad_signature_refetches, self.policy.bad_signature_window_seconds

    def spent(self, need: RefreshReason) -> int:
        """How many forced refetches of a kind began within its window, by our own count."""
        _, window_seconds = self.budget(need)
        return sum(begun.need is need and self.at - begun.at < window_seconds for begun in self.begun)

    def give_up(self) -> None:
        assert self.current is not None
        aloft = self.current
        before, self.current = self.state.snapshot, None
        self.given_up.append(aloft)
        self.state = failed(
            self.state, self.policy, aloft.flight, cause="deadline", retry_after_seconds=0, at=self.at, jitter=0
        )
        assert self.state.snapshot is before
        self.wake(aloft)

    def fail(self, retry_after_seconds: float, jitter: float, last_good: LoadedKeys | None = None) -> None:
        assert self.current is not None
        aloft, self.current = self.current, None
        before = self.state.snapshot
        self.state = failed(
            self.state,
            self.policy,
            aloft.flight,
            cause="failed",
            retry_after_seconds=retry_after_seconds,
            at=self.at,
            jitter=jitter,
            last_good=last_good,
        )
        if last_good is None:
            assert self.state.snapshot is before, "a failure never loses keys"
        else:
            assert self.state.snapshot is not None
            assert self.state.failures > 0
        longest = max(self.policy.max_backoff_seconds * 1.5, self.policy.max_retry_after_seconds)
        assert self.at < self.state.cool_until <= self.at + longest
        self.wake(aloft)

    def harvest(self, published: Published, fresh_seconds: float, age_seconds: float | None = None) -> LoadedKeys:
        return LoadedKeys(
            key_set=KEYS,
            document_issuer=None,
            content=encode(published),
            fresh_seconds=max(self.policy.min_fresh_seconds, min(fresh_seconds, self.policy.max_fresh_seconds)),
            is_shared=age_seconds is not None,
            age_seconds=age_seconds or 0.0,
        )

    def land(
        self, published: Published, fresh_seconds: float, jitter: float, *, age_seconds: float | None = None
    ) -> None:
        assert self.current is not None
        aloft, self.current = self.current, None
        before = self.state.snapshot
        harvest = self.harvest(published, fresh_seconds, age_seconds)
        self.state = succeeded(self.state, self.policy, aloft.flight, harvest, jitter=jitter)
        after = self.state.snapshot
        assert after is not None
        assert after is not before
        if before is not None:
            changed = before.content != after.content
            assert after.generation == before.generation + changed, "the generation rises only when the content changes"
        assert (self.state.failures, self.state.last_cause) == (0, None)
        self.wake(aloft)

    def wake(self, aloft: Aloft) -> None:
        waiting, aloft.waiting = aloft.waiting, []
        for verification in waiting:
            self.look(verification)

    # --- what a verdict may say

    def check_refusal(self, verification: Verification, need: RefreshReason) -> None:
        """A token of a published key is refused only where the budget says so: nobody else is told 401."""
        if not verification.is_genuine:
            return
        is_spent = self.spent(need) >= self.budget(need)[0]
        if need is RefreshReason.UNKNOWN_KEY:
            assert is_spent, "a rotation is visible to the first new token within the budget"
            assert self.state.failures == 0, "a rotation during an outage must not log everyone out"
            assert self.current is None, "nobody is refused while a flight that can answer is in progress"
        else:
            is_cooling = self.state.failures > 0 and self.at < self.state.cool_until
            if verification.is_patient:
                assert is_spent or is_cooling
                assert self.current is None or not self.current.flight.forced, "who may be mended by a flight waits"

    def check_unavailable(self, verification: Verification) -> None:
        if not verification.is_patient:
            return
        assert self.current is None, "nobody is told `unavailable` while a flight that can answer is in progress"
        assert self.state.failures > 0, "nobody is told `unavailable` of an issuer that answers"

    # --- always

    @invariant()
    def the_state_and_the_flight_agree(self) -> None:
        assert self.state.flight == (self.current.flight if self.current is not None else None)
        assert self.state.flights == len(self.begun)

    @invariant()
    def snapshots_only_get_newer(self) -> None:
        snapshot = self.state.snapshot
        if snapshot is None:
            assert self.generation == -1
            return
        assert snapshot.generation >= self.generation
        self.generation = snapshot.generation
        if snapshot.flight_number:
            assert snapshot.flight_number >= self.last_number
            self.last_number = snapshot.flight_number

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.state.unknown_key_attempts) <= self.policy.unknown_key_refetches
        assert len(self.state.bad_signature_attempts) <= self.policy.bad_signature_refetches

    @invariant()
    def who_waits_waits_for_the_flight_in_progress(self) -> None:
        assert not any(aloft.waiting for aloft in self.given_up)


def test_the_invariants_hold_whatever_happens() -> None:
    run_state_machine_as_test(
        KeyCacheMachine, settings=settings(max_examples=examples(600), stateful_step_count=60, deadline=None)
    )


def test_the_machine_would_notice_a_broken_promise() -> None:
    """The invariants bite: a cache that forgets its keys, or takes a late answer, is caught."""
    machine = KeyCacheMachine()
    machine.verify(machine.published[-1])
    machine.the_flight_brings_keys(which=0, fresh_seconds=0.0, jitter=0.0)
    machine.a_token_of_a_random_kid(number=0)
    assert machine.current is not None
    aloft = machine.current
    machine.give_up()
    machine.given_up.append(aloft)
    machine.state = replace(machine.state, flight=aloft.flight)
    with pytest.raises(AssertionError, match="never overwrites"):
        machine.a_flight_that_was_given_up_comes_back(which=0, is_good=True, jitter=0.0)
    with pytest.raises(AssertionError):
        machine.the_state_and_the_flight_agree()
