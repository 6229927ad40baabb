"""jwtoxide: bindings to Rust's jsonwebtoken; its own cryptography (ring)."""

from __future__ import annotations

import json

import jwtoxide

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


def make(corpus: Corpus, name: str) -> Verify:
    """Key and options made once."""
    published = corpus.keys[name]
    key = jwtoxide.DecodingKey.from_jwk(jwtoxide.Jwk.from_json(json.dumps(published.jwk)))
    options = jwtoxide.ValidationOptions(
        aud={corpus.audience},
        iss={corpus.issuer},
        required_spec_claims={"exp", "iss", "aud"},
        leeway_seconds=0,
        algorithms=[published.algorithm],
    )
    decode = jwtoxide.decode
    return lambda token: decode(token, key, options)


CONTESTANTS = [Contestant("jwtoxide", make, note="Rust, with its own cryptography")]
