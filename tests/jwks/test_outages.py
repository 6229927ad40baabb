"""Outages: a real HTTP server that sends wrong, slow, too long or no responses, and keys that remain in use.

Whatever the issuer answers, the last good keys are used and `status()` names the failure. Barriers and counts, no
stop-watch; a test that lasts is about a fault of that length.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from threading import Barrier, Event
from typing import Any

import pytest

from aveverify import (
    CachePolicy,
    FetchError,
    FetchRequest,
    FetchResponse,
    HttpxFetcher,
    Identity,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify._core.key_cache.state import EMPTY, FailedLoad, FetchFailure, Instant, LoadedKeys, RefreshReason
from aveverify._core.key_cache.transitions import with_refresh_failed, with_refresh_started, with_refresh_succeeded
from aveverify._jwks.completion import Completion
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.core.jose_factory import key_set, rsa_jwk
from tests.jwks.blocking_fetcher import BlockingFetcher
from tests.jwks.refresh_threads import join_refreshes, refresh_threads
from tests.jwks.server import Answer, ScriptedServer, drip, raw, serve, whole
from tests.jwks.short_fetcher import ShortFetcher

DISCOVERY = "/.well-known/openid-configuration"
POLICY = CachePolicy()
FRESH = POLICY.fresh_seconds
PATIENT = CachePolicy(flight_deadline_seconds=30, waiter_seconds=30, max_document_bytes=64 * 1024)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


@dataclass
class Outage:
    """An issuer behind a real server whose JWK Set can be replaced by anything, and a verifier for it."""

    issuer: FakeIssuer
    clock: FakeClock
    server: ScriptedServer
    fetcher: ShortFetcher
    verifier: Verifier
    # What the server sends instead of the JWK Set.
    keys_answer: Answer | None = None

    def break_keys(self, name: str) -> None:
        """Answer requests for the JWK Set with a fault."""
        self.keys_answer = FAULTS[name][0](self.issuer)
        self.fetcher.fault_lasts = name in LASTING

    def recover(self) -> None:
        """Answer with the JWK Set again."""
        self.keys_answer = None
        self.fetcher.fault_lasts = False

    @property
    def last_error(self) -> str:
        """Why the last refresh failed."""
        return self.verifier.status().providers[0].last_error or ""

    def count(self, path: str) -> int:
        """How many requests went to a path."""
        return sum(request.split(b" ")[1].decode() == path for request in self.server.requests)


@pytest.fixture
def outage(issuer: FakeIssuer, clock: FakeClock) -> Iterator[Outage]:
    world: list[Outage] = []

    def answer(connection: socket.socket, stopped: Event) -> None:
        path = world[0].server.requests[-1].split(b" ")[1].decode()
        instead = world[0].keys_answer
        if path != DISCOVERY and instead is not None:
            instead(connection, stopped)
            return
        document = issuer._answer(path)
        whole(document.body)(connection, stopped)

    with serve(answer) as server:
        issuer.issuer = server.url
        fetcher = ShortFetcher(HttpxFetcher())
        verifier = Verifier(issuer.provider, fetcher=fetcher, clock=clock, cache_policy=PATIENT)
        world.append(Outage(issuer, clock, server, fetcher, verifier))
        yield world[0]
        verifier.close()


def encrypting(issuer: FakeIssuer) -> bytes:
    """The issuer's keys, all of them for encryption."""
    keys = [key.jwk | {"use": "enc"} for key in issuer._published]
    return json.dumps({"keys": keys}).encode()


def many(issuer: FakeIssuer) -> bytes:
    """A key set of 101 keys."""
    keys = [issuer._published[0].jwk | {"kid": f"k{number}"} for number in range(101)]
    return json.dumps({"keys": keys}).encode()


def reset(connection: socket.socket, _stopped: Event) -> None:
    """Send half a head, then break the connection off."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
    # Linger for no time: closing sends RST, not FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


PORTAL = b"<!doctype html><title>Hotel Wi-Fi</title><form action=/accept><button>I agree</button></form>"
FAULTS: dict[str, tuple[Callable[[FakeIssuer], Answer], str]] = {
    "NET-012 a captive portal": (
        lambda _: raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + PORTAL),
        "Content-Type",
    ),
    "NET-012 a captive portal that says it is JSON": (lambda _: whole(PORTAL), "key set"),
    "NET-013 truncated JSON": (lambda _: whole(b'{"keys":[{"kty":"RSA","n":"AQ'), "key set"),
    "NET-014 a body that ends too early": (
        lambda _: raw(JSON + b'Content-Length: 900\r\n\r\n{"keys":['),
        "exchange",
    ),
    "NET-013 an empty body": (lambda _: whole(b""), "key set"),
    "KEY-0 duplicate members": (lambda _: whole(b'{"keys":[],"keys":[]}'), "key set"),
    "an empty set": (lambda _: whole(b'{"keys":[]}'), "key"),
    "only keys for encryption": (lambda issuer: whole(encrypting(issuer)), "key"),
    "more than a hundred keys": (lambda issuer: whole(many(issuer)), "key"),
    "NET-001 ten megabytes": (lambda _: whole(b" " * 10_000_000), "too long"),
    "NET-005 a body that drips": (lambda _: drip(JSON + b"Content-Length: 9999999\r\n\r\n", b" " * 128), "deadline"),
    "NET-007 silence": (lambda _: raw(b"", then_close=False), "deadline"),
    "NET-008 a redirect into the local network": (
        lambda _: raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"),
        "redirects",
    ),
    "NET-003 a compressed answer": (lambda _: whole(b"x", headers=("Content-Encoding: gzip",)), "content coding"),
    "NET-014 a connection that is reset": (lambda _: reset, "exchange"),
    "a server error": (lambda _: whole(b"{}", status="500 Oops"), "status 500"),
}

# The faults under which the server never ends its response.
LASTING = {"NET-005 a body that drips", "NET-007 silence"}

every_fault = pytest.mark.parametrize("name", FAULTS)


@every_fault
def test_rot_008_whatever_the_issuer_answers_the_last_good_keys_stay_and_the_failure_is_named(
    outage: Outage, verify_any: VerifyAny, name: str
) -> None:
    _, cause = FAULTS[name]
    outage.verifier.warm_up()
    before = outage.verifier.status().providers[0]
    outage.break_keys(name)
    outage.clock.tick(seconds=FRESH)
    for number in range(10):
        assert verify_any(outage.verifier, outage.issuer.token(sub=f"u{number}")).subject == f"u{number}"
    after = outage.verifier.status().providers[0]
    assert cause in outage.last_error
    assert (after.state, after.failures, after.thumbprint) == ("stale", 1, before.thumbprint)
    # As soon as the issuer has recovered, the keys are fresh again.
    outage.recover()
    outage.clock.tick(seconds=2)
    assert verify_any(outage.verifier, outage.issuer.token()).subject
    join_refreshes()
    assert outage.verifier.status().providers[0].state == "fresh"


def test_net_005_the_deadline_also_ends_the_second_exchange_with_a_server() -> None:
    """One byte per read: no single read ever times out."""
    answers = iter([whole(b"{}"), drip(JSON + b"Content-Length: 60\r\n\r\n", b" ")])

    def answer(connection: socket.socket, stopped: Event) -> None:
        next(answers)(connection, stopped)

    with serve(answer) as server, closing(HttpxFetcher()) as fetcher:
        for deadline_seconds in (5, 0.1):
            request = FetchRequest(url=server.url, headers={}, deadline_seconds=deadline_seconds, max_body_bytes=50)
            if deadline_seconds == 5:
                assert fetcher.fetch(request).status == 200
            else:
                with pytest.raises(FetchError, match="deadline"):
                    fetcher.fetch(request)


@every_fault
def test_rot_008_while_cold_the_same_answers_make_keys_unavailable(outage: Outage, name: str) -> None:
    _, cause = FAULTS[name]
    outage.break_keys(name)
    with pytest.raises(KeysUnavailableError, match=cause):
        outage.verifier.verify(outage.issuer.token())
    outage.recover()
    outage.clock.tick(seconds=2)
    assert outage.verifier.verify(outage.issuer.token()).subject


def test_net_020_a_connection_that_the_server_closed_meanwhile_is_not_noticed(outage: Outage) -> None:
    outage.keys_answer = raw(JSON + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    outage.verifier.warm_up()
    outage.keys_answer = None
    outage.clock.tick(seconds=2)
    assert outage.verifier.verify(outage.issuer.token()).subject


def test_hdr_030_a_night_of_random_kids_costs_the_issuer_two_requests_in_half_a_minute(outage: Outage) -> None:
    outage.verifier.warm_up()
    path = "/.well-known/jwks.json"
    for _ in range(10):
        for number in range(20):
            with pytest.raises(InvalidTokenError):
                outage.verifier.verify(outage.issuer.token(header={"kid": f"random-{number}"}))
        outage.clock.tick(seconds=30)
        assert outage.verifier.verify(outage.issuer.token()).subject
    assert outage.count(path) == outage.count("/.well-known/openid-configuration") == 1 + 2 * 10


class TestIsolation:
    """ROT-017: no shared lock, pool or budget."""

    @pytest.fixture
    def two(self, clock: FakeClock) -> Iterator[tuple[FakeIssuer, FakeIssuer, BlockingFetcher, Verifier]]:
        slow, well = (FakeIssuer(f"https://{name}.test", clock=clock) for name in ("slow", "well"))
        blocking = BlockingFetcher(slow)

        class Both:
            def fetch(self, request: FetchRequest) -> FetchResponse:
                return (blocking if request.url.startswith(slow.issuer) else well).fetch(request)

        yield slow, well, blocking, Verifier(slow.provider, well.provider, fetcher=Both(), clock=clock)
        blocking.unblock()

    def test_rot_017_a_stalled_issuer_does_not_delay_another(
        self, two: tuple[FakeIssuer, FakeIssuer, BlockingFetcher, Verifier], verify_any: VerifyAny, clock: FakeClock
    ) -> None:
        slow, well, blocking, verifier = two
        blocking.block()
        with ThreadPoolExecutor(8) as pool:
            stalled = [pool.submit(verifier.verify, slow.token(sub=f"u{number}")) for number in range(8)]
            assert blocking.arrived.wait(30)
            # Cold, then known, then rotated, then refreshed: B does all of that while A hangs.
            assert verify_any(verifier, well.token()).issuer == well.issuer
            well.rotate()
            assert verify_any(verifier, well.token()).issuer == well.issuer
            clock.tick(seconds=4)
            assert verify_any(verifier, well.token()).issuer == well.issuer
            assert not any(future.done() for future in stalled)
            blocking.unblock()
            assert [future.result().issuer for future in stalled] == [slow.issuer] * 8
        assert len(blocking.requests) == 2

    def test_rot_017_a_spent_budget_and_a_failure_are_those_of_one_issuer(
        self, two: tuple[FakeIssuer, FakeIssuer, BlockingFetcher, Verifier]
    ) -> None:
        slow, well, _, verifier = two
        verifier.warm_up()
        for number in range(10):
            with pytest.raises(InvalidTokenError):
                verifier.verify(slow.token(header={"kid": f"random-{number}"}))
        slow.go_down()
        well.rotate()
        assert verifier.verify(well.token()).issuer == well.issuer
        found = {status.issuer: status for status in verifier.status().providers}
        assert (found[slow.issuer].unknown_key_refusals, found[well.issuer].unknown_key_refusals) == (8, 0)
        assert found[well.issuer].failures == 0

    def test_two_issuers_with_the_same_kid_do_not_share_a_key(self, clock: FakeClock) -> None:
        first, second = (FakeIssuer(f"https://{name}.test", clock=clock) for name in ("first", "second"))
        first._published[0].kid = second._published[0].kid = "1"

        class Both:
            def fetch(self, request: FetchRequest) -> FetchResponse:
                return (first if request.url.startswith(first.issuer) else second).fetch(request)

        verifier = Verifier(first.provider, second.provider, fetcher=Both(), clock=clock)
        assert verifier.verify(first.token()).issuer == first.issuer
        assert verifier.verify(second.token()).issuer == second.issuer
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(first.token(iss=second.issuer))
        assert caught.value.reason is Reason.BAD_SIGNATURE


class TestStorm:
    """ROT-012: one request for each document, however many ask."""

    def test_rot_012_a_thousand_threads_make_two_requests(
        self, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
        tokens = [issuer.token(sub=f"u{number}") for number in range(10)]
        barrier = Barrier(1000)
        subjects: list[str] = []
        blocking.block()

        def verify(number: int) -> None:
            barrier.wait()
            subjects.append(verifier.verify(tokens[number % 10]).subject)

        threads = [threading.Thread(target=verify, args=(number,)) for number in range(1000)]
        for thread in threads:
            thread.start()
        assert blocking.arrived.wait(30)
        blocking.unblock()
        for thread in threads:
            thread.join(30)
        assert len(subjects) == 1000
        assert len(blocking.requests) == 2

    def test_rot_012_a_thousand_coroutines_make_two_requests_over_http(self, outage: Outage) -> None:
        tokens = [outage.issuer.token(sub=f"u{number}") for number in range(10)]

        async def storm() -> list[Identity]:
            return await asyncio.gather(*(outage.verifier.verify_async(tokens[number % 10]) for number in range(1000)))

        assert len(asyncio.run(storm())) == 1000
        assert len(outage.server.requests) == 2

    def test_rot_015_a_flood_of_random_kids_while_the_issuer_hangs_delays_no_known_key(
        self, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
        verifier.warm_up()
        blocking.block()
        with ThreadPoolExecutor(50) as pool:
            flood = [
                pool.submit(verifier.verify, issuer.token(header={"kid": f"random-{number}"})) for number in range(50)
            ]
            assert blocking.arrived.wait(30)
            for number in range(50):
                assert verifier.verify(issuer.token(sub=f"known{number}")).subject
            blocking.unblock()
            assert all(isinstance(future.exception(), InvalidTokenError) for future in flood)
        # The first fetch, and at most two forced refetches; two documents each.
        assert len(blocking.requests) <= 6

    def test_con_007_two_tokens_that_meet_a_failing_fetch_do_not_lock_each_other(
        self, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        told = []

        def look_again(_event: object) -> None:
            # `on_event` may call the verifier, on the thread of the refresh.
            told.append(verifier.status().providers[0].failures)

        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, on_event=look_again)
        issuer.go_down()
        blocking.block()
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(verifier.verify, issuer.token(sub=sub)) for sub in ("a", "b")]
            assert blocking.arrived.wait(30)
            blocking.unblock()
            assert all(isinstance(future.exception(), KeysUnavailableError) for future in futures)
        join_refreshes()
        assert told == [1, 1]

    def test_rot_005_every_token_that_arrives_while_a_key_changes_under_its_kid_is_accepted(
        self, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
        verifier.warm_up()
        clock.tick(seconds=1)
        issuer.rotate(same_kid=True)
        blocking.block()

        async def scenario() -> list[str]:
            tasks = []
            for sub in ("first", "second", "third"):
                tasks.append(asyncio.ensure_future(verifier.verify_async(issuer.token(sub=sub))))
                # Everybody has asked before the answer comes.
                await asyncio.sleep(0)
            blocking.unblock()
            return [identity.subject for identity in await asyncio.gather(*tasks)]

        assert asyncio.run(scenario()) == ["first", "second", "third"]


class TestMemory:
    def test_rot_018_ten_thousand_rotations_keep_one_key_set(self) -> None:
        """Nothing of an old set stays: not in the state, and not anywhere else."""
        sets = [key_set(rsa_jwk(kid=f"k{number}")) for number in range(2)]
        state, instant = EMPTY, Instant(1_700_000_000.0, 0.0)
        sizes = set()
        for number in range(10_000):
            reason = (RefreshReason.KEYS, RefreshReason.UNKNOWN_KEY, RefreshReason.BAD_SIGNATURE)[number % 3]
            state = with_refresh_started(state, POLICY, reason, instant, 0.0)
            refresh = state.refresh
            assert refresh is not None
            if number % 7 == 0:
                failure = FailedLoad(FetchFailure("x"))
                state = with_refresh_failed(state, POLICY, refresh, failure, instant)
            else:
                keys = LoadedKeys(sets[number % 2], None, b"%d" % number, 600.0)
                state = with_refresh_succeeded(state, POLICY, refresh, keys)
            instant = instant.plus(31)
            sizes.add((len(state.unknown_key_attempts), len(state.bad_signature_attempts)))
        assert sizes <= {(unknown, forged) for unknown in (0, 1, 2) for forged in (0, 1)}
        assert state.refreshes_started == 10_000

    def test_rot_018_rotations_of_a_verifier_leave_nothing_behind(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
        verifier = issuer.verifier(token_cache_size=50)
        counts = []
        for number in range(100):
            # The issuer forgets its old keys too, now and then.
            issuer.rotate(keep_old=number % 5 != 0)
            clock.tick(seconds=FRESH)
            verifier.verify(issuer.token(exp=int(clock.now()) + 100))
            if number % 5 == 0:
                join_refreshes()
                counts.append(self.retained(verifier))
        assert len(set(counts[11:])) == 1

    def retained(self, verifier: Verifier) -> tuple[int, ...]:
        """How many objects of ours hang on a verifier, by their kind."""
        kinds = ("KeySet", "Candidate", "PublicKey", "Snapshot", "Completion", "Document", "Entry", "CacheState")
        seen: dict[int, object] = {}
        ahead: list[object] = [verifier]
        while ahead:
            found = ahead.pop()
            if id(found) not in seen and not isinstance(found, (type, types.ModuleType, types.FunctionType)):
                seen[id(found)] = found
                ahead.extend(gc.get_referents(found))
        return tuple(sum(type(found).__name__ == kind for found in seen.values()) for kind in kinds)

    def test_tok_012_a_flood_of_refused_tokens_is_not_remembered(self, verifier: Verifier, issuer: FakeIssuer) -> None:
        good = issuer.token()
        known = verifier.verify(good)
        flood = [issuer.token(header={"kid": f"random-{number}"}) for number in range(100)]
        for token in [*flood, *(f"{token}A" for token in flood), *(f"x{number}" for number in range(1000))]:
            with pytest.raises(InvalidTokenError):
                verifier.verify(token)
        assert verifier.status().cached_tokens == 1
        assert verifier.verify(good) is known


@types.coroutine
def stepping(coroutine: Coroutine[Any, Any, Identity], cancel_at: int) -> Generator[Any, Any, Identity | None]:
    """Run a coroutine by hand, and throw the cancellation in at one of its await points; None where it has no such."""
    step = 0
    try:
        awaited = coroutine.send(None)
        while True:
            step += 1
            if step == cancel_at:
                awaited = coroutine.throw(asyncio.CancelledError())
                step += 1_000_000
            yield awaited
            awaited = coroutine.send(None)
    except StopIteration as finished:
        identity: Identity = finished.value
        assert step < cancel_at
        return identity


class TestCancellation:
    """CON-003: cancelled at every await point, nothing is held, poisoned or leaked."""

    @pytest.mark.parametrize("case", ["cold", "rotated", "stale"])
    def test_con_003_a_verification_that_is_cancelled_at_any_await_point_leaves_nothing_behind(
        self, issuer: FakeIssuer, clock: FakeClock, blocking: BlockingFetcher, case: str
    ) -> None:
        cancelled = 0
        for step in range(1, 50):
            blocking.unblock()
            verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
            if case != "cold":
                verifier.warm_up()
            if case == "rotated":
                issuer.rotate(keep_old=False)
            elif case == "stale":
                clock.tick(seconds=FRESH)
            token = issuer.token()
            blocking.block()
            if not asyncio.run(self.is_cancelled(verifier, token, blocking, step)):
                break
            cancelled += 1
            _, remote_keys = verifier._registry.providers[0]
            # The thread of the refresh may hold them for a moment, a cancelled waiter for ever.
            for lock in (remote_keys._lock, remote_keys._completion._lock):
                assert lock.acquire(timeout=5)
                lock.release()
            assert remote_keys._completion._callbacks == []
            # The refresh continues without its waiter, for the next one.
            blocking.unblock()
            asked = len(blocking.requests)
            assert asyncio.run(verifier.verify_async(token)).subject
            assert verifier.verify(token).subject
            join_refreshes()
            assert remote_keys.state.refresh is None
            assert len(blocking.requests) - asked <= 1
        else:
            pytest.fail("a verification has no end of await points")
        assert cancelled >= 1

    async def is_cancelled(self, verifier: Verifier, token: str, blocking: BlockingFetcher, step: int) -> bool:
        """Cancel at this await point; False where the verification had ended before."""

        async def run() -> Identity | None:
            found: Identity | None = await stepping(verifier.verify_async(token), step)
            return found

        task = asyncio.ensure_future(run())
        # The first await point is reached without the network, all others after it.
        for _ in range(10):
            await asyncio.sleep(0)
        blocking.unblock()
        try:
            assert await task
        except asyncio.CancelledError:
            return True
        return False

    def test_con_003_a_cancellation_around_the_completion_is_a_cancellation(self) -> None:
        """At each turn of the event loop between the completion and the return of the waiter."""

        async def is_cancelled_after(turns: int) -> bool:
            completion = Completion()
            task = asyncio.ensure_future(completion.wait_async(60))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            completion.set_done()
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.cancel():
                assert task.result() is True
                return False
            with pytest.raises(asyncio.CancelledError):
                await task
            return True

        outcomes: list[bool] = []
        while not outcomes or outcomes[-1]:
            outcomes.append(asyncio.run(is_cancelled_after(len(outcomes))))
        # Before the result, together with it, and after it.
        assert len(outcomes) >= 3


class TestLateAnswers:
    """ROT-011: what arrives after its refresh was given up changes nothing."""

    @pytest.mark.parametrize("discovery_fails", [False, True], ids=["the issuer is up", "discovery fails"])
    def test_rot_011_a_late_discovery_document_does_not_bring_a_removed_key_back(
        self, issuer: FakeIssuer, clock: FakeClock, *, discovery_fails: bool
    ) -> None:
        """Neither at once, nor as the last address, which remains in use while discovery fails."""
        moving = MovingIssuer(issuer)
        verifier = Verifier(issuer.provider, fetcher=moving, clock=clock, cache_policy=CachePolicy(waiter_seconds=0.01))
        stolen = issuer.token()
        moving.hold_next_discovery.set()
        with pytest.raises(KeysUnavailableError):
            verifier.verify(stolen)
        assert moving.holds.wait(30)
        late = refresh_threads()
        # The key is stolen: the issuer makes a new one, and publishes it elsewhere.
        issuer.rotate(keep_old=False)
        moving.has_moved = True
        clock.tick(seconds=POLICY.flight_deadline_seconds)
        with pytest.raises(KeysUnavailableError):
            verifier.verify(stolen)
        clock.tick(seconds=2)
        verifier.warm_up()
        verifier._registry.remote_key_sets[0].finish(30)
        moving.go_on.set()
        for thread in late:
            thread.join(30)
        moving.discovery_fails = discovery_fails
        clock.tick(seconds=FRESH)
        verifier.warm_up()
        verifier._registry.remote_key_sets[0].finish(30)
        assert verifier.verify(issuer.token()).subject
        with pytest.raises(KeysUnavailableError if discovery_fails else InvalidTokenError):
            verifier.verify(stolen)


class MovingIssuer:
    """Publishes its keys at another address after a while; the old address goes on with the old keys.

    Attributes:
        has_moved: Whether the discovery document names the new address.
        hold_next_discovery: Set to keep the next discovery document back, as it is then.
        holds: Set when one is kept back.
        go_on: Set to let it go.
        discovery_fails: Whether the discovery document is unavailable.
    """

    def __init__(self, issuer: FakeIssuer) -> None:
        self.has_moved = self.discovery_fails = False
        self.hold_next_discovery, self.holds, self.go_on = Event(), Event(), Event()
        self._issuer = issuer
        self._old = issuer._answer("/.well-known/jwks.json")

    def fetch(self, request: FetchRequest) -> FetchResponse:
        if not request.url.endswith(DISCOVERY):
            return self._old if request.url.endswith("/old") else self._issuer._answer("/.well-known/jwks.json")
        if self.discovery_fails:
            return FetchResponse(status=500)
        address = f"{self._issuer.issuer}/{'new' if self.has_moved else 'old'}"
        body = json.dumps({"issuer": self._issuer.issuer, "jwks_uri": address}).encode()
        if self.hold_next_discovery.is_set():
            self.hold_next_discovery.clear()
            self.holds.set()
            self.go_on.wait()
        return FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=body)
