"""aveverify: the whole public API, with keys that came over HTTP."""

from __future__ import annotations

from typing import Any

from aveverify import CachePolicy, Provider, Verifier
from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus

# Longer than any run: no background refresh shall fall into a reading. Everything else is the default, but for the
# forced refetches: a flood has spent them, and the window that gives them back must not pass within a reading.
POLICY = CachePolicy(
    fresh_seconds=7 * 24 * 3600.0,
    max_fresh_seconds=7 * 24 * 3600.0,
    unknown_key_refetches=0,
    bad_signature_refetches=0,
)


def oidc(corpus: Corpus) -> Provider:
    """The issuer as an OIDC provider: RS256 and EdDSA, keys by discovery."""
    return Provider(issuer=corpus.issuer, application_id=corpus.audience)


def custom_jwt(corpus: Corpus, name: str) -> Provider:
    """The issuer as a customJwt provider: RS256 or ES256, keys by their address."""
    algorithm: Any = corpus.keys[name].algorithm
    return Provider.custom_jwt(
        issuer=corpus.issuer, jwks=corpus.jwks_uri, algorithm=algorithm, application_id=corpus.audience
    )


def provider_of(corpus: Corpus, name: str) -> Provider:
    """OIDC where that takes the algorithm, customJwt otherwise."""
    return custom_jwt(corpus, name) if corpus.keys[name].algorithm == "ES256" else oidc(corpus)


def make_verifier(*providers: Provider, token_cache_size: int = 0, **options: Any) -> Verifier:
    """A verifier whose keys are loaded; without token cache, so that every token is new to it."""
    verifier = Verifier(*providers, cache_policy=POLICY, token_cache_size=token_cache_size, **options)
    verifier.warm_up()
    return verifier


def make_cold(corpus: Corpus, name: str) -> Verify:
    """Verify tokens that are not remembered."""
    return make_verifier(provider_of(corpus, name)).verify


def make_fetching(corpus: Corpus, name: str) -> Verify:
    """What fetches its keys when the first token comes."""
    return Verifier(provider_of(corpus, name)).verify


OURS = Contestant("aveverify", make_cold)
