"""jwcrypto: one `JWT` object for each token, as its interface requires."""

from __future__ import annotations

import json

from jwcrypto import jwk, jwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


def make(corpus: Corpus, name: str) -> Verify:
    """Key made once; claims to check, of which `exp` must be present."""
    published = corpus.keys[name]
    key = jwk.JWK(**published.jwk)
    algorithms = [published.algorithm]
    expected = {"iss": corpus.issuer, "aud": corpus.audience, "exp": None}

    def verify(token: str) -> object:
        decoded = jwt.JWT(check_claims=expected, algs=algorithms, expected_type="JWS")
        decoded.leeway = 0
        decoded.deserialize(token, key)
        return json.loads(decoded.claims)

    return verify


CONTESTANTS = [Contestant("jwcrypto", make)]
