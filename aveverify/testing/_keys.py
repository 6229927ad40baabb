"""`SigningKey`: one private key of an issuer, its JWK, and the compact tokens that it signs.

It also signs what no issuer should. PyJWT's algorithms sign, because `jwt.encode` refuses to make several of the
tokens that a verifier has to refuse. RFC 7515 §3.1; RFC 7517.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from secrets import token_hex
from threading import Lock
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KeyAlgorithm = Literal["RS256", "ES256", "EdDSA"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_GENERATE: Final[dict[str, Callable[[], PrivateKey]]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class SigningKey:
    """A private key, generated at its first use.

    Args:
        algorithm: `RS256`, `ES256` or `EdDSA` (Ed25519).
        kid: Its key id; a random one by default.

    Raises:
        ValueError: The algorithm is none of these.
    """

    def __init__(self, algorithm: KeyAlgorithm, kid: str | None = None) -> None:
        if algorithm not in _GENERATE:
            message = f"no keys for {algorithm!r}; there are {', '.join(_GENERATE)}"
            raise ValueError(message)
        self.algorithm = algorithm
        self.kid = f"{algorithm.lower()}-{token_hex(4)}" if kid is None else kid
        self._signer = jwt.get_algorithm_by_name(algorithm)
        self._private_key: PrivateKey | None = None
        self._lock = Lock()

    @property
    def private_key(self) -> PrivateKey:
        """The private key itself."""
        with self._lock:
            if self._private_key is None:
                self._private_key = _GENERATE[self.algorithm]()
            return self._private_key

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a JWK, as an issuer publishes it."""
        members = self._signer.to_jwk(self.private_key.public_key(), as_dict=True)
        # RFC 7517 §4.3: `use` and `key_ops` should not stand together.
        material = {name: value for name, value in members.items() if name != "key_ops"}
        return material | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        """The public key in PEM."""
        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature of a JWS Signing Input, in the form that JWS uses."""
        return self._signer.sign(signing_input, self.private_key)

    def sign_token(self, header: Mapping[str, Any], payload: bytes) -> str:
        """Return a compact token.

        Args:
            header: The members of the JOSE header, valid or not.
            payload: The bytes of the payload, JSON or not.

        Returns:
            The token, signed with this key.
        """
        signing_input = f"{encode_json(header)}.{encode(payload)}"
        return f"{signing_input}.{encode(self.sign(signing_input.encode()))}"

    def __repr__(self) -> str:
        """Show the key id only."""
        return f"<SigningKey {self.kid!a}>"


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_json(members: Mapping[str, Any]) -> str:
    """Return a JSON object in base64url."""
    return encode(dump_json(members))


def dump_json(members: Mapping[str, Any]) -> bytes:
    """Return a JSON object without white space."""
    return json.dumps(dict(members), separators=(",", ":")).encode()
