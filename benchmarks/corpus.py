"""What is measured on: one issuer in memory, and tokens signed before the first clock reading."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from aveverify import FetchRequest, FetchResponse, Provider, Verifier

ISSUER = "https://issuer.example"
AUDIENCE = "app_benchmark"
KEYS_URL = f"{ISSUER}/jwks"
LIFETIME_SECONDS = 24 * 3600

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Signed:
    """One token, and what the bare check of its signature needs."""

    token: str
    signing_input: bytes
    signature: bytes


class Issuer:
    """Signs tokens, and is the fetcher that serves its own two documents."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        metadata = {"issuer": ISSUER, "jwks_uri": KEYS_URL}
        self._documents = {
            f"{ISSUER}/.well-known/openid-configuration": json.dumps(metadata).encode(),
            KEYS_URL: json.dumps({"keys": [self._jwk(alg) for alg in self.keys]}).encode(),
        }

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Serve a document."""
        body = self._documents[request.url]
        return FetchResponse(status=200, headers={"content-type": "application/json"}, body=body)

    def sign(self, algorithm: str, number: int, **changes: object) -> Signed:
        """Sign the token of user `number`, with the thirteen claims of an ordinary sign-in."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"user_{number:08}",
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "auth_time": now,
            "nonce": f"nonce-{number:08}",
            "sid": f"session-{number:08}",
            "name": "Ada Lovelace",
            "email": f"user{number}@mail.example",
            "email_verified": True,
            "picture": f"https://pictures.example/{number}.png",
            "plan": "pro",
        } | changes
        token = jwt.encode(claims, self.keys[algorithm], algorithm, headers={"kid": algorithm})
        signing_input, _, signature = token.rpartition(".")
        return Signed(token, signing_input.encode(), jwt.utils.base64url_decode(signature))

    def verifier(self, algorithm: str, *, token_cache_size: int = 10_000) -> Verifier:
        """A verifier that accepts the tokens of one algorithm."""
        provider = (
            Provider.custom_jwt(issuer=ISSUER, jwks=KEYS_URL, algorithm="ES256", application_id=AUDIENCE)
            if algorithm == "ES256"
            else Provider(issuer=ISSUER, application_id=AUDIENCE)
        )
        return Verifier(provider, fetcher=self, token_cache_size=token_cache_size)

    def _jwk(self, algorithm: str) -> dict[str, Any]:
        key = self.keys[algorithm].public_key()
        match key:
            case rsa.RSAPublicKey():
                jwk: dict[str, Any] = RSAAlgorithm.to_jwk(key, as_dict=True)
            case ec.EllipticCurvePublicKey():
                jwk = ECAlgorithm.to_jwk(key, as_dict=True)
            case _:
                jwk = OKPAlgorithm.to_jwk(key, as_dict=True)
        return jwk | {"kid": algorithm, "alg": algorithm, "use": "sig"}
