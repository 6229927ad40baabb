"""Waiting for keys under asyncio and under trio: the same promises, and none to any other event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from aveverify import CachePolicy, ConfigurationError, Identity, KeysUnavailableError, Verifier
from aveverify._event_loops import find_event_loop
from aveverify._jwks.completion import Completion
from aveverify.errors import Problem
from aveverify.testing import FakeClock, FakeIssuer
from tests.jwks.blocking_fetcher import BlockingFetcher
from tests.jwks.event_loops import EVENT_LOOPS, EventLoop, turns
from tests.jwks.refresh_threads import join_refreshes

FRESH = CachePolicy().fresh_seconds
CAP = FRESH + CachePolicy().stale_if_error_seconds
HASTY = CachePolicy(waiter_seconds=0.01)


@pytest.fixture(params=EVENT_LOOPS, ids=lambda event_loop: event_loop.name)
def event_loop(request: pytest.FixtureRequest) -> EventLoop:
    found: EventLoop = request.param
    return found


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


@pytest.fixture
def waiting_verifier(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> Iterator[Verifier]:
    with Verifier(issuer.provider, fetcher=blocking, clock=clock) as verifier:
        yield verifier


# --- which event loop -----------------------------------------------------------------------------------------------


async def find() -> str | None:
    return find_event_loop()


@pytest.mark.parametrize("absent", [(), ("trio",), ("asyncio", "trio")], ids=["both", "asyncio", "neither"])
def test_outside_of_both_there_is_no_event_loop(absent: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the program has imported."""
    for name in absent:
        monkeypatch.delitem(sys.modules, name)
    assert find_event_loop() is None


def test_each_event_loop_is_found_and_none_in_its_threads(event_loop: EventLoop) -> None:
    async def find_both() -> tuple[str | None, str | None]:
        return find_event_loop(), await anyio.to_thread.run_sync(find_event_loop)

    assert event_loop.run(find_both) == (event_loop.name, None)


def test_a_callback_of_asyncio_without_a_task_is_under_asyncio() -> None:
    async def scenario() -> str | None:
        found: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: found.set_result(find_event_loop()))
        return await found

    assert asyncio.run(scenario()) == "asyncio"


def test_asyncio_that_blocks_a_task_of_trio_is_asyncio() -> None:
    async def scenario() -> tuple[str | None, str | None]:
        return asyncio.run(find()), await find()

    assert trio.run(scenario) == ("asyncio", "trio")


@asynccontextmanager
async def guest_run(function: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run trio within the loop of asyncio that is running, until the function returns."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()
    trio.lowlevel.start_guest_run(
        function,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=ended.set_result,
    )
    yield
    (await ended).unwrap()


def test_a_guest_run_of_trio_and_its_host_wait_for_the_same_keys(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    found: list[tuple[str | None, str]] = []
    token = issuer.token()
    blocking.block()

    async def verify() -> None:
        found.append((find_event_loop(), (await waiting_verifier.verify_async(token)).subject))

    async def scenario() -> None:
        async with guest_run(verify):
            waiting = asyncio.create_task(verify())
            await until_waiting(waiting_verifier, 2)
            blocking.unblock()
            await waiting

    asyncio.run(scenario())
    assert sorted(found) == [("asyncio", "user_ada"), ("trio", "user_ada")]
    assert len(blocking.requests) == 2


def step(coroutine: Coroutine[Any, Any, Identity]) -> None:
    """Run a coroutine by hand, as an event loop that is neither of the two."""
    coroutine.send(None)


def test_under_another_event_loop_a_wait_is_a_clear_error_and_known_keys_need_none(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    blocking.block()
    with pytest.raises(RuntimeError, match="asyncio or trio"):
        step(waiting_verifier.verify_async(issuer.token()))
    blocking.unblock()
    join_refreshes()
    with pytest.raises(StopIteration) as returned:
        step(waiting_verifier.verify_async(issuer.token()))
    assert returned.value.value.subject == "user_ada"


@pytest.mark.parametrize(
    ("run", "loaded"),
    [
        pytest.param("import trio; trio.run(verifier.verify_async, issuer.token())", "asyncio", id="trio"),
        pytest.param("import asyncio; asyncio.run(verifier.verify_async(issuer.token()))", "trio", id="asyncio"),
    ],
)
def test_the_other_event_loop_is_not_imported(run: str, loaded: str) -> None:
    script = f"""
import sys
from aveverify.testing import FakeIssuer
issuer = FakeIssuer()
with issuer.verifier() as verifier:
    {run}
assert {loaded!r} not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# --- verifications --------------------------------------------------------------------------------------------------


def callbacks(verifier: Verifier) -> int:
    """How many coroutines wait for the refresh that is running."""
    (key_set,) = verifier._registry.remote_key_sets
    return len(key_set._completion._callbacks)


async def until_waiting(verifier: Verifier, count: int) -> None:
    """Let the waiters come so far that they wait."""
    while callbacks(verifier) < count:
        await turns(1)


def test_rot_012_threads_and_coroutines_of_both_event_loops_wait_for_one_refresh(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
) -> None:
    token = issuer.token()
    blocking.block()

    async def verify_many() -> list[str]:
        subjects = []

        async def verify() -> None:
            subjects.append((await waiting_verifier.verify_async(token)).subject)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(verify)
        return subjects

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(event_loop.run, verify_many) for event_loop in EVENT_LOOPS * 2]
        threads = [pool.submit(waiting_verifier.verify, token) for _ in range(2)]
        assert blocking.arrived.wait(30)
        blocking.unblock()
        assert [run.result() for run in runs] == [["user_ada"] * 50] * 4
        assert [thread.result().subject for thread in threads] == ["user_ada"] * 2
    assert len(blocking.requests) == 2


def test_every_way_to_wait_gets_its_keys(issuer: FakeIssuer, clock: FakeClock, event_loop: EventLoop) -> None:
    """Cold, after a rotation, stale, in an outage, and after it."""

    async def scenario() -> list[str]:
        with issuer.verifier() as verifier:

            async def verify() -> str:
                return (await verifier.verify_async(issuer.token())).subject

            await verifier.warm_up_async(fail_closed=True)
            seen = [await verify()]
            issuer.rotate(keep_old=False)
            seen.append(await verify())
            clock.tick(seconds=FRESH + 1)
            identity = await verifier.verify_header_async(f"Bearer {issuer.token()}")
            seen.append(identity.subject if identity else "anonymous")
            issuer.go_down()
            clock.tick(seconds=FRESH + 1)
            seen.append(await verify())
            clock.tick(seconds=CAP)
            for call in (verify, lambda: verifier.warm_up_async(fail_closed=True)):
                with pytest.raises(KeysUnavailableError):
                    await call()
            issuer.come_up()
            clock.tick(seconds=60)
            return [*seen, await verify()]

    assert event_loop.run(scenario) == ["user_ada"] * 5


def test_con_006_a_verification_that_waits_does_not_block_its_loop(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, event_loop: EventLoop
) -> None:
    blocking.block()

    async def scenario() -> list[str]:
        seen: list[str] = []

        async def verify() -> None:
            seen.append((await waiting_verifier.verify_async(issuer.token())).subject)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(verify)
            await turns(1000)
            assert not seen
            blocking.unblock()
        return seen

    assert event_loop.run(scenario) == ["user_ada"]


def test_rot_013_a_waiter_that_is_cancelled_leaves_nothing_behind_and_cancels_no_other(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, event_loop: EventLoop
) -> None:
    """CON-003."""
    token, seen, ended = issuer.token(), [], []
    blocking.block()

    async def verify(scope: anyio.CancelScope) -> None:
        with scope:
            seen.append((await waiting_verifier.verify_async(token)).subject)
        ended.append(scope.cancelled_caught)

    async def scenario() -> None:
        scopes = [anyio.CancelScope() for _ in range(2)]
        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(verify, scope)
            await until_waiting(waiting_verifier, 2)
            scopes[0].cancel()
            while not ended:
                await turns(1)
            assert (ended, callbacks(waiting_verifier)) == ([True], 1)
            blocking.unblock()

    threads = threading.active_count()
    event_loop.run(scenario)
    assert (ended, seen) == ([True, False], ["user_ada"])
    assert len(blocking.requests) == 2
    join_refreshes()
    assert threading.active_count() <= threads


def test_con_004_an_event_loop_that_ends_while_it_waits_stops_no_other_waiter(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, event_loop: EventLoop
) -> None:
    blocking.block()

    async def give_up() -> None:
        with anyio.move_on_after(0.01):
            await waiting_verifier.verify_async(issuer.token())

    event_loop.run(give_up)
    blocking.unblock()
    assert event_loop.run(waiting_verifier.verify_async, issuer.token()).subject


def test_con_004_an_event_loop_that_ends_just_before_it_is_woken_is_passed_over(event_loop: EventLoop) -> None:
    completion = Completion()

    async def scenario() -> list[Callable[[], None]]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(completion.wait_async, 60)
            while not completion._callbacks:
                await turns(1)
            # As `set_done` does, on another thread.
            callbacks = completion._callbacks[:]
            tasks.cancel_scope.cancel()
        return callbacks

    (wake,) = event_loop.run(scenario)
    wake()


def test_con_014_closing_wakes_what_waits(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, event_loop: EventLoop
) -> None:
    blocking.block()

    async def scenario() -> None:
        async def verify() -> None:
            with pytest.raises(ConfigurationError) as caught:
                await waiting_verifier.verify_async(issuer.token())
            assert caught.value.problem is Problem.CLOSED

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(verify)
            await until_waiting(waiting_verifier, 1)
            waiting_verifier.close()

    event_loop.run(scenario)


def test_a_completion_around_the_beginning_of_a_wait_is_not_missed(event_loop: EventLoop) -> None:
    """Done before the wait, between its two looks, or after both."""

    class LateCompletion(Completion):
        """It happens while the waiter looks for its event loop."""

        looks = 0

        @property
        def is_done(self) -> bool:
            self.looks += 1
            if self.looks == 2:
                threading.Thread(target=self._event.set).start()
                self._event.wait(30)
            return super().is_done

    async def is_woken() -> bool:
        with anyio.move_on_after(10) as scope:
            await LateCompletion().wait_async(60)
        return not scope.cancelled_caught

    done = Completion()
    done.set_done()
    assert event_loop.run(done.wait_async, 0)
    assert event_loop.run(is_woken)
    assert not event_loop.run(Completion().wait_async, 0)


def test_a_verification_that_has_waited_long_enough_gives_up(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock, event_loop: EventLoop
) -> None:
    blocking.block()
    with (
        Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY) as verifier,
        pytest.raises(KeysUnavailableError),
    ):
        event_loop.run(verifier.verify_async, issuer.token())
    blocking.unblock()


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "too late"])
def test_a_clock_of_trios_tests_that_jumps_does_not_end_a_wait(*, is_late: bool) -> None:
    completion = Completion()

    async def scenario() -> bool:
        return await completion.wait_async(0.2 if is_late else 60)

    timer = threading.Timer(0.05, completion.set_done)
    if not is_late:
        timer.start()
    try:
        assert trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0)) is not is_late
    finally:
        timer.cancel()


def test_verify_under_a_running_loop_says_once_that_it_blocks(
    issuer: FakeIssuer, clock: FakeClock, blocking: BlockingFetcher, event_loop: EventLoop
) -> None:
    blocking.block()
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)

    async def scenario() -> None:
        with pytest.warns(RuntimeWarning, match="verify_async"), pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(KeysUnavailableError):
                verifier.verify(issuer.token())

    event_loop.run(scenario)
    blocking.unblock()
    verifier.close()
