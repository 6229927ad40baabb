"""What operators see: `status()` in every state, every event and its log line; and the revocation contract."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator

import pytest

from aveverify import (
    CachePolicy,
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
    events,
)
from aveverify._jwks.event_publisher import EventPublisher, describe
from aveverify.events import (
    BudgetExhausted,
    Event,
    FetchFailed,
    KeyReplaced,
    KeysFetched,
    KeysRotated,
    ProviderDown,
    ProviderUp,
    ServedStale,
)
from aveverify.status import ProviderStatus, State
from aveverify.testing import FakeClock, FakeIssuer
from tests.jwks.blocking_fetcher import BlockingFetcher, LateKeys
from tests.jwks.refresh_threads import join_refreshes, refresh_threads

POLICY = CachePolicy()
FRESH = POLICY.fresh_seconds
CAP = FRESH + POLICY.stale_if_error_seconds
HASTY = CachePolicy(waiter_seconds=0.01)


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


def one(verifier: Verifier) -> ProviderStatus:
    """The status of the first provider."""
    return verifier.status().providers[0]


def document_of(issuer: FakeIssuer) -> bytes:
    """The issuer's key set."""
    request = FetchRequest(url=issuer.jwks_uri, headers={}, deadline_seconds=5, max_body_bytes=10**6)
    return issuer.fetch(request).body


def keys_answer(document: bytes) -> FetchResponse:
    return FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=document)


class TestStatus:
    def test_an_unused_verifier_knows_nothing_and_fetches_nothing(self, verifier: Verifier, issuer: FakeIssuer) -> None:
        status = verifier.status()
        assert status.providers == (
            ProviderStatus(
                issuer=issuer.issuer,
                kind="oidc",
                state="unused",
                kids=(),
                thumbprint=None,
                age_seconds=None,
                fresh_until=None,
                usable_until=None,
                last_success_at=None,
                last_error=None,
                failures=0,
                retry_after_seconds=0,
                is_fetching=False,
                unknown_key_refusals=0,
                bad_signature_refusals=0,
            ),
        )
        assert (status.is_ready, status.cached_tokens) == (False, 0)
        assert (issuer.discovery_requests, issuer.jwks_requests) == (0, 0)

    def test_fresh_keys_have_an_age_and_two_ends(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        began = clock.now()
        verifier.verify(issuer.token())
        clock.tick(seconds=100)
        found = one(verifier)
        assert (found.state, found.age_seconds, found.last_success_at) == ("fresh", 100, began)
        assert (found.fresh_until, found.usable_until) == (began + FRESH, began + CAP)
        assert found.kids == tuple(jwk["kid"] for jwk in json.loads(document_of(issuer))["keys"])
        assert (verifier.status().is_ready, verifier.status().cached_tokens) == (True, 1)

    @pytest.mark.parametrize(
        ("age_seconds", "state", "is_ready"),
        [
            (0, "fresh", True),
            (FRESH - 1, "fresh", True),
            (FRESH, "stale", True),
            (CAP - 1, "stale", True),
            (CAP, "unavailable", False),
            (CAP + 86_400, "unavailable", False),
        ],
        ids=["new", "before freshness ends", "at its end", "before the cap", "at the cap", "a day later"],
    )
    def test_the_state_follows_the_age(
        self, verifier: Verifier, clock: FakeClock, age_seconds: float, state: State, *, is_ready: bool
    ) -> None:
        verifier.warm_up()
        clock.tick(seconds=age_seconds)
        assert (one(verifier).state, verifier.status().is_ready) == (state, is_ready)

    def test_rot_019_the_age_is_that_of_the_clock_that_went_further(self, verifier: Verifier, clock: FakeClock) -> None:
        verifier.warm_up()
        clock.set_now(clock.now() + FRESH)
        assert (one(verifier).state, one(verifier).age_seconds) == ("stale", FRESH)
        clock.set_now(clock.now() - 86_400)
        assert (one(verifier).state, one(verifier).age_seconds) == ("fresh", 0)

    def test_an_issuer_that_never_answered_is_unavailable_with_its_cause(
        self, verifier: Verifier, issuer: FakeIssuer
    ) -> None:
        issuer.go_down()
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        found = one(verifier)
        assert (found.state, found.failures, found.last_error) == ("unavailable", 1, "the fake issuer is down")
        assert 0 < found.retry_after_seconds <= POLICY.min_backoff_seconds * (1 + POLICY.refresh_jitter)

    def test_an_outage_shows_beside_the_keys_and_goes_away(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier.warm_up()
        issuer.go_down()
        for failures in (1, 2, 3):
            clock.tick(seconds=FRESH)
            verifier.verify(issuer.token())
            join_refreshes()
            found = one(verifier)
            assert (found.state, found.failures, found.last_error is None) == ("stale", failures, False)
        issuer.come_up()
        clock.tick(seconds=60)
        verifier.verify(issuer.token())
        join_refreshes()
        assert (one(verifier).state, one(verifier).failures, one(verifier).last_error) == ("fresh", 0, None)

    def test_keys_of_the_configuration_have_no_age(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("ES256",), clock=clock)
        jwks = "data:application/json;base64," + base64.b64encode(document_of(issuer)).decode()
        provider = Provider.custom_jwt(issuer=issuer.issuer, jwks=jwks, algorithm="ES256", application_id="app")
        verifier = Verifier(provider, fetcher=issuer, clock=clock)
        clock.tick(seconds=100 * CAP)
        found = one(verifier)
        assert (found.state, found.kind, len(found.kids)) == ("fresh", "customJwt", 1)
        ages = (found.age_seconds, found.fresh_until, found.usable_until, found.last_success_at)
        assert ages == (None, None, None, None)
        assert verifier.status().is_ready
        assert json.dumps(verifier.status().as_dict(), allow_nan=False)

    def test_a_fetch_under_way_shows(self, issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> None:
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
        verifier.warm_up()
        assert not one(verifier).is_fetching
        blocking.block()
        clock.tick(seconds=FRESH * 0.95)
        verifier.verify(issuer.token())
        assert blocking.arrived.wait(30)
        assert one(verifier).is_fetching
        blocking.unblock()
        join_refreshes()
        assert not one(verifier).is_fetching

    def test_refusals_are_counted_by_the_budget_that_was_spent(self, verifier: Verifier, issuer: FakeIssuer) -> None:
        verifier.verify(issuer.token())
        for number in range(POLICY.unknown_key_refetches + 3):
            with pytest.raises(InvalidTokenError):
                verifier.verify(issuer.token(header={"kid": f"random-{number}"}))
        for _ in range(POLICY.bad_signature_refetches + 4):
            with pytest.raises(InvalidTokenError):
                verifier.verify(issuer.forge("bad_signature"))
        assert (one(verifier).unknown_key_refusals, one(verifier).bad_signature_refusals) == (3, 4)

    def test_every_provider_has_an_entry_in_written_order(self, clock: FakeClock) -> None:
        first, second = (FakeIssuer(f"https://{name}.test", clock=clock) for name in ("first", "second"))
        verifier = Verifier(first.provider, second.provider, fetcher=first, clock=clock)
        verifier.verify(first.token())
        states = [(found.issuer, found.state) for found in verifier.status().providers]
        assert states == [(first.issuer, "fresh"), (second.issuer, "unused")]
        assert not verifier.status().is_ready

    @pytest.mark.parametrize("state", ["unused", "fresh", "stale", "unavailable", "failed"])
    def test_it_is_json_in_every_state(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, state: str
    ) -> None:
        if state == "failed":
            issuer.go_down()
        if state != "unused":
            verifier.warm_up()
        clock.tick(seconds={"stale": FRESH, "unavailable": CAP}.get(state, 0))
        status = verifier.status()
        found = json.loads(json.dumps(status.as_dict(), allow_nan=False))
        assert set(found) == {"is_ready", "providers", "cached_tokens"}
        assert found["providers"][0]["state"] == status.providers[0].state
        assert set(found["providers"][0]) == set(ProviderStatus.__dataclass_fields__)

    def test_the_status_of_a_closed_verifier_is_a_mistake(self, verifier: Verifier) -> None:
        verifier.close()
        with pytest.raises(ConfigurationError, match="closed"):
            verifier.status()


class TestThumbprint:
    def test_it_is_equal_on_every_worker_that_holds_the_same_keys_in_any_order(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("RS256", "EdDSA"), clock=clock)
        first, second, third = issuer.verifier(), issuer.verifier(), issuer.verifier()
        first.warm_up()
        second.warm_up()
        turned = json.loads(document_of(issuer))
        turned["keys"] = [dict(reversed(jwk.items())) for jwk in reversed(turned["keys"])]
        issuer.answer_keys_with(keys_answer(json.dumps(turned, indent=2).encode()))
        third.warm_up()
        assert len({one(verifier).thumbprint for verifier in (first, second, third)}) == 1
        assert len(str(one(first).thumbprint)) == 64

    @pytest.mark.parametrize("change", ["another key", "one more key", "another kid", "the same kid with another key"])
    def test_it_differs_where_the_keys_do(self, verifier: Verifier, issuer: FakeIssuer, change: str) -> None:
        verifier.warm_up()
        if change == "another kid":
            renamed = json.loads(document_of(issuer))
            renamed["keys"][0]["kid"] = "renamed"
            issuer.answer_keys_with(keys_answer(json.dumps(renamed).encode()))
        else:
            issuer.rotate(keep_old=change == "one more key", same_kid=change.startswith("the same kid"))
        other = issuer.verifier()
        other.warm_up()
        assert one(other).thumbprint != one(verifier).thumbprint


ISSUERS = ("https://issuer.test",)
# One of each class: the event, its sentence, and whether an operator has to know of it.
SENTENCES: list[tuple[Event, str, bool]] = [
    (KeysFetched(issuers=ISSUERS, kids=("a",), changed=True, fresh_seconds=600), "keys fetched, changed", False),
    (KeysFetched(issuers=ISSUERS, kids=("a",), changed=False, fresh_seconds=600), "keys fetched, unchanged", False),
    (
        KeysRotated(issuers=ISSUERS, added=("b",), removed=(), shares_no_key=False),
        "keys rotated, new 'b', removed none",
        False,
    ),
    (KeyReplaced(issuers=ISSUERS, kids=("a",)), "another key is published under a known kid: 'a'", True),
    (
        FetchFailed(issuers=ISSUERS, cause="the deadline passed", failures=3, retry_after_seconds=4.2),
        "keys not fetched: the deadline passed (failure 3, next attempt in 4 s)",
        True,
    ),
    (ProviderDown(issuers=ISSUERS, has_keys=True), "issuer unreachable, good keys are cached", True),
    (ProviderDown(issuers=ISSUERS, has_keys=False), "issuer unreachable, no keys are cached", True),
    (ProviderUp(issuers=ISSUERS, failures=4), "issuer back after 4 failures", False),
    (
        ServedStale(issuers=ISSUERS, age_seconds=700, usable_seconds=3500),
        "stale keys of 700 s are used, for 3500 s more at most",
        True,
    ),
    (
        BudgetExhausted(issuers=ISSUERS, budget="unknown_key", retry_after_seconds=30),
        "tokens are refused without a refresh, the budget unknown_key is exhausted for 30 s",
        True,
    ),
]


class TestEvents:
    def test_every_class_of_event_has_a_sentence(self) -> None:
        classes = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
        assert {type(event) for event, _, _ in SENTENCES} == classes - {Event}

    @pytest.mark.parametrize(
        ("event", "sentence", "is_warning"), SENTENCES, ids=[f"{type(row[0]).__name__}: {row[1]}" for row in SENTENCES]
    )
    def test_an_event_is_one_line_of_the_log_and_a_call_of_the_listener(
        self, caplog: pytest.LogCaptureFixture, event: Event, sentence: str, *, is_warning: bool
    ) -> None:
        told: list[Event] = []
        with caplog.at_level(logging.INFO, "aveverify"):
            EventPublisher(told.append).publish(event)
        (record,) = caplog.records
        assert record.getMessage() == f"'https://issuer.test': {sentence}"
        assert (record.name, record.levelno) == ("aveverify", logging.WARNING if is_warning else logging.INFO)
        assert told == [event]

    def test_a_future_event_is_named_at_least(self) -> None:
        assert describe(Event(issuers=ISSUERS)) == "Event"

    @pytest.mark.parametrize(("count", "shown", "is_shortened"), [(5, 5, False), (6, 5, True), (100, 5, True)])
    def test_more_than_five_key_ids_are_shortened(self, count: int, shown: int, *, is_shortened: bool) -> None:
        text = describe(KeyReplaced(issuers=ISSUERS, kids=tuple(f"k{number}" for number in range(count))))
        assert text.count("'k") == shown
        assert text.endswith("...") is is_shortened

    def test_err_003_a_hostile_key_id_cannot_forge_or_fill_a_log(self) -> None:
        kid = "a\r\n\x1b[31mWARNING forged" + "x" * 10_000
        text = describe(KeysRotated(issuers=ISSUERS, added=(kid,), removed=(kid,), shares_no_key=True))
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 500

    def test_every_record_names_all_issuers_that_share_the_keys(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "aveverify"):
            EventPublisher(None).publish(ProviderUp(issuers=("https://a.test", "https://b.test/"), failures=1))
        assert caplog.messages == ["'https://a.test', 'https://b.test/': issuer back after 1 failures"]

    def test_a_night_of_failures_writes_one_record_for_each_attempt(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Bounded by the back-off, not by the traffic."""
        verifier.warm_up()
        join_refreshes()
        caplog.clear()
        issuer.go_down()
        clock.tick(seconds=FRESH)
        tokens = [issuer.token(sub=f"u{number}") for number in range(20)]
        with caplog.at_level(logging.INFO, "aveverify"):
            for number in range(2000):
                verifier.verify(tokens[number % len(tokens)])
                join_refreshes()
                clock.tick(seconds=0.1)
        attempts = one(verifier).failures
        assert 200 / 33 <= attempts <= 200 / 27 + 6
        # One for each attempt, `issuer unreachable` and `stale keys are used`.
        assert len(caplog.records) == attempts + 2

    def test_served_stale_is_reported_once_although_a_refresh_that_was_given_up_ends(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        events: list[Event] = []
        late = LateKeys(issuer)
        verifier = Verifier(issuer.provider, fetcher=late, clock=clock, cache_policy=HASTY, on_event=events.append)
        verifier.warm_up()
        join_refreshes()
        late.hold_next()
        clock.tick(seconds=FRESH * 0.95)
        verifier.verify(issuer.token())
        assert late.arrived.wait(30)
        # The keys are stale, and the refresh is past its deadline.
        clock.tick(seconds=FRESH * 0.1)
        verifier.verify(issuer.token())
        # Its keys are good, but they arrive too late to end the outage.
        late.released.set()
        join_refreshes()
        assert one(verifier).state == "stale"
        issuer.go_down()
        clock.tick(seconds=2)
        verifier.verify(issuer.token())
        join_refreshes()
        assert sum(isinstance(event, ServedStale) for event in events) == 1


class TestLeftoverThreads:
    def test_net_007_fetches_that_never_come_back_do_not_pile_up(
        self, issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
    ) -> None:
        """A name look-up that hangs cannot be ended from outside; the fourth such thread is not started."""
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
        blocking.block()
        before = set(refresh_threads())
        causes = []
        for _ in range(12):
            with pytest.raises(KeysUnavailableError) as caught:
                verifier.verify(issuer.token())
            causes.append(str(caught.value))
            clock.tick(seconds=40)
        assert len(set(refresh_threads()) - before) == len(blocking.requests) == 3
        assert "have not come back" in causes[-1]
        assert one(verifier).last_error == "earlier fetches have not come back"
        # As soon as they come back, keys are fetched again.
        blocking.unblock()
        join_refreshes()
        clock.tick(seconds=40)
        assert verifier.verify(issuer.token()).subject

    def test_net_007_with_cached_keys_every_token_is_accepted(
        self, issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
    ) -> None:
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=HASTY)
        verifier.warm_up()
        join_refreshes()
        blocking.block()
        clock.tick(seconds=FRESH)
        for _ in range(50):
            assert verifier.verify(issuer.token()).subject
            clock.tick(seconds=40)


class TestRevocation:
    """SEC-15: how long a removed key is trusted at worst, computed and shown. ROT-004."""

    @pytest.mark.parametrize(
        ("max_age_seconds", "healthy", "outage"),
        [(None, 600, 4200), (60, 60, 3660), (300, 300, 3900), (86_400, 3600, 7200)],
        ids=["no max-age", "a minute", "five minutes", "a day"],
    )
    @pytest.mark.parametrize("is_down", [False, True], ids=["healthy endpoint", "outage"])
    @pytest.mark.parametrize("remembered", [False, True], ids=["a new token", "a token that was seen before"])
    def test_a_removed_key_is_trusted_for_so_long_and_no_second_more(  # noqa: PLR0913 - the parts
        self, clock: FakeClock, *, max_age_seconds: int | None, healthy: float, outage: float, is_down: bool,
        remembered: bool,
    ) -> None:  # fmt: skip
        worst = POLICY.worst_case_trust_seconds(outage=is_down, max_age_seconds=max_age_seconds)
        assert worst == (outage if is_down else healthy)
        issuer = FakeIssuer(clock=clock, max_age_seconds=max_age_seconds)
        exp = int(clock.now()) + 100_000
        token, never_seen = issuer.token(exp=exp), issuer.token(sub="new", exp=exp)
        verifier = issuer.verifier()
        # The key is removed in the moment after it was fetched: it cannot be worse.
        verifier.verify(token)
        issuer.rotate(keep_old=False)
        if is_down:
            issuer.go_down()
        asked = token if remembered else never_seen
        assert self.answer(verifier, clock, asked, worst - 1) == "accepted"
        assert self.answer(verifier, clock, asked, 1) == ("unavailable" if is_down else "refused")

    def answer(self, verifier: Verifier, clock: FakeClock, token: str, seconds: float) -> str:
        """Let time pass without any traffic, and ask."""
        clock.tick(seconds=seconds)
        try:
            verifier.verify(token)
        except KeysUnavailableError:
            return "unavailable"
        except InvalidTokenError as refusal:
            return "refused" if refusal.reason is Reason.UNKNOWN_KEY else refusal.reason.value
        return "accepted"

    @pytest.mark.parametrize("max_age_seconds", [None, 60, 300, 86_400])
    def test_under_traffic_it_is_never_longer(self, clock: FakeClock, max_age_seconds: int | None) -> None:
        issuer = FakeIssuer(clock=clock, max_age_seconds=max_age_seconds)
        token = issuer.token(exp=int(clock.now()) + 100_000)
        verifier = issuer.verifier()
        verifier.verify(token)
        clock.tick(seconds=7)
        issuer.rotate(keep_old=False)
        removed_at = clock.now()
        while True:
            try:
                verifier.verify(token)
            except InvalidTokenError:
                break
            # The refresh ahead has all the time it needs.
            join_refreshes()
            clock.tick(seconds=5)
        worst = POLICY.worst_case_trust_seconds(max_age_seconds=max_age_seconds)
        assert clock.now() - removed_at <= worst

    def test_failing_closed_makes_both_numbers_the_same(self, clock: FakeClock) -> None:
        policy = CachePolicy(stale_if_error_seconds=0)
        assert policy.worst_case_trust_seconds(outage=True) == policy.worst_case_trust_seconds() == FRESH
        issuer = FakeIssuer(clock=clock)
        verifier = issuer.verifier(cache_policy=policy)
        token = issuer.token()
        verifier.verify(token)
        issuer.go_down()
        clock.tick(seconds=FRESH)
        with pytest.raises(KeysUnavailableError):
            verifier.verify(token)
