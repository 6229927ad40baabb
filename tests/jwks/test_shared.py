"""What all threads of a process share, and both sides of a fork: no exception, no broken counter. CON-005; CON-013."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from aveverify import CachePolicy, InvalidTokenError, Verifier, _verifier_checks, _verify
from aveverify._core.key_cache.state import Instant
from aveverify._http.rate_limited_log import LimitedLog
from aveverify._jwks.completion import DONE, Completion
from aveverify._lru_map import RecentlyUsed
from aveverify.events import Event as KeyEvent
from aveverify.events import ServedStale
from aveverify.otel import KeyMetrics
from aveverify.testing import FakeClock, FakeIssuer
from tests.hectic import LateLock, hectic_threads
from tests.jwks.forking import FORKS, provider
from tests.jwks.refresh_threads import join_refreshes
from tests.jwks.test_fork import FORKS_WITH_THREADS, held_elsewhere, in_child
from tests.processes import ROOT

can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED HERE: this system has no os.fork")
_THREADS = 8
_SOON_SECONDS = 60


def in_threads(work: Callable[[int], object]) -> None:
    """Let threads begin to work at the same moment; what one of them raises is raised here."""
    barrier = Barrier(_THREADS)

    def begin(number: int) -> None:
        barrier.wait(_SOON_SECONDS)
        work(number)

    with hectic_threads(), ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(begin, number) for number in range(_THREADS)]:
            done.result(_SOON_SECONDS)


# --- the map that all of this rests on


def test_what_was_used_least_recently_goes_first() -> None:
    recent: RecentlyUsed[str, int] = RecentlyUsed(2)
    for key in ("a", "b", "a", "c"):
        recent.update(key, lambda before: (before or 0) + 1)

    assert len(recent) == 2
    assert recent.update("a", lambda before: before or 0) == 2
    assert recent.update("b", lambda before: before or 0) == 0
    assert sorted(recent.take_all()) == [0, 2]
    assert len(recent) == 0


def test_a_value_that_cannot_be_made_leaves_the_last_one() -> None:
    recent: RecentlyUsed[str, int] = RecentlyUsed(2)
    recent.update("a", lambda _before: 7)
    with pytest.raises(ZeroDivisionError):
        recent.update("a", lambda _before: 1 // 0)

    assert recent.take_all() == [7]


# --- CON-013


def test_con_013_hundreds_of_providers_from_many_threads_leave_verifiers_that_can_be_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work(number: int) -> None:
        for step in range(100):
            Verifier(provider(f"many{step}-{number}"))

    in_threads(work)

    assert len(_verifier_checks._made) == 256
    with caplog.at_level(logging.WARNING, "aveverify"):
        for step in range(300):
            Verifier(provider(f"after{step}"))
    assert len(_verifier_checks._made) == 256
    assert caplog.records == []


def test_con_013_no_verifier_is_left_out_of_the_count(caplog: pytest.LogCaptureFixture) -> None:
    """Every provider is warned of once, by the tenth of its verifiers, whichever thread made it."""
    providers = [provider(f"counted{number}") for number in range(40)]

    def work(_number: int) -> None:
        for one in providers:
            Verifier(one)
            Verifier(one)

    with caplog.at_level(logging.WARNING, "aveverify"):
        in_threads(work)

    assert [_verifier_checks._made.update(one, lambda before: before or 0) for one in providers] == [2 * _THREADS] * 40
    said = {record.getMessage().partition("; ")[0].partition(": ")[0] for record in caplog.records}
    assert len(caplog.records) == 40
    assert said == {f"the 10th verifier for '{one.issuer}'" for one in providers}


def test_con_013_the_plain_function_keeps_as_many_verifiers_as_it_says_from_many_threads() -> None:
    made: dict[str, set[int]] = {}

    def work(number: int) -> None:
        for step in range(40):
            own, shared = provider(f"own{step}-{number}"), provider("shared")
            _verify.kept.of(own)
            made.setdefault("shared", set()).add(id(_verify.kept.of(shared)))

    in_threads(work)

    assert len(_verify.kept) == _verify.MAX_KEPT_VERIFIERS
    # Never the oldest: it was used all the time.
    assert len(made["shared"]) == 1
    _verify.kept.clear()
    assert len(_verify.kept) == 0


def test_con_013_metrics_are_collected_while_verifiers_come_and_go(issuer: FakeIssuer) -> None:
    callbacks: list[Callable[[object], object]] = []

    class Meter:
        def create_counter(self, *_arguments: object) -> object:
            return None

        def create_observable_gauge(self, _name: str, given: list[Callable[[object], object]], *_rest: object) -> None:
            callbacks.extend(given)

    metrics = KeyMetrics(Meter())  # type: ignore[arg-type]

    def work(number: int) -> None:
        for _ in range(30):
            if number % 2:
                kept = [issuer.verifier() for _ in range(10)]
                for one in kept:
                    metrics.observe(one)
            else:
                for callback in callbacks:
                    list(callback(None))  # type: ignore[call-overload]

    in_threads(work)
    assert callbacks != []


def test_con_013_an_outage_is_reported_once_however_many_threads_meet_it(clock: FakeClock) -> None:
    events: list[KeyEvent] = []
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    one = issuer.verifier(on_event=events.append, token_cache_size=0)
    one.warm_up()
    issuer.go_down()
    clock.tick(seconds=CachePolicy().fresh_seconds + 1)
    token = issuer.token()

    in_threads(lambda _number: [one.verify(token) for _ in range(3)])
    join_refreshes()

    assert [type(event) for event in events].count(ServedStale) == 1


# --- CON-005: what another thread holds or has half done at a fork


@can_fork
@FORKS_WITH_THREADS
def test_con_005_a_child_refuses_and_counts_although_a_thread_of_its_parent_held_the_locks() -> None:
    log = LimitedLog()
    metrics = KeyMetrics()
    counted = provider("forked")

    def work() -> str:
        logging.getLogger("aveverify.http").setLevel(logging.INFO)
        log.info("refused: %s", "x")
        Verifier(counted)
        with Verifier(counted) as one:
            metrics.observe(one)
            try:
                one.verify("x")
            except InvalidTokenError:
                return f"{DONE.wait(0)} {len(metrics._verifiers)}"
        return "accepted"

    locks = (log._lock, metrics._lock, _verifier_checks._made._lock, DONE._lock, DONE._event._cond)  # type: ignore[attr-defined]  # of the standard library
    with held_elsewhere(*locks):
        assert in_child(work) == "True 1"


def test_con_013_an_outage_that_another_thread_has_just_reported_is_not_reported_again(clock: FakeClock) -> None:
    events: list[KeyEvent] = []
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    one = issuer.verifier(on_event=events.append)
    one.warm_up()
    join_refreshes()
    events.clear()
    (remote_keys,) = one._registry.remote_key_sets
    snapshot = remote_keys.state.snapshot
    assert snapshot is not None
    remote_keys._lock = LateLock(lambda: setattr(remote_keys, "_reported_stale", True))  # type: ignore[assignment]

    remote_keys._report_stale(snapshot, Instant(0, 0))

    assert events == []


def test_a_completion_in_the_moment_before_a_coroutine_waits_is_seen() -> None:
    completion = Completion()
    completion._lock = LateLock(completion._event.set)  # type: ignore[assignment]

    assert asyncio.run(completion.wait_async(30))
    assert completion._callbacks == []


def test_con_005_what_holds_a_lock_gets_another_one_in_a_child() -> None:
    for one in (LimitedLog(), KeyMetrics(), RecentlyUsed[str, int](1)):
        before = one._lock
        one.renew_after_fork()
        assert one._lock is not before


@can_fork
def test_con_013_the_bytes_of_remembered_tokens_are_counted_anew_in_a_child(issuer: FakeIssuer) -> None:
    """A thread of the parent may have been between an entry and its bytes."""
    with issuer.verifier() as one:
        one.verify(issuer.token())
        cache = one._tokens
        right, cache._bytes = cache._bytes, 17

        assert in_child(lambda: str(cache._bytes)) == str(right)


@can_fork
def test_con_013_children_are_whole_while_threads_make_and_drop_verifiers() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.jwks.forking"]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SOON_SECONDS, check=False)

    assert (found.stdout.splitlines(), found.stderr) == (["256 64"] * FORKS, "")
