"""The events and the status of the key cache, the bound of its threads, and what a forked child replaces."""

from __future__ import annotations

import json
from weakref import WeakSet

import pytest

from aveverify import CachePolicy, HttpxFetcher, KeysUnavailableError, Verifier, _fork, _verify
from aveverify._jwks.event_publisher import describe
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
from tests.jwks.blocking_fetcher import BlockingFetcher

WHO = ("https://issuer.test",)
DEADLINE = CachePolicy().flight_deadline_seconds


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (KeysFetched(issuers=WHO, kids=("a",), changed=True, fresh_seconds=600), "keys fetched, changed"),
        (KeysFetched(issuers=WHO, kids=("a",), changed=False, fresh_seconds=600), "keys fetched, unchanged"),
        (
            KeysRotated(issuers=WHO, added=("b",), removed=(), shares_no_key=False),
            "keys rotated, new 'b', removed none",
        ),
        (
            KeyReplaced(issuers=WHO, kids=tuple("abcdef")),
            "another key is published under a known kid: 'a', 'b', 'c', 'd', 'e', ...",
        ),
        (
            FetchFailed(issuers=WHO, cause="no connection", failures=2, retry_after_seconds=2.0),
            "keys not fetched: no connection (failure 2, next attempt in 2 s)",
        ),
        (ProviderDown(issuers=WHO, has_keys=True), "issuer unreachable, good keys are cached"),
        (ProviderDown(issuers=WHO, has_keys=False), "issuer unreachable, no keys are cached"),
        (ProviderUp(issuers=WHO, failures=3), "issuer back after 3 failures"),
        (
            ServedStale(issuers=WHO, age_seconds=700, usable_seconds=3500),
            "stale keys of 700 s are used, for 3500 s more at most",
        ),
        (
            BudgetExhausted(issuers=WHO, budget="unknown_key", retry_after_seconds=12),
            "tokens are refused without a refresh, the budget unknown_key is exhausted for 12 s",
        ),
        (Event(issuers=WHO), "Event"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_each_event_is_one_sentence_in_the_log(event: Event, sentence: str) -> None:
    assert describe(event) == sentence


def test_the_status_is_ready_when_every_provider_has_keys_and_is_plain_json(
    verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
) -> None:
    before = verifier.status()
    verifier.verify(issuer.token())
    after = verifier.status()
    assert (before.is_ready, before.providers[0].state) == (False, "unused")
    assert (after.is_ready, after.providers[0].state, after.cached_tokens) == (True, "fresh", 1)
    assert after.providers[0].fresh_until == clock.now() + CachePolicy().fresh_seconds
    assert json.loads(json.dumps(after.as_dict()))["providers"][0]["issuer"] == issuer.issuer


def test_net_007_refreshes_that_never_return_do_not_pile_up(issuer: FakeIssuer, clock: FakeClock) -> None:
    blocking = BlockingFetcher(issuer)
    verifier = Verifier(
        issuer.provider,
        fetcher=blocking,
        clock=clock,
        cache_policy=CachePolicy(waiter_seconds=0.01, max_backoff_seconds=1),
    )
    blocking.block()
    for _ in range(10):
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        clock.tick(seconds=DEADLINE + 2)
    assert len(blocking.requests) <= 3
    assert verifier.status().providers[0].last_error == "earlier fetches have not come back"
    blocking.unblock()
    verifier.close()


class Renewed:
    """Counts how often it was renewed."""

    def __init__(self) -> None:
        self.times = 0

    def renew_after_fork(self) -> None:
        self.times += 1


def test_con_005_whatever_lives_is_renewed_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fork, "_renewables", WeakSet())
    alive, dead = Renewed(), Renewed()
    _fork.renew_after_fork(alive)
    _fork.renew_after_fork(dead)
    del dead
    _fork._renew_all()
    assert alive.times == 1


def test_con_005_a_child_keeps_the_keys_and_forgets_the_refresh(issuer: FakeIssuer, clock: FakeClock) -> None:
    blocking = BlockingFetcher(issuer)
    verifier = Verifier(issuer.provider, fetcher=blocking, clock=clock)
    token = issuer.token()
    verifier.verify(token)
    blocking.block()
    clock.tick(seconds=CachePolicy().fresh_seconds * 0.95)
    verifier.verify(issuer.token())
    assert blocking.arrived.wait(30)
    remote_keys = verifier._registry.remote_key_sets[0]
    locks = remote_keys._lock, verifier._tokens._lock
    remote_keys.renew_after_fork()
    verifier._tokens.renew_after_fork()
    assert not verifier.status().providers[0].is_fetching
    assert remote_keys._lock is not locks[0]
    assert verifier._tokens._lock is not locks[1]
    blocking.unblock()
    assert verifier.verify(token).subject


def test_con_005_a_child_opens_connections_of_its_own() -> None:
    fetcher = HttpxFetcher()
    ours = fetcher._get_client()
    fetcher.renew_after_fork()
    assert fetcher._get_client() is not ours
    ours.close()
    fetcher.close()


def test_con_005_the_plain_function_gets_a_lock_of_its_own() -> None:
    before = _verify.kept._lock
    _verify.kept.renew_after_fork()
    assert _verify.kept._lock is not before
