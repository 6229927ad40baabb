"""What has gone wrong in other key caches, each by its name: none of it goes wrong here.

Short on purpose, and through public names only; each area has its own, closer tests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from aveverify import (
    CachePolicy,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Verifier,
)
from aveverify.testing import FakeClock, FakeIssuer
from aveverify.testing._keys import dump_json
from tests.conftest import VerifyAny
from tests.jwks.blocking_fetcher import BlockingFetcher
from tests.jwks.refresh_threads import join_refreshes
from tests.jwks.test_fork import FORKS_WITH_THREADS, in_child

POLICY = CachePolicy()
FRESH = POLICY.fresh_seconds


@pytest.fixture
def blocking(issuer: FakeIssuer) -> Iterator[BlockingFetcher]:
    blocking = BlockingFetcher(issuer)
    yield blocking
    blocking.unblock()


def refusal(verify_any: VerifyAny, verifier: Verifier, token: str) -> Reason:
    with pytest.raises(InvalidTokenError) as caught:
        verify_any(verifier, token)
    return caught.value.reason


def test_random_kid_flood(verify_any: VerifyAny, verifier: Verifier, issuer: FakeIssuer) -> None:
    """Each unknown kid fetched the keys anew, so any caller could make a service flood its issuer."""
    verifier.warm_up()
    for number in range(200):
        token = issuer.token(header={"kid": f"random-{number}"})
        assert refusal(verify_any, verifier, token) is Reason.UNKNOWN_KEY
    assert issuer.jwks_requests == 1 + POLICY.unknown_key_refetches
    assert verify_any(verifier, issuer.token()).subject


def test_failing_host_asked_for_every_token(verify_any: VerifyAny, verifier: Verifier, issuer: FakeIssuer) -> None:
    """The cool-down counted from the last success, so a host that failed was asked for every token."""
    issuer.go_down()
    for _ in range(200):
        with pytest.raises(KeysUnavailableError):
            verify_any(verifier, issuer.token())
    # One attempt, and one more at once.
    assert issuer.discovery_requests == 2


def test_cancelled_leader_loses_the_fetch(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> None:
    """The request that had begun a fetch was cancelled, the fetch with it, and all who waited failed."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    token = issuer.token()
    blocking.block()

    async def scenario() -> str:
        leader = asyncio.ensure_future(verifier.verify_async(token))
        follower = asyncio.ensure_future(verifier.verify_async(token))
        await asyncio.to_thread(blocking.arrived.wait)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        blocking.unblock()
        return (await follower).subject

    assert asyncio.run(scenario()) == "user_ada"
    assert len(blocking.requests) == 2


@pytest.mark.parametrize("status", [200, 500], ids=["an empty set", "an error"])
def test_refresh_drops_keys_on_error(
    verify_any: VerifyAny, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, status: int
) -> None:
    """A refresh began by forgetting the keys, and logged everyone out when it failed."""
    verifier.warm_up()
    issuer.answer_keys_with(
        FetchResponse(status=status, headers={"Content-Type": "application/json"}, body=b'{"keys":[]}')
    )
    clock.tick(seconds=FRESH + 1)
    assert verify_any(verifier, issuer.token()).subject


def test_lock_stalls_known_kids(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> None:
    """One lock was held during a fetch, and a token whose key was cached waited for it."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    verifier.warm_up()
    known, unknown = issuer.token(), issuer.token(header={"kid": "unknown"})
    blocking.block()

    def ask() -> None:
        with pytest.raises(InvalidTokenError):
            verifier.verify(unknown)

    stalled = Thread(target=ask)
    stalled.start()
    assert blocking.arrived.wait(30)
    assert verifier.verify(known).subject
    assert asyncio.run(verifier.verify_async(known)).subject
    assert stalled.is_alive()
    blocking.unblock()
    stalled.join()


@FORKS_WITH_THREADS
@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED HERE: this system has no os.fork")
def test_fork_hang(issuer: FakeIssuer, blocking: BlockingFetcher, clock: FakeClock) -> None:
    """A child inherited a lock that was held, or a fetch under way, and waited for them for ever."""
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    token = issuer.token()
    blocking.block()
    waiting = Thread(target=verifier.verify, args=(token,))
    waiting.start()
    assert blocking.arrived.wait(30)

    def work() -> str:
        # The child's own copy of the blocking.
        blocking.unblock()
        return str(verifier.verify(token).subject)

    assert in_child(work) == "user_ada"
    blocking.unblock()
    waiting.join()


class Late:
    """A fetcher that keeps one answer back, which is old when it comes."""

    def __init__(self, behind: FakeIssuer) -> None:
        self.keeps_next = False
        self.arrived, self.may_come = Event(), Event()
        self._behind = behind

    def fetch(self, request: FetchRequest) -> FetchResponse:
        response = self._behind.fetch(request)
        if self.keeps_next:
            self.keeps_next = False
            self.arrived.set()
            self.may_come.wait()
        return response


def test_old_set_overwrites_new(issuer: FakeIssuer, clock: FakeClock) -> None:
    """A slow answer with the old keys came after a quick one with the new keys, and replaced it."""
    late = Late(issuer)
    verifier = Verifier(issuer.provider, fetcher=late, clock=clock)
    verifier.warm_up()
    late.keeps_next = True
    clock.tick(seconds=FRESH)
    slow = Thread(target=verifier.verify, args=(issuer.token(),))
    slow.start()
    assert late.arrived.wait(30)
    issuer.rotate(keep_old=False)
    # The slow fetch is given up, and after a pause there is another one.
    clock.tick(seconds=POLICY.flight_deadline_seconds)
    with pytest.raises(KeysUnavailableError):
        verifier.verify(issuer.token())
    # It continues with the cached keys; after the next fetch the key of its token would be unknown.
    slow.join()
    clock.tick(seconds=2)
    assert verifier.verify(issuer.token()).subject
    late.may_come.set()
    join_refreshes()
    assert verifier.verify(issuer.token(sub="grace")).subject == "grace"


def test_removed_key_kept_by_a_parsed_key_cache(
    verify_any: VerifyAny, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
) -> None:
    """Parsed keys were remembered by their kid, and went on verifying when their issuer had removed them."""
    old = issuer.token()
    assert verify_any(verifier, old).subject
    issuer.rotate(keep_old=False)
    clock.tick(seconds=FRESH)
    assert refusal(verify_any, verifier, old) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "exotic",
    [
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "exotic"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "exotic"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "exotic"},
        {"kty": "oct", "k": "AA", "kid": "exotic"},
        {"kid": "exotic"},
    ],
    ids=lambda jwk: str(jwk.get("crv") or jwk.get("kty") or "no type"),
)
def test_one_exotic_jwk_poisons_the_set(
    verify_any: VerifyAny, verifier: Verifier, issuer: FakeIssuer, exotic: dict[str, str]
) -> None:
    """One key that a library could not read made it refuse all the others."""
    body = dump_json({"keys": [exotic, *(key.jwk for key in issuer._published)]})
    issuer.answer_keys_with(FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=body))
    assert verify_any(verifier, issuer.token()).subject


def test_two_providers_with_the_same_kid(verify_any: VerifyAny, clock: FakeClock) -> None:
    """Keys of all issuers were in one table by kid, and the token of one was checked with the key of another."""
    first, second = (FakeIssuer(f"https://{name}.test", clock=clock) for name in ("first", "second"))
    for issuer in (first, second):
        issuer._published[0].kid = "1"
    both = Verifier(first.provider, second.provider, fetcher=Both(first, second), clock=clock)
    for issuer in (first, second):
        assert verify_any(both, issuer.token()).issuer == issuer.issuer
    forged = second.token(iss=first.issuer)
    assert refusal(verify_any, both, forged) is Reason.BAD_SIGNATURE


class Both:
    """A fetcher for two issuers."""

    def __init__(self, *issuers: FakeIssuer) -> None:
        self._issuers = issuers

    def fetch(self, request: FetchRequest) -> FetchResponse:
        return next(issuer for issuer in self._issuers if request.url.startswith(issuer.issuer)).fetch(request)
