"""A closed verifier: the same error for every caller, at once and for ever, whatever it was doing. CON-008; CON-014."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier, Event
from typing import Any
from urllib.parse import quote

import pytest

from aveverify import (
    CachePolicy,
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    Identity,
    Provider,
    SystemClock,
    Verifier,
)
from aveverify.errors import AveVerifyError, Problem
from aveverify.events import Event as KeyEvent
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.hectic import hectic_threads
from tests.jwks.blocking_fetcher import BlockingFetcher, LateKeys
from tests.jwks.refresh_threads import join_refreshes, refresh_threads
from tests.jwks.test_fork import FORKS_WITH_THREADS, in_child

# Longer than the limit of a test: a call that waits for the network instead of the close hangs visibly.
PATIENT = CachePolicy(waiter_seconds=300, flight_deadline_seconds=300)
_SOON_SECONDS = 30


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()
    join_refreshes()


@pytest.fixture
def waiting_verifier(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=PATIENT)


def is_closed(call: Callable[[], object]) -> bool:
    """Tell whether a call raises the error of a closed verifier, and fail at any other outcome."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert (caught.value.problem, caught.value.field) == (Problem.CLOSED, "the verifier")
    return True


Start = Callable[[ThreadPoolExecutor, Verifier, str], "Future[Identity]"]


def in_a_thread(pool: ThreadPoolExecutor, verifier: Verifier, token: str) -> Future[Identity]:
    return pool.submit(verifier.verify, token)


def in_a_loop(pool: ThreadPoolExecutor, verifier: Verifier, token: str) -> Future[Identity]:
    return pool.submit(lambda: asyncio.run(verifier.verify_async(token)))


@pytest.mark.parametrize("start", [in_a_thread, in_a_loop])
def test_con_014_calls_that_wait_for_keys_learn_it_at_once_and_nothing_more_is_fetched(
    waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, start: Start
) -> None:
    token = issuer.token()
    blocking.block()
    with ThreadPoolExecutor(8) as pool:
        waiting = [start(pool, waiting_verifier, token) for _ in range(8)]
        assert blocking.arrived.wait(_SOON_SECONDS)
        (thread,) = refresh_threads()

        waiting_verifier.close()

        assert all(is_closed(lambda one=one: one.result(_SOON_SECONDS)) for one in waiting)  # type: ignore[misc]
    # The document that was under way arrives, and changes nothing.
    blocking.unblock()
    thread.join(_SOON_SECONDS)
    assert not thread.is_alive()
    assert [request.url for request in blocking.requests] == [issuer.provider.metadata_url]
    assert is_closed(lambda: waiting_verifier.verify(token))
    assert refresh_threads() == []


def test_con_014_a_refresh_that_ends_after_the_close_reports_nothing_and_restores_no_key(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
) -> None:
    events: list[KeyEvent] = []
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, on_event=events.append)
    known = issuer.token()
    verifier.verify(known)
    join_refreshes()
    events.clear()
    clock.tick(seconds=560)
    blocking.block()
    verifier.verify(issuer.token(sub="grace"))
    assert blocking.arrived.wait(_SOON_SECONDS)

    verifier.close()
    blocking.unblock()
    join_refreshes()

    assert events == []
    assert [remote_keys.state.snapshot for remote_keys in verifier._registry.remote_key_sets] == [None]
    assert is_closed(lambda: verifier.verify(known))


def test_con_014_a_token_that_was_accepted_before_is_refused_on_the_hot_path_too(
    issuer: FakeIssuer, verify_any: VerifyAny
) -> None:
    verifier = issuer.verifier()
    known = issuer.token()
    # As the integrations keep it.
    get_if_fresh = verifier.cached_identity
    identity = verify_any(verifier, known)
    assert get_if_fresh(known.encode()) is identity

    verifier.close()

    assert get_if_fresh(known.encode()) is None
    assert is_closed(lambda: verify_any(verifier, known))
    assert is_closed(lambda: verify_any(verifier, known.encode()))


def test_con_014_a_verdict_that_comes_too_late_is_not_remembered(issuer: FakeIssuer) -> None:
    """The clock ends the verifier in the middle of the look that would have accepted the token."""

    @dataclass
    class Ending:
        ends: Callable[[], None] | None = None
        clock: FakeClock = field(default_factory=lambda: FakeClock(now=issuer.clock.now()))

        def now(self) -> float:
            ends, self.ends = self.ends, None
            if ends is not None:
                ends()
            return self.clock.now()

        def monotonic(self) -> float:
            return self.clock.monotonic()

    clock = Ending()
    verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock)
    verifier.warm_up()
    join_refreshes()
    clock.ends = verifier.close
    token = issuer.token()

    assert is_closed(lambda: verifier.verify(token))
    assert len(verifier._tokens) == 0


def test_con_014_a_verdict_that_is_reached_while_the_verifier_closes_is_not_given(issuer: FakeIssuer) -> None:
    """Another thread closes it after the last look at the keys."""
    verifier = Verifier(issuer.provider, fetcher=issuer, clock=issuer.clock)
    verifier.warm_up()
    join_refreshes()

    class Ending:
        """A token cache that sees the end come between the verdict and its caller."""

        def get_if_still_valid(self, _token: bytes, _lookup: object) -> None:
            return None

        def put(self, _token: bytes, _verdict: object) -> None:
            verifier.close()

        def close(self) -> None:
            pass

    verifier._tokens = Ending()  # type: ignore[assignment]

    assert is_closed(lambda: verifier.verify(issuer.token()))


def test_con_014_keys_that_were_never_fetched_end_too(issuer: FakeIssuer) -> None:
    request = FetchRequest(url=issuer.jwks_uri, headers={}, deadline_seconds=1, max_body_bytes=10**6)
    inline = f"data:application/json,{quote(issuer.fetch(request).body)}"
    verifier = issuer.verifier(
        Provider.custom_jwt(issuer=issuer.issuer, jwks=inline, algorithm="RS256", any_audience=True)
    )
    token = issuer.token()
    assert verifier.verify(token).subject

    verifier.close()

    assert is_closed(lambda: verifier.verify(token))
    assert is_closed(lambda: verifier.verify(issuer.token(sub="grace")))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda verifier: verifier.verify("x" * 20_000), id="too long a token"),
        pytest.param(lambda verifier: verifier.verify("x"), id="no token at all"),
        pytest.param(lambda verifier: verifier.verify(""), id="nothing"),
        pytest.param(lambda verifier: verifier.verify("ü"), id="other text"),
        pytest.param(lambda verifier: verifier.verify_header(None), id="no header"),
        pytest.param(lambda verifier: verifier.verify_header("Bearer"), id="a bad header"),
        pytest.param(lambda verifier: asyncio.run(verifier.verify_header_async(None)), id="no header, async"),
        pytest.param(lambda verifier: verifier.warm_up(), id="warm_up"),
        pytest.param(lambda verifier: verifier.warm_up(fail_closed=True), id="warm_up, fail closed"),
        pytest.param(lambda verifier: asyncio.run(verifier.warm_up_async()), id="warm_up_async"),
        pytest.param(lambda verifier: verifier.status(), id="status"),
    ],
)
def test_con_014_every_call_says_so_however_often_it_is_closed(
    issuer: FakeIssuer, call: Callable[[Verifier], object]
) -> None:
    verifier = issuer.verifier()
    for _ in range(3):
        verifier.close()
        assert is_closed(lambda: call(verifier))


@pytest.mark.parametrize("warm_up", [Verifier.warm_up, lambda verifier: asyncio.run(verifier.warm_up_async())])
def test_con_014_a_warm_up_under_way_ends_with_the_verifier(
    waiting_verifier: Verifier, blocking: BlockingFetcher, warm_up: Callable[[Verifier], None]
) -> None:
    blocking.block()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(warm_up, waiting_verifier)
        assert blocking.arrived.wait(_SOON_SECONDS)
        waiting_verifier.close()
        assert is_closed(lambda: waiting.result(_SOON_SECONDS))


def test_con_014_a_fetcher_is_closed_once_however_many_threads_close(issuer: FakeIssuer) -> None:
    class Counting(BlockingFetcher):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    fetcher = Counting(issuer)
    verifier = Verifier(issuer.provider, fetcher=fetcher)
    barrier = Barrier(8)

    def close() -> None:
        barrier.wait()
        verifier.close()

    with hectic_threads(), ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(close) for _ in range(8)]:
            done.result(_SOON_SECONDS)

    assert fetcher.closed == 1


def test_con_014_on_event_and_a_fetcher_may_close_on_the_thread_of_the_refresh(issuer: FakeIssuer) -> None:
    def tell(_event: KeyEvent) -> None:
        closing.append(verifier)
        verifier.close()
        closing.append(verifier)

    closing: list[Verifier | Problem] = []
    verifier = issuer.verifier(on_event=tell)
    # Whether it is accepted or not depends on which thread is faster; what comes next does not.
    try:
        verifier.verify(issuer.token())
    except ConfigurationError as error:
        closing.append(error.problem)
    join_refreshes()
    assert [one for one in closing if one is not Problem.CLOSED] == [verifier, verifier]
    assert is_closed(lambda: verifier.verify(issuer.token()))

    class Ending:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            other.close()
            return issuer.fetch(request)

    other = Verifier(issuer.provider, fetcher=Ending(), clock=issuer.clock)
    assert is_closed(lambda: other.verify(issuer.token()))


def test_con_014_no_call_that_begins_after_the_end_is_served(issuer: FakeIssuer) -> None:
    """Eight threads verify one known and many new tokens while another one closes, again and again."""
    tokens = [issuer.token(sub=f"u{number}") for number in range(20)]
    for _ in range(20):
        verifier = issuer.verifier()
        verifier.verify(tokens[0])
        over = Event()

        def work(verifier: Verifier = verifier, over: Event = over) -> int:
            served_after_the_end = 0
            while True:
                was_over = over.is_set()
                for token in tokens:
                    try:
                        verifier.verify(token)
                    except ConfigurationError:
                        continue
                    served_after_the_end += was_over
                if was_over:
                    return served_after_the_end

        with hectic_threads(), ThreadPoolExecutor(8) as pool:
            working = [pool.submit(work) for _ in range(8)]
            verifier.close()
            over.set()
            assert [one.result(_SOON_SECONDS) for one in working] == [0] * 8
        assert len(verifier._tokens) == 0


def test_con_014_a_refresh_that_was_decided_but_not_started_fetches_nothing(
    issuer: FakeIssuer, blocking: BlockingFetcher
) -> None:
    """The verifier is closed between the decision to fetch and the start of the thread that would."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=issuer.clock)
    (remote_keys,) = verifier._registry.remote_key_sets
    start = remote_keys._start

    def close_and_start(*refresh: Any) -> None:
        verifier.close()
        start(*refresh)

    remote_keys._start = close_and_start  # type: ignore[method-assign, assignment]

    assert is_closed(lambda: verifier.verify(issuer.token()))
    join_refreshes()
    assert blocking.requests == []


class Store:
    """A store in which another worker has every lease, so that each read is repeated."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.asked = Event()
        self.go_on = Event()

    def get(self, _url: str) -> None:
        self.calls.append("get")
        self.asked.set()
        self.go_on.wait(_SOON_SECONDS)

    def put(self, *_arguments: object) -> None:
        self.calls.append("put")

    def lease(self, *_arguments: object) -> bool:
        self.calls.append("lease")
        return False


def test_con_014_the_store_is_left_alone_too(issuer: FakeIssuer, blocking: BlockingFetcher) -> None:
    store = Store()
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=issuer.clock, document_store=store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verifier.verify, issuer.token())
        assert store.asked.wait(_SOON_SECONDS)
        verifier.close()
        assert is_closed(lambda: waiting.result(_SOON_SECONDS))
        store.go_on.set()
        join_refreshes()

    assert store.calls == ["get", "lease"]
    assert blocking.requests == []


def test_con_014_what_arrives_after_the_close_is_not_published(issuer: FakeIssuer) -> None:
    puts: list[object] = []

    class Recording:
        def get(self, _url: str) -> None:
            return None

        def put(self, document: object, _keep_seconds: float) -> None:
            puts.append(document)

        def lease(self, *_arguments: object) -> bool:
            return True

    late = LateKeys(issuer)
    verifier = Verifier(issuer.provider, fetcher=late, clock=issuer.clock, document_store=Recording())
    late.hold_next()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verifier.verify, issuer.token())
        assert late.arrived.wait(_SOON_SECONDS)
        verifier.close()
        assert is_closed(lambda: waiting.result(_SOON_SECONDS))
    late.released.set()
    join_refreshes()

    assert puts == []


@FORKS_WITH_THREADS
@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED HERE: this system has no os.fork")
def test_con_014_parent_and_child_of_a_fork_close_each_for_itself() -> None:
    issuer = FakeIssuer(clock=SystemClock())

    def outcome(verifier: Verifier) -> str:
        try:
            return verifier.verify(issuer.token()).subject
        except AveVerifyError as error:
            return error.reason.value

    def close_in_child(verifier: Verifier) -> str:
        verifier.close()
        return outcome(verifier)

    with issuer.serve():
        verifier = Verifier(issuer.provider)
        assert outcome(verifier) == "user_ada"
        assert in_child(lambda: close_in_child(verifier)) == "MISCONFIGURED"
        assert outcome(verifier) == "user_ada"
        verifier.close()
        assert in_child(lambda: close_in_child(verifier)) == "MISCONFIGURED"
        assert outcome(verifier) == "MISCONFIGURED"
