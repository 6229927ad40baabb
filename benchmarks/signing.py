"""A private key of the benchmark's issuer, its public forms, and the tokens that it signs. Nothing here is timed."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Algorithm = Literal["RS256", "ES256", "EdDSA"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Signer:
    """One private key.

    Args:
        algorithm: `RS256`, `ES256` or `EdDSA`.
        bits: The size of an RSA key; the other algorithms ignore it.
    """

    def __init__(self, algorithm: Algorithm, bits: int = 2048) -> None:
        self.algorithm: Algorithm = algorithm
        self._key = generate(algorithm, bits)
        self._algorithm = jwt.get_algorithm_by_name(algorithm)
        public = self._key.public_key()
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        # As long as the thumbprints that issuers use for key ids (RFC 7638): 43 characters.
        self.kid = encode(hashlib.sha256(self.pem.encode()).digest())
        material: dict[str, Any] = self._algorithm.to_jwk(public, as_dict=True)
        material.pop("key_ops", None)
        self.jwk = material | {"kid": self.kid, "alg": algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], kid: str | None = None) -> str:
        """Return the compact token of some claims."""
        return self.sign_payload(json.dumps(claims, separators=(",", ":")).encode(), kid)

    def sign_payload(self, payload: bytes, kid: str | None = None) -> str:
        """Return the compact token of a payload as it is."""
        header = {"alg": self.algorithm, "kid": self.kid if kid is None else kid, "typ": "JWT"}
        signing_input = f"{encode(json.dumps(header, separators=(',', ':')).encode())}.{encode(payload)}"
        return f"{signing_input}.{encode(self._algorithm.sign(signing_input.encode(), self._key))}"


def generate(algorithm: Algorithm, bits: int) -> PrivateKey:
    """Generate a private key."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
