"""Keys as a verifier sees them: fetched when needed, kept when fetching fails, renewed when they rotate."""

from __future__ import annotations

import base64
import json
import logging
from threading import Thread
from typing import Any

import pytest

from aveverify import (
    CachePolicy,
    ConfigurationError,
    FetchError,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
)
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
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.jwks.blocking_fetcher import BlockingFetcher
from tests.jwks.refresh_threads import join_refreshes

DISCOVERY = "/.well-known/openid-configuration"
FRESH = CachePolicy().fresh_seconds
CAP = FRESH + CachePolicy().stale_if_error_seconds


@pytest.fixture
def blocking(issuer: FakeIssuer) -> BlockingFetcher:
    return BlockingFetcher(issuer)


@pytest.fixture
def waiting_verifier(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider, fetcher=blocking, clock=clock)


def key_requests(blocking: BlockingFetcher) -> int:
    return len(blocking.requests) - blocking.count(DISCOVERY)


class TestFetching:
    def test_two_documents_are_fetched_once_for_many_tokens(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        for number in range(5):
            assert verify_any(waiting_verifier, issuer.token(sub=f"u{number}")).subject == f"u{number}"
        assert (blocking.count(DISCOVERY), key_requests(blocking)) == (1, 1)

    def test_iss_001_an_unroutable_token_costs_no_request(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        with pytest.raises(InvalidTokenError):
            verify_any(waiting_verifier, issuer.token(iss="https://evil.example"))
        assert blocking.requests == []

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            pytest.param({"typ": "at+jwt"}, {}, id="typ"),
            pytest.param({"cty": "JWT"}, {}, id="cty"),
            pytest.param({"crit": ["exp"]}, {}, id="crit"),
            pytest.param({"alg": "PS256"}, {}, id="alg"),
            pytest.param({"alg": 5}, {}, id="alg of a wrong type"),
            pytest.param({}, {"aud": ["app_test", "other"]}, id="a second audience"),
            pytest.param({}, {"email": 1}, id="a claim of a wrong type"),
            pytest.param({}, {"sub": ""}, id="an empty subject"),
        ],
    )
    def test_whatever_is_refused_by_its_own_words_costs_no_request(
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        header: dict[str, Any],
        claims: dict[str, Any],
    ) -> None:
        with pytest.raises(InvalidTokenError):
            waiting_verifier.verify(issuer.token(claims, header=header))
        assert blocking.requests == []

    def test_without_usable_keys_the_keys_decide_first(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        """Unavailable, not expired: nothing is known of a token whose key cannot be had."""
        issuer.go_down()
        with pytest.raises(KeysUnavailableError):
            verify_any(waiting_verifier, issuer.forge("expired"))

    def test_providers_of_one_issuer_share_their_keys(
        self, issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
    ) -> None:
        first = issuer.provider
        second = Provider(issuer=first.issuer, application_id="app_other", leeway_seconds=10)
        verifier = Verifier(first, second, fetcher=blocking, clock=clock)
        verifier.verify(issuer.token())
        assert verifier.verify(issuer.token(aud="app_other")).provider == second
        assert len(blocking.requests) == 2

    def test_a_key_address_of_ones_own_needs_no_discovery_document(
        self, issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock
    ) -> None:
        metadata = json.loads(issuer.fetch(request(issuer.issuer + DISCOVERY)).body)
        provider = Provider(issuer=issuer.issuer, application_id="app_test", jwks_uri=metadata["jwks_uri"])
        verifier = Verifier(provider, fetcher=blocking, clock=clock)
        assert verifier.verify(issuer.token()).issuer == issuer.issuer
        assert blocking.count(DISCOVERY) == 0
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(issuer.token(iss=issuer.issuer + "/"))
        assert caught.value.reason is Reason.ISSUER_MISMATCH

    def test_a_discovery_address_of_ones_own_is_asked(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        fetcher = Moved(issuer, "https://internal.example/metadata", issuer.issuer + DISCOVERY)
        provider = Provider(
            issuer=issuer.issuer, application_id="app_test", discovery_url="https://internal.example/metadata"
        )
        assert Verifier(provider, fetcher=fetcher, clock=clock).verify(issuer.token()).subject

    def test_a_document_that_speaks_for_one_of_two_providers_is_unavailable_to_the_other(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        shared = issuer.issuer + DISCOVERY
        providers = [
            Provider(issuer=text, application_id="app_test", discovery_url=shared)
            for text in (issuer.issuer, "https://other.example")
        ]
        verifier = Verifier(*providers, fetcher=issuer, clock=clock)
        assert verifier.verify(issuer.token()).provider == providers[0]
        with pytest.raises(KeysUnavailableError) as caught:
            verifier.verify(issuer.token(iss="https://other.example"))
        assert caught.value.convex_code == "AuthProviderDiscoveryFailed"

    def test_jwks_01_a_data_url_is_never_fetched_and_its_unknown_keys_are_refused(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("ES256",), clock=clock)
        document = issuer.fetch(request(json.loads(issuer.fetch(request(issuer.issuer + DISCOVERY)).body)["jwks_uri"]))
        jwks = "data:application/json;base64," + base64.b64encode(document.body).decode()
        provider = Provider.custom_jwt(issuer=issuer.issuer, jwks=jwks, algorithm="ES256", application_id="app_test")
        blocking = BlockingFetcher(issuer)
        verifier = Verifier(provider, fetcher=blocking, clock=clock)
        assert verifier.verify(issuer.token(algorithm="ES256")).subject
        clock.tick(seconds=10 * CAP)
        assert verifier.verify(issuer.token(algorithm="ES256")).subject
        issuer.rotate(keep_old=False)
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(issuer.token(algorithm="ES256"))
        assert caught.value.reason is Reason.UNKNOWN_KEY
        assert blocking.requests == []


class TestRotation:
    def test_rot_002_the_first_token_of_a_new_key_is_accepted(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        verify_any(waiting_verifier, issuer.token())
        issuer.rotate()
        assert verify_any(waiting_verifier, issuer.token()).subject
        assert key_requests(blocking) == 2
        assert blocking.requests[-1].headers["Cache-Control"] == "no-cache"

    def test_hdr_030_random_kids_cannot_flood_the_issuer(
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        clock: FakeClock,
        verify_any: VerifyAny,
    ) -> None:
        verify_any(waiting_verifier, issuer.token())
        for number in range(50):
            with pytest.raises(InvalidTokenError) as caught:
                verify_any(waiting_verifier, issuer.token(header={"kid": f"random-{number}"}))
            assert caught.value.reason is Reason.UNKNOWN_KEY
        assert key_requests(blocking) == 3
        clock.tick(seconds=30)
        for number in range(50):
            with pytest.raises(InvalidTokenError):
                verify_any(waiting_verifier, issuer.token(header={"kid": f"random-{number}"}))
        assert key_requests(blocking) == 5

    def test_rot_003_two_rotations_within_the_window_are_both_seen(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        waiting_verifier.verify(issuer.token())
        for _ in range(2):
            issuer.rotate()
            clock.tick(seconds=10)
            assert waiting_verifier.verify(issuer.token()).subject

    def test_rot_016_a_kid_that_was_unknown_is_known_once_it_is_published(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """Nothing is remembered per kid."""
        before = FakeIssuer(clock=clock)
        with pytest.raises(InvalidTokenError):
            waiting_verifier.verify(before.token(iss=issuer.issuer))
        issuer.rotate()
        clock.tick(seconds=1)
        assert waiting_verifier.verify(issuer.token()).subject

    @pytest.mark.parametrize("claims", [{"exp": 1}], ids=["expired"])
    def test_a_token_that_would_be_refused_anyway_spends_no_refetch(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, claims: dict[str, Any]
    ) -> None:
        waiting_verifier.verify(issuer.token())
        with pytest.raises(InvalidTokenError) as caught:
            waiting_verifier.verify(issuer.token(claims, header={"kid": "other"}))
        assert caught.value.reason is Reason.UNKNOWN_KEY
        assert key_requests(blocking) == 1

    def test_rot_005_a_key_that_changed_under_its_kid_is_seen_at_the_first_bad_signature(
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        clock: FakeClock,
        verify_any: VerifyAny,
    ) -> None:
        old = issuer.token()
        verify_any(waiting_verifier, old)
        clock.tick(seconds=1)
        issuer.rotate(same_kid=True)
        assert verify_any(waiting_verifier, issuer.token()).subject
        with pytest.raises(InvalidTokenError) as caught:
            verify_any(waiting_verifier, old)
        assert caught.value.reason is Reason.BAD_SIGNATURE
        assert key_requests(blocking) == 2

    def test_forged_tokens_cause_one_refetch_a_minute(
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        clock: FakeClock,
        verify_any: VerifyAny,
    ) -> None:
        verify_any(waiting_verifier, issuer.token())
        for _ in range(20):
            with pytest.raises(InvalidTokenError) as caught:
                verify_any(waiting_verifier, issuer.forge("bad_signature"))
            assert caught.value.reason is Reason.BAD_SIGNATURE
        assert key_requests(blocking) == 2
        clock.tick(seconds=60)
        with pytest.raises(InvalidTokenError):
            verify_any(waiting_verifier, issuer.forge("bad_signature"))
        assert key_requests(blocking) == 3

    def test_rot_004_a_removed_key_is_refused_after_the_next_refresh_from_the_token_cache_too(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        old = issuer.token()
        assert verify_any(waiting_verifier, old).subject
        issuer.rotate(keep_old=False)
        assert verify_any(waiting_verifier, old).subject
        clock.tick(seconds=FRESH)
        with pytest.raises(InvalidTokenError) as caught:
            verify_any(waiting_verifier, old)
        assert caught.value.reason is Reason.UNKNOWN_KEY

    def test_dsc_015_a_key_set_that_moved_is_found_through_the_discovery_document(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        moving = MovingKeys(issuer)
        verifier = Verifier(issuer.provider, fetcher=moving, clock=clock)
        verifier.verify(issuer.token())
        moving.move("https://issuer.test/moved")
        issuer.rotate()
        clock.tick(seconds=1)
        assert verifier.verify(issuer.token()).subject
        assert moving.asked[-3:] == ["/jwks", DISCOVERY, "/moved"]


class TestOutage:
    def test_an_outage_during_rotation_keeps_serving_known_keys(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        """An issuer outage must not log out users whose key we already hold."""
        before = verify_any(waiting_verifier, issuer.token())
        issuer.go_down()
        clock.tick(seconds=FRESH + 1)
        assert verify_any(waiting_verifier, issuer.token()).subject == before.subject

    @pytest.mark.parametrize(
        ("age_seconds", "available"),
        [(CAP - 1, True), (CAP, False), (CAP + 1, False)],
        ids=["just before the cap", "at the cap", "after the cap"],
    )
    def test_rot_006_the_last_good_keys_serve_until_the_cap(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, age_seconds: float, *, available: bool
    ) -> None:
        waiting_verifier.verify(issuer.token())
        issuer.go_down()
        clock.tick(seconds=age_seconds)
        if available:
            assert waiting_verifier.verify(issuer.token()).subject
        else:
            with pytest.raises(KeysUnavailableError):
                waiting_verifier.verify(issuer.token())

    def test_rot_007_a_cold_outage_is_quick_after_the_first_attempt_and_recovers_by_itself(
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        clock: FakeClock,
        verify_any: VerifyAny,
    ) -> None:
        issuer.go_down()
        token = issuer.token()
        with pytest.raises(KeysUnavailableError) as caught:
            verify_any(waiting_verifier, token)
        assert caught.value.retry_after_seconds >= 1
        asked = len(blocking.requests)
        with pytest.raises(KeysUnavailableError):
            verify_any(waiting_verifier, token)
        assert len(blocking.requests) == asked
        issuer.come_up()
        clock.tick(seconds=2)
        assert verify_any(waiting_verifier, token).subject

    def test_net_021_a_failing_issuer_is_asked_ever_more_rarely(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        issuer.go_down()
        attempts = 0
        for _ in range(300):
            before = len(blocking.requests)
            with pytest.raises(KeysUnavailableError):
                waiting_verifier.verify(issuer.token(sub="u"))
            attempts += len(blocking.requests) > before
            clock.tick(seconds=1)
        # 1, 2, 4, 8, 16, then every 30 s with jitter.
        assert 10 <= attempts <= 18

    def test_a_new_key_during_an_outage_is_unavailable_not_refused(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        verify_any(waiting_verifier, issuer.token())
        issuer.rotate()
        issuer.go_down()
        clock.tick(seconds=1)
        with pytest.raises(KeysUnavailableError):
            verify_any(waiting_verifier, issuer.token())

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_one_more_try_is_made_at_once_where_that_is_worth_it(
        self, issuer: FakeIssuer, clock: FakeClock, status: int
    ) -> None:
        shaky = Shaky(issuer, FetchResponse(status=status))
        assert Verifier(issuer.provider, fetcher=shaky, clock=clock).verify(issuer.token()).subject

    def test_a_lost_connection_is_worth_one_more_try(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        shaky = Shaky(issuer, FetchError("no connection"))
        assert Verifier(issuer.provider, fetcher=shaky, clock=clock).verify(issuer.token()).subject

    def test_what_would_fail_again_is_not_asked_again(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        """Ten megabytes are not fetched twice."""
        shaky = Shaky(issuer, FetchError("the response is too long", worth_a_retry=False))
        with pytest.raises(KeysUnavailableError, match="too long"):
            Verifier(issuer.provider, fetcher=shaky, clock=clock).verify(issuer.token())
        assert shaky.calls == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
    def test_other_answers_are_not_asked_again(self, issuer: FakeIssuer, clock: FakeClock, status: int) -> None:
        shaky = Shaky(issuer, FetchResponse(status=status, headers={"Retry-After": "120"}))
        verifier = Verifier(issuer.provider, fetcher=shaky, clock=clock)
        with pytest.raises(KeysUnavailableError) as caught:
            verifier.verify(issuer.token())
        assert caught.value.retry_after_seconds == 120
        assert shaky.calls == 1

    def test_any_exception_of_a_custom_fetcher_counts_as_a_failed_fetch(
        self, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        shaky = Shaky(issuer, ZeroDivisionError("secret"))
        with pytest.raises(KeysUnavailableError) as caught:
            verify_any(Verifier(issuer.provider, fetcher=shaky, clock=clock), issuer.token())
        assert "ZeroDivisionError" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_net_001_a_custom_fetcher_is_held_to_the_size_limit_too(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        shaky = Shaky(issuer, FetchResponse(status=200, body=b" " * (512 * 1024 + 1)))
        with pytest.raises(KeysUnavailableError):
            Verifier(issuer.provider, fetcher=shaky, clock=clock).verify(issuer.token())

    def test_rot_008_garbage_after_a_good_set_leaves_the_good_set(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        waiting_verifier.verify(issuer.token())
        issuer.answer_keys_with(FetchResponse(status=200, headers={"content-type": "application/json"}, body=b"<p>"))
        clock.tick(seconds=FRESH + 1)
        assert waiting_verifier.verify(issuer.token()).subject

    @pytest.mark.parametrize(
        ("age_seconds", "is_accepted"),
        [(FRESH, True), (CAP - 1, True), (CAP, False)],
        ids=["stale", "just before the cap", "at the cap"],
    )
    def test_net_028_the_last_address_serves_until_the_cap_while_discovery_is_down(
        self, issuer: FakeIssuer, clock: FakeClock, *, age_seconds: float, is_accepted: bool
    ) -> None:
        """New keys at that address count, too; how long they do is counted from the last discovery document."""
        moving = MovingKeys(issuer)
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=moving, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        moving.discovery_is_down = True
        issuer.rotate(keep_old=False)
        clock.tick(seconds=age_seconds)
        token = issuer.token()
        if is_accepted:
            assert verifier.verify(token).subject
        else:
            with pytest.raises(KeysUnavailableError):
                verifier.verify(token)
        status = verifier.status().providers[0]
        assert (status.age_seconds, status.failures) == (age_seconds, 1)
        finish_refreshes(verifier)
        # Nothing is hidden: neither the outage nor the rotation.
        assert [type(event) for event in told if not isinstance(event, ServedStale)] == [
            KeysFetched, FetchFailed, ProviderDown, KeysRotated
        ]  # fmt: skip
        clock.tick(seconds=60)
        moving.discovery_is_down = False
        verifier.warm_up()
        join_refreshes()
        assert verifier.status().providers[0].age_seconds == 0

    def test_net_028_a_new_key_while_discovery_is_down_is_unavailable_not_refused(
        self, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        """It may stand at an address that only the discovery document names."""
        moving = MovingKeys(issuer)
        verifier = Verifier(issuer.provider, fetcher=moving, clock=clock)
        verify_any(verifier, issuer.token())
        moving.discovery_is_down = True
        with pytest.raises(KeysUnavailableError):
            verify_any(verifier, issuer.token(header={"kid": "moved"}))

    @pytest.mark.parametrize(("discovery_seconds", "asked"), [(FRESH, 1), (FRESH + 1, 2)], ids=["too old", "not yet"])
    def test_the_last_address_serves_no_longer_than_the_policy_says(
        self, issuer: FakeIssuer, clock: FakeClock, *, discovery_seconds: float, asked: int
    ) -> None:
        moving = MovingKeys(issuer)
        policy = CachePolicy(discovery_seconds=discovery_seconds)
        verifier = Verifier(issuer.provider, fetcher=moving, clock=clock, cache_policy=policy)
        verifier.verify(issuer.token())
        moving.discovery_is_down = True
        clock.tick(seconds=FRESH)
        verifier.verify(issuer.token())
        assert len(moving.asked) - moving.asked.count(DISCOVERY) == asked

    def test_net_010_an_issuer_that_asks_to_be_left_alone_is_not_asked_for_its_keys(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier = issuer.verifier()
        verifier.verify(issuer.token())
        issuer.answer_discovery_with(FetchResponse(status=429, headers={"Retry-After": "120"}))
        clock.tick(seconds=FRESH)
        assert verifier.verify(issuer.token()).subject
        assert (issuer.discovery_requests, issuer.jwks_requests) == (2, 1)
        assert verifier.status().providers[0].retry_after_seconds == 120

    def test_a_discovery_document_of_another_issuer_is_a_failed_fetch(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        nonsense = b'{"issuer":"https://other.example","jwks_uri":"https://other.example/jwks"}'
        shaky = Shaky(issuer, FetchResponse(status=200, body=nonsense))
        with pytest.raises(KeysUnavailableError) as caught:
            Verifier(issuer.provider, fetcher=shaky, clock=clock).verify(issuer.token())
        assert "another issuer" in str(caught.value)

    def test_if_no_thread_can_be_started_no_caller_waits_in_vain(
        self, waiting_verifier: Verifier, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_thread: Thread) -> None:
            message = "can't start new thread"
            raise RuntimeError(message)

        monkeypatch.setattr(Thread, "start", refuse)
        with pytest.raises(KeysUnavailableError, match="no thread"):
            waiting_verifier.verify(issuer.token())


class TestEvents:
    def test_fetches_and_failures_are_events(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        issuer.go_down()
        clock.tick(seconds=FRESH)
        verifier.verify(issuer.token())
        verifier.verify(issuer.token())
        finish_refreshes(verifier)
        kinds = [type(event) for event in told]
        # The refresh reports its failure while its waiters continue with the stale keys.
        assert [kind for kind in kinds if kind is not ServedStale] == [KeysFetched, FetchFailed, ProviderDown]
        assert kinds.count(ServedStale) == 1
        issuer.come_up()
        clock.tick(seconds=60)
        verifier.warm_up()
        finish_refreshes(verifier)
        assert [type(event) for event in told[4:]] == [ProviderUp, KeysFetched]
        assert all(event.issuers == (issuer.issuer,) for event in told)

    def test_equal_content_is_not_a_change(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        clock.tick(seconds=FRESH)
        verifier.verify(issuer.token())
        finish_refreshes(verifier)
        assert [event.changed for event in told if isinstance(event, KeysFetched)] == [True, False]

    def test_the_event_of_a_rotation_has_its_kids(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        issuer.rotate()
        verifier.verify(issuer.token())
        issuer.rotate(keep_old=False)
        verifier.verify(issuer.token())
        finish_refreshes(verifier)
        soft, hard = [event for event in told if isinstance(event, KeysRotated)]
        assert (len(soft.added), soft.removed, soft.shares_no_key) == (1, (), False)
        assert (len(hard.added), len(hard.removed), hard.shares_no_key) == (1, 2, True)

    def test_another_key_under_a_known_kid_is_an_event(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        issuer.rotate(same_kid=True)
        verifier.verify(issuer.token())
        finish_refreshes(verifier)
        (replaced,) = [event for event in told if isinstance(event, KeyReplaced)]
        assert len(replaced.kids) == 1

    def test_a_spent_budget_is_reported_once_for_each_window(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        for _ in range(2):
            for number in range(20):
                with pytest.raises(InvalidTokenError):
                    verifier.verify(issuer.token(header={"kid": f"random-{number}"}))
            clock.tick(seconds=30)
        finish_refreshes(verifier)
        spent = [event for event in told if isinstance(event, BudgetExhausted)]
        assert [(event.budget, event.retry_after_seconds) for event in spent] == [("unknown_key", 30.0)] * 2
        assert verifier.status().providers[0].unknown_key_refusals == 36

    def test_a_spent_budget_refuses_no_token_once_the_issuer_is_down(
        self, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """A rotation during an outage must not log everyone out, however many were refused before."""
        policy = CachePolicy(unknown_key_window_seconds=2 * FRESH)
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, cache_policy=policy)
        verifier.verify(issuer.token())
        stranger = issuer.token(header={"kid": "stranger"})
        for _ in range(5):
            with pytest.raises(InvalidTokenError):
                verifier.verify(stranger)
        issuer.go_down()
        clock.tick(seconds=FRESH - 1)
        assert verifier.verify(issuer.token()).subject
        finish_refreshes(verifier)
        with pytest.raises(KeysUnavailableError):
            verifier.verify(stranger)
        assert verifier.status().providers[0].unknown_key_refusals == 3

    def test_a_budget_that_is_spent_refuses_while_a_refresh_is_under_way(
        self, issuer: FakeIssuer, clock: FakeClock, blocking: BlockingFetcher
    ) -> None:
        policy = CachePolicy(bad_signature_window_seconds=2 * FRESH)
        verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock, cache_policy=policy)
        verifier.verify(issuer.token())
        forged = issuer.forge("bad_signature")
        for _ in range(2):
            with pytest.raises(InvalidTokenError):
                verifier.verify(forged)
        clock.tick(seconds=FRESH - 1)
        blocking.block()
        assert verifier.verify(issuer.token()).subject
        for _ in range(2):
            with pytest.raises(InvalidTokenError):
                verifier.verify(forged)
        blocking.unblock()
        finish_refreshes(verifier)
        assert verifier.status().providers[0].bad_signature_refusals == 3

    def test_an_exception_of_on_event_is_logged_and_changes_nothing(
        self, issuer: FakeIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        def listener(_event: Event) -> None:
            message = "listener"
            raise LookupError(message)

        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=listener)
        with caplog.at_level(logging.ERROR, "aveverify"):
            assert verifier.verify(issuer.token()).subject
            finish_refreshes(verifier)
        assert "on_event raised" in caplog.text

    def test_a_second_outage_is_reported_like_the_first(self, issuer: FakeIssuer, clock: FakeClock) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, on_event=told.append)
        verifier.verify(issuer.token())
        for outage in (1, 2):
            issuer.go_down()
            clock.tick(seconds=FRESH)
            for number in range(3):
                verifier.verify(issuer.token(sub=f"u{number}"))
            finish_refreshes(verifier)
            assert [type(event) for event in told].count(ServedStale) == outage
            issuer.come_up()
            clock.tick(seconds=60)
            verifier.warm_up()
            finish_refreshes(verifier)
            assert verifier.status().providers[0].state == "fresh"

    @pytest.mark.parametrize(("jump_seconds", "asked"), [(FRESH * 0.7, 1), (FRESH * 0.9, 2)], ids=["not yet", "due"])
    def test_rot_019_a_remembered_token_makes_keys_refresh_that_are_due_by_the_wall_clock_alone(  # noqa: PLR0913 - parts
        self,
        waiting_verifier: Verifier,
        blocking: BlockingFetcher,
        issuer: FakeIssuer,
        clock: FakeClock,
        *,
        jump_seconds: float,
        asked: int,
    ) -> None:
        """The machine was suspended: the monotonic clock stood still, and the token cache must look at both."""
        token = issuer.token()
        known = waiting_verifier.verify(token)
        clock.set_now(clock.now() + jump_seconds)
        assert waiting_verifier.verify(token) is known
        join_refreshes()
        assert key_requests(blocking) == asked


def finish_refreshes(verifier: Verifier) -> None:
    """Wait until no refresh is running, not even one without a waiter."""
    join_refreshes()
    assert not verifier.status().providers[0].is_fetching


class TestWarmUp:
    def test_keys_are_fetched_before_the_first_token(
        self, waiting_verifier: Verifier, blocking: BlockingFetcher, issuer: FakeIssuer
    ) -> None:
        waiting_verifier.warm_up()
        assert len(blocking.requests) == 2
        waiting_verifier.verify(issuer.token())
        assert len(blocking.requests) == 2

    def test_rot_020_a_failing_warm_up_is_silent_or_fatal_by_choice(
        self, waiting_verifier: Verifier, issuer: FakeIssuer
    ) -> None:
        issuer.go_down()
        waiting_verifier.warm_up()
        with pytest.raises(KeysUnavailableError):
            waiting_verifier.warm_up(fail_closed=True)


def test_a_policy_is_checked_when_it_is_built() -> None:
    with pytest.raises(ConfigurationError):
        CachePolicy(waiter_seconds=0)


def request(url: str) -> FetchRequest:
    return FetchRequest(url=url, headers={}, deadline_seconds=5, max_body_bytes=1_000_000)


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


class Shaky:
    """Answers the first request wrongly, all others rightly."""

    def __init__(self, issuer: FakeIssuer, first: FetchResponse | Exception) -> None:
        self.calls = 0
        self._issuer = issuer
        self._first = first

    def fetch(self, request: FetchRequest) -> FetchResponse:
        self.calls += 1
        if self.calls > 1:
            return self._issuer.fetch(request)
        if isinstance(self._first, Exception):
            raise self._first
        return self._first


class Moved:
    """Serves one address under another name."""

    def __init__(self, issuer: FakeIssuer, asked: str, meant: str) -> None:
        self._issuer = issuer
        self._names = {asked: meant}

    def fetch(self, request: FetchRequest) -> FetchResponse:
        url = self._names.get(request.url, request.url)
        return self._issuer.fetch(
            FetchRequest(url=url, headers={}, deadline_seconds=5, max_body_bytes=request.max_body_bytes)
        )


class MovingKeys:
    """An issuer whose key set can move, and whose discovery document can vanish."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self.asked: list[str] = []
        self.discovery_is_down = False
        self._issuer = issuer
        self._home = json.loads(issuer.fetch(request(issuer.issuer + DISCOVERY)).body)["jwks_uri"]
        self._keys_at = "https://issuer.test/jwks"

    def move(self, url: str) -> None:
        self._keys_at = url

    def fetch(self, request_: FetchRequest) -> FetchResponse:
        self.asked.append(path_of(request_.url))
        if request_.url == self._issuer.issuer + DISCOVERY:
            if self.discovery_is_down:
                return FetchResponse(status=500)
            body = json.dumps({"issuer": self._issuer.issuer, "jwks_uri": self._keys_at}).encode()
            return FetchResponse(status=200, headers={"content-type": "application/json"}, body=body)
        if request_.url != self._keys_at:
            return FetchResponse(status=404)
        return self._issuer.fetch(request(self._home))
