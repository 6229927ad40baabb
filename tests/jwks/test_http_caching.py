"""What an issuer's HTTP headers do to the keys: validators, freshness, and when to come back. RFC 9110, RFC 9111.

Everything is seen from outside: requests at the issuer, `status()`, verdicts. ROT-009, ROT-010, NET-009, NET-010.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from aveverify import (
    CachePolicy,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Verifier,
)
from aveverify.events import Event, KeysFetched, KeysRotated
from aveverify.status import ProviderStatus
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.jwks.refresh_threads import join_refreshes

DISCOVERY = "/.well-known/openid-configuration"
POLICY = CachePolicy()
LEAST, DEFAULT, MOST = POLICY.min_fresh_seconds, POLICY.fresh_seconds, POLICY.max_fresh_seconds
ETAG = '"v1"'
LAST_MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"

Pairs = tuple[tuple[str, str], ...]
Headers = dict[str, str] | Pairs


class Origin:
    """A fake issuer with other headers on its key set, and other answers where a test wants them.

    Attributes:
        requests: Every request, in order.
        headers: Headers of the key set, beside its type.
        discovery_headers: Headers of the discovery document, beside its type.
        instead: Answers instead of the key set, where it gives an answer.
        discovery_instead: The same for the discovery document.
    """

    def __init__(self, issuer: FakeIssuer) -> None:
        self.requests: list[FetchRequest] = []
        self.headers: Headers = ()
        self.discovery_headers: Headers = ()
        self.instead: Callable[[FetchRequest], FetchResponse | None] = lambda _request: None
        self.discovery_instead: Callable[[FetchRequest], FetchResponse | None] = lambda _request: None
        self._issuer = issuer

    def fetch(self, request: FetchRequest) -> FetchResponse:
        self.requests.append(request)
        is_discovery = request.url.endswith(DISCOVERY)
        other = self.discovery_instead(request) if is_discovery else self.instead(request)
        if other is not None:
            return other
        answer = self._issuer.fetch(request)
        more = self.discovery_headers if is_discovery else self.headers
        pairs = more.items() if isinstance(more, dict) else more
        return FetchResponse(status=answer.status, headers=(*dict(answer.headers).items(), *pairs), body=answer.body)

    @property
    def key_requests(self) -> list[FetchRequest]:
        return [request for request in self.requests if not request.url.endswith(DISCOVERY)]


@pytest.fixture
def origin(issuer: FakeIssuer) -> Origin:
    return Origin(issuer)


@pytest.fixture
def asking(issuer: FakeIssuer, origin: Origin, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider, fetcher=origin, clock=clock)


def status_of(verifier: Verifier) -> ProviderStatus:
    return verifier.status().providers[0]


def fresh_seconds(verifier: Verifier, clock: FakeClock) -> float:
    """For how much longer the keys are fresh."""
    fresh_until = status_of(verifier).fresh_until
    assert fresh_until is not None
    return fresh_until - clock.now()


def not_modified(headers: Headers = ()) -> Callable[[FetchRequest], FetchResponse | None]:
    """Answer 304 to every conditional request."""

    def answer(request: FetchRequest) -> FetchResponse | None:
        return FetchResponse(status=304, headers=headers) if "If-None-Match" in request.headers else None

    return answer


class TestValidators:
    def test_rot_010_validators_are_sent_back(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.headers = {"ETag": ETAG, "Last-Modified": LAST_MODIFIED}
        asking.verify(issuer.token())
        assert not {"If-None-Match", "If-Modified-Since"} & set(origin.key_requests[0].headers)
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        asked = origin.key_requests[1].headers
        assert asked["If-None-Match"] == ETAG
        assert "If-Modified-Since" not in asked

    def test_rot_010_each_document_has_validators_of_its_own(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.headers, origin.discovery_headers = {"ETag": ETAG}, {"ETag": '"metadata"'}
        asking.verify(issuer.token())
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        assert [request.headers.get("If-None-Match") for request in origin.requests] == [
            None, None, '"metadata"', ETAG
        ]  # fmt: skip

    def test_rot_010_a_304_renews_the_freshness_of_the_same_keys(
        self, issuer: FakeIssuer, origin: Origin, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        told: list[Event] = []
        verifier = Verifier(issuer.provider, fetcher=origin, clock=clock, on_event=told.append)
        origin.headers, origin.instead = {"ETag": ETAG}, not_modified()
        token = issuer.token()
        known = verify_any(verifier, token)
        join_refreshes()
        clock.tick(seconds=DEFAULT)
        # The token cache lives on: not a copy of the identity, the same one.
        assert verify_any(verifier, token) is known
        status = status_of(verifier)
        assert (status.state, status.age_seconds, status.failures) == ("fresh", 0, 0)
        join_refreshes()
        assert [event.changed for event in told if isinstance(event, KeysFetched)] == [True, False]
        assert not any(isinstance(event, KeysRotated) for event in told)
        assert len(origin.key_requests) == 2

    def test_rot_010_the_lifetime_of_a_304_replaces_that_of_the_set(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """RFC 9111 §4.3.4: a new lifetime counts, what is not said stays."""
        origin.headers = {"ETag": ETAG, "Cache-Control": "max-age=300", "Last-Modified": LAST_MODIFIED}
        origin.instead = not_modified({"etag": f"W/{ETAG}", "cache-control": "max-age=1200"})
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == 300
        clock.tick(seconds=300)
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == 1200
        clock.tick(seconds=1200)
        asking.verify(issuer.token())
        assert origin.key_requests[2].headers["If-None-Match"] == ETAG

    def test_a_304_without_a_lifetime_keeps_the_lifetime_of_the_set(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.headers, origin.instead = {"ETag": ETAG, "Cache-Control": "max-age=300"}, not_modified()
        asking.verify(issuer.token())
        clock.tick(seconds=300)
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == 300

    def test_the_type_of_a_304_says_nothing_about_the_set(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """A 304 has no body; frameworks send the type of their error pages with it."""
        origin.headers, origin.instead = {"ETag": ETAG}, not_modified({"Content-Type": "text/html; charset=UTF-8"})
        asking.verify(issuer.token())
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        assert status_of(asking).state == "fresh"

    def test_the_age_of_an_older_answer_does_not_shorten_a_304(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """RFC 9111 §4.2.3: the age is that of this response; without the header it is zero."""
        origin.headers = {"ETag": ETAG, "Cache-Control": "max-age=1000", "Age": "900"}
        origin.instead = not_modified()
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == 100
        clock.tick(seconds=100)
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == 1000

    def test_rot_010_a_304_to_an_unconditional_request_is_a_failure(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=304, headers={"ETag": ETAG})
        with pytest.raises(KeysUnavailableError, match="status 304"):
            verify_any(asking, issuer.token())

    def test_rot_010_a_body_of_a_304_is_not_read(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        stranger = FakeIssuer(clock=clock)
        theirs = stranger.fetch(FetchRequest(url=stranger.jwks_uri, headers={}, deadline_seconds=5, max_body_bytes=9))
        origin.headers = {"ETag": ETAG}
        asking.verify(issuer.token())
        before = status_of(asking).thumbprint
        origin.instead = lambda _request: FetchResponse(status=304, body=theirs.body)
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        assert (status_of(asking).thumbprint, status_of(asking).state) == (before, "fresh")

    def test_the_same_bytes_with_another_validator_are_not_a_new_content(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        token = issuer.token()
        origin.headers = {"ETag": ETAG}
        known = asking.verify(token)
        origin.headers = {"ETag": '"v2"'}
        clock.tick(seconds=DEFAULT)
        assert asking.verify(token) is known

    def test_a_changed_set_is_taken_whole_and_its_validator_with_it(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.headers = {"ETag": ETAG}
        old = issuer.token()
        asking.verify(old)
        issuer.rotate(keep_old=False)
        origin.headers = {"ETag": '"v2"'}
        clock.tick(seconds=DEFAULT)
        assert asking.verify(issuer.token()).subject
        with pytest.raises(InvalidTokenError):
            asking.verify(old)
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        assert origin.key_requests[-1].headers["If-None-Match"] == '"v2"'

    def test_a_failed_answer_changes_no_validator(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.headers = {"ETag": ETAG}
        asking.verify(issuer.token())
        origin.instead = lambda _request: FetchResponse(status=500, headers={"ETag": '"of the error page"'})
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        clock.tick(seconds=60)
        asking.warm_up()
        assert {request.headers["If-None-Match"] for request in origin.key_requests[1:]} == {ETAG}


def control(*values: str) -> Pairs:
    """So many Cache-Control headers."""
    return tuple(("Cache-Control", value) for value in values)


DATE = 1_000_000_000


class TestFreshness:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            pytest.param((), DEFAULT, id="nothing is said"),
            pytest.param(control("max-age=900"), 900, id="max-age"),
            pytest.param(control("MAX-AGE=900"), 900, id="in capitals"),
            pytest.param(control('max-age="900"'), 900, id="quoted"),
            pytest.param(control("public, max-age=900, must-revalidate"), 900, id="among others"),
            pytest.param(control("max-age=900, max-age=300"), 300, id="repeated in one header"),
            pytest.param(control("max-age=900", "max-age=300"), 300, id="repeated in two headers"),
            pytest.param(control("max-age=300", "public"), 300, id="two headers"),
            pytest.param(control("s-maxage=900"), DEFAULT, id="for shared caches only"),
            pytest.param(control("public"), DEFAULT, id="no lifetime"),
            pytest.param(control(""), DEFAULT, id="empty"),
            pytest.param(control("max-age=0"), LEAST, id="max-age of nought"),
            pytest.param(control("max-age=59"), LEAST, id="just below the floor"),
            pytest.param(control("max-age=61"), 61, id="just above the floor"),
            pytest.param(control("max-age=3599"), 3599, id="just below the ceiling"),
            pytest.param(control("max-age=3601"), MOST, id="just above the ceiling"),
            pytest.param(control("max-age=86400"), MOST, id="a day"),
            pytest.param(control(f"max-age={'9' * 400}"), MOST, id="absurd"),
            pytest.param(control("max-age=-1"), LEAST, id="negative"),
            pytest.param(control("max-age=soon"), LEAST, id="no number"),
            pytest.param(control("no-store"), LEAST, id="no-store"),
            pytest.param(control("no-cache"), LEAST, id="no-cache"),
            pytest.param(control("no-store, max-age=900"), LEAST, id="no-store beside max-age"),
            pytest.param((*control("max-age=900"), ("Age", "100")), 800, id="less the age"),
            pytest.param((*control("max-age=900"), ("Age", "900")), LEAST, id="as old as it may be"),
            pytest.param((*control("max-age=900"), ("Age", "-100")), 900, id="a negative age"),
            pytest.param((*control("max-age=900"), ("Age", "x")), 900, id="an unreadable age"),
            pytest.param(
                (("Date", formatdate(DATE, usegmt=True)), ("Expires", formatdate(DATE + 900, usegmt=True))),
                900,
                id="Expires less Date",
            ),
            pytest.param((("Expires", formatdate(DATE + 900, usegmt=True)),), LEAST, id="Expires without Date"),
            pytest.param((("Expires", "0"), ("Date", formatdate(DATE, usegmt=True))), LEAST, id="Expires of nought"),
            pytest.param(
                (
                    *control("max-age=900"),
                    ("Expires", formatdate(DATE, usegmt=True)),
                    ("Date", formatdate(DATE, usegmt=True)),
                ),
                900,
                id="max-age before Expires",
            ),
        ],
    )  # fmt: skip
    def test_rot_009_the_issuer_says_how_long_its_keys_are_fresh_within_our_limits(  # noqa: PLR0913 - the parts
        self,
        asking: Verifier,
        origin: Origin,
        issuer: FakeIssuer,
        clock: FakeClock,
        *,
        headers: Pairs,
        seconds: float,
    ) -> None:
        origin.headers = headers
        asking.verify(issuer.token())
        assert fresh_seconds(asking, clock) == seconds
        # One fetch for that long, never one for each request.
        clock.tick(seconds=seconds * 0.7)
        for number in range(20):
            asking.verify(issuer.token(sub=f"u{number}"))
        assert len(origin.key_requests) == 1
        clock.tick(seconds=seconds * 0.3)
        asking.verify(issuer.token())
        assert len(origin.key_requests) == 2

    def test_the_limits_are_those_of_the_policy(self, issuer: FakeIssuer, origin: Origin, clock: FakeClock) -> None:
        policy = CachePolicy(min_fresh_seconds=5, fresh_seconds=20, max_fresh_seconds=50)
        for value, seconds in (("max-age=1", 5), ("max-age=30", 30), ("max-age=900", 50), ("public", 20)):
            origin.headers = control(value)
            verifier = Verifier(issuer.provider, fetcher=origin, clock=clock, cache_policy=policy)
            verifier.verify(issuer.token())
            assert fresh_seconds(verifier, clock) == seconds

    @pytest.mark.parametrize(
        "status",
        [
            201, 203, 204, 206, 301, 400, 404, 410, 429, 500, 502, 503, 520,
            pytest.param(304, id="304 that nobody asked for"),
        ],
    )  # fmt: skip
    def test_net_009_only_a_200_is_kept_whatever_its_headers_say(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock, status: int
    ) -> None:
        origin.headers = control("max-age=300")
        asking.verify(issuer.token())
        before = status_of(asking)
        other = FakeIssuer(issuer.issuer, clock=clock)
        request = FetchRequest(url=other.jwks_uri, headers={}, deadline_seconds=5, max_body_bytes=10**6)
        good = other.fetch(request)
        headers = dict(good.headers) | {"Cache-Control": "max-age=3600"}
        origin.instead = lambda _request: FetchResponse(status=status, headers=headers, body=good.body)
        clock.tick(seconds=300)
        asking.verify(issuer.token())
        after = status_of(asking)
        assert (after.thumbprint, after.fresh_until, after.usable_until) == (
            before.thumbprint, before.fresh_until, before.usable_until
        )  # fmt: skip
        assert (after.state, after.failures) == ("stale", 1)

    def test_net_009_an_error_with_a_lifetime_is_not_kept_while_cold(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=500, headers={"Cache-Control": "max-age=3600"})
        with pytest.raises(KeysUnavailableError):
            asking.verify(issuer.token())
        origin.instead = lambda _request: None
        clock.tick(seconds=2)
        assert asking.verify(issuer.token()).subject

    def test_a_forced_refetch_asks_the_issuer_itself_and_an_ordinary_one_does_not(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """A cache on the way would answer a question about a new key with the old set."""
        origin.headers = {"ETag": ETAG}
        asking.verify(issuer.token())
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        with pytest.raises(InvalidTokenError):
            asking.verify(issuer.token(header={"kid": "unknown"}))
        with pytest.raises(InvalidTokenError):
            asking.verify(issuer.forge("bad_signature"))
        asked = [request.headers.get("Cache-Control") for request in origin.key_requests]
        assert asked == [None, None, "no-cache", "no-cache"]


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            pytest.param("120", 120, id="seconds"),
            pytest.param("300", 300, id="at the ceiling"),
            pytest.param("301", 300, id="above the ceiling"),
            pytest.param("9" * 400, 300, id="huge"),
            pytest.param(formatdate(1_700_000_090, usegmt=True), 90, id="a date"),
            pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 300, id="a date in the far future"),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_net_010_an_issuer_may_ask_to_be_left_alone_for_a_while(  # noqa: PLR0913 - the parts
        self,
        asking: Verifier,
        origin: Origin,
        issuer: FakeIssuer,
        clock: FakeClock,
        status: int,
        *,
        value: str,
        seconds: int,
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=status, headers={"Retry-After": value})
        with pytest.raises(KeysUnavailableError) as caught:
            asking.verify(issuer.token())
        assert caught.value.retry_after_seconds == seconds
        origin.instead = lambda _request: None
        asked = len(origin.requests)
        clock.tick(seconds=seconds - 1)
        with pytest.raises(KeysUnavailableError):
            asking.verify(issuer.token())
        assert len(origin.requests) == asked
        clock.tick(seconds=1)
        assert asking.verify(issuer.token()).subject

    @pytest.mark.parametrize(
        "value",
        ["-1", "-99999999", "0", "", "soon", "1e9", "Sun, 06 Nov 1994 08:49:37 GMT"],
        ids=["minus one", "far below", "nought", "empty", "a word", "scientific", "a date in the past"],
    )
    def test_net_010_nothing_makes_the_pause_shorter_than_our_own(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, value: str
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=429, headers={"Retry-After": value})
        with pytest.raises(KeysUnavailableError) as caught:
            asking.verify(issuer.token())
        assert caught.value.retry_after_seconds in (1, 2)
        shortest = POLICY.min_backoff_seconds * (1 - POLICY.refresh_jitter)
        assert status_of(asking).retry_after_seconds >= shortest

    def test_net_010_an_issuer_that_asks_for_a_pause_gets_no_retry_at_once(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=503, headers={"Retry-After": "120"})
        with pytest.raises(KeysUnavailableError):
            asking.verify(issuer.token())
        assert len(origin.key_requests) == 1

    def test_net_010_with_cached_keys_every_token_is_accepted_during_the_pause(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
    ) -> None:
        verify_any(asking, issuer.token())
        origin.instead = lambda _request: FetchResponse(status=429, headers={"Retry-After": "300"})
        clock.tick(seconds=DEFAULT)
        asked = len(origin.requests)
        for number in range(30):
            assert verify_any(asking, issuer.token(sub=f"u{number}")).subject
            clock.tick(seconds=9)
        # One of the discovery document, and one of the keys.
        assert len(origin.requests) == asked + 2


class TestDiscovery:
    def discoveries(self, origin: Origin) -> int:
        return sum(request.url.endswith(DISCOVERY) for request in origin.requests)

    @pytest.mark.parametrize(
        ("seconds", "is_asked"),
        [(DEFAULT - 1, False), (DEFAULT, True), (DEFAULT + 1, True)],
        ids=["just before", "at the end of their freshness", "after it"],
    )
    def test_net_028_a_discovery_document_is_renewed_together_with_the_keys(
        self, issuer: FakeIssuer, origin: Origin, clock: FakeClock, *, seconds: float, is_asked: bool
    ) -> None:
        """Whatever lifetime it says for itself."""
        policy = CachePolicy(refresh_ahead=1, refresh_jitter=0)
        verifier = Verifier(issuer.provider, fetcher=origin, clock=clock, cache_policy=policy)
        origin.discovery_headers = {"Cache-Control": "max-age=86400"}
        verifier.verify(issuer.token())
        clock.tick(seconds=seconds)
        verifier.verify(issuer.token())
        assert (self.discoveries(origin), len(origin.key_requests)) == ((2, 2) if is_asked else (1, 1))

    def test_clk_002_a_discovery_document_ages_by_the_wall_clock_too(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        """A suspended machine: the monotonic clock stood still."""
        asking.verify(issuer.token())
        clock.set_now(clock.now() + DEFAULT)
        asking.verify(issuer.token())
        assert self.discoveries(origin) == 2

    @pytest.mark.parametrize(("status", "asked"), [(404, 3), (410, 3), (400, 2), (403, 2), (500, 2)])
    def test_dsc_015_where_the_keys_are_gone_the_discovery_document_is_asked_again(  # noqa: PLR0913 - the parts
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock, *, status: int, asked: int
    ) -> None:
        """A 304 had confirmed it."""
        origin.discovery_headers = {"ETag": ETAG}
        origin.discovery_instead = not_modified()
        asking.verify(issuer.token())
        origin.instead = lambda _request: FetchResponse(status=status)
        clock.tick(seconds=DEFAULT)
        # The cached keys remain in use.
        assert asking.verify(issuer.token()).subject
        assert self.discoveries(origin) == asked
        assert len(origin.key_requests) == asked

    def test_dsc_015_a_new_discovery_document_is_not_fetched_again_in_the_same_refresh(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer
    ) -> None:
        origin.instead = lambda _request: FetchResponse(status=404)
        with pytest.raises(KeysUnavailableError, match="404"):
            asking.verify(issuer.token())
        assert (self.discoveries(origin), len(origin.key_requests)) == (1, 1)

    def test_dsc_015_a_discovery_document_that_is_asked_again_comes_from_the_issuer_itself(
        self, asking: Verifier, origin: Origin, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        origin.discovery_headers = {"ETag": ETAG}
        origin.discovery_instead = not_modified()
        asking.verify(issuer.token())
        origin.instead = lambda _request: FetchResponse(status=410)
        clock.tick(seconds=DEFAULT)
        asking.verify(issuer.token())
        again: Any = [request for request in origin.requests if request.url.endswith(DISCOVERY)][2]
        assert again.headers["Cache-Control"] == "no-cache"
        assert "If-None-Match" not in again.headers
