"""Another limit: the bare check of one RS256 signature with AWS-LC, which `awscrt` provides for Python.

It shows what a second backend for signatures could gain. It takes digests, so the digest is part of what is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from awscrt.crypto import RSA, RSASignatureAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from benchmarks.case import UnexpectedOutcomeError
from benchmarks.contestants.raw import decode
from benchmarks.corpus import Corpus, split


def make_aws_lc(corpus: Corpus, name: str) -> tuple[Callable[[Any], object], list[Any]]:
    """Return the bare check and what it is called with, for each token of one RSA key."""
    public = load_pem_public_key(corpus.keys[name].pem.encode())
    key = RSA.new_public_key_from_der_data(public.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    scheme = RSASignatureAlgorithm.PKCS1_5_SHA256
    pairs = [(decode(signature), signing_input) for signing_input, signature in map(split, corpus.tokens[name])]

    def check(pair: tuple[bytes, bytes]) -> None:
        if not key.verify(scheme, sha256(pair[1]).digest(), pair[0]):
            raise UnexpectedOutcomeError(f"{name}, AWS-LC", "acceptance", "refusal")

    return check, pairs
