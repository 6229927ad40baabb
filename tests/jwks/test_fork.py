"""Processes: what a forked child keeps, what it makes anew, and what may travel to a spawned one. CON-005.

A child does its work, writes one line into a pipe and ends without any clean-up of the parent's. A child that hangs is
ended by an alarm of its own, so a deadlock is a failed test.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any, Protocol

import pytest

import aveverify
from aveverify import (
    HttpxFetcher,
    Identity,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Verifier,
    _fork,
    _verify,
)
from aveverify._fork import renew_after_fork
from aveverify._jwks.completion import Completion
from aveverify.testing import FakeClock, FakeIssuer
from tests.jwks.blocking_fetcher import BlockingFetcher
from tests.jwks.server import ScriptedServer, serve, whole

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED HERE: this system has no os.fork")

# Since 3.12 a fork of a process with several threads is warned of; that is what these tests are about.
FORKS_WITH_THREADS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
# Longer than anything that a child has to do, shorter than the limit of a test.
_ALARM_SECONDS = 20
_MAX_ANSWER_BYTES = 65_536


def in_child(work: Callable[[], str]) -> str:
    """Fork, let the child work, and return what it has found out."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(_ALARM_SECONDS)
        answer = "the child did not finish"
        try:
            os.close(reading)
            answer = work()
        except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child, not even its handlers
            answer = traceback.format_exc()
        finally:
            os.write(writing, answer.encode()[:_MAX_ANSWER_BYTES])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the child hung, and its alarm ended it"
    return found.decode()


class Lockable(Protocol):
    """A lock of any kind."""

    def acquire(self) -> object:
        """Take it."""

    def release(self) -> object:
        """Give it back."""


@contextmanager
def held_elsewhere(*locks: Lockable) -> Iterator[None]:
    """Let another thread hold locks, as a thread of a server may at the moment of a fork."""
    taken, over = Event(), Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        taken.set()
        over.wait()
        for lock in locks:
            lock.release()

    thread = Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


def requests_of(server: ScriptedServer) -> list[str]:
    """The paths that were asked for."""
    return [request.split(b" ")[1].decode() for request in server.requests]


@FORKS_WITH_THREADS
def test_con_005_a_child_that_is_forked_during_a_first_fetch_fetches_by_itself(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
) -> None:
    """The thread of the refresh exists only in the parent; no call in the child waits for it."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    token = issuer.token()
    blocking.block()
    waiting = Thread(target=verifier.verify, args=(token,))
    waiting.start()
    assert blocking.arrived.wait(30)

    def work() -> str:
        assert not verifier.status().providers[0].is_fetching
        # The child's own copy of the blocking.
        blocking.unblock()
        return str(verifier.verify(token).subject)

    assert in_child(work) == "user_ada"
    assert verifier.status().providers[0].is_fetching
    blocking.unblock()
    waiting.join()
    assert verifier.verify(token).subject == "user_ada"


@FORKS_WITH_THREADS
def test_con_005_a_child_that_is_forked_during_a_refresh_knows_the_keys_and_refreshes_by_itself(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
) -> None:
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    verifier.warm_up()
    clock.tick(seconds=580)
    blocking.block()
    verifier.verify(issuer.token())
    assert blocking.arrived.wait(30)
    token = issuer.token(sub="child")

    def work() -> str:
        before = len(blocking.requests)
        # Known keys are used at once, and a refresh of the child's own begins behind: it stands before the blocking.
        blocking.arrived.clear()
        subject = verifier.verify(token).subject
        assert blocking.arrived.wait(10)
        return f"{subject} {len(blocking.requests) - before}"

    assert in_child(work) == "child 1"


@FORKS_WITH_THREADS
def test_con_005_a_child_does_not_count_the_hung_refreshes_of_its_parent(
    issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
) -> None:
    """NET-007: their threads exist only in the parent, which starts no further one."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    token = issuer.token(exp=int(clock.now()) + 10_000)
    blocking.block()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(verifier.verify_async(token), 0.01))
        assert blocking.arrived.wait(30)
        blocking.arrived.clear()
        clock.tick(seconds=5)
        with pytest.raises(KeysUnavailableError, match="deadline"):
            verifier.verify(token)
        clock.tick(seconds=40)

    def work() -> str:
        blocking.unblock()
        return str(verifier.verify(token).subject)

    assert in_child(work) == "user_ada"


@FORKS_WITH_THREADS
@pytest.mark.parametrize("late", ["unknown key", "same kid"])
def test_con_005_a_child_sees_a_rotation_that_came_after_the_fork(
    issuer: FakeIssuer, clock: FakeClock, late: str
) -> None:
    verifier = issuer.verifier()
    verifier.warm_up()

    def work() -> str:
        issuer.rotate(same_kid=late == "same kid")
        clock.tick(seconds=1)
        return str(verifier.verify(issuer.token(sub="rotated")).subject)

    assert in_child(work) == "rotated"


def test_con_005_what_was_fetched_before_the_fork_is_not_fetched_again() -> None:
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve(), Verifier(issuer.provider) as verifier:
        verifier.warm_up()
        token = issuer.token()
        answers = [in_child(lambda: str(verifier.verify(token).subject)) for _ in range(3)]
        assert answers == ["user_ada"] * 3
        assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 1)


@FORKS_WITH_THREADS
def test_con_005_a_child_opens_connections_of_its_own_and_leaves_the_parents_alone() -> None:
    """Two processes on one connection would read each other's answers."""
    documents = FakeIssuer(clock=aveverify.SystemClock())

    def answer(connection: Any, _stopped: Event) -> None:
        path = requests_of(server)[-1]
        response = documents._answer(path)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(response.body)}\r\n\r\n"
        connection.sendall(head.encode() + response.body)

    with serve(answer) as server:
        documents.issuer = server.url
        fetcher = HttpxFetcher()
        verifier = Verifier(documents.provider, fetcher=fetcher)
        verifier.warm_up()
        assert server.connections == 2
        parents_client = fetcher._client

        def work() -> str:
            assert fetcher._client is None
            kid = {"kid": "unknown"}
            try:
                verifier.verify(documents.token(header=kid))
            except InvalidTokenError as refusal:
                assert fetcher._client is not None
                return refusal.reason.value
            return "accepted"

        assert in_child(work) == "UNKNOWN_KEY"
        assert server.connections == 4
        # The parent goes on with the client that it had.
        with pytest.raises(InvalidTokenError):
            verifier.verify(documents.token(header={"kid": "unknown"}))
        assert fetcher._client is parents_client
        assert server.connections == 6
        assert len(server.requests) == 6
        verifier.close()


@FORKS_WITH_THREADS
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_con_005_locks_that_other_threads_hold_at_the_fork_do_not_stop_the_child(*, warm: bool) -> None:
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve():
        fetcher = HttpxFetcher()
        verifier = Verifier(issuer.provider, fetcher=fetcher)
        if warm:
            verifier.warm_up()
        _, remote_keys = verifier._registry.providers[0]
        token, unknown = issuer.token(), issuer.token(header={"kid": "unknown"})

        def work() -> str:
            subject = verifier.verify(token).subject
            try:
                verifier.verify(unknown)
            except InvalidTokenError as refusal:
                return f"{subject} {refusal.reason.value}"
            return "accepted"

        locks = (remote_keys._lock, remote_keys._completion._lock, verifier._tokens._lock, fetcher._lock)
        with held_elsewhere(*locks):
            assert in_child(work) == "user_ada UNKNOWN_KEY"
        # Nothing of the parent's has changed.
        assert verifier.verify(token).subject == "user_ada"
        verifier.close()


@FORKS_WITH_THREADS
def test_con_005_the_plain_function_survives_a_fork_under_its_lock() -> None:
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve():
        token = issuer.token()

        def verify() -> Identity:
            return aveverify.verify(token, issuer=issuer.issuer, application_id="app_test")

        verify()
        assert _verify.kept._entries is not None
        (kept,) = _verify.kept._entries.values()
        with held_elsewhere(_verify.kept._lock, kept._tokens._lock, kept._registry.remote_key_sets[0]._lock):
            assert in_child(lambda: str(verify().subject)) == "user_ada"
        assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 1)
        _verify.kept.clear()


def test_con_005_a_child_of_a_child_is_renewed_too(issuer: FakeIssuer, clock: FakeClock) -> None:
    verifier = issuer.verifier()
    verifier.warm_up()
    clock.tick(seconds=601)

    def work() -> str:
        return in_child(lambda: str(verifier.verify(issuer.token()).subject))

    assert in_child(work) == "user_ada"


def test_only_a_weak_reference_is_kept_for_the_next_fork() -> None:
    class Renewable:
        renewed = 0

        def renew_after_fork(self) -> None:
            self.renewed += 1

    kept, dropped = Renewable(), Renewable()
    renew_after_fork(kept)
    renew_after_fork(dropped)
    del dropped
    assert in_child(lambda: str(kept.renewed)) == "1"
    assert kept.renewed == 0


def test_the_completion_of_a_parents_refresh_is_not_the_childs(issuer: FakeIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm_up()
    _, remote_keys = verifier._registry.providers[0]
    completion: Completion = remote_keys._completion
    assert in_child(lambda: str(remote_keys._completion is completion)) == "False"
    assert remote_keys._completion is completion


# --- spawn: nothing is inherited, so only plain values may travel


def verify_in_spawned_child(provider: Provider, token: str, answers: Any) -> None:
    """Run in a fresh interpreter: make a verifier for a provider that came by pickle, and send back the identity."""
    with Verifier(provider) as verifier:
        answers.send(verifier.verify(token))
    answers.close()


def test_a_provider_and_an_identity_travel_between_spawned_processes() -> None:
    context = multiprocessing.get_context("spawn")
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve(), ExitStack() as stack:
        token = issuer.token(sub="spawned", plan="pro")
        receiving, sending = context.Pipe(duplex=False)
        stack.callback(receiving.close)
        child = context.Process(target=verify_in_spawned_child, args=(issuer.provider, token, sending))
        child.start()
        sending.close()
        stack.callback(child.join)
        identity = receiving.recv()
        with Verifier(issuer.provider) as verifier:
            assert identity == verifier.verify(token)
    assert (identity.subject, identity["plan"], identity.provider) == ("spawned", "pro", identity.provider)
    assert child.exitcode == 0


def test_a_verifier_does_not_travel_and_says_what_to_do(issuer: FakeIssuer) -> None:
    with pytest.raises(TypeError) as caught:
        pickle.dumps(issuer.verifier())
    assert str(caught.value) == "a Verifier cannot be pickled; make one in each process"


IN_THE_MIDDLE_OF_AN_IMPORT = """
import os, signal, sys
from threading import Event, Thread

from aveverify import Provider, Verifier

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "httpcore":
            importing.set()

importing = Event()
sys.meta_path.insert(0, Finder())
issuer, token = sys.argv[1:]
verifier = Verifier(Provider(issuer=issuer, application_id="app_test"))
fetching = Thread(target=verifier.warm_up)
fetching.start()
importing.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(verifier.verify(token).subject != "user_ada")
_, status = os.waitpid(child, 0)
fetching.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_con_005_a_child_that_is_forked_while_its_parent_imports_for_a_first_fetch_can_fetch() -> None:
    """The lock of a module that is half imported would be held in the child for ever, and each of its fetches hang."""
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve() as url:
        command = [sys.executable, "-W", "ignore", "-c", IN_THE_MIDDLE_OF_AN_IMPORT, url, issuer.token()]
        assert subprocess.run(command, check=False).returncode == 0


FETCHES_WITH_A_CLIENT = """
import subprocess
import sys

from aveverify import FetchRequest, HttpxFetcher

fetcher = HttpxFetcher()
fetcher._get_client()
before = set(sys.modules)
fetcher.fetch(FetchRequest(url=sys.argv[1], headers={}, deadline_seconds=30, max_body_bytes=1000))
print(sorted(set(sys.modules) - before))
"""


def test_con_005_once_there_is_a_client_a_fetch_imports_nothing() -> None:
    """Forks wait until there is one, and not until an issuer answers."""
    with serve(whole(b"{}")) as server:
        command = [sys.executable, "-c", FETCHES_WITH_A_CLIENT, server.url]
        assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout == "[]\n"


def test_con_005_a_fork_waits_for_imports_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fork, "_MAX_WAIT_SECONDS", 0.01)
    imports = _fork._Imports()
    importing, may_end = Event(), Event()

    def import_slowly() -> None:
        with imports.lock:
            importing.set()
            may_end.wait()

    thread = Thread(target=import_slowly)
    thread.start()
    importing.wait()
    imports.wait()
    imports.go_on()
    may_end.set()
    thread.join()
    imports.wait()
    imports.go_on()
    assert imports.lock.acquire(blocking=False)
    imports.lock.release()
