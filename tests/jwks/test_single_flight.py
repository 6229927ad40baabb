"""Waiting for one flight, from threads and event loops at once. Barriers and counts, no stop-watch."""

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
from aveverify._core.verification import Wait
from aveverify._jwks.completion import Completion
from aveverify._jwks.key_lookup import KeyLookup
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.jwks.blocking_fetcher import Gate
from tests.jwks.refresh_threads import flights, join_flights

DISCOVERY = "/.well-known/openid-configuration"
FRESH = CachePolicy().fresh_seconds
DEADLINE = CachePolicy().flight_deadline_seconds
# A verification that has to give up does so at once; none of the tests waits for it.
HASTY = CachePolicy(waiter_seconds=0.01)


@pytest.fixture
def gate(issuer: FakeIssuer) -> Iterator[Gate]:
    gate = Gate(issuer)
    yield gate
    gate.open()


@pytest.fixture
def gated(issuer: FakeIssuer, gate: Gate, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider, fetcher=gate, clock=clock)


def test_rot_012_a_hundred_cold_threads_make_one_fetch_of_each_document(
    gated: Verifier, gate: Gate, issuer: FakeIssuer
) -> None:
    token = issuer.token()
    barrier = Barrier(100)
    gate.shut()

    def verify() -> Identity:
        barrier.wait()
        return gated.verify(token)

    with ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(verify) for _ in range(100)]
        assert gate.arrived.wait(30)
        gate.open()
        assert {future.result().subject for future in futures} == {gated.verify(token).subject}
    assert len(gate.requests) == 2


def test_rot_012_threads_and_coroutines_of_two_loops_wait_for_one_flight(
    gated: Verifier, gate: Gate, issuer: FakeIssuer
) -> None:
    token = issuer.token()
    gate.shut()

    async def verify_many() -> list[Identity]:
        return await asyncio.gather(*(gated.verify_async(token) for _ in range(50)))

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(asyncio.run, verify_many()) for _ in range(2)]
        thread = pool.submit(gated.verify, token)
        assert gate.arrived.wait(30)
        gate.open()
        assert all(len(loop.result()) == 50 for loop in loops)
        assert thread.result().subject
    assert len(gate.requests) == 2


def test_con_006_verify_async_never_blocks_its_loop(gated: Verifier, gate: Gate, issuer: FakeIssuer) -> None:
    gate.shut()

    async def scenario() -> int:
        task = asyncio.create_task(gated.verify_async(issuer.token()))
        turns = 0
        while turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert not task.done()
        gate.open()
        await task
        return turns

    assert asyncio.run(scenario()) == 1000


def test_known_keys_are_not_delayed_by_a_stalled_refresh(
    gated: Verifier, gate: Gate, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verify_any(gated, issuer.token())
    gate.shut()
    clock.tick(seconds=FRESH * 0.95)
    assert verify_any(gated, issuer.token()).subject
    assert gate.arrived.wait(30)
    for _ in range(20):
        assert verify_any(gated, issuer.token()).subject
    assert len(gate.requests) == 3


def test_rot_014_a_refresh_ahead_is_one_flight_behind_the_requests(
    gated: Verifier, gate: Gate, issuer: FakeIssuer, clock: FakeClock
) -> None:
    gated.verify(issuer.token())
    gate.shut()
    clock.tick(seconds=FRESH * 0.95)
    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(gated.verify, issuer.token()) for _ in range(64)]:
            assert future.result().subject
    assert gate.arrived.wait(30)
    assert len(gate.requests) == 3


def test_rot_013_a_cancelled_waiter_harms_nobody(gated: Verifier, gate: Gate, issuer: FakeIssuer) -> None:
    gate.shut()

    async def scenario() -> str:
        first = asyncio.create_task(gated.verify_async(issuer.token()))
        second = asyncio.create_task(gated.verify_async(issuer.token()))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.open()
        return (await second).subject

    assert asyncio.run(scenario())
    assert len(gate.requests) == 2


def test_con_004_a_loop_that_closed_while_it_waited_harms_nobody(
    gated: Verifier, gate: Gate, issuer: FakeIssuer
) -> None:
    gate.shut()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gated.verify_async(issuer.token()), 0.01)

    asyncio.run(give_up())
    gate.open()
    assert asyncio.run(gated.verify_async(issuer.token())).subject


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
    issuer: FakeIssuer, gate: Gate, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock, cache_policy=HASTY)
    gate.shut()
    with pytest.raises(KeysUnavailableError):
        verify_any(verifier, issuer.token())


def test_with_stale_keys_a_verification_that_waited_long_enough_uses_them(
    issuer: FakeIssuer, gate: Gate, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock, cache_policy=HASTY)
    verify_any(verifier, issuer.token())
    gate.shut()
    clock.tick(seconds=FRESH + 1)
    assert verify_any(verifier, issuer.token()).subject


def test_an_unknown_key_is_unavailable_to_a_verification_that_waited_long_enough(
    issuer: FakeIssuer, gate: Gate, clock: FakeClock, verify_any: VerifyAny
) -> None:
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock, cache_policy=HASTY)
    verify_any(verifier, issuer.token())
    issuer.rotate()
    gate.shut()
    with pytest.raises(KeysUnavailableError):
        verify_any(verifier, issuer.token())


def test_a_flight_past_its_deadline_is_given_up_and_its_answer_comes_too_late(
    gated: Verifier, gate: Gate, issuer: FakeIssuer, clock: FakeClock
) -> None:
    gate.shut()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gated.verify, issuer.token())
        assert gate.arrived.wait(30)
        clock.tick(seconds=DEADLINE)
        with pytest.raises(KeysUnavailableError, match="deadline"):
            gated.verify(issuer.token())
        # The waiter is woken by whoever gave the flight up.
        with pytest.raises(KeysUnavailableError):
            first.result()
    gate.open()
    clock.tick(seconds=2)
    assert gated.verify(issuer.token()).subject


def test_a_verification_joins_an_older_flight_and_then_pays_for_one_of_its_own(
    gated: Verifier, gate: Gate, issuer: FakeIssuer, clock: FakeClock
) -> None:
    """A refresh that began before the question may have read the old set."""
    gated.verify(issuer.token())
    stalled = gate.fetch
    answered = issuer.fetch
    clock.tick(seconds=FRESH * 0.95)
    gate.shut()
    gated.verify(issuer.token())
    assert gate.arrived.wait(30)
    # The refresh under way has read the old keys; only its answer is late.
    old = answered(gate.requests[-1])
    issuer.rotate()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(gated.verify, issuer.token())
        issuer.answer_keys_with(old)
        gate.shut()
        gate.open()
        issuer.answer_keys_with(None)
        assert future.result().subject
    assert stalled is not answered


def test_verify_under_a_running_loop_says_once_that_it_blocks(issuer: FakeIssuer, clock: FakeClock, gate: Gate) -> None:
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock, cache_policy=HASTY)
    gate.shut()

    async def scenario() -> None:
        with pytest.warns(RuntimeWarning, match="verify_async"), pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(KeysUnavailableError):
                verifier.verify(issuer.token())

    asyncio.run(scenario())


def test_verify_with_known_keys_under_a_running_loop_says_nothing(gated: Verifier, issuer: FakeIssuer) -> None:
    gated.warm_up()

    async def scenario() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert gated.verify(issuer.token()).subject

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


def test_a_clock_that_breaks_during_a_flight_leaves_no_waiter_behind(issuer: FakeIssuer, gate: Gate) -> None:
    clock = BrokenClock()
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock)
    gate.shut()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(verifier.verify, issuer.token())
        assert gate.arrived.wait(30)
        clock.elapsed = OSError("no clock")
        gate.open()
        with pytest.raises(InvalidTokenError) as caught:
            future.result()
    assert caught.value.reason is Reason.CLOCK_UNUSABLE


def test_rot_019_a_suspended_machine_judges_its_keys_anew(issuer: FakeIssuer) -> None:
    """The wall clock jumps, the monotonic clock stood still: the larger elapsed time is the age."""
    clock = BrokenClock()
    gate = Gate(issuer)
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock)
    verifier.verify(issuer.token())
    clock.wall = 1_700_000_000.0 + FRESH
    verifier.verify(issuer.token(iat=1_700_000_000, exp=1_700_010_000))
    assert len(gate.requests) == 4


def test_clk_001_a_wall_clock_that_steps_back_makes_keys_neither_older_nor_younger(issuer: FakeIssuer) -> None:
    clock = BrokenClock()
    gate = Gate(issuer)
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock)
    verifier.verify(issuer.token())
    clock.wall = 1_600_000_000.0
    verifier.verify(issuer.token())
    assert len(gate.requests) == 2
    clock.elapsed = FRESH
    verifier.verify(issuer.token())
    assert len(gate.requests) == 4


def test_no_thread_of_ours_outlives_its_flight(gated: Verifier, issuer: FakeIssuer) -> None:
    gated.verify(issuer.token())
    join_flights()
    assert flights() == []


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


def test_the_deadline_of_a_flight_is_one_for_both_documents(issuer: FakeIssuer, clock: FakeClock) -> None:
    class Slow:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            clock.tick(seconds=DEADLINE)
            return issuer.fetch(request)

    with pytest.raises(KeysUnavailableError, match="deadline"):
        Verifier(issuer.provider, fetcher=Slow(), clock=clock).verify(issuer.token())
    assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 0)


def test_a_question_that_the_state_has_answered_meanwhile_waits_for_nothing(issuer: FakeIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm_up()
    provider, source = verifier._registry.providers[0]
    completion = KeyLookup(verifier._registry).request_refresh(Wait(provider, source, RefreshReason.KEYS, None))
    assert completion.is_done


def test_a_key_that_arrives_while_its_token_is_looked_at_is_looked_for_again(
    issuer: FakeIssuer, clock: FakeClock, gate: Gate
) -> None:
    """A refusal by keys that have been replaced meanwhile would blame a good token, and cost a refetch or a sign-in."""
    verifier = Verifier(issuer.provider, fetcher=gate, clock=clock)
    verifier.warm_up()
    provider, source = verifier._registry.providers[0]
    lookup = KeyLookup(verifier._registry)
    assert lookup.usable_keys(source) is not None
    issuer.rotate()
    assert verifier.verify(issuer.token()).subject
    asked = len(gate.requests)
    refusal = InvalidTokenError(Reason.UNKNOWN_KEY, rule="OIDC-12")
    assert lookup.request_refresh(Wait(provider, source, RefreshReason.UNKNOWN_KEY, refusal)).is_done
    assert len(gate.requests) == asked
    # Not for ever: whoever has looked often enough is refused by what there is.
    lookup.usable_keys(source)
    lookup._may_wait = False
    with pytest.raises(InvalidTokenError):
        lookup.request_refresh(Wait(provider, source, RefreshReason.BAD_SIGNATURE, refusal))
