"""ryjwt: Rust, with its own cryptography (AWS-LC); needs Python 3.12."""

from __future__ import annotations

import msgspec
import ryjwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


class Required(msgspec.Struct):
    """The claims that a token must have: `exp` is required by its type, since no setting requires it."""

    iss: str
    aud: str
    exp: int


def make_key(corpus: Corpus, name: str) -> ryjwt.PublicKey:
    """The key set of the issuer, with what to expect of its tokens."""
    published = corpus.keys[name]
    return ryjwt.PublicKey.from_jwks(
        {"keys": [published.jwk]},
        algorithms=[published.algorithm],
        audience=corpus.audience,
        issuer=corpus.issuer,
    )


def make(corpus: Corpus, name: str) -> Verify:
    """Claims into a dict."""
    verify: Verify = make_key(corpus, name).decode
    return verify


def make_typed(corpus: Corpus, name: str) -> Verify:
    """Claims into a type, which keeps three of them and requires `exp`."""
    decode = make_key(corpus, name).decode
    return lambda token: decode(token, into=Required)


CONTESTANTS = [
    Contestant("ryjwt", make, note="Rust, with its own cryptography; has no setting that requires exp"),
    Contestant("ryjwt, into a type", make_typed, note="the type requires exp, and keeps three claims of 13"),
]
