"""Keys, tokens and documents, made by hand with `cryptography` alone: nothing that is tested helps to make them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aveverify import (
    FetchError,
    FetchRequest,
    FetchResponse,
    Identity,
    InvalidTokenError,
    Provider,
    Verifier,
)
from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwk import Dialect, parse_public_key
from aveverify._core.jose.jwk_set import KeySet, parse_key_set
from aveverify._core.jose.jws import Header, UnverifiedToken
from aveverify._core.jose.jwt_claims import UnverifiedClaims, read_claims
from aveverify._core.jose.public_key import PublicKey

NOW = 1_700_000_000
ISSUER = "https://idp.example"
APPLICATION_ID = "app"
METADATA_URL = f"{ISSUER}/.well-known/openid-configuration"
KEYS_URL = f"{ISSUER}/keys"

Json = dict[str, Any]
ErrorT = TypeVar("ErrorT", bound=Exception)


def encode(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value: int) -> str:
    """A number as a JWK writes it."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


def json_bytes(value: JsonValue) -> bytes:
    """JSON text; bytes are taken as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def good_claims(**changes: JsonValue) -> Json:
    """Claims that both kinds of provider accept at `NOW`, with changes."""
    claims: Json = {"iss": ISSUER, "aud": APPLICATION_ID, "sub": "u1", "iat": NOW - 1000, "exp": NOW + 3600}
    return claims | changes


def without(claims: Json, *names: str) -> Json:
    """Claims less a few."""
    return {name: value for name, value in claims.items() if name not in names}


def compact(header: JsonValue, payload: JsonValue, signature: bytes = b"signature") -> bytes:
    """A compact token without a valid signature."""
    return f"{encode(json_bytes(header))}.{encode(json_bytes(payload))}.{encode(signature)}".encode()


def read(payload: JsonValue = None, header: JsonValue = None, signature: bytes = b"signature") -> UnverifiedClaims:
    """A token after step 1."""
    return read_claims(
        compact(
            {"alg": "RS256"} if header is None else header, good_claims() if payload is None else payload, signature
        )
    )


def parsed(
    *, alg: str = "RS256", kid: str | None = None, claims: Json | None = None, **header: JsonValue
) -> UnverifiedToken:
    """A token after step 3, with these header members."""
    unverified = read(claims)
    members = Header(alg, kid, header.get("typ"), header.get("cty"), header.get("crit", False))
    return UnverifiedToken(
        unverified, unverified.claims, members, unverified.token[: unverified.payload_end], b"signature"
    )


def raised(kind: type[ErrorT], call: Callable[[], object]) -> ErrorT:
    """The error of a call; it has no context and no cause, which could quote a token."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


def refused(call: Callable[[], object]) -> InvalidTokenError:
    """The refusal of a call."""
    return raised(InvalidTokenError, call)


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Signer:
    """A key of an issuer."""

    private_key: PrivateKey
    alg: str
    kid: str

    @cached_property
    def material(self) -> Json:
        """The public members of the JWK."""
        match self.private_key:
            case rsa.RSAPrivateKey():
                public = self.private_key.public_key().public_numbers()
                return {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
            case ec.EllipticCurvePrivateKey():
                point = self.private_key.public_key().public_numbers()
                x, y = (encode(value.to_bytes(32)) for value in (point.x, point.y))
                return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
            case _:
                data = self.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
                return {"kty": "OKP", "crv": "Ed25519", "x": encode(data)}

    @property
    def jwk(self) -> Json:
        """The JWK as an issuer publishes it."""
        return self.material | {"kid": self.kid, "alg": self.alg, "use": "sig"}

    def signature(self, signing_input: bytes) -> bytes:
        """The signature in the form of a JWS."""
        match self.private_key:
            case rsa.RSAPrivateKey():
                return self.private_key.sign(signing_input, padding.PKCS1v15(), SHA256())
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.private_key.sign(signing_input, ec.ECDSA(SHA256())))
                return r.to_bytes(32) + s.to_bytes(32)
            case _:
                return self.private_key.sign(signing_input)

    def token(self, payload: JsonValue = None, **header: JsonValue) -> str:
        """A signed token."""
        members = {"alg": self.alg, "kid": self.kid} | header
        signing_input, _, _ = compact(members, good_claims() if payload is None else payload).rpartition(b".")
        return f"{signing_input.decode()}.{encode(self.signature(signing_input))}"


@cache
def rs256(kid: str = "rsa") -> Signer:
    """An RSA key, one for each kid."""
    return Signer(rsa.generate_private_key(65537, 2048), "RS256", kid)


@cache
def es256(kid: str = "ec") -> Signer:
    """A P-256 key, one for each kid."""
    return Signer(ec.generate_private_key(ec.SECP256R1()), "ES256", kid)


@cache
def eddsa(kid: str = "ed") -> Signer:
    """An Ed25519 key, one for each kid."""
    return Signer(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)


def modulus(bits: int) -> int:
    """An odd number of exactly so many bits: good enough to be read as a modulus, no key to sign with."""
    return (1 << bits) - 159


def rsa_jwk(bits: int = 2048, exponent: int = 65537, **more: JsonValue) -> Json:
    """An RSA key without a private half."""
    return {"kty": "RSA", "n": number(modulus(bits)), "e": number(exponent)} | more


def public_key(jwk: Json, dialect: Dialect = "customJwt") -> PublicKey:
    """The key of a JWK that makes one."""
    key = parse_public_key(jwk, dialect)
    assert key is not None
    return key


def key_set_document(*jwks: JsonValue) -> bytes:
    """The document of a key set."""
    return json.dumps({"keys": jwks}).encode()


def key_set(*jwks: JsonValue, dialect: Dialect = "oidc") -> KeySet:
    """A key set as step 4 sees it."""
    return parse_key_set(key_set_document(*jwks), dialect)


def spare_key() -> Json:
    """A usable key, which keeps a set with any other key from being a fault."""
    return eddsa("spare").jwk | {"alg": None}


def document_beside_a_good_key(jwk_text: str) -> bytes:
    """The document of a key set whose second key has exactly this text."""
    return f'{{"keys":[{json.dumps(spare_key())},{jwk_text}]}}'.encode()


def data_url(document: bytes) -> str:
    """A `data:` URL."""
    return f"data:application/json;base64,{base64.b64encode(document).decode()}"


@dataclass
class TestClock:
    """A clock that only the test moves."""

    # Not a test, whatever pytest makes of the name.
    __test__ = False

    wall: float = NOW
    elapsed: float = 1000.0

    def now(self) -> float:
        """The wall clock."""
        return self.wall

    def monotonic(self) -> float:
        """The monotonic clock."""
        return self.elapsed

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.elapsed += seconds


@dataclass
class Documents:
    """A fetcher that answers from a dictionary, and refuses the connection elsewhere."""

    answers: dict[str, bytes]
    requests: list[FetchRequest] = field(default_factory=list)

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Give the answer of an address."""
        self.requests.append(request)
        if request.url not in self.answers:
            message = "no such address"
            raise FetchError(message)
        headers = {"content-type": "application/json"}
        return FetchResponse(status=200, headers=headers, body=self.answers[request.url])


def issuer_documents(*jwks: JsonValue) -> dict[str, bytes]:
    """What the issuer publishes."""
    return {
        METADATA_URL: json.dumps({"issuer": ISSUER, "jwks_uri": KEYS_URL}).encode(),
        KEYS_URL: key_set_document(*jwks),
    }


def oidc_verifier(*jwks: JsonValue, provider: Provider | None = None, **options: JsonValue) -> Verifier:
    """A verifier of one OIDC provider whose issuer publishes these keys."""
    chosen = Provider(issuer=ISSUER, application_id=APPLICATION_ID) if provider is None else provider
    defaults: Json = {"clock": TestClock(), "fetcher": Documents(issuer_documents(*jwks))}
    return Verifier(chosen, **(defaults | options))


def custom_jwt_provider(*jwks: JsonValue, algorithm: JsonValue = "RS256", **options: JsonValue) -> Provider:
    """A customJwt provider that holds these keys itself."""
    defaults: Json = {"issuer": ISSUER, "application_id": APPLICATION_ID, "jwks": data_url(key_set_document(*jwks))}
    return Provider.custom_jwt(algorithm=algorithm, **(defaults | options))


def custom_jwt_verifier(*jwks: JsonValue, algorithm: JsonValue = "RS256", **options: JsonValue) -> Verifier:
    """A verifier of one customJwt provider that holds these keys itself."""
    defaults: Json = {"clock": TestClock()}
    return Verifier(custom_jwt_provider(*jwks, algorithm=algorithm), **(defaults | options))


def oidc_identity(**changes: JsonValue) -> Identity:
    """The identity of a verified OIDC token."""
    return oidc_identity_of(good_claims(**changes))


def oidc_identity_of(payload: JsonValue) -> Identity:
    """The identity of a verified OIDC token with this payload."""
    with oidc_verifier(eddsa().jwk) as verifier:
        return verifier.verify(eddsa().token(payload))


def custom_jwt_identity(**changes: JsonValue) -> Identity:
    """The identity of a verified customJwt token."""
    with custom_jwt_verifier(es256().jwk, algorithm="ES256") as verifier:
        return verifier.verify(es256().token(good_claims(**changes)))
