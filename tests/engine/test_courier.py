"""Documents that workers share: taken where they help, passed over where they do not, never needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Event as ThreadEvent
from threading import Semaphore

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
    _shelf,
)
from aveverify.document_store import StoredDocument
from aveverify.events import Event, FetchFailed, ProviderDown, ServedStale
from aveverify.testing import FakeClock, FakeIssuer
from tests.engine.flights import join_flights

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


@pytest.fixture(autouse=True)
def _flights_end_with_their_test() -> Iterator[None]:
    """What a flight logs when nobody waits for it any more is not for the next test to read."""
    yield
    join_flights()


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
    """Shared keys are older than the question, so they refuse nobody."""
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


def test_a_broken_store_is_tried_again_at_the_next_flight(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    store.broken = {"get"}
    verifier = worker(issuer, store)
    verifier.warm_up()
    store.broken = set()
    verifier._engine.sources[0].finish(30)
    clock.tick(seconds=FRESH)
    verifier.warm_up()
    assert store.looks == 2


def test_whoever_has_no_lease_waits_for_the_worker_that_has_it(
    issuer: FakeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shelf, "_LOOK_SECONDS", 0.0)
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


def test_whoever_waits_in_vain_fetches_in_the_end(
    issuer: FakeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a flood of unknown keys, where every worker of a fleet wants to ask: a wait of a second and a half."""
    monkeypatch.setattr(_shelf, "_LOOK_SECONDS", 0.0)
    store.gives_lease = False
    assert worker(issuer, store).verify(issuer.token()).subject
    assert requests(issuer) == (1, 1)
    assert store.looks == 2 * _shelf._MAX_LOOKS


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
    """The flight has failed: the issuer is asked again after a pause, and not for each token."""
    clock.tick(seconds=FRESH)
    issuer.go_down()
    events: list[Event] = []
    late = issuer.verifier(document_store=store, on_event=events.append)
    for _ in range(3):
        assert late.verify(issuer.token()).subject
    # Each of the two documents twice in one flight, and no second flight.
    assert requests(issuer) == (3, 3)
    late._engine.sources[0].finish(30)
    # The keys are used as soon as they are there, and what is told by whom first, no one can say.
    assert {type(event) for event in events} == {FetchFailed, ProviderDown, ServedStale}
    assert len(events) == 3
    assert [event.has_keys for event in events if isinstance(event, ProviderDown)] == [True]
    clock.tick(seconds=2)
    issuer.come_up()
    late.verify(issuer.token())
    late._engine.sources[0].finish(30)
    assert late.status().providers[0].state == "fresh"


@pytest.mark.usefixtures("first")
def test_stale_shared_keys_are_put_to_use_before_the_deadline_of_a_flight(
    issuer: FakeIssuer, store: MemoryStore, clock: FakeClock
) -> None:
    """A black hole takes all the time that it is given; what comes after the deadline comes too late."""

    class BlackHole:
        def fetch(self, request: FetchRequest) -> FetchResponse:
            clock.tick(seconds=request.deadline_seconds)
            message = "the deadline passed"
            raise FetchError(message)

    clock.tick(seconds=FRESH)
    assert issuer.verifier(document_store=store, fetcher=BlackHole()).verify(issuer.token()).subject


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
    source = verifier._engine.sources[0]
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    sharing = source._thread
    assert sharing is not None
    for flight in range(2, 12):
        clock.tick(seconds=FRESH)
        verifier.verify(issuer.token())
        source.finish(30)
        assert issuer.jwks_requests == flight
    assert store.puts == 1
    assert verifier.status().providers[0].failures == 0
    # Once it is back, what was fetched meanwhile is shared with the next flight.
    store.released.set()
    sharing.join(30)
    clock.tick(seconds=FRESH)
    verifier.verify(issuer.token())
    source.finish(30)
    assert store.documents[issuer.jwks_uri].fetched_at == clock.now()


def test_con_005_a_child_shares_although_a_thread_of_its_parent_did(issuer: FakeIssuer, clock: FakeClock) -> None:
    store = HangingStore()
    verifier = worker(issuer, store)
    source = verifier._engine.sources[0]
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    hanging = source._thread
    assert hanging is not None
    source.renew_after_fork()
    clock.tick(seconds=FRESH)
    verifier.verify(issuer.token())
    assert store.arrived.acquire(timeout=30)
    store.released.set()
    hanging.join(30)
    source.finish(30)


@pytest.mark.usefixtures("first")
def test_shared_keys_do_not_make_a_foreign_token_wait_for_ever(issuer: FakeIssuer, store: MemoryStore) -> None:
    late = worker(issuer, store)
    with pytest.raises(InvalidTokenError) as caught:
        late.verify(issuer.token(header={"kid": "other"}))
    assert caught.value.reason is Reason.UNKNOWN_KEY
    assert issuer.jwks_requests == 2
