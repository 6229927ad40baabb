"""The key cache under any sequence of tokens, responses, rotations and clocks: what never happens, whatever happens.

The machine takes the place of `RemoteKeySet`: verifications that wait, refreshes that succeed, fail, are given up and
end too late. An issuer's JWK Set is a tuple of (key id, key material); a refresh loads the set of some moment while it
runs, or an older one, as from a cache between. ROT-001 to ROT-020.
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
from aveverify._core.key_cache.decisions import Action, Decision, Question, decide_action
from aveverify._core.key_cache.state import (
    EMPTY,
    CacheState,
    FailedLoad,
    FetchFailure,
    Instant,
    LoadedKeys,
    Refresh,
    RefreshReason,
)
from aveverify._core.key_cache.transitions import with_refresh_failed, with_refresh_started, with_refresh_succeeded
from tests.core.jose_factory import key_set, rsa_jwk
from tests.suite.effort import examples

# One verification waits for at most this many refreshes, as in `KeyLookup`.
MAX_WAITS = 3
START = Instant(1_700_000_000.0, 1_000.0)
KEYS = key_set(rsa_jwk(kid="a"))
POLICIES = [
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
    """A key of the issuer, or the key that a token names and is signed with."""

    kid: str
    material: int


Published = tuple[Key, ...]


@dataclass
class Verification:
    """A verification that waits for a refresh."""

    key: Key
    refreshes_seen: int
    # Its key was published when it started, and still is.
    is_genuine: bool
    may_wait: bool = True
    waits: int = 0


@dataclass
class RunningRefresh:
    """A refresh that has not ended, given up or not."""

    refresh: Refresh
    # The sets that the issuer has published since it started; it loads one of them.
    seen: list[Published]
    waiting: list[Verification] = field(default_factory=list)


@dataclass
class Started:
    """When a refresh started, why, and how long ago that was at most, by either clock, at any moment since."""

    reason: RefreshReason
    instant: Instant
    elapsed_seconds: float = 0.0


def encode(published: Published) -> bytes:
    """The content of a set: equal for equal sets."""
    return repr(published).encode()


class KeyCacheMachine(RuleBasedStateMachine):
    """One key cache, its issuer and its verifications."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = CachePolicy()
        self.state: CacheState = EMPTY
        self.instant = START
        self.published: Published = (Key("k0", 0),)
        self.history: list[Published] = [self.published]
        self.contents: dict[bytes, Published] = {encode(self.published): self.published}
        self.materials = 0
        self.current: RunningRefresh | None = None
        self.given_up: list[RunningRefresh] = []
        self.started: list[Started] = []
        self.generation = -1
        self.last_number = 0

    @initialize(policy=st.sampled_from(POLICIES))
    def choose_policy(self, policy: CachePolicy) -> None:
        self.policy = policy

    # --- time

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.move_to(self.instant.plus(seconds))

    @rule(seconds=SECONDS, back=st.booleans())
    def the_wall_clock_steps_or_the_machine_was_suspended(self, seconds: float, *, back: bool) -> None:
        self.move_to(self.instant._replace(wall=self.instant.wall + (-seconds if back else seconds)))

    def move_to(self, instant: Instant) -> None:
        self.instant = instant
        for started in self.started:
            started.elapsed_seconds = max(started.elapsed_seconds, instant.seconds_since(started.instant))

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
        for running in [*self.given_up, *([self.current] if self.current else [])]:
            running.seen.append(self.published)
            for verification in running.waiting:
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
    def a_verification_has_waited_long_enough(self) -> None:
        assert self.current is not None
        verification = self.current.waiting.pop()
        verification.may_wait = False
        self.look(verification)

    # --- responses

    @precondition(lambda self: self.current is not None)
    @rule(which=st.integers(0, 100), fresh_seconds=st.sampled_from([0.0, 300.0, 3_600.0]), jitter=JITTER)
    def the_refresh_loads_keys(self, which: int, fresh_seconds: float, jitter: float) -> None:
        assert self.current is not None
        self.succeed(self.current.seen[which % len(self.current.seen)], fresh_seconds, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(jitter=JITTER)
    def the_refresh_loads_an_old_set_again(self, jitter: float) -> None:
        """A cache between did not ask the issuer, so a verification may not find its newer key."""
        assert self.current is not None
        for verification in self.current.waiting:
            verification.is_genuine = False
        self.succeed(self.history[max(len(self.history) - 2, 0)], 0.0, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 10.0, 59.0]), jitter=JITTER)
    def the_refresh_reads_what_another_worker_has_fetched(self, age_seconds: float, jitter: float) -> None:
        self.succeed(self.published, 0.0, jitter, age_seconds=age_seconds)

    @precondition(lambda self: self.current is not None)
    @rule(retry_after_seconds=st.sampled_from([0.0, 60.0, 1e9]), jitter=JITTER)
    def the_refresh_fails(self, retry_after_seconds: float, jitter: float) -> None:
        self.fail(retry_after_seconds, jitter)

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 60.0, 601.0, 3_601.0, 86_400.0]), jitter=JITTER)
    def the_refresh_fails_and_reads_what_another_worker_had(self, age_seconds: float, jitter: float) -> None:
        """Keys past their freshness: the schedule is that of a failure, and older keys replace nothing."""
        self.fail(0.0, jitter, self.keys(self.published, 0.0, age_seconds))

    @precondition(lambda self: self.current is not None)
    @rule(age_seconds=st.sampled_from([0.0, 60.0, 601.0, 3_601.0, 86_400.0]), jitter=JITTER)
    def discovery_fails_and_the_last_address_serves_its_keys(self, age_seconds: float, jitter: float) -> None:
        """NET-028: the newest set of that address counts, and is as old as the last discovery document."""
        keys = self.keys(self.published, 0.0, age_seconds)._replace(is_latest=True)
        refresh = self.state.refresh
        assert refresh is not None
        self.fail(0.0, jitter, keys)
        snapshot = self.state.snapshot
        assert snapshot is not None
        assert self.contents[snapshot.content] == self.published
        assert snapshot.started == refresh.started.plus(-age_seconds)

    @precondition(lambda self: self.given_up)
    @rule(which=st.integers(0, 100), is_good=st.booleans())
    def a_refresh_that_was_given_up_ends(self, which: int, *, is_good: bool) -> None:
        running = self.given_up.pop(which % len(self.given_up))
        if is_good:
            after = with_refresh_succeeded(self.state, self.policy, running.refresh, self.keys(running.seen[0], 0.0))
        else:
            failure = FailedLoad(FetchFailure("late", retry_after_seconds=1e9))
            after = with_refresh_failed(self.state, self.policy, running.refresh, failure, self.instant)
        assert after is self.state, "an older refresh never overwrites anything"

    # --- what `RemoteKeySet` and `KeyLookup` do

    def verify(self, key: Key) -> None:
        self.look(Verification(key, self.state.refreshes_started, is_genuine=key in self.published))

    def look(self, verification: Verification) -> None:
        """Verify a token until there is a result, or a refresh to wait for."""
        for _ in range(MAX_WAITS + 2):
            reason = self.what_is_missing(verification)
            if reason is None:
                return
            verification.waits += 1
            if verification.waits > MAX_WAITS:
                verification.may_wait = False
            decision = self.decide_and_refresh(reason, verification)
            if decision.action is Action.WAIT:
                assert self.current is not None
                self.current.waiting.append(verification)
                return
            if decision.action is Action.REFUSE:
                assert reason is not RefreshReason.KEYS
                self.check_refusal(verification, reason)
                return
            if decision.action is Action.UNAVAILABLE:
                self.check_unavailable(verification)
                return
        pytest.fail("a verification went round in circles")

    def what_is_missing(self, verification: Verification) -> RefreshReason | None:
        """Why the token cannot be accepted yet; None if it is accepted."""
        decision = self.decide(RefreshReason.KEYS, verification)
        snapshot = self.state.snapshot
        if snapshot is None or decision.action not in (Action.USE, Action.USE_AND_REFRESH):
            return RefreshReason.KEYS
        cap_seconds = snapshot.fresh_seconds + self.policy.stale_if_error_seconds
        assert self.instant.monotonic - snapshot.started.monotonic < cap_seconds, "no key is used past the cap"
        assert self.instant.wall - snapshot.started.wall < cap_seconds, "no key is used past the cap, by neither clock"
        if decision.action is Action.USE_AND_REFRESH:
            self.decide_and_refresh(RefreshReason.KEYS, verification)
        known = self.contents[snapshot.content]
        if verification.key in known:
            return None
        return (
            RefreshReason.BAD_SIGNATURE
            if verification.key.kid in {key.kid for key in known}
            else RefreshReason.UNKNOWN_KEY
        )

    def decide(self, reason: RefreshReason, verification: Verification) -> Decision:
        question = Question(reason, verification.may_wait, verification.refreshes_seen)
        return decide_action(self.state, self.policy, question, self.instant)

    def decide_and_refresh(self, reason: RefreshReason, verification: Verification) -> Decision:
        refresh = self.state.refresh
        if refresh is not None and refresh.remaining_seconds(self.policy, self.instant.monotonic) <= 0:
            self.give_up()
        decision = self.decide(reason, verification)
        assert decision.retry_after_seconds >= 0
        if decision.action in (Action.WAIT, Action.USE_AND_REFRESH) and self.state.refresh is None:
            self.start(reason)
        return decision

    def start(self, reason: RefreshReason) -> None:
        assert self.current is None, "at most one refresh runs"
        if reason is RefreshReason.KEYS and self.started:
            # A failure, or a refresh of the shortest freshness: the earlier of the two.
            pause = self.policy.min_backoff_seconds
            ahead = self.policy.min_fresh_seconds * self.policy.refresh_ahead
            least = min(pause, ahead) * (1 - self.policy.refresh_jitter)
            # A document of the store may have any age within its freshness; here at most 59 s.
            is_shared = self.state.snapshot is not None and self.state.snapshot.refresh_number == 0
            elapsed = self.instant.seconds_since(self.started[-1].instant)
            assert is_shared or elapsed >= least, "fetches are bounded by 1 + elapsed / cool-down"
        self.state = with_refresh_started(self.state, self.policy, reason, self.instant, 0.0)
        assert self.state.refresh is not None
        self.current = RunningRefresh(self.state.refresh, [self.published])
        self.started.append(Started(reason, self.instant))
        for forced in (RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE):
            # A window that was over by either clock does not begin again when the wall clock is set back.
            recent = [one.elapsed_seconds for one in self.started if one.reason is forced]
            count, window_seconds = self.budget(forced)
            assert sum(age < window_seconds for age in recent) <= count, "forced refreshes are bounded by their budget"

    def budget(self, reason: RefreshReason) -> tuple[int, float]:
        if reason is RefreshReason.UNKNOWN_KEY:
            return self.policy.unknown_key_refetches, self.policy.unknown_key_window_seconds
        return self.policy.bad_signature_refetches, self.policy.bad_signature_window_seconds

    def spent(self, reason: RefreshReason) -> int:
        """How many forced refreshes for a reason started within its window, by the machine's own count."""
        _, window_seconds = self.budget(reason)
        ages = [self.instant.seconds_since(one.instant) for one in self.started if one.reason is reason]
        return sum(age < window_seconds for age in ages)

    def end(self, jitter: float) -> RunningRefresh:
        """End the running refresh; what follows is moved by this jitter."""
        assert self.current is not None
        running, self.current = self.current, None
        running.refresh = replace(running.refresh, jitter=jitter)
        self.state = replace(self.state, refresh=running.refresh)
        return running

    def give_up(self) -> None:
        before = self.state.snapshot
        running = self.end(0)
        self.given_up.append(running)
        failure = FailedLoad(FetchFailure("deadline"))
        self.state = with_refresh_failed(self.state, self.policy, running.refresh, failure, self.instant)
        assert self.state.snapshot is before
        self.wake(running)

    def fail(self, retry_after_seconds: float, jitter: float, keys: LoadedKeys | None = None) -> None:
        before = self.state.snapshot
        running = self.end(jitter)
        failure = FailedLoad(FetchFailure("failed", retry_after_seconds=retry_after_seconds), keys)
        ended = running.refresh.instant_at(self.instant.monotonic)
        self.state = with_refresh_failed(self.state, self.policy, running.refresh, failure, ended)
        if keys is None:
            assert self.state.snapshot is before, "a failure never loses keys"
        else:
            assert self.state.snapshot is not None
            assert self.state.failures > 0
        longest = max(self.policy.max_backoff_seconds * 1.5, self.policy.max_retry_after_seconds)
        assert 0 < ended.seconds_until(self.state.cool_until) <= longest
        self.wake(running)

    def keys(self, published: Published, fresh_seconds: float, age_seconds: float | None = None) -> LoadedKeys:
        return LoadedKeys(
            key_set=KEYS,
            document_issuer=None,
            content=encode(published),
            fresh_seconds=max(self.policy.min_fresh_seconds, min(fresh_seconds, self.policy.max_fresh_seconds)),
            predates_refresh=age_seconds is not None,
            age_seconds=age_seconds or 0.0,
        )

    def succeed(
        self, published: Published, fresh_seconds: float, jitter: float, *, age_seconds: float | None = None
    ) -> None:
        before = self.state.snapshot
        running = self.end(jitter)
        keys = self.keys(published, fresh_seconds, age_seconds)
        self.state = with_refresh_succeeded(self.state, self.policy, running.refresh, keys)
        after = self.state.snapshot
        assert after is not None
        assert after is not before
        if before is not None:
            changed = before.content != after.content
            assert after.generation == before.generation + changed, "the generation rises only when the content changes"
        assert (self.state.failures, self.state.last_cause) == (0, None)
        self.wake(running)

    def wake(self, running: RunningRefresh) -> None:
        waiting, running.waiting = running.waiting, []
        for verification in waiting:
            self.look(verification)

    # --- what a result may be

    def check_refusal(self, verification: Verification, reason: RefreshReason) -> None:
        """A token of a published key is refused only if the budget is spent."""
        if not verification.is_genuine:
            return
        is_spent = self.spent(reason) >= self.budget(reason)[0]
        if reason is RefreshReason.UNKNOWN_KEY:
            assert is_spent, "a rotation is visible to the first new token within the budget"
            assert self.state.failures == 0, "a rotation during an outage must not sign every user out"
            assert self.current is None, "no token is refused while a refresh that can help is running"
        else:
            is_cooling = self.state.failures > 0 and self.state.cool_down_seconds(self.instant) > 0
            if verification.may_wait:
                assert is_spent or is_cooling
                assert self.current is None or not self.current.refresh.is_forced, "a forced refresh is waited for"

    def check_unavailable(self, verification: Verification) -> None:
        if not verification.may_wait:
            return
        assert self.current is None, "keys are never `unavailable` while a refresh that can help is running"
        assert self.state.failures > 0, "keys are never `unavailable` while the issuer answers"

    # --- always

    @invariant()
    def the_state_and_the_running_refresh_agree(self) -> None:
        assert self.state.refresh == (self.current.refresh if self.current is not None else None)
        assert self.state.refreshes_started == len(self.started)

    @invariant()
    def snapshots_only_get_newer(self) -> None:
        snapshot = self.state.snapshot
        if snapshot is None:
            assert self.generation == -1
            return
        assert snapshot.generation >= self.generation
        self.generation = snapshot.generation
        if snapshot.refresh_number:
            assert snapshot.refresh_number >= self.last_number
            self.last_number = snapshot.refresh_number

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.state.unknown_key_attempts) <= self.policy.unknown_key_refetches
        assert len(self.state.bad_signature_attempts) <= self.policy.bad_signature_refetches

    @invariant()
    def no_verification_waits_for_a_refresh_that_was_given_up(self) -> None:
        assert not any(running.waiting for running in self.given_up)


def test_the_invariants_hold_whatever_happens() -> None:
    run_state_machine_as_test(
        KeyCacheMachine, settings=settings(max_examples=examples(600), stateful_step_count=60, deadline=None)
    )


def test_the_machine_would_notice_a_broken_promise() -> None:
    """The invariants work: a cache that forgets its keys, or takes a late answer, is caught."""
    machine = KeyCacheMachine()
    machine.verify(machine.published[-1])
    machine.the_refresh_loads_keys(which=0, fresh_seconds=0.0, jitter=0.0)
    machine.a_token_of_a_random_kid(number=0)
    assert machine.current is not None
    running = machine.current
    machine.give_up()
    machine.given_up.append(running)
    machine.state = replace(machine.state, refresh=running.refresh)
    with pytest.raises(AssertionError, match="never overwrites"):
        machine.a_refresh_that_was_given_up_ends(which=0, is_good=True)
    with pytest.raises(AssertionError):
        machine.the_state_and_the_running_refresh_agree()
