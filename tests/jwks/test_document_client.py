"""Documents that workers share: taken where they help, passed over where they do not, never needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from threading import Event as ThreadEvent
from threading import Semaphore
from typing import Any, ClassVar

import pytest

from aveverify import (
    CachePolicy,
    FetchError,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify._jwks import shared_cache
from aveverify.document_store import StoredDocument
from aveverify.events import Event, FetchFailed, ProviderDown, ServedStale
from aveverify.testing import FakeClock, FakeIssuer
from tests.jwks.refresh_threads import join_refreshes

FRESH = CachePolicy().fresh_seconds
STALE = CachePolicy().stale_if_error_seconds
JSON = {"content-type": "application/json"}


class MemoryStore:
    """A store in this process, which a test can break in every part."""

    def __init__(self) -> None:
        self.documents: dict[str, StoredDocument] = {}
        self.leased: list[str] = []
        self.kept_seconds: list[float] = []
        self.gives_lease = True
        self.broken: set[str] = set()
        self.on_look: Callable[[int], None] = lambda _look: None
        self.looks = 0

    def get(self, url: str) -> StoredDocument | None:
        self._break("get")
        self.looks += 1
        self.on_look(self.looks)
        return self.documents.get(url)

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        self._break("put")
        if document.has_come_after(self.documents.get(document.url)):
            self.documents[document.url] = document
        self.kept_seconds.append(keep_seconds)

    def lease(self, url: str, seconds: float) -> bool:
        self._break("lease")
        assert seconds > 0
        self.leased.append(url)
        return self.gives_lease

    def _break(self, part: str) -> None:
        if part in self.broken:
            message = "the store is broken"
            raise ConnectionError(message)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def first(issuer: FakeIssuer, store: MemoryStore) -> Verifier:
    """A worker that has fetched and shared."""
    verifier = worker(issuer, store)
    verifier.warm_up()
    verifier.close()
    return verifier


def worker(issuer: FakeIssuer, store: MemoryStore) -> Verifier:
    return issuer.verifier(document_store=store)


def requests(issuer: FakeIssuer) -> tuple[int, int]:
    return issuer.discovery_requests, issuer.jwks_requests


@pytest.mark.usefixtures("first")
def test_what_one_worker_fetched_all_others_take_from_the_store(issuer: FakeIssuer, store: MemoryStore) -> None:
    for _ in range(3):
        assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == (1, 1)
    assert set(store.kept_seconds) == {CachePolicy().max_fresh_seconds + CachePolicy().stale_if_error_seconds}


@pytest.mark.usefixtures("first")
def test_the_discovery_document_is_shared_before_the_keys(issuer: FakeIssuer, store: MemoryStore) -> None:
    """Whoever sees the keys in the store can have the document that leads to them too."""
    assert list(store.documents)[-1] == issuer.jwks_uri


@pytest.mark.usefixtures("first")
def test_shared_keys_keep_the_age_that_they_had(issuer: FakeIssuer, store: MemoryStore, clock: FakeClock) -> None:
    clock.tick(seconds=FRESH / 2)
    late = worker(issuer, store)
    late.warm_up()
    assert late.status().providers[0].age_seconds == FRESH / 2
    assert requests(issuer) == (1, 1)


@pytest.mark.usefixtures("first")
def test_an_unknown_key_is_looked_for_in_the_store_and_then_at_the_issuer(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    """Shared keys are older than the question, so they refuse no token."""
    late = worker(issuer, store)
    late.warm_up()
    clock.tick(seconds=10)
    issuer.rotate()
    assert late.verify(issuer.token()).subject
    assert requests(issuer) == (2, 2)


def test_a_rotation_that_another_worker_fetched_is_not_fetched_again(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    workers = [worker(issuer, store) for _ in range(4)]
    for each in workers:
        each.warm_up()
    clock.tick(seconds=10)
    issuer.rotate()
    for each in workers:
        assert each.verify(issuer.token()).subject
        each.close()
    assert requests(issuer) == (2, 2)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("age_seconds", [FRESH, -61.0], ids=["too old", "from the future"])
def test_a_document_of_another_time_is_fetched_anew(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock, age_seconds: float
) -> None:
    for url, document in store.documents.items():
        store.documents[url] = StoredDocument(
            url=url, fetched_at=clock.now() - age_seconds, headers=document.headers, body=document.body
        )
    worker(issuer, store).verify(issuer.token())
    assert issuer.jwks_requests == 2


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    "body", [b"<html>", b" " * (CachePolicy().max_document_bytes + 1)], ids=["no document", "too long"]
)
def test_a_bad_document_of_the_store_is_passed_over(issuer: FakeIssuer, store: MemoryStore, body: bytes) -> None:
    for url, document in store.documents.items():
        store.documents[url] = StoredDocument(url=url, fetched_at=document.fetched_at, headers=JSON, body=body)
    assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == (2, 2)


@pytest.mark.parametrize("part", ["get", "lease", "put"])
def test_a_broken_store_costs_a_direct_fetch_and_a_line_in_the_log(
    issuer: FakeIssuer, store: MemoryStore, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.broken = {part}
    verifier = worker(issuer, store)
    with caplog.at_level(logging.WARNING, "aveverify"):
        assert verifier.verify(issuer.token()).subject
        verifier.close()
    assert requests(issuer) == (1, 1)
    assert [record.getMessage() for record in caplog.records] == ["the document store failed: ConnectionError"]


def test_a_broken_store_is_tried_again_at_the_next_refresh(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    store.broken = {"get"}
    verifier = worker(issuer, store)
    verifier.warm_up()
    store.broken = set()
    verifier._registry.remote_key_sets[0].finish(30)
    clock.tick(seconds=FRESH)
    verifier.warm_up()
    assert store.looks == 2


def test_a_worker_without_the_lease_waits_for_the_worker_that_has_it(
    issuer: FakeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_cache, "_POLL_SECONDS", 0.0)
    store.gives_lease = False
    other = MemoryStore()
    worker(issuer, other).warm_up()
    fetching = worker(issuer, other)
    fetching.warm_up()
    fetching.close()

    def appear(look: int) -> None:
        if look >= 3:
            store.documents.update(other.documents)

    store.on_look = appear
    before = requests(issuer)
    assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == before


def test_a_worker_that_waits_in_vain_fetches_in_the_end(
    issuer: FakeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a flood of unknown keys, where every worker of a fleet wants to ask: a wait of a second and a half."""
    monkeypatch.setattr(shared_cache, "_POLL_SECONDS", 0.0)
    store.gives_lease = False
    assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == (1, 1)
    assert store.looks == 2 * shared_cache._MAX_POLLS


# --- an outage --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("age_seconds", "is_accepted"),
    [(FRESH, True), (FRESH + STALE - 1, True), (FRESH + STALE, False)],
    ids=["stale", "just before the cap", "at the cap"],
)
def test_a_cold_worker_takes_shared_keys_up_to_the_cap_while_the_issuer_is_down(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock, age_seconds: float, *, is_accepted: bool
) -> None:
    """Keys that serve in one worker serve in all of them, also in those that start during an outage."""
    token = issuer.token(exp=clock.now() + 100_000)
    clock.tick(seconds=age_seconds)
    issuer.go_down()
    late = worker(issuer, store)
    if is_accepted:
        assert late.verify(token).subject
        assert late.status().providers[0].age_seconds == age_seconds
    else:
        with pytest.raises(KeysUnavailableError):
            late.verify(token)
    assert late.status().providers[0].failures == 1


@pytest.mark.usefixtures("first")
def test_stale_shared_keys_do_not_hide_the_outage(issuer: FakeIssuer, store: MemoryStore, clock: FakeClock) -> None:
    """The refresh has failed: the issuer is asked again after a pause, and not for each token."""
    clock.tick(seconds=FRESH)
    issuer.go_down()
    events: list[Event] = []
    late = issuer.verifier(document_store=store, on_event=events.append)
    for _ in range(3):
        assert late.verify(issuer.token()).subject
    # Each of the two documents twice in one refresh, and no second refresh.
    assert requests(issuer) == (3, 3)
    late._registry.remote_key_sets[0].finish(30)
    # Two threads publish these events, in either order.
    assert {type(event) for event in events} == {FetchFailed, ProviderDown, ServedStale}
    assert len(events) == 3
    assert [event.has_keys for event in events if isinstance(event, ProviderDown)] == [True]
    clock.tick(seconds=2)
    issuer.come_up()
    late.verify(issuer.token())
    late._registry.remote_key_sets[0].finish(30)
    assert late.status().providers[0].state == "fresh"


@pytest.mark.usefixtures("first")
def test_stale_shared_keys_are_used_before_the_deadline_of_a_refresh(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    """An issuer that never answers uses all the time of a request; what comes after the deadline comes too late."""

    class BlackHole:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            clock.tick(seconds=request.deadline_seconds)
            message = "the deadline passed"
            raise FetchError(message)

    clock.tick(seconds=FRESH)
    started = clock.monotonic()
    assert issuer.verifier(document_store=store, fetcher=BlackHole()).verify(issuer.token()).subject
    # Half of the time is not for the discovery document, and a tenth of the rest is not for the JWK Set.
    deadline_seconds = CachePolicy().flight_deadline_seconds
    assert clock.monotonic() - started == pytest.approx((0.5 + 0.5 * 0.9) * deadline_seconds)


@pytest.mark.usefixtures("first")
def test_newer_shared_keys_replace_older_ones_in_an_outage(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    early = worker(issuer, store)
    early.warm_up()
    clock.tick(seconds=10)
    issuer.rotate()
    other = worker(issuer, store)
    assert other.verify(issuer.token()).subject
    other.close()
    clock.tick(seconds=FRESH)
    issuer.go_down()
    assert early.verify(issuer.token()).subject
    assert early.status().providers[0].age_seconds == FRESH


@pytest.mark.usefixtures("first")
def test_a_key_set_that_is_gone_leaves_the_shared_keys(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    """DSC-015: the discovery document is asked again, in vain."""
    clock.tick(seconds=FRESH)
    issuer.answer_keys_with(FetchResponse(status=404))
    issuer.answer_discovery_with(FetchResponse(status=500))
    assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == (2, 2)


@pytest.mark.usefixtures("first")
def test_dsc_015_stale_shared_keys_are_used_if_the_discovery_document_cannot_be_renewed(
    issuer: FakeIssuer, store: MemoryStore
) -> None:
    """The discovery document of the store is fresh, and the JWK Set that it names has moved."""
    make_older(store, issuer.jwks_uri)
    issuer.answer_keys_with(FetchResponse(status=404))
    issuer.answer_discovery_with(FetchResponse(status=500))
    late = worker(issuer, store)
    assert late.verify(issuer.token()).subject
    assert requests(issuer) == (2, 2)
    assert late.status().providers[0].failures == 1


@pytest.mark.usefixtures("first")
def test_dsc_015_after_a_move_the_issuer_is_asked_even_if_another_worker_has_stored_its_discovery_document(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    make_older(store, issuer.jwks_uri)
    issuer.answer_keys_with(FetchResponse(status=404))
    (metadata_url,) = set(store.documents) - {issuer.jwks_uri}
    clock.tick(seconds=10)
    looks_before = store.looks

    def store_anew(look: int) -> None:
        # The discovery document, the JWK Set, and the discovery document again.
        if look == looks_before + 3:
            store.documents[metadata_url] = replace(store.documents[metadata_url], fetched_at=clock.now())

    store.on_look = store_anew
    assert worker(issuer, store).verify(issuer.token()).subject
    assert issuer.discovery_requests == 2


def make_older(store: MemoryStore, url: str) -> None:
    """Let a document of the store be past its freshness."""
    document = store.documents[url]
    older = document.fetched_at - FRESH
    store.documents[url] = replace(document, fetched_at=older, confirmed_at=older)


@pytest.mark.usefixtures("first")
def test_garbage_from_the_issuer_leaves_the_shared_keys(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    clock.tick(seconds=FRESH)
    issuer.answer_keys_with(FetchResponse(status=200, headers=JSON, body=b"<html>"))
    assert worker(issuer, store).verify(issuer.token()).subject


# --- a store that hangs -----------------------------------------------------------------------------------------------


class HangingStore(MemoryStore):
    """Its `put` does not come back before it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.arrived = Semaphore(0)
        self.released = ThreadEvent()

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        self.puts += 1
        self.arrived.release()
        self.released.wait()
        super().put(document, keep_seconds)


def test_a_put_that_never_comes_back_holds_one_thread(issuer: FakeIssuer, clock: FakeClock) -> None:
    store = HangingStore()
    verifier = worker(issuer, store)
    remote_keys = verifier._registry.remote_key_sets[0]
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    sharing = remote_keys._thread
    assert sharing is not None
    for number in range(2, 12):
        clock.tick(seconds=FRESH)
        verifier.verify(issuer.token())
        remote_keys.finish(30)
        assert issuer.jwks_requests == number
    assert store.puts == 1
    assert verifier.status().providers[0].failures == 0
    # Once it is back, what was fetched meanwhile is shared with the next refresh.
    store.released.set()
    sharing.join(30)
    clock.tick(seconds=FRESH)
    verifier.verify(issuer.token())
    remote_keys.finish(30)
    assert store.documents[issuer.jwks_uri].fetched_at == clock.now()


class StuckStore(MemoryStore):
    """One of its methods does not come back before it is released."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.calls = 0
        self.released = ThreadEvent()
        self._part = part

    def _break(self, part: str) -> None:
        if part == self._part and not self.released.is_set():
            self.calls += 1
            self.released.wait()


# A tenth of the usual time, so that a store that never returns delays a refresh only a little.
HASTY = CachePolicy(flight_deadline_seconds=0.5)


def lookers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aveverify-store-read"]


@pytest.mark.parametrize("part", ["get", "lease"])
def test_net_026_a_store_that_never_comes_back_costs_one_thread_and_no_fetch(
    issuer: FakeIssuer, clock: FakeClock, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = StuckStore(part)
    verifier = issuer.verifier(document_store=store, cache_policy=HASTY)
    remote_keys = verifier._registry.remote_key_sets[0]
    with caplog.at_level(logging.WARNING, "aveverify"):
        for number in range(1, 11):
            assert verifier.verify(issuer.token()).subject
            remote_keys.finish(30)
            assert requests(issuer) == (number, number)
            assert (store.calls, len(lookers())) == (1, 1)
            clock.tick(seconds=FRESH)
    assert verifier.status().providers[0].failures == 0
    assert [record.getMessage() for record in caplog.records] == [
        "the document store does not answer; it is skipped until it does"
    ]
    assert store.documents == {}
    # Once it is back, it is looked at and filled again.
    (hung,) = lookers()
    store.released.set()
    hung.join(30)
    looks = store.looks
    assert verifier.verify(issuer.token()).subject
    remote_keys.finish(30)
    assert store.looks > looks
    assert store.documents[issuer.jwks_uri].fetched_at == clock.now()


def test_net_026_a_store_that_hangs_holds_a_refetch_up_for_one_key_source_alone(
    issuer: FakeIssuer, clock: FakeClock
) -> None:
    """ROT-017: what one remote key set waits for, no other one does."""
    other = FakeIssuer("https://other.test", clock=clock)
    store = StuckStore("get")
    hung = issuer.verifier(document_store=store, cache_policy=HASTY)
    assert hung.verify(issuer.token()).subject
    assert len(lookers()) == 1
    free = other.verifier(document_store=store, cache_policy=HASTY)
    assert free.verify(other.token()).subject
    assert len(lookers()) == 2
    store.released.set()
    for thread in lookers():
        thread.join(30)


def test_net_026_the_answer_of_a_store_that_comes_back_too_late_replaces_nothing(
    issuer: FakeIssuer, clock: FakeClock
) -> None:
    first = MemoryStore()
    with worker(issuer, first) as early:
        early.warm_up()
    store = StuckStore("get")
    store.documents = first.documents
    clock.tick(seconds=10)
    issuer.rotate(keep_old=False)
    verifier = issuer.verifier(document_store=store, cache_policy=HASTY)
    assert verifier.verify(issuer.token()).subject
    (hung,) = lookers()
    store.released.set()
    hung.join(30)
    assert verifier.verify(issuer.token(sub="new")).subject
    assert verifier.status().providers[0].age_seconds == 0


def test_net_026_con_005_a_child_looks_although_a_thread_of_its_parent_hangs(issuer: FakeIssuer) -> None:
    store = StuckStore("get")
    verifier = issuer.verifier(document_store=store, cache_policy=HASTY)
    remote_keys = verifier._registry.remote_key_sets[0]
    verifier.verify(issuer.token())
    remote_keys.finish(30)
    (hung,) = lookers()
    remote_keys.renew_after_fork()
    store.released.set()
    looks = store.looks
    hung.join(30)
    with pytest.raises(InvalidTokenError):
        verifier.verify(issuer.token(header={"kid": "other"}))
    assert store.looks > looks


def test_where_no_thread_can_be_started_the_store_is_passed_over(
    issuer: FakeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "aveverify-store-read":
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        assert worker(issuer, store).verify(issuer.token()).subject
    assert (store.looks, requests(issuer)) == (0, (2, 2))


def make_stored(**changes: Any) -> Any:
    members = {"fetched_at": 1_700_000_000.0, "confirmed_at": 0.0, "headers": {}, "body": b"{}"}
    return StoredDocument(**{"url": "https://issuer.test", **members, **changes})


@pytest.mark.parametrize(
    "found",
    [
        pytest.param("a text", id="no document"),
        pytest.param(make_stored(fetched_at=None), id="no time"),
        pytest.param(make_stored(fetched_at=float("nan")), id="a time that is no number"),
        pytest.param(make_stored(fetched_at=float("inf")), id="a time without end"),
        pytest.param(make_stored(confirmed_at=float("inf")), id="a confirmation without end"),
        pytest.param(make_stored(headers=None), id="no headers"),
        pytest.param(make_stored(headers={"etag": 1}), id="a header that is a number"),
        pytest.param(make_stored(body=None), id="no body"),
        pytest.param(make_stored(body="{}"), id="a body that is a text"),
        pytest.param(SystemExit(), id="the end of the program"),
    ],
)
def test_whatever_a_store_hands_out_costs_a_direct_fetch(issuer: FakeIssuer, found: Any) -> None:
    class OddStore(MemoryStore):
        def get(self, url: str) -> StoredDocument | None:
            assert url
            if isinstance(found, BaseException):
                raise found
            odd: StoredDocument = found
            return odd

    verifier = worker(issuer, OddStore())
    assert verifier.verify(issuer.token()).subject
    assert (requests(issuer), verifier.status().providers[0].failures) == ((1, 1), 0)


# --- a refresh that is late -------------------------------------------------------------------------------------------


class Versions:
    """A fetcher that gives every key set another entity tag, and can hold one answer back.

    Attributes:
        asked: The conditional header of each request for the keys.
        held: Which of them is held back until `released`.
    """

    def __init__(self, issuer: FakeIssuer) -> None:
        self.asked: list[str | None] = []
        self.held = 0
        self.released = ThreadEvent()
        self.arrived = ThreadEvent()
        self._issuer = issuer

    def fetch(self, request: FetchRequest) -> FetchResponse:
        answer = self._issuer.fetch(request)
        if request.url != self._issuer.jwks_uri:
            return answer
        self.asked.append(request.headers.get("If-None-Match"))
        number = len(self.asked)
        if number == self.held:
            self.arrived.set()
            self.released.wait()
        return FetchResponse(status=200, headers={**dict(answer.headers), "ETag": f'"v{number}"'}, body=answer.body)


@pytest.fixture
def versions(issuer: FakeIssuer) -> Iterator[Versions]:
    versions = Versions(issuer)
    yield versions
    versions.released.set()


def test_rot_011_a_late_refresh_replaces_no_newer_document_neither_kept_nor_stored(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock, versions: Versions
) -> None:
    verifier = issuer.verifier(fetcher=versions, document_store=store)
    remote_keys = verifier._registry.remote_key_sets[0]
    verifier.verify(issuer.token())
    remote_keys.finish(30)
    versions.held = 2
    clock.tick(seconds=0.9 * FRESH)
    # A refresh in the background hangs, and is given up at its deadline.
    verifier.verify(issuer.token())
    assert versions.arrived.wait(30)
    late = remote_keys._thread
    assert late is not None
    clock.tick(seconds=CachePolicy().flight_deadline_seconds)
    issuer.rotate(keep_old=False)
    with pytest.raises(KeysUnavailableError):
        verifier.verify(issuer.token())
    clock.tick(seconds=FRESH)
    assert verifier.verify(issuer.token()).subject
    remote_keys.finish(30)
    newest = store.documents[issuer.jwks_uri]
    assert newest.headers["etag"] == '"v3"'
    versions.released.set()
    late.join(30)
    assert store.documents[issuer.jwks_uri] == newest
    clock.tick(seconds=FRESH)
    assert verifier.verify(issuer.token()).subject
    assert versions.asked == [None, '"v1"', '"v1"', '"v3"']


def test_a_silent_key_endpoint_leaves_time_for_the_stale_keys_of_the_store(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    """The key endpoint alone takes all the time that it is given; a tenth of what is left is not given to it."""
    worker(issuer, store).warm_up()
    join_refreshes()

    class SlowKeys:
        seconds: ClassVar[list[float]] = []

        def fetch(self, request: FetchRequest) -> FetchResponse:
            if request.url != issuer.jwks_uri:
                return issuer.fetch(request)
            self.seconds.append(request.deadline_seconds)
            clock.tick(seconds=request.deadline_seconds)
            message = "the deadline passed"
            raise FetchError(message)

    clock.tick(seconds=FRESH)
    slow = SlowKeys()
    assert issuer.verifier(document_store=store, fetcher=slow).verify(issuer.token()).subject
    assert slow.seconds == [pytest.approx(0.9 * CachePolicy().flight_deadline_seconds)]


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 304])
def test_net_024_headers_of_a_kept_document_do_not_grow(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock, status: int
) -> None:
    """A new header name in each answer, and a value of a hundred kilobytes."""
    numbers = count()

    class Growing:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            more = {"ETag": '"1"', f"X-{next(numbers)}": "x", "Date": "x" * 100_000, "Set-Cookie": "a=b"}
            answer = issuer.fetch(request)
            if status == 304 and "If-None-Match" in request.headers:
                return FetchResponse(status=304, headers=more)
            return FetchResponse(status=200, headers=dict(answer.headers) | more, body=answer.body)

    verifier = issuer.verifier(fetcher=Growing(), document_store=store)
    client = verifier._registry.remote_key_sets[0]._loader.client
    for _ in range(5):
        verifier.verify(issuer.token())
        verifier._registry.remote_key_sets[0].finish(30)
        clock.tick(seconds=FRESH)
    assert next(numbers) == 10
    held = [document.headers for document in client._kept.values()]
    held += [dict(document.headers) for document in store.documents.values()]
    assert len(held) == 4
    for headers in held:
        assert set(headers) == {"content-type", "etag", "date"}
        assert sum(map(len, headers.values())) < 1100


def test_net_024_headers_of_a_stored_document_are_cut_down_too(issuer: FakeIssuer, store: MemoryStore) -> None:
    worker(issuer, store).warm_up()
    join_refreshes()
    for url, document in store.documents.items():
        store.documents[url] = replace(document, headers={**document.headers, "x-more": "x" * 100_000})
    late = worker(issuer, store)
    late.warm_up()
    kept = late._registry.remote_key_sets[0]._loader.client._kept
    assert requests(issuer) == (1, 1)
    assert [set(document.headers) for document in kept.values()] == [{"content-type"}] * 2


def test_con_005_a_child_shares_although_a_thread_of_its_parent_did(issuer: FakeIssuer, clock: FakeClock) -> None:
    store = HangingStore()
    verifier = worker(issuer, store)
    remote_keys = verifier._registry.remote_key_sets[0]
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    hanging = remote_keys._thread
    assert hanging is not None
    remote_keys.renew_after_fork()
    clock.tick(seconds=FRESH)
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    store.released.set()
    hanging.join(30)
    remote_keys.finish(30)


@pytest.mark.usefixtures("first")
def test_shared_keys_do_not_make_a_foreign_token_wait_for_ever(issuer: FakeIssuer, store: MemoryStore) -> None:
    late = worker(issuer, store)
    with pytest.raises(InvalidTokenError) as caught:
        late.verify(issuer.token(header={"kid": "other"}))
    assert caught.value.reason is Reason.UNKNOWN_KEY
    assert issuer.jwks_requests == 2
