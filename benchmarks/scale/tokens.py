"""The token cache: how often it hits, what an entry weighs, and what throwing one out costs.

RSA signs a million tokens in a quarter of an hour, so these are signed with EdDSA, each when it is first drawn: the
users are a million where the table says so, the tokens as many as were drawn. A hit is known by the identity that comes
back, which is the very object of the last time.
"""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from random import Random
from time import perf_counter_ns

from aveverify import Identity, Provider
from benchmarks.contestants.ours import make_verifier
from benchmarks.corpus import AUDIENCE, claims
from benchmarks.curve import Curve
from benchmarks.run import FULL, Extent
from benchmarks.scale.issuers import serve_keys
from benchmarks.scale.timing import pinned, time_jobs
from benchmarks.signing import Signer

CACHE_SIZE = 10_000
USERS = (1, 10_000, 100_000, 1_000_000)
EVICTING_SIZES = (100, 1_000, 10_000)


def curves(extent: Extent) -> list[Curve]:
    """Hit rate and cost by the number of users, memory, eviction."""
    signer = Signer("EdDSA")
    with serve_keys([signer.jwk]) as issuer:
        provider = Provider(issuer=issuer, application_id=AUDIENCE)
        return [
            reuse(signer, provider, extent),
            memory(signer, provider, extent),
            eviction(signer, provider, extent),
        ]


def requests_of(extent: Extent) -> int:
    """How many requests are drawn."""
    return 300 if extent.is_smoke else 300_000 if extent.rounds >= FULL.rounds else 100_000


def uniform(users: int, chance: Random) -> Iterator[int]:
    """Every user as likely as any other: the worst case of any cache."""
    while True:
        yield chance.randrange(users)


def zipf(users: int, chance: Random) -> Iterator[int]:
    """The n-th most frequent user comes with a weight of 1/n, the common shape of traffic."""
    weights = list(itertools.accumulate(1 / rank for rank in range(1, users + 1)))
    population = range(users)
    while True:
        yield from chance.choices(population, cum_weights=weights, k=10_000)


DRAWS: dict[str, Callable[[int, Random], Iterator[int]]] = {"uniform": uniform, "Zipf": zipf}


def reuse(signer: Signer, provider: Provider, extent: Extent) -> Curve:
    """Requests drawn from more and more users, against the default cache."""
    number = requests_of(extent)
    rows: list[list[object]] = []
    for shape, draw in DRAWS.items():
        for users in USERS:
            chance = Random(users)
            verifier = make_verifier(provider, token_cache_size=CACHE_SIZE)
            tokens: dict[int, str] = {}
            # Kept, so that no other identity can be in the same place.
            known: dict[int, Identity] = {}
            hits, spent_ns = 0, 0
            with pinned():
                for user in itertools.islice(draw(users, chance), number):
                    token = tokens.get(user)
                    if token is None:
                        token = tokens[user] = signer.sign(claims(provider.issuer, user))
                    begun = perf_counter_ns()
                    identity = verifier.verify(token)
                    spent_ns += perf_counter_ns() - begun
                    hits += known.get(user) is identity
                    known[user] = identity
            rows.append([shape, users, len(tokens), verifier.status().cached_tokens, hits / number,
                         spent_ns / number / 1000])  # fmt: skip
            verifier.close()
    title = f"Token cache of {CACHE_SIZE:,} under {number:,} requests, EdDSA, tokens signed when first drawn"
    return Curve(title, ["reuse", "users", "distinct tokens", "kept at the end", "hit rate", "µs per request"], rows)


def memory(signer: Signer, provider: Provider, extent: Extent) -> Curve:
    """What tracemalloc sees of the cache, everything that an entry holds included."""
    number = 100 if extent.is_smoke else CACHE_SIZE
    tokens = [signer.sign(claims(provider.issuer, user)) for user in range(number)]
    verifier = make_verifier(provider, token_cache_size=number)
    verifier.verify(tokens[0])
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for token in tokens:
            verifier.verify(token)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    title = "Memory of the token cache, identities of 13 claims"
    return Curve(title, ["entries", "bytes", "bytes per entry"], [[number, after - before, (after - before) // number]])


def eviction(signer: Signer, provider: Provider, extent: Extent) -> Curve:
    """A cold verification without cache, and with a full one of some size that throws an entry out each time."""
    sizes = (10, 50) if extent.is_smoke else EVICTING_SIZES
    tokens = [signer.sign(claims(provider.issuer, user)) for user in range(max(sizes) + 200)]
    cold = make_verifier(provider)
    jobs = [next_of(cold.verify, tokens)]
    for size in sizes:
        verifier = make_verifier(provider, token_cache_size=size)
        for token in tokens[: size + 1]:
            verifier.verify(token)
        # Always further than the cache reaches back, so that every call is a miss that evicts.
        jobs.append(next_of(verifier.verify, tokens[size + 1 :] + tokens[: size + 1]))
    medians = time_jobs(jobs, *((1, 200_000) if extent.is_smoke else (60, 10_000_000)))
    rows: list[list[object]] = [["no cache", medians[0], 0.0]]
    rows += [
        [f"full, {size:,} entries", median, median - medians[0]]
        for size, median in zip(sizes, medians[1:], strict=True)
    ]
    title = "A cold verification that evicts, EdDSA, every token distinct"
    return Curve(title, ["cache", "µs", "more than without"], rows)


def next_of(call: Callable[[str], object], tokens: list[str]) -> Callable[[], object]:
    """What verifies the next token each time, round and round."""
    endless = itertools.cycle(tokens)
    return lambda: call(next(endless))
