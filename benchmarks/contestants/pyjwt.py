"""PyJWT: with a loaded key, and with its own client that keeps the key set."""

from __future__ import annotations

import jwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus

REQUIRED = ["exp", "iss", "aud"]
# Longer than any run, so that no fetch falls into a reading.
LIFESPAN_SECONDS = 24 * 3600


def make_with_key(corpus: Corpus, name: str) -> Verify:
    """`jwt.decode` with a parsed key."""
    published = corpus.keys[name]
    key = jwt.PyJWK(published.jwk, algorithm=published.algorithm).key
    algorithms, audience, issuer = [published.algorithm], corpus.audience, corpus.issuer

    def verify(token: str) -> object:
        return jwt.decode(
            token, key, algorithms=algorithms, audience=audience, issuer=issuer, options={"require": REQUIRED}
        )

    return verify


def make_with_client(corpus: Corpus, name: str) -> Verify:
    """`PyJWKClient` with everything it can cache, then `jwt.decode`."""
    client = jwt.PyJWKClient(corpus.jwks_uri, cache_keys=True, lifespan=LIFESPAN_SECONDS)
    algorithms, audience, issuer = [corpus.keys[name].algorithm], corpus.audience, corpus.issuer

    def verify(token: str) -> object:
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(
            token, key, algorithms=algorithms, audience=audience, issuer=issuer, options={"require": REQUIRED}
        )

    return verify


# What fetches its keys when the first token comes.
make_fetching = make_with_client
CONTESTANTS = [Contestant("PyJWT", make_with_key), Contestant("PyJWT + PyJWKClient", make_with_client)]
