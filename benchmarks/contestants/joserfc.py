"""joserfc: `jwt.decode` with an imported key, then its registry of claims."""

from __future__ import annotations

from joserfc import jwk, jwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


def make(corpus: Corpus, name: str) -> Verify:
    """Key and registry made once, as its documentation shows."""
    published = corpus.keys[name]
    key = jwk.import_key(published.jwk)
    algorithms = [published.algorithm]
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": corpus.issuer},
        aud={"essential": True, "value": corpus.audience},
        exp={"essential": True},
    )

    def verify(token: str) -> object:
        decoded = jwt.decode(token, key, algorithms=algorithms)
        registry.validate(decoded.claims)
        return decoded

    return verify


CONTESTANTS = [Contestant("joserfc", make)]
