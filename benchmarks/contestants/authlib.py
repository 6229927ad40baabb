"""Authlib: `authlib.jose`, which its project deprecates in favour of joserfc and which many services still run."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from authlib.jose import JsonWebKey, JsonWebToken

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


def make(corpus: Corpus, name: str) -> Verify:
    """One `JsonWebToken` that allows one algorithm, and the claims that have to be there."""
    published = corpus.keys[name]
    key = JsonWebKey.import_key(published.jwk)
    tokens = JsonWebToken([published.algorithm])
    options = {
        "iss": {"essential": True, "value": corpus.issuer},
        "aud": {"essential": True, "value": corpus.audience},
        "exp": {"essential": True},
    }

    def verify(token: str) -> object:
        claims = tokens.decode(token, key, claims_options=options)
        claims.validate()
        return claims

    return verify


CONTESTANTS = [Contestant("Authlib", make, note="authlib.jose is deprecated by its project in favour of joserfc")]
