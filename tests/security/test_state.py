"""Clocks, caches, threads and memory: what many requests at once could do to each other."""

from __future__ import annotations

import gc
import socket
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from aveverify import AveVerifyError, FetchError, FetchRequest, HttpxFetcher, InvalidTokenError, Reason, Verifier
from aveverify.testing import FakeClock, FakeIssuer
from tests.hectic import hectic_threads
from tests.security import scenario


class CountingClock(FakeClock):
    """Counts how often the wall clock is read."""

    readings = 0

    def now(self) -> float:
        self.readings += 1
        return super().now()


@pytest.mark.parametrize("size", [0, 100], ids=["first seen", "remembered"])
def test_one_verification_reads_the_clock_once(size: int) -> None:
    """CLK-006: a clock that moves between two checks cannot make one token two."""
    clock = CountingClock()
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    token = issuer.token()
    with issuer.verifier(token_cache_size=size) as verifier:
        verifier.verify(token)
        clock.readings = 0
        verifier.verify(token)
    assert clock.readings == 1


def test_threads_that_fill_and_empty_one_cache_get_right_answers(clock: FakeClock) -> None:
    """TOK-015: more tokens than entries, some of them expired; no exception, no wrong user."""
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    tokens = {f"user{n}": issuer.token(sub=f"user{n}") for n in range(24)}
    expired = issuer.forge("expired")
    with issuer.verifier(token_cache_size=8) as verifier, hectic_threads():

        def work(start: int) -> list[tuple[str, str]]:
            seen = []
            for step in range(30):
                name = f"user{(start * 7 + step) % 24}"
                seen.append((name, verifier.verify(tokens[name]).subject))
                with pytest.raises(InvalidTokenError):
                    verifier.verify(expired)
                if step % 10 == 9:
                    forget(verifier)
            return seen

        with ThreadPoolExecutor(16) as pool:
            pairs = [pair for found in pool.map(work, range(16)) for pair in found]
        assert len(verifier._tokens) <= 8
    assert len(pairs) == 480
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def forget(verifier: Verifier) -> None:
    """Empty the token cache of a verifier that goes on."""
    cache = verifier._tokens
    with cache._lock:
        cache._entries.clear()
        cache._bytes = 0


def test_memory_stays_flat_under_a_stream_of_garbage(clock: FakeClock) -> None:
    """CON-009: good tokens, forged ones, unknown kids and noise, none of which leaves anything behind."""
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    with issuer.verifier(token_cache_size=16) as verifier:

        def round_of_garbage(number: int) -> None:
            for token in (
                issuer.token(sub=f"user{number}"),
                issuer.token(header={"kid": f"unknown-{number}"}),
                issuer.token(iss=f"https://evil{number}.example"),
                f"{issuer.token()[:-8]}{number:08}",
                f"noise-{number}" * 10,
            ):
                try:
                    verifier.verify(token)
                except AveVerifyError as error:
                    assert error.reason in Reason  # noqa: PT017 - which one is not the point

        for number in range(50):
            round_of_garbage(number)
        tracemalloc.start()
        try:
            for number in range(50, 100):
                round_of_garbage(number)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for number in range(100, 300):
                round_of_garbage(number)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 64 * 1024


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN], ids=["NXDOMAIN", "SERVFAIL"])
def test_a_name_that_does_not_resolve_is_a_failed_fetch(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """NET-018: and keys that were fetched before stay in use."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(code, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    fetcher = HttpxFetcher()
    request = FetchRequest(url="https://good.example/jwks", headers={}, deadline_seconds=2, max_body_bytes=100)
    with pytest.raises(FetchError):
        fetcher.fetch(request)
    with scenario.issuer().verifier(fetcher=fetcher) as verifier:
        assert scenario.answer(verifier, scenario.token()) == "unavailable DISC"
