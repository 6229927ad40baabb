"""A fleet asks its issuer as seldom as one process does, and no fault of its store stops it.

The issuer counts its requests. Nothing is timed; a test that lasts is about a fault of that length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from threading import Event

import pytest

from aveverify import CachePolicy, FetchRequest, FetchResponse
from aveverify.clock import Clock, SystemClock
from aveverify.document_store import FORM_VERSION, StoredDocument, fingerprint
from aveverify.redis import RedisDocumentStore
from aveverify.testing import FakeClock, FakeIssuer
from tests.hmac_keys import OTHER_KEY
from tests.processes import free_port
from tests.servers.fleet.fleet import HMAC_KEY, Fleet, run_fleet
from tests.servers.fleet.servers import (
    RedisServer,
    dripping_server,
    run_redis,
    silent_server,
    sluggish_server,
)

FRESH = CachePolicy().fresh_seconds
STALE = CachePolicy().stale_if_error_seconds
MANY = 8
SUBJECT = "user_ada"
ACCEPTED = {SUBJECT}


class SlowIssuer(FakeIssuer):
    """An issuer that can hold its responses back."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.may_answer = Event()
        self.may_answer.set()

    def _answer(self, path: str) -> FetchResponse:
        self.may_answer.wait()
        return super()._answer(path)

    @property
    def requests(self) -> tuple[int, int]:
        """How many requests there were for each document: discovery, keys."""
        return self.discovery_requests, self.jwks_requests


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[SlowIssuer]:
    issuer = SlowIssuer(clock)
    with issuer.serve():
        yield issuer


@pytest.fixture
def living_issuer() -> Iterator[SlowIssuer]:
    """An issuer with the clock of this machine, for tests about how long a store takes."""
    issuer = SlowIssuer(SystemClock())
    with issuer.serve():
        yield issuer


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    """A store without documents and leases; a test that failed may have left it stopped."""
    if not running_server.is_running:
        running_server.start()
    with running_server.client() as operator:
        operator.flushall()
    return running_server


def verify_all_at_once(
    issuer: SlowIssuer, server: RedisServer, fleet: Fleet, token: str, then: Callable[[], None] | None = None
) -> set[str]:
    """Let all workers verify a token, while issuer and leases stand still until each of them needs a document.

    The issuer answers nobody before every worker has tried to become the one that asks it, and no lease ends before
    the keys are shared: no count depends on how busy this machine is.

    Args:
        issuer: The issuer.
        server: The store.
        fleet: The workers; all of them lack the keys.
        token: The token.
        then: What happens when all have tried, before the issuer answers.

    Returns:
        What the workers say.
    """
    tried: set[str] = set()
    issuer.may_answer.clear()
    try:
        with server.client() as operator, operator.monitor() as monitor:
            fleet.say("verify", token)
            while True:
                words = monitor.next_command()
                command, name, *options = f"{words['command']} -".split()
                if command == "SET" and "NX" in options:
                    operator.persist(name)
                    tried.add(words["client_port"])
                elif command == "SET" and name == name_of_keys(issuer):
                    break
                if len(tried) == len(fleet.workers) and not issuer.may_answer.is_set():
                    if then is not None:
                        then()
                    issuer.may_answer.set()
    finally:
        issuer.may_answer.set()
    answers = fleet.hear()
    server.end_leases()
    return answers


@contextmanager
def until_shared(issuer: SlowIssuer, server: RedisServer, hmac_key: bytes | None = HMAC_KEY) -> Iterator[None]:
    """Wait until the keys are in the store: a worker stores them after its callers have returned."""
    with server.client() as operator, operator.monitor() as monitor:
        yield
        while monitor.next_command()["command"].split()[:2] != ["SET", name_of_keys(issuer, hmac_key)]:
            pass


def name_of_keys(issuer: FakeIssuer, hmac_key: bytes | None = HMAC_KEY) -> str:
    address = sha256(issuer.jwks_uri.encode()).hexdigest()
    return f"aveverify:document:{FORM_VERSION}:{fingerprint(hmac_key)}:{address}"


def rotate(issuer: SlowIssuer, fleet: Fleet) -> None:
    """Replace the issuer's keys, a second after whatever happened before."""
    fleet.tick(1)
    issuer.rotate(keep_old=False)


# --- one asks for all -------------------------------------------------------------------------------------------------


def test_a_cold_start_of_many_processes_makes_one_fetch_of_each_document(
    issuer: SlowIssuer, server: RedisServer
) -> None:
    with run_fleet(issuer, server.url, size=MANY) as fleet:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (1, 1)


def test_a_worker_that_starts_later_asks_only_the_store(issuer: SlowIssuer, server: RedisServer) -> None:
    with run_fleet(issuer, server.url, size=1) as first, until_shared(issuer, server):
        assert first.verify(issuer.token()) == ACCEPTED
    issuer.go_down()
    with run_fleet(issuer, server.url) as later:
        assert later.verify(issuer.token()) == ACCEPTED
    assert issuer.requests == (1, 1)


def test_a_rotation_is_fetched_once_and_seen_by_all(issuer: SlowIssuer, server: RedisServer) -> None:
    with run_fleet(issuer, server.url, size=MANY) as fleet:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        rotate(issuer, fleet)
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (2, 2)


def test_a_rotation_that_one_worker_has_seen_costs_the_others_no_fetch(issuer: SlowIssuer, server: RedisServer) -> None:
    with run_fleet(issuer, server.url) as fleet:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        rotate(issuer, fleet)
        token = issuer.token()
        with until_shared(issuer, server):
            assert fleet.workers[0].verify(token) == SUBJECT
        issuer.go_down()
        assert fleet.verify(token) == ACCEPTED
        assert issuer.requests == (2, 2)


def test_a_lease_that_ends_while_all_wait_makes_one_fetch_and_not_one_of_each(
    issuer: SlowIssuer, server: RedisServer
) -> None:
    """A rotation soon after the last fetch, or the death of the worker that fetches: every worker waits in vain."""
    with run_fleet(issuer, server.url, size=MANY) as fleet, writing(server, HMAC_KEY) as store:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        rotate(issuer, fleet)
        assert store.lease(f"{issuer.issuer}/.well-known/openid-configuration", 3600)
        assert verify_all_at_once(issuer, server, fleet, issuer.token(), then=server.end_leases) == ACCEPTED
        assert issuer.requests == (2, 2)


def test_keys_that_have_aged_are_fetched_once(issuer: SlowIssuer, server: RedisServer) -> None:
    with run_fleet(issuer, server.url, size=MANY) as fleet:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        fleet.tick(FRESH + 1)
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (2, 2)


def test_shared_keys_are_as_old_as_their_fetch_and_not_as_their_reading(
    issuer: SlowIssuer, server: RedisServer, clock: FakeClock
) -> None:
    """Reading from the store must not make keys young again: the cap counts from the fetch."""
    with run_fleet(issuer, server.url, size=1) as first, run_fleet(issuer, server.url, size=1) as second:
        with until_shared(issuer, server):
            assert first.verify(issuer.token()) == ACCEPTED
        issuer.go_down()
        second.tick(FRESH - 1)
        clock.tick(seconds=FRESH - 1)
        assert second.verify(issuer.token()) == ACCEPTED
        second.tick(STALE)
        clock.tick(seconds=STALE)
        assert second.verify(issuer.token()) == ACCEPTED
        second.tick(1)
        clock.tick(seconds=1)
        assert second.verify(issuer.token()) == {"KEYS_UNAVAILABLE"}


def test_a_worker_that_starts_cold_during_an_outage_takes_stale_keys_from_the_store(
    issuer: SlowIssuer, server: RedisServer, clock: FakeClock
) -> None:
    """Up to the cap, like every worker that had them before."""
    with run_fleet(issuer, server.url, size=1) as first, until_shared(issuer, server):
        assert first.verify(issuer.token()) == ACCEPTED
    issuer.go_down()
    with run_fleet(issuer, server.url) as late:
        late.tick(FRESH + STALE - 1)
        clock.tick(seconds=FRESH + STALE - 1)
        assert late.verify(issuer.token()) == ACCEPTED
        late.tick(1)
        clock.tick(seconds=1)
        assert late.verify(issuer.token()) == {"KEYS_UNAVAILABLE"}


@pytest.mark.parametrize("other_key", [OTHER_KEY, None], ids=["another key", "no key"])
def test_net_029_two_fleets_in_one_store_hold_each_other_up_in_nothing(
    living_issuer: SlowIssuer, server: RedisServer, other_key: bytes | None
) -> None:
    """Each of them makes one fetch, and its later workers none."""
    url = server.url
    with run_fleet(living_issuer, url, size=1, time_stands_still=False) as first, until_shared(living_issuer, server):
        assert first.verify(living_issuer.token()) == ACCEPTED
    with (
        run_fleet(living_issuer, url, size=1, hmac_key=other_key, time_stands_still=False) as second,
        until_shared(living_issuer, server, hmac_key=other_key),
    ):
        assert second.verify(living_issuer.token()) == ACCEPTED
    assert living_issuer.requests == (2, 2)
    for hmac_key in (HMAC_KEY, other_key):
        with run_fleet(living_issuer, url, size=1, hmac_key=hmac_key, time_stands_still=False) as later:
            assert later.verify(living_issuer.token()) == ACCEPTED
    assert living_issuer.requests == (2, 2)


# --- a store that fails -----------------------------------------------------------------------------------------------


def check_that_each_worker_fetches_for_itself(issuer: SlowIssuer, fleet: Fleet) -> None:
    assert fleet.verify(issuer.token()) == ACCEPTED
    assert issuer.requests == (3, 3)
    issuer.rotate(keep_old=False)
    assert fleet.verify(issuer.token()) == ACCEPTED
    assert issuer.requests == (6, 6)


def test_without_a_store_each_worker_fetches_for_itself(living_issuer: SlowIssuer) -> None:
    store = f"redis://127.0.0.1:{free_port()}"
    with run_fleet(living_issuer, store, time_stands_still=False) as fleet:
        check_that_each_worker_fetches_for_itself(living_issuer, fleet)


def test_a_store_that_dies_costs_a_fetch_for_each_worker_until_it_is_back(
    issuer: SlowIssuer, server: RedisServer
) -> None:
    with run_fleet(issuer, server.url) as fleet:
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (1, 1)
        server.stop()
        rotate(issuer, fleet)
        assert fleet.verify(issuer.token()) == ACCEPTED
        assert issuer.requests == (4, 4)
        server.start()
        rotate(issuer, fleet)
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (5, 5)


@pytest.mark.parametrize(
    ("sick_server", "timeout_seconds"),
    [
        pytest.param(silent_server, 0.25, id="says nothing"),
        pytest.param(dripping_server, 0.25, id="drips"),
        pytest.param(sluggish_server, 30.0, id="answers late"),
    ],
)
def test_a_store_that_is_slow_leaves_time_to_fetch(
    living_issuer: SlowIssuer, sick_server: Callable[[], AbstractContextManager[str]], timeout_seconds: float
) -> None:
    with (
        sick_server() as store,
        run_fleet(living_issuer, store, timeout_seconds=timeout_seconds, time_stands_still=False) as fleet,
    ):
        check_that_each_worker_fetches_for_itself(living_issuer, fleet)


# --- a store that lies ------------------------------------------------------------------------------------------------


@pytest.fixture
def attacker(issuer: SlowIssuer) -> FakeIssuer:
    """Whoever may write to the store: has the issuer's name, and keys of its own."""
    return FakeIssuer(issuer.issuer, clock=issuer.clock)


@contextmanager
def writing(server: RedisServer, hmac_key: bytes | None) -> Iterator[RedisDocumentStore]:
    """Write to the store as one who knows this key."""
    store = RedisDocumentStore.from_url(server.url, hmac_key=hmac_key, timeout_seconds=30)
    yield store
    store.close()


def documents_of(issuer: FakeIssuer, *, age_seconds: float = 0.0) -> list[StoredDocument]:
    """Fetch both documents as they are now, in memory, without being counted."""
    counts = issuer.discovery_requests, issuer.jwks_requests
    documents = []
    for url in (f"{issuer.issuer}/.well-known/openid-configuration", issuer.jwks_uri):
        response = issuer.fetch(FetchRequest(url=url, headers={}, deadline_seconds=1, max_body_bytes=1_000_000))
        headers = {name.lower(): value for name, value in dict(response.headers).items()}
        fetched_at = issuer.clock.now() - age_seconds
        documents.append(StoredDocument(url=url, fetched_at=fetched_at, headers=headers, body=response.body))
    issuer.discovery_requests, issuer.jwks_requests = counts
    return documents


def put_all(server: RedisServer, documents: list[StoredDocument], hmac_key: bytes | None) -> None:
    with writing(server, hmac_key) as store:
        for document in documents:
            store.put(document, 3600)


@pytest.mark.parametrize("known_key", [None, OTHER_KEY], ids=["no key", "another key"])
def test_a_writer_without_the_key_injects_nothing(
    issuer: SlowIssuer, attacker: FakeIssuer, server: RedisServer, known_key: bytes | None
) -> None:
    put_all(server, documents_of(attacker), known_key)
    with run_fleet(issuer, server.url, size=1) as fleet:
        assert fleet.verify(attacker.token()) == {"UNKNOWN_KEY"}
        assert fleet.verify(issuer.token()) == ACCEPTED


def test_a_running_fleet_takes_no_newer_keys_from_a_writer_without_the_key(
    issuer: SlowIssuer, attacker: FakeIssuer, server: RedisServer
) -> None:
    with run_fleet(issuer, server.url, size=1) as fleet:
        assert fleet.verify(issuer.token()) == ACCEPTED
        server.end_leases()
        put_all(server, documents_of(attacker, age_seconds=-1), None)
        assert fleet.verify(attacker.token()) == {"UNKNOWN_KEY"}
        assert fleet.verify(issuer.token()) == ACCEPTED


def test_without_an_hmac_key_every_writer_of_the_store_is_trusted(
    issuer: SlowIssuer, attacker: FakeIssuer, server: RedisServer
) -> None:
    """What the documentation warns of; it also shows that the attacks of these tests would work."""
    put_all(server, documents_of(attacker), None)
    with run_fleet(issuer, server.url, hmac_key=None) as fleet:
        assert fleet.verify(attacker.token()) == ACCEPTED
    assert issuer.requests == (0, 0)


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(b"\xff\xfe" * 100, id="no text"),
        pytest.param(b"[" * 100_000, id="deep JSON"),
        pytest.param(b"0" * 64 + b'{"version":1}', id="the beginning of a document"),
        pytest.param(b"x" * 50_000_000, id="much"),
    ],
)
def test_garbage_in_the_store_costs_a_fetch_and_is_replaced(
    issuer: SlowIssuer, server: RedisServer, garbage: bytes
) -> None:
    with server.client() as operator, writing(server, HMAC_KEY) as store, run_fleet(issuer, server.url) as fleet:
        for document in documents_of(issuer):
            operator.set(store._name("document", document.url), garbage)
        assert verify_all_at_once(issuer, server, fleet, issuer.token()) == ACCEPTED
        assert issuer.requests == (1, 1)


def test_a_document_that_its_issuer_could_not_have_sent_is_passed_over(issuer: SlowIssuer, server: RedisServer) -> None:
    """A document of the store is parsed like a response of the network, even with the right seal."""
    issuer.answer_keys_with(
        FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=b'{"keys":[]}')
    )
    put_all(server, documents_of(issuer), HMAC_KEY)
    issuer.answer_keys_with(None)
    with run_fleet(issuer, server.url) as fleet:
        assert fleet.verify(issuer.token()) == ACCEPTED


@pytest.mark.parametrize("age_seconds", [FRESH + 1, -3600.0], ids=["too old", "from the future"])
def test_a_document_of_another_time_is_passed_over(issuer: SlowIssuer, server: RedisServer, age_seconds: float) -> None:
    """A writer without the key may keep what it once read; it must not be able to bring old keys back for ever."""
    token = issuer.token()
    old = documents_of(issuer, age_seconds=age_seconds)
    issuer.rotate(keep_old=False)
    put_all(server, old, HMAC_KEY)
    with run_fleet(issuer, server.url, size=1) as fleet:
        assert fleet.verify(token) == {"UNKNOWN_KEY"}
        assert fleet.verify(issuer.token()) == ACCEPTED


def test_an_old_document_that_was_put_back_replaces_no_newer_keys_in_an_outage(
    issuer: SlowIssuer, server: RedisServer, clock: FakeClock
) -> None:
    """Documents past their freshness count where the issuer is asked in vain; newer cached keys remain in use."""
    old_token, old = issuer.token(), documents_of(issuer)
    clock.tick(seconds=1)
    issuer.rotate(keep_old=False)
    with run_fleet(issuer, server.url, size=1) as fleet:
        fleet.tick(1)
        with until_shared(issuer, server):
            assert fleet.verify(issuer.token()) == ACCEPTED
        put_all(server, old, HMAC_KEY)
        issuer.go_down()
        fleet.tick(FRESH)
        clock.tick(seconds=FRESH)
        assert fleet.verify(issuer.token()) == ACCEPTED
        assert fleet.verify(old_token) == {"KEYS_UNAVAILABLE"}


def test_leases_that_are_never_given_back_delay_a_fetch_and_prevent_none(
    living_issuer: SlowIssuer, server: RedisServer
) -> None:
    with writing(server, None) as store:
        for document in documents_of(living_issuer):
            assert store.lease(document.url, 3600)
    with run_fleet(living_issuer, server.url, time_stands_still=False) as fleet:
        assert fleet.verify(living_issuer.token()) == ACCEPTED
