"""Waiting for one refresh, from threads and event loops at once. Barriers and counts, no stop-watch."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from aveverify import (
    CachePolicy,
    Clock,
    FetchRequest,
    FetchResponse,
    Identity,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify._core.key_cache.state import RefreshReason
from aveverify._core.verification import KeysNeeded
from aveverify._jwks.completion import Completion
from aveverify._jwks.key_lookup import KeyLookup
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.jwks.blocking_fetcher import BlockingFetcher, LateKeys
from tests.jwks.refresh_threads import join_refreshes, refresh_threads

DISCOVERY = "/.well-known/openid-configuration"
FRESH = CachePolicy().fresh_seconds
DEADLINE = CachePolicy().flight_deadline_seconds
# A verification that has to give up does so at once; none of the tests waits for it.
HASTY = CachePolicy(waiter_seconds=0.01)


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


@pytest.fixture
def waiting_verifier(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider, fetcher=blocking, clock=clock)


def test_rot_012_a_hundred_cold_threads_make_one_fetch_of_each_document(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    token = issuer.token()
    barrier = Barrier(100)
    blocking.block()

    def verify() -> Identity:
        barrier.wait()
        return waiting_verifier.verify(token)

    with ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(verify) for _ in range(100)]
        assert blocking.arrived.wait(30)
        blocking.unblock()
        assert {future.result().subject for future in futures} == {waiting_verifier.verify(token).subject}
    assert len(blocking.requests) == 2


def test_rot_012_threads_and_coroutines_of_two_loops_wait_for_one_refresh(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    token = issuer.token()
    blocking.block()

    async def verify_many() -> list[Identity]:
        return await asyncio.gather(*(waiting_verifier.verify_async(token) for _ in range(50)))

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(asyncio.run, verify_many()) for _ in range(2)]
        thread = pool.submit(waiting_verifier.verify, token)
        assert blocking.arrived.wait(30)
        blocking.unblock()
        assert all(len(loop.result()) == 50 for loop in loops)
        assert thread.result().subject
    assert len(blocking.requests) == 2


def test_con_006_verify_async_never_blocks_its_loop(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    blocking.block()

    async def scenario() -> int:
        task = asyncio.create_task(waiting_verifier.verify_async(issuer.token()))
        turns = 0
        while turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert not task.done()
        blocking.unblock()
        await task
        return turns

    assert asyncio.run(scenario()) == 1000


def test_known_keys_are_not_delayed_by_a_stalled_refresh(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verify_any(waiting_verifier, issuer.token())
    blocking.block()
    clock.tick(seconds=FRESH * 0.95)
    assert verify_any(waiting_verifier, issuer.token()).subject
    assert blocking.arrived.wait(30)
    for _ in range(20):
        assert verify_any(waiting_verifier, issuer.token()).subject
    assert len(blocking.requests) == 3


def test_rot_014_a_refresh_ahead_runs_once_in_the_background(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
) -> None:
    waiting_verifier.verify(issuer.token())
    blocking.block()
    clock.tick(seconds=FRESH * 0.95)
    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(waiting_verifier.verify, issuer.token()) for _ in range(64)]:
            assert future.result().subject
    assert blocking.arrived.wait(30)
    assert len(blocking.requests) == 3


def test_rot_013_a_cancelled_waiter_cancels_no_other(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    blocking.block()

    async def scenario() -> str:
        first = asyncio.create_task(waiting_verifier.verify_async(issuer.token()))
        second = asyncio.create_task(waiting_verifier.verify_async(issuer.token()))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        blocking.unblock()
        return (await second).subject

    assert asyncio.run(scenario())
    assert len(blocking.requests) == 2


def test_con_004_a_loop_that_closes_while_it_waits_stops_no_other_waiter(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    blocking.block()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting_verifier.verify_async(issuer.token()), 0.01)

    asyncio.run(give_up())
    blocking.unblock()
    assert asyncio.run(waiting_verifier.verify_async(issuer.token())).subject


def test_a_waker_whose_loop_is_closed_is_passed_over() -> None:
    completion = Completion()
    loop = asyncio.new_event_loop()
    waiting = completion.wait_async(60)
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    completion.set_done()
    assert not task.done()
    waiting.close()


def test_a_waiter_that_comes_after_the_completion_does_not_wait() -> None:
    completion = Completion()
    completion.set_done()
    assert completion.wait(0)
    assert asyncio.run(completion.wait_async(0))


def test_a_waiter_without_time_returns_at_once() -> None:
    completion = Completion()

    async def scenario() -> bool:
        waiting = asyncio.create_task(completion.wait_async(0))
        await asyncio.sleep(0)
        return await waiting

    assert not asyncio.run(scenario())


def test_without_keys_a_verification_that_waited_long_enough_is_unavailable(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
    blocking.block()
    with pytest.raises(KeysUnavailableError):
        verify_any(verifier, issuer.token())


def test_with_stale_keys_a_verification_that_waited_long_enough_uses_them(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
    verify_any(verifier, issuer.token())
    blocking.block()
    clock.tick(seconds=FRESH + 1)
    assert verify_any(verifier, issuer.token()).subject


def test_an_unknown_key_is_unavailable_to_a_verification_that_waited_long_enough(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
    verify_any(verifier, issuer.token())
    issuer.rotate()
    blocking.block()
    with pytest.raises(KeysUnavailableError):
        verify_any(verifier, issuer.token())


def test_a_refresh_past_its_deadline_is_given_up_and_its_answer_comes_too_late(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
) -> None:
    blocking.block()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(waiting_verifier.verify, issuer.token())
        assert blocking.arrived.wait(30)
        clock.tick(seconds=DEADLINE)
        with pytest.raises(KeysUnavailableError, match="deadline"):
            waiting_verifier.verify(issuer.token())
        # The verification that gave the refresh up woke the waiter.
        with pytest.raises(KeysUnavailableError):
            first.result()
    blocking.unblock()
    clock.tick(seconds=2)
    assert waiting_verifier.verify(issuer.token()).subject


def test_a_refresh_is_given_up_at_its_deadline_and_not_before(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
    blocking.block()
    failures = []
    for seconds in (0, DEADLINE - 0.5, 0.5):
        clock.tick(seconds=seconds)
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        failures.append(verifier.status().providers[0].failures)
    assert failures == [0, 0, 1]


def test_a_verification_waits_for_an_older_refresh_and_then_is_charged_for_one_of_its_own(
    issuer: FakeIssuer, clock: FakeClock
) -> None:
    """A refresh that started before the verification may load the old JWK Set."""
    late = LateKeys(issuer)
    verifier = Verifier(issuer.provider, fetcher=late, clock=clock)
    (key_set,) = verifier._registry.remote_key_sets
    verifier.verify(issuer.token())
    clock.tick(seconds=FRESH * 0.95)
    late.hold_next()
    verifier.verify(issuer.token())
    assert late.arrived.wait(30)
    issuer.rotate()
    token = issuer.token()

    async def scenario() -> str:
        waiting = asyncio.create_task(verifier.verify_async(token))
        await asyncio.sleep(0)
        # It waits for the refresh that is running, and has caused no other one.
        assert len(key_set._completion._callbacks) == 1
        assert (issuer.jwks_requests, key_set.state.unknown_key_attempts) == (2, ())
        late.released.set()
        return (await waiting).subject

    assert asyncio.run(scenario())
    # The old JWK Set arrived, so the verification was charged for the third request.
    assert (issuer.jwks_requests, len(key_set.state.unknown_key_attempts)) == (3, 1)


def test_verify_under_a_running_loop_says_once_that_it_blocks(
    issuer: FakeIssuer, clock: FakeClock, blocking: BlockingFetcher
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
    blocking.block()

    async def scenario() -> None:
        with pytest.warns(RuntimeWarning, match="verify_async"), pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(KeysUnavailableError):
                verifier.verify(issuer.token())

    asyncio.run(scenario())


def test_verify_with_known_keys_under_a_running_loop_says_nothing(
    waiting_verifier: Verifier, issuer: FakeIssuer
) -> None:
    waiting_verifier.warm_up()

    async def scenario() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert waiting_verifier.verify(issuer.token()).subject

    asyncio.run(scenario())


class BrokenClock:
    """A clock whose readings a test sets; an exception is raised."""

    def __init__(self) -> None:
        self.wall: float | Exception = 1_700_000_000.0
        self.elapsed: float | Exception = 0.0

    def now(self) -> float:
        return self._read(self.wall)

    def monotonic(self) -> float:
        return self._read(self.elapsed)

    def _read(self, value: float | Exception) -> float:
        if isinstance(value, Exception):
            raise value
        return value


@pytest.mark.parametrize(
    "value", [-1.0, float("nan"), float("inf"), OSError("no clock")], ids=["negative", "nan", "infinite", "raises"]
)
@pytest.mark.parametrize("reading", ["wall", "elapsed"])
def test_clk_003_a_clock_that_gives_no_time_leads_to_a_refusal(
    issuer: FakeIssuer, verify_any: VerifyAny, reading: str, value: float | Exception
) -> None:
    clock = BrokenClock()
    _: Clock = clock
    verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock)
    token = issuer.token()
    verify_any(verifier, token)
    setattr(clock, reading, value)
    with pytest.raises(InvalidTokenError) as caught:
        verify_any(verifier, token)
    assert caught.value.reason is Reason.CLOCK_UNUSABLE
    assert caught.value.convex_code is None


def test_what_is_refused_before_it_comes_to_keys_needs_no_time(issuer: FakeIssuer, verify_any: VerifyAny) -> None:
    clock = BrokenClock()
    verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock)
    clock.wall = OSError("no clock")
    with pytest.raises(InvalidTokenError) as caught:
        verify_any(verifier, "not a token")
    assert caught.value.reason is Reason.MALFORMED_TOKEN


def test_a_clock_that_breaks_during_a_refresh_leaves_no_waiter_behind(
    issuer: FakeIssuer, blocking: BlockingFetcher
) -> None:
    clock = BrokenClock()
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    blocking.block()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(verifier.verify, issuer.token())
        assert blocking.arrived.wait(30)
        clock.elapsed = OSError("no clock")
        blocking.unblock()
        with pytest.raises(InvalidTokenError) as caught:
            future.result()
    assert caught.value.reason is Reason.CLOCK_UNUSABLE


def test_a_refresh_that_fails_while_the_clock_breaks_has_a_cool_down_all_the_same(
    issuer: FakeIssuer, blocking: BlockingFetcher
) -> None:
    clock = BrokenClock()
    clock.elapsed = 1_000.0
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    issuer.answer_discovery_with(FetchResponse(status=500))
    blocking.block()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(verifier.verify, issuer.token())
        assert blocking.arrived.wait(30)
        clock.elapsed = OSError("no clock")
        blocking.unblock()
        with pytest.raises(InvalidTokenError):
            future.result()
    clock.elapsed = 1_000.0
    with pytest.raises(KeysUnavailableError):
        verifier.verify(issuer.token())
    assert len(blocking.requests) == 1


def test_rot_019_a_suspended_machine_refreshes_its_keys(issuer: FakeIssuer) -> None:
    """The wall clock jumps, the monotonic clock stood still: the larger elapsed time is the age."""
    clock = BrokenClock()
    blocking = BlockingFetcher(issuer)
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    verifier.verify(issuer.token())
    clock.wall = 1_700_000_000.0 + FRESH
    verifier.verify(issuer.token(iat=1_700_000_000, exp=1_700_010_000))
    assert len(blocking.requests) == 4


def test_clk_001_a_wall_clock_that_steps_back_makes_keys_neither_older_nor_younger(issuer: FakeIssuer) -> None:
    clock = BrokenClock()
    blocking = BlockingFetcher(issuer)
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    verifier.verify(issuer.token())
    clock.wall = 1_600_000_000.0
    verifier.verify(issuer.token())
    assert len(blocking.requests) == 2
    clock.elapsed = FRESH
    verifier.verify(issuer.token())
    assert len(blocking.requests) == 4


def test_no_thread_outlives_its_refresh(waiting_verifier: Verifier, issuer: FakeIssuer) -> None:
    waiting_verifier.verify(issuer.token())
    join_refreshes()
    assert refresh_threads() == []


class JumpingClock:
    """A clock that is a day further at every reading: no key is ever fresh enough."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        self._elapsed += 86_400
        return self._elapsed


def test_clk_002_a_clock_that_jumps_at_every_reading_ends_in_unavailable_not_in_a_loop(
    issuer: FakeIssuer, verify_any: VerifyAny
) -> None:
    with pytest.raises(KeysUnavailableError):
        verify_any(Verifier(issuer.provider, fetcher=issuer, clock=JumpingClock()), issuer.token())


def test_both_documents_of_a_refresh_share_one_deadline(issuer: FakeIssuer, clock: FakeClock) -> None:
    class Slow:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            clock.tick(seconds=DEADLINE)
            return issuer.fetch(request)

    with pytest.raises(KeysUnavailableError, match="deadline"):
        Verifier(issuer.provider, fetcher=Slow(), clock=clock).verify(issuer.token())
    assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 0)


def test_a_request_that_nothing_follows_may_use_the_whole_deadline(issuer: FakeIssuer, clock: FakeClock) -> None:
    """Without a store and without a last address, no time is reserved."""
    deadlines = []

    class Refusing:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            deadlines.append(request.deadline_seconds)
            return FetchResponse(status=404)

    with pytest.raises(KeysUnavailableError):
        Verifier(issuer.provider, fetcher=Refusing(), clock=clock).verify(issuer.token())
    assert deadlines == [DEADLINE]


def test_a_question_that_the_state_has_answered_meanwhile_waits_for_nothing(issuer: FakeIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm_up()
    provider, remote_keys = verifier._registry.providers[0]
    completion = KeyLookup(verifier._registry).request_refresh(
        KeysNeeded(provider, remote_keys, RefreshReason.KEYS, None)
    )
    assert completion.is_done


def test_a_key_that_arrives_while_its_token_is_looked_at_is_looked_for_again(
    issuer: FakeIssuer, clock: FakeClock, blocking: BlockingFetcher
) -> None:
    """A refusal by keys that have been replaced meanwhile would refuse a good token, or cost a refetch."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    verifier.warm_up()
    provider, remote_keys = verifier._registry.providers[0]
    lookup = KeyLookup(verifier._registry)
    assert lookup.usable_keys(remote_keys) is not None
    issuer.rotate()
    assert verifier.verify(issuer.token()).subject
    asked = len(blocking.requests)
    refusal = InvalidTokenError(Reason.UNKNOWN_KEY, rule="OIDC-12")
    assert lookup.request_refresh(KeysNeeded(provider, remote_keys, RefreshReason.UNKNOWN_KEY, refusal)).is_done
    assert len(blocking.requests) == asked
    # Not for ever: a verification that may not wait is refused by the present keys.
    lookup.usable_keys(remote_keys)
    lookup._may_wait = False
    with pytest.raises(InvalidTokenError):
        lookup.request_refresh(KeysNeeded(provider, remote_keys, RefreshReason.BAD_SIGNATURE, refusal))
