"""python-jose, with its `cryptography` backend."""

from __future__ import annotations

from jose import jwk, jwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus

OPTIONS = {"require_exp": True, "require_iss": True, "require_aud": True, "leeway": 0}


def make(corpus: Corpus, name: str) -> Verify:
    """`jwt.decode` with a constructed key."""
    published = corpus.keys[name]
    key = jwk.construct(published.jwk, published.algorithm)
    algorithms, audience, issuer = [published.algorithm], corpus.audience, corpus.issuer

    def verify(token: str) -> object:
        return jwt.decode(token, key, algorithms=algorithms, audience=audience, issuer=issuer, options=OPTIONS)

    return verify


CONTESTANTS = [Contestant("python-jose", make, ("RS256-2048", "RS256-4096", "ES256"), "has no EdDSA")]
