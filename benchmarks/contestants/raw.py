"""The limit: the bare check of one signature with `cryptography`, and the digest of one token with hashlib.

Key parsed, signature decoded, the objects of the scheme made beforehand: nothing built on `cryptography` can be faster.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from benchmarks.corpus import Corpus, split


def make_raw(corpus: Corpus, name: str) -> tuple[Callable[[Any], object], list[Any]]:
    """Return the bare check and what it is called with, for each token of one key."""
    key = load_pem_public_key(corpus.keys[name].pem.encode())
    pkcs1, sha256, ecdsa = padding.PKCS1v15(), SHA256(), ec.ECDSA(SHA256())
    pairs = [(decode(signature), signing_input) for signing_input, signature in map(split, corpus.tokens[name])]
    match key:
        case rsa.RSAPublicKey():
            return lambda pair: key.verify(pair[0], pair[1], pkcs1, sha256), pairs
        case ec.EllipticCurvePublicKey():
            return lambda pair: key.verify(pair[0], pair[1], ecdsa), [(to_der(pair[0]), pair[1]) for pair in pairs]
        case ed25519.Ed25519PublicKey():
            return lambda pair: key.verify(pair[0], pair[1]), pairs
    message = f"{name}: no bare check for a key of this kind"
    raise TypeError(message)


def make_digest(corpus: Corpus, name: str) -> tuple[Callable[[bytes], object], list[bytes]]:
    """Return the digest and the tokens as bytes."""
    sha256 = hashlib.sha256
    return lambda token: sha256(token).digest(), [token.encode() for token in corpus.tokens[name]]


def decode(segment: str) -> bytes:
    """The bytes of a base64url text without padding."""
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def to_der(signature: bytes) -> bytes:
    """An ECDSA signature as the library takes it, from r followed by s (RFC 7518 §3.4)."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
