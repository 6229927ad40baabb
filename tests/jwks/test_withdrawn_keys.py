"""For how long a withdrawn key is trusted when servers answer 304, when the key set moves, and through the store.

Each bound is that of `CachePolicy.worst_case_trust_seconds`, measured by a clock that the test moves. NET-027; NET-028;
RFC 9110 §8.8.3.2, §13.1; RFC 9111 §4.3.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from aveverify import (
    CachePolicy,
    FetchRequest,
    FetchResponse,
    HttpxFetcher,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify.testing import FakeClock, FakeIssuer
from tests.jwks.file_server import DISCOVERY, FileServer
from tests.jwks.refresh_threads import join_refreshes
from tests.jwks.test_document_client import MemoryStore

POLICY = CachePolicy()
FRESH = POLICY.fresh_seconds
WORST = POLICY.worst_case_trust_seconds()
YEAR_SECONDS = 365 * 86_400
ETAG = '"v1"'
JSON = {"Content-Type": "application/json"}

Answer = Callable[[FetchRequest], FetchResponse | None]


def ask(verifier: Verifier, token: str) -> str:
    """Ask for a verdict, and let what happens behind the request happen."""
    try:
        verifier.verify(token)
    except KeysUnavailableError:
        return "unavailable"
    except InvalidTokenError as refusal:
        return refusal.reason.value
    finally:
        join_refreshes()
    return "accepted"


def lasting_token(issuer: FakeIssuer, sub: str = "user_ada") -> str:
    return issuer.token(sub=sub, exp=int(issuer.clock.now()) + YEAR_SECONDS)


def trusted_seconds(clock: FakeClock, token: str, *verifiers: Verifier, step_seconds: float = 20.0) -> float:
    """Measure for how long, from now on, at least one of some busy workers accepts a token."""
    for steps in count(1):
        clock.tick(seconds=step_seconds)
        answers = {ask(verifier, token) for verifier in verifiers}
        if "accepted" not in answers:
            assert answers == {Reason.UNKNOWN_KEY.value}
            return steps * step_seconds
        assert steps * step_seconds < YEAR_SECONDS / 100
    raise AssertionError


class Origin:
    """A fake issuer whose answers are other ones where a test wants it.

    Attributes:
        requests: Every request, in order.
        headers: More headers of every document.
        instead: Answers instead, where it gives an answer.
        jwks_uri: Another address of the key set, in the discovery document and at the server.
    """

    def __init__(self, issuer: FakeIssuer) -> None:
        self.requests: list[FetchRequest] = []
        self.headers: dict[str, str] = {}
        self.instead: Answer = lambda _request: None
        self.jwks_uri = issuer.jwks_uri
        self._issuer = issuer
        self._left: dict[str, bytes] = {}

    def move(self, url: str) -> None:
        """Publish the keys at another address from now on; the last one goes on answering as it did."""
        self._left[self.jwks_uri] = self._fetch_keys()
        self.jwks_uri = url

    def fetch(self, request: FetchRequest) -> FetchResponse:
        self.requests.append(request)
        other = self.instead(request)
        if other is not None:
            return other
        if request.url.endswith(DISCOVERY):
            body = json.dumps({"issuer": self._issuer.issuer, "jwks_uri": self.jwks_uri}).encode()
        else:
            body = self._fetch_keys() if request.url == self.jwks_uri else self._left[request.url]
        return FetchResponse(status=200, headers=JSON | self.headers, body=body)

    def asked_for(self, ending: str) -> list[FetchRequest]:
        return [request for request in self.requests if request.url.endswith(ending)]

    def _fetch_keys(self) -> bytes:
        url = self._issuer.jwks_uri
        return self._issuer.fetch(FetchRequest(url=url, headers={}, deadline_seconds=1, max_body_bytes=10**6)).body


@pytest.fixture
def origin(issuer: FakeIssuer) -> Origin:
    return Origin(issuer)


def withdraw(issuer: FakeIssuer, origin: Origin, what: str) -> None:
    """Withdraw the key in the key set, or by a discovery document that names another one."""
    if what == DISCOVERY:
        origin.move("https://issuer.test/moved/jwks.json")
    issuer.rotate(keep_old=False)


def stuck(headers: dict[str, str] | None = None, ending: str = "") -> Answer:
    """Answer 304 to every conditional request for an address, whatever has become of the document."""

    def answer(request: FetchRequest) -> FetchResponse | None:
        is_asked = request.url.endswith(ending) and {"If-None-Match", "If-Modified-Since"} & set(request.headers)
        return FetchResponse(status=304, headers=headers or {}) if is_asked else None

    return answer


# --- NET-027: a real file server --------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["dates", "entity tags"])
def files(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[FileServer]:
    server = FileServer(tmp_path, clock, sends_etags=request.param)
    server.publish(modified=1_600_000_000)
    with server.run():
        yield server


def rotate_to_an_older_file(files: FileServer) -> None:
    files.issuer.rotate(keep_old=False)
    files.publish(modified=1_500_000_000)


def worker(files: FileServer, store: MemoryStore | None = None) -> Verifier:
    return files.issuer.verifier(fetcher=HttpxFetcher(), document_store=store)


def test_the_file_server_answers_304_for_an_older_file(files: FileServer) -> None:
    """The attack works: that is what the tests below are about."""
    fetcher = HttpxFetcher()
    date = {"If-Modified-Since": "Sun, 13 Sep 2020 12:26:40 GMT"}
    rotate_to_an_older_file(files)
    request = FetchRequest(url=files.issuer.jwks_uri, headers=date, deadline_seconds=30, max_body_bytes=10**6)
    assert fetcher.fetch(request).status == (200 if files.sends_etags else 304)


def test_net_027_a_key_in_an_older_file_is_accepted_with_its_first_token(files: FileServer) -> None:
    verifier = worker(files)
    old = lasting_token(files.issuer)
    assert ask(verifier, old) == "accepted"
    rotate_to_an_older_file(files)
    assert ask(verifier, files.issuer.token()) == "accepted"
    assert ask(verifier, old) == Reason.UNKNOWN_KEY.value


@pytest.mark.parametrize("remembered", [False, True], ids=["a new token", "a remembered token"])
def test_net_027_an_older_file_ends_its_keys_within_the_bound(
    files: FileServer, clock: FakeClock, *, remembered: bool
) -> None:
    verifier = worker(files)
    first, never_seen = lasting_token(files.issuer), lasting_token(files.issuer, sub="new")
    assert ask(verifier, first) == "accepted"
    rotate_to_an_older_file(files)
    # Only entity tags are sent back: a 304 to a date says nothing.
    clock.tick(seconds=WORST - 1)
    join_refreshes()
    asked = first if remembered else never_seen
    verifier.verify(asked)
    clock.tick(seconds=1)
    assert ask(verifier, asked) == Reason.UNKNOWN_KEY.value
    sent = {name for headers in files.asked_for(files.issuer.jwks_uri) for name in headers}
    assert sent == ({"If-None-Match"} if files.sends_etags else set())


def test_net_027_an_older_file_ends_its_keys_in_every_worker_of_a_store(files: FileServer, clock: FakeClock) -> None:
    store = MemoryStore()
    old = lasting_token(files.issuer)
    workers = [worker(files, store) for _ in range(3)]
    assert {ask(each, old) for each in workers} == {"accepted"}
    rotate_to_an_older_file(files)
    seconds = trusted_seconds(clock, old, *workers)
    assert POLICY.refresh_ahead * FRESH * (1 - POLICY.refresh_jitter) <= seconds <= WORST


def test_net_027_a_304_to_an_entity_tag_is_used(tmp_path: Path, clock: FakeClock) -> None:
    files = FileServer(tmp_path, clock, sends_etags=True)
    files.publish(modified=1_600_000_000)
    with files.run():
        verifier = worker(files)
        token = lasting_token(files.issuer)
        for _ in range(3):
            assert ask(verifier, token) == "accepted"
            clock.tick(seconds=FRESH)
        asked = files.asked_for(files.issuer.jwks_uri)
        assert [set(headers) for headers in asked] == [set(), {"If-None-Match"}, {"If-None-Match"}]
        assert verifier.status().providers[0].failures == 0


# --- NET-027: 304 answers that confirm nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("what", [DISCOVERY, "jwks.json"], ids=["discovery document", "key set"])
@pytest.mark.parametrize(
    ("headers", "of_304"),
    [
        pytest.param({"ETag": ETAG}, {"ETag": '"v2"'}, id="another entity tag"),
        pytest.param({"ETag": ETAG}, {"etag": 'W/"v2"'}, id="another weak entity tag"),
        pytest.param({"ETag": f"W/{ETAG}"}, {"ETag": ETAG}, id="a strong entity tag of a weak one"),
        pytest.param({"ETag": ETAG}, {"ETag": ""}, id="an empty entity tag"),
        pytest.param({"ETag": ETAG}, {"ETag": f'{ETAG}, "v2"'}, id="two entity tags"),
        pytest.param(
            {"ETag": ETAG, "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
            {"ETag": ETAG, "Last-Modified": "Mon, 07 Nov 1994 08:49:37 GMT"},
            id="another date",
        ),
        pytest.param({"ETag": ETAG}, {"Last-Modified": "Mon, 07 Nov 1994 08:49:37 GMT"}, id="a date out of nowhere"),
    ],
)
def test_net_027_after_a_304_with_another_validator_the_same_refresh_asks_again_without_a_condition(  # noqa: PLR0913 - the parts
    origin: Origin, issuer: FakeIssuer, clock: FakeClock, *, headers: dict[str, str], of_304: dict[str, str], what: str
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    origin.headers = headers
    old = lasting_token(issuer)
    assert ask(verifier, old) == "accepted"
    withdraw(issuer, origin, what)
    origin.instead = stuck(of_304, what)
    clock.tick(seconds=WORST)
    assert ask(verifier, old) == Reason.UNKNOWN_KEY.value
    first, *again = [request.headers.get("If-None-Match") for request in origin.asked_for(what)][1:3]
    assert (first, again) == (headers["ETag"], [None])
    assert verifier.status().providers[0].failures == 0


def test_net_027_a_304_to_a_request_without_a_condition_is_a_fault(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    """The refresh ends; the last good keys are used until the cap, as in any outage."""
    verifier = issuer.verifier(fetcher=origin)
    origin.headers = {"ETag": ETAG}
    token = lasting_token(issuer)
    assert ask(verifier, token) == "accepted"
    origin.instead = lambda request: (
        None if request.url.endswith(DISCOVERY) else FetchResponse(status=304, headers={"ETag": '"v2"'})
    )
    clock.tick(seconds=FRESH)
    assert ask(verifier, token) == "accepted"
    assert len(origin.asked_for("jwks.json")) == 3
    assert "304" in (verifier.status().providers[0].last_error or "")
    clock.tick(seconds=POLICY.stale_if_error_seconds - 1)
    assert ask(verifier, token) == "accepted"
    clock.tick(seconds=1)
    assert ask(verifier, token) == "unavailable"


def test_net_027_a_request_that_is_asked_again_has_one_retry_in_all(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    origin.headers = {"ETag": ETAG}
    token = lasting_token(issuer)
    assert ask(verifier, token) == "accepted"
    answers = iter([503, 304, 503, 503])
    origin.instead = lambda request: (
        None if request.url.endswith(DISCOVERY) else FetchResponse(status=next(answers), headers={"ETag": '"v2"'})
    )
    clock.tick(seconds=FRESH)
    assert ask(verifier, token) == "accepted"
    assert len(origin.asked_for("jwks.json")) == 1 + 3
    assert verifier.status().providers[0].failures == 1


@pytest.mark.parametrize("flaw", ["unknown key", "bad_signature"])
def test_net_027_a_forced_refetch_is_never_conditional_for_either_document(
    origin: Origin, issuer: FakeIssuer, flaw: str
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    origin.headers = {"ETag": ETAG, "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
    origin.instead = stuck()
    assert ask(verifier, issuer.token()) == "accepted"
    asked = len(origin.requests)
    forged = issuer.forge(flaw) if flaw == "bad_signature" else issuer.token(header={"kid": "unknown"})
    assert ask(verifier, forged) != "accepted"
    forced = origin.requests[asked:]
    assert [request.url.endswith(DISCOVERY) for request in forced] == [True, False]
    for request in forced:
        assert not {"If-None-Match", "If-Modified-Since"} & set(request.headers)
        assert request.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("same_kid", [False, True], ids=["another kid", "the same kid"])
def test_net_027_a_stuck_304_stands_in_the_way_of_no_new_key(
    origin: Origin, issuer: FakeIssuer, *, same_kid: bool
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    origin.headers, origin.instead = {"ETag": ETAG}, stuck({"ETag": ETAG})
    old = lasting_token(issuer)
    assert ask(verifier, old) == "accepted"
    issuer.rotate(keep_old=False, same_kid=same_kid)
    assert ask(verifier, issuer.token()) == "accepted"
    assert ask(verifier, old) != "accepted"


@pytest.mark.parametrize("same_kid", [False, True], ids=["another kid", "the same kid"])
def test_net_027_a_304_that_another_worker_has_shared_answers_no_forced_refetch(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock, *, same_kid: bool
) -> None:
    """A fleet shares a confirmation every few seconds; none of them may stand in the way of a new key."""
    store = MemoryStore()
    patient = CachePolicy(refresh_ahead=1, refresh_jitter=0)
    first, second = (
        issuer.verifier(fetcher=origin, document_store=store, cache_policy=policy) for policy in (POLICY, patient)
    )
    origin.headers, origin.instead = {"ETag": ETAG}, stuck({"ETag": ETAG})
    old = lasting_token(issuer)
    assert {ask(each, old) for each in (first, second)} == {"accepted"}
    issuer.rotate(keep_old=False, same_kid=same_kid)
    clock.tick(seconds=FRESH - 1)
    # Refreshed behind the request, by a 304, and shared.
    assert ask(first, old) == "accepted"
    assert store.documents[issuer.jwks_uri].confirmed_at == clock.now()
    asked = len(origin.requests)
    assert ask(second, issuer.token()) == "accepted"
    assert len(origin.requests) == asked + 2


@pytest.mark.parametrize("what", [DISCOVERY, "jwks.json"], ids=["discovery document", "key set"])
@pytest.mark.parametrize(
    ("policy", "max_age_seconds", "bound"),
    [
        pytest.param(POLICY, None, 3600, id="defaults"),
        pytest.param(POLICY, 60, 3600, id="the shortest lifetime"),
        pytest.param(POLICY, 3600, 3600, id="the longest lifetime"),
        pytest.param(CachePolicy(stale_if_error_seconds=0), None, 600, id="failing closed"),
        pytest.param(CachePolicy(stale_if_error_seconds=900), None, 1500, id="a lower cap"),
        pytest.param(CachePolicy(max_fresh_seconds=600), None, 600, id="a lower ceiling"),
    ],
)
def test_net_027_304s_alone_keep_a_withdrawn_key_alive_for_a_bounded_time(  # noqa: PLR0913 - the parts
    origin: Origin, issuer: FakeIssuer, clock: FakeClock, *, policy: CachePolicy, max_age_seconds: float | None,
    bound: float, what: str,
) -> None:  # fmt: skip
    """The same entity tag for another document; only a full response shows the difference."""
    assert policy.worst_case_trust_seconds(max_age_seconds=max_age_seconds, false_304=True) == bound
    store = MemoryStore()
    workers = [issuer.verifier(fetcher=origin, cache_policy=policy, document_store=store) for _ in range(2)]
    alone = issuer.verifier(fetcher=origin, cache_policy=policy)
    origin.headers = {"ETag": ETAG}
    if max_age_seconds is not None:
        origin.headers["Cache-Control"] = f"max-age={max_age_seconds:.0f}"
    old = lasting_token(issuer)
    assert {ask(each, old) for each in (*workers, alone)} == {"accepted"}
    withdraw(issuer, origin, what)
    origin.instead = stuck({"ETag": ETAG}, what)
    healthy = policy.worst_case_trust_seconds(max_age_seconds=max_age_seconds)
    # A worker that starts late takes what the others have confirmed, and counts from the body all the same.
    clock.tick(seconds=0.7 * healthy)
    assert {ask(each, old) for each in (*workers, alone)} == {"accepted"}
    late = issuer.verifier(fetcher=origin, cache_policy=policy, document_store=store)
    seconds = 0.7 * healthy + trusted_seconds(clock, old, *workers, alone, late)
    assert seconds <= bound + 20
    assert any("If-None-Match" in request.headers for request in origin.asked_for(what)) == (bound > healthy)


def test_net_027_a_wall_clock_that_is_set_back_gives_a_stuck_304_no_more_time(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    origin.headers, origin.instead = {"ETag": ETAG}, stuck({"ETag": ETAG})
    old = lasting_token(issuer)
    assert ask(verifier, old) == "accepted"
    issuer.rotate(keep_old=False)
    clock.tick(seconds=FRESH)
    assert ask(verifier, old) == "accepted"
    clock.set_now(clock.now() - 2 * FRESH)
    token = lasting_token(issuer)
    assert token
    bound = POLICY.worst_case_trust_seconds(false_304=True)
    assert FRESH + trusted_seconds(clock, old, verifier) <= bound + 20


# --- NET-028: a key set that moves while the old address answers ------------------------------------------------------


def move(issuer: FakeIssuer, origin: Origin, *, same_kid: bool = False) -> None:
    origin.move("https://issuer.test/moved/jwks.json")
    issuer.rotate(keep_old=False, same_kid=same_kid)


@pytest.mark.parametrize("same_kid", [False, True], ids=["another kid", "the same kid"])
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with a store"])
def test_net_028_the_first_token_of_a_key_at_a_new_address_finds_it(
    origin: Origin, issuer: FakeIssuer, *, same_kid: bool, shared: bool
) -> None:
    store = MemoryStore() if shared else None
    verifier = issuer.verifier(fetcher=origin, document_store=store)
    old = lasting_token(issuer)
    assert ask(verifier, old) == "accepted"
    move(issuer, origin, same_kid=same_kid)
    assert ask(verifier, issuer.token()) == "accepted"
    assert ask(verifier, old) != "accepted"


@pytest.mark.parametrize("max_age_seconds", [None, 60, 300, 86_400])
@pytest.mark.parametrize("remembered", [False, True], ids=["a new token", "a remembered token"])
def test_net_028_a_key_at_an_old_address_is_trusted_for_so_long_and_no_second_more(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock, max_age_seconds: int | None, *, remembered: bool
) -> None:
    worst = POLICY.worst_case_trust_seconds(max_age_seconds=max_age_seconds)
    if max_age_seconds is not None:
        origin.headers = {"Cache-Control": f"max-age={max_age_seconds}"}
    verifier = issuer.verifier(fetcher=origin)
    first, never_seen = lasting_token(issuer), lasting_token(issuer, sub="new")
    # The key set moves in the moment after it was fetched: it cannot be worse.
    assert ask(verifier, first) == "accepted"
    move(issuer, origin)
    asked = first if remembered else never_seen
    clock.tick(seconds=worst - 1)
    # Nothing behind this request may end before the next one: the refresh has to be waited for.
    verifier.verify(asked)
    clock.tick(seconds=1)
    assert ask(verifier, asked) == Reason.UNKNOWN_KEY.value


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with a store"])
def test_net_028_under_traffic_an_old_address_is_left_before_the_bound(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock, *, shared: bool
) -> None:
    store = MemoryStore() if shared else None
    workers = [issuer.verifier(fetcher=origin, document_store=store) for _ in range(3)]
    old = lasting_token(issuer)
    for each in workers:
        assert ask(each, old) == "accepted"
        # Workers that started at different times share documents of different ages.
        clock.tick(seconds=100)
    move(issuer, origin)
    assert trusted_seconds(clock, old, *workers) <= WORST


def test_net_028_keys_are_as_old_as_the_stored_discovery_document_that_led_to_them(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    store = MemoryStore()
    old = lasting_token(issuer)
    assert ask(issuer.verifier(fetcher=origin, document_store=store), old) == "accepted"
    # Only the discovery document is left in the store, and the key set moves.
    del store.documents[issuer.jwks_uri]
    move(issuer, origin)
    clock.tick(seconds=WORST - 1)
    patient = CachePolicy(refresh_ahead=1, refresh_jitter=0)
    late = issuer.verifier(fetcher=origin, document_store=store, cache_policy=patient)
    assert ask(late, old) == "accepted"
    assert late.status().providers[0].age_seconds == WORST - 1
    clock.tick(seconds=1)
    assert ask(late, old) == Reason.UNKNOWN_KEY.value


def test_net_028_an_old_address_is_trusted_in_an_outage_of_discovery_for_so_long_and_no_second_more(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    old = lasting_token(issuer)
    assert ask(verifier, old) == "accepted"
    move(issuer, origin)
    origin.instead = lambda request: FetchResponse(status=500) if request.url.endswith(DISCOVERY) else None
    worst = POLICY.worst_case_trust_seconds(outage=True)
    for _ in range(int(worst / 60) - 1):
        clock.tick(seconds=60)
        assert ask(verifier, old) == "accepted"
    clock.tick(seconds=59)
    verifier.verify(old)
    clock.tick(seconds=1)
    assert ask(verifier, old) == "unavailable"


def test_net_028_random_kids_cost_no_more_discovery_requests_than_their_budget(
    origin: Origin, issuer: FakeIssuer
) -> None:
    verifier = issuer.verifier(fetcher=origin)
    assert ask(verifier, issuer.token()) == "accepted"
    for number in range(50):
        assert ask(verifier, issuer.token(header={"kid": f"random-{number}"})) == Reason.UNKNOWN_KEY.value
    refetches = POLICY.unknown_key_refetches
    assert [len(origin.asked_for(ending)) for ending in (DISCOVERY, "jwks.json")] == [1 + refetches, 1 + refetches]


def test_net_028_a_discovery_endpoint_that_says_nothing_leaves_time_for_the_keys(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    """An issuer that never answers uses all the time of a request, and of its retry."""
    verifier = issuer.verifier(fetcher=origin)
    assert ask(verifier, issuer.token()) == "accepted"
    issuer.rotate(keep_old=False)

    def swallow(request: FetchRequest) -> FetchResponse | None:
        if request.url.endswith(DISCOVERY):
            clock.tick(seconds=request.deadline_seconds)
            return FetchResponse(status=503)
        return None

    origin.instead = swallow
    clock.tick(seconds=FRESH)
    assert ask(verifier, issuer.token()) == "accepted"
    assert origin.requests[-1].deadline_seconds == pytest.approx(POLICY.flight_deadline_seconds / 2 * 1.0, abs=0.01)


def test_a_discovery_document_that_changes_in_what_is_not_read_changes_no_content(
    origin: Origin, issuer: FakeIssuer, clock: FakeClock
) -> None:
    """It is fetched with every set of keys now; a token that was accepted before is not verified again for it."""
    verifier = issuer.verifier(fetcher=origin)
    token = lasting_token(issuer)
    known = verifier.verify(token)
    numbers = count()

    def vary(request: FetchRequest) -> FetchResponse | None:
        if not request.url.endswith(DISCOVERY):
            return None
        members = {"issuer": issuer.issuer, "jwks_uri": origin.jwks_uri, "request": next(numbers)}
        return FetchResponse(status=200, headers=JSON, body=json.dumps(members).encode())

    origin.instead = vary
    clock.tick(seconds=FRESH)
    assert verifier.verify(token) is known
    assert next(numbers) == 1


def test_sec_15_an_empty_key_set_withdraws_nothing_before_the_cap_of_an_outage(
    issuer: FakeIssuer, origin: Origin, clock: FakeClock
) -> None:
    """KEY-036: a set without a usable key is no answer, so the bound is that of an outage."""
    policy = CachePolicy(stale_if_error_seconds=1200)
    with Verifier(issuer.provider, clock=clock, fetcher=origin, cache_policy=policy) as verifier:
        token = lasting_token(issuer)
        assert ask(verifier, token) == "accepted"
        origin.instead = lambda request: (
            FetchResponse(status=200, headers=JSON, body=b'{"keys": []}') if request.url == origin.jwks_uri else None
        )

        clock.tick(seconds=policy.worst_case_trust_seconds(outage=True) - 1)
        assert ask(verifier, token) == "accepted"
        clock.tick(seconds=1)
        assert ask(verifier, token) == "unavailable"
