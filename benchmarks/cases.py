"""The cases: one call each, made with one argument after the other, beside the bare operation it is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from aveverify import InvalidTokenError, Verifier
from benchmarks.corpus import AUDIENCE, ISSUER, Issuer, PublicKey, Signed

HASH = "sha256(token)"
RAW = "{} raw".format


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure.

    Attributes:
        name: What the report calls it.
        call: What is timed.
        arguments: What it is called with, one after the other.
        baseline: The case that its time is divided by.
        limit: What the ratio is meant to stay under; None where there is no such aim.
    """

    name: str
    call: Callable[[Any], object]
    arguments: Sequence[Any]
    baseline: str
    limit: float | None = None


def make_cases(tokens: int) -> list[Case]:
    """Sign all tokens, fill the caches that are meant to be warm, and say what is measured.

    Args:
        tokens: How many distinct tokens each case goes through.
    """
    issuer = Issuer()
    signed = {algorithm: [issuer.sign(algorithm, n) for n in range(tokens)] for algorithm in issuer.keys}
    cases: list[Case] = []
    for algorithm, limit in (("RS256", 1.45), ("ES256", 1.2), ("EdDSA", 1.12)):
        cases += cold(issuer, algorithm, signed[algorithm], limit)
    return cases + warm(issuer, signed["RS256"]) + refusals(issuer, signed["RS256"])


def cold(issuer: Issuer, algorithm: str, signed: list[Signed], limit: float) -> list[Case]:
    """Full verifications under a key that is known, of tokens that nobody remembers."""
    key = issuer.keys[algorithm].public_key()
    tokens = [entry.token for entry in signed]
    verifier = issuer.verifier(algorithm, token_cache_size=0)
    verifier.verify(tokens[0])

    def decode(token: str) -> object:
        return jwt.decode(token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)

    return [
        Case(RAW(algorithm), *bare_check(key, signed), RAW(algorithm)),
        Case(f"{algorithm} verify, cold", verifier.verify, tokens, RAW(algorithm), limit),
        Case(f"{algorithm} PyJWT decode", decode, tokens, RAW(algorithm)),
    ]


def bare_check(key: PublicKey, signed: list[Signed]) -> tuple[Callable[[Any], object], list[Any]]:
    """The signature check alone: key parsed, signature decoded and the objects of the scheme made beforehand."""
    pkcs1, sha256, ecdsa = padding.PKCS1v15(), SHA256(), ec.ECDSA(SHA256())
    pairs = [(entry.signature, entry.signing_input) for entry in signed]
    match key:
        case rsa.RSAPublicKey():
            return lambda pair: key.verify(pair[0], pair[1], pkcs1, sha256), pairs
        case ec.EllipticCurvePublicKey():
            return lambda pair: key.verify(pair[0], pair[1], ecdsa), [(to_der(pair[0]), pair[1]) for pair in pairs]
        case ed25519.Ed25519PublicKey():
            return lambda pair: key.verify(pair[0], pair[1]), pairs


def to_der(signature: bytes) -> bytes:
    """An ECDSA signature as the library takes it, from r followed by s."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def warm(issuer: Issuer, signed: list[Signed]) -> list[Case]:
    """Tokens that the verifier has seen before."""
    tokens = [entry.token for entry in signed]
    verifier = issuer.verifier("RS256")
    for token in tokens:
        verifier.verify(token)
    return [
        Case(HASH, lambda token: hashlib.sha256(token).digest(), [token.encode() for token in tokens], HASH),
        Case("warm hit", verifier.verify, tokens, HASH, 1.8),
        Case("warm hit, to raw", verifier.verify, tokens, RAW("RS256"), 0.08),
    ]


def refusals(issuer: Issuer, signed: list[Signed]) -> list[Case]:
    """Tokens that are refused; the refetch that a bad signature may cost is spent before the first reading."""
    verifier = issuer.verifier("RS256")
    tokens = [entry.token for entry in signed]
    foreign = [issuer.sign("RS256", n, iss="https://elsewhere.example").token for n in range(len(tokens))]
    return [
        refused("malformed", verifier, [token.replace(".", ".!", 1) for token in tokens], 0.1),
        refused("no provider", verifier, foreign, 0.4),
        refused("forged", verifier, [forge(token) for token in tokens], 1.5),
    ]


def refused(name: str, verifier: Verifier, tokens: list[str], limit: float) -> Case:
    """A case whose tokens are refused, each of them; one of them now, to see that they are."""

    def verify(token: str) -> None:
        try:
            verifier.verify(token)
        except InvalidTokenError:
            return
        message = f"{name}: the token was accepted"
        raise RuntimeError(message)

    verify(tokens[0])
    return Case(f"refused: {name}", verify, tokens, RAW("RS256"), limit)


def forge(token: str) -> str:
    """Change one character in the middle of the signature."""
    place = token.rindex(".") + 100
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
