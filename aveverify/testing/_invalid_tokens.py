"""Invalid tokens: one flaw each, and the reason for which the issuer's provider refuses it.

Everything else about such a token is valid, so that only the flaw can be the reason. RFC 8725; RFC 7519.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple

from aveverify.errors import Reason
from aveverify.testing._issuer import Issuer
from aveverify.testing._keys import SigningKey, dump_json, encode, encode_json
from aveverify.verifier import DEFAULT_MAX_TOKEN_BYTES

_HOUR_SECONDS: Final = 3600


class Flaw(NamedTuple):
    """One kind of invalid token: the reason of its refusal, and how to make one."""

    reason: Reason
    forge: Callable[[Issuer, SigningKey], str]


def _repeat_member(issuer: Issuer, _key: SigningKey) -> str:
    # RFC 7519 §4: claim names are unique; two parsers might read two users.
    return issuer.sign(dump_json(issuer.claims())[:-1] + b',"sub":"user_grace"}')


def _pad_payload(issuer: Issuer, _key: SigningKey) -> str:
    header, payload, signature = issuer.token().split(".")
    return f"{header}.{payload}=.{signature}"


def _encrypt(_issuer: Issuer, _key: SigningKey) -> str:
    # RFC 7516 §7.1: a JWE has five segments.
    header = encode_json({"alg": "RSA-OAEP", "enc": "A256GCM"})
    return ".".join([header, *(encode(part * 16) for part in (b"k", b"i", b"c", b"t"))])


def _flip_bit(issuer: Issuer, _key: SigningKey) -> str:
    signing_input, _, signature = issuer.token().rpartition(".")
    data = bytearray(_decode(signature))
    data[len(data) // 2] ^= 1
    return f"{signing_input}.{encode(bytes(data))}"


def _tamper_with_payload(issuer: Issuer, _key: SigningKey) -> str:
    header, payload, signature = issuer.token().split(".")
    return f"{header}.{encode_json(json.loads(_decode(payload)) | {'sub': 'user_grace'})}.{signature}"


def _remove_algorithm(issuer: Issuer, _key: SigningKey) -> str:
    _, payload, _ = issuer.token().split(".")
    return f"{encode_json({'alg': 'none', 'typ': 'JWT'})}.{payload}."


def _confuse_algorithm(issuer: Issuer, key: SigningKey) -> str:
    # RFC 8725 §2.1: an attacker uses the public key as an HMAC secret.
    _, payload, _ = issuer.token().split(".")
    signing_input = f"{encode_json({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{payload}"
    return f"{signing_input}.{encode(hmac.digest(key.public_pem, signing_input.encode(), 'sha256'))}"


def _embed_key(issuer: Issuer, key: SigningKey) -> str:
    # RFC 8725 §3.5: a verifier that trusts the header's `jwk` accepts any signer.
    foreign = SigningKey(key.algorithm, key.kid)
    header = {"alg": key.algorithm, "typ": "JWT", "kid": key.kid, "jwk": foreign.jwk}
    return foreign.sign_token(header, dump_json(issuer.claims()))


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _now(issuer: Issuer) -> int:
    return int(issuer.clock.now())


# In the order of the six steps of a verification.
FLAWS: Final[dict[str, Flaw]] = {
    # 1 read
    "too_large": Flaw(Reason.TOKEN_TOO_LARGE, lambda issuer, _: issuer.token(padding="x" * DEFAULT_MAX_TOKEN_BYTES)),
    "opaque": Flaw(Reason.MALFORMED_TOKEN, lambda _issuer, _key: "rt_0123456789abcdef0123456789abcdef"),
    "encrypted": Flaw(Reason.MALFORMED_PAYLOAD, _encrypt),
    "padded_base64": Flaw(Reason.MALFORMED_PAYLOAD, _pad_payload),
    "duplicate_member": Flaw(Reason.MALFORMED_PAYLOAD, _repeat_member),
    "text_expiry": Flaw(Reason.CLAIM_TYPE, lambda issuer, _: issuer.token(exp=str(_now(issuer) + _HOUR_SECONDS))),
    "milliseconds": Flaw(
        Reason.CLAIM_OUT_OF_RANGE, lambda issuer, _: issuer.token(exp=(_now(issuer) + _HOUR_SECONDS) * 1000)
    ),
    "missing_issuer": Flaw(Reason.CLAIM_MISSING, lambda issuer, _: issuer.token(omit=("iss",))),
    # 2 select the provider
    "unknown_issuer": Flaw(Reason.UNKNOWN_ISSUER, lambda issuer, _: issuer.token(iss="https://other-issuer.test")),
    "wrong_audience": Flaw(Reason.AUDIENCE_MISMATCH, lambda issuer, _: issuer.token(aud="app_other")),
    "missing_audience": Flaw(Reason.AUDIENCE_MISMATCH, lambda issuer, _: issuer.token(omit=("aud",))),
    # Ave's access_token_jwt: same key and header, but meant for Ave's own APIs.
    "access_token": Flaw(
        Reason.AUDIENCE_MISMATCH, lambda issuer, _: issuer.token(aud=issuer.issuer, cid=issuer.application_id)
    ),
    # 3 parse
    "missing_signature": Flaw(Reason.MALFORMED_TOKEN, lambda issuer, _: issuer.token().rpartition(".")[0]),
    "malformed_header": Flaw(
        Reason.MALFORMED_HEADER, lambda issuer, _: f"{encode(b'[]')}.{issuer.token().partition('.')[2]}"
    ),
    "malformed_signature": Flaw(Reason.MALFORMED_SIGNATURE, lambda issuer, _: f"{issuer.token()}="),
    "unknown_algorithm": Flaw(Reason.UNKNOWN_ALGORITHM, lambda issuer, _: issuer.token(header={"alg": "rs256"})),
    "text_email_verified": Flaw(Reason.CLAIM_TYPE, lambda issuer, _: issuer.token(email_verified="true")),
    "missing_subject": Flaw(Reason.CLAIM_MISSING, lambda issuer, _: issuer.token(omit=("sub",))),
    "missing_expiry": Flaw(Reason.CLAIM_MISSING, lambda issuer, _: issuer.token(omit=("exp",))),
    "access_token_type": Flaw(Reason.TYPE_NOT_ALLOWED, lambda issuer, _: issuer.token(header={"typ": "at+jwt"})),
    "content_type": Flaw(Reason.CONTENT_TYPE_PRESENT, lambda issuer, _: issuer.token(header={"cty": "JWT"})),
    "critical_header": Flaw(
        Reason.CRITICAL_HEADER, lambda issuer, _: issuer.token(header={"crit": ["b64"], "b64": True})
    ),
    "alg_none": Flaw(Reason.ALGORITHM_NOT_ALLOWED, _remove_algorithm),
    "hs256_with_public_key": Flaw(Reason.ALGORITHM_NOT_ALLOWED, _confuse_algorithm),
    "extra_audience": Flaw(
        Reason.EXTRA_AUDIENCE, lambda issuer, _: issuer.token(aud=[issuer.application_id, "app_other"])
    ),
    # 4 find the key
    "trailing_slash": Flaw(Reason.ISSUER_MISMATCH, lambda issuer, _: issuer.token(iss=f"{issuer.issuer}/")),
    "unknown_key": Flaw(Reason.UNKNOWN_KEY, lambda issuer, _: issuer.token(header={"kid": "no-such-key"})),
    # 5 verify the signature
    "bad_signature": Flaw(Reason.BAD_SIGNATURE, _flip_bit),
    "tampered_payload": Flaw(Reason.BAD_SIGNATURE, _tamper_with_payload),
    "embedded_key": Flaw(Reason.BAD_SIGNATURE, _embed_key),
    # 6 check and map
    "expired": Flaw(
        Reason.EXPIRED,
        lambda issuer, _: issuer.token(iat=_now(issuer) - 2 * _HOUR_SECONDS, exp=_now(issuer) - _HOUR_SECONDS),
    ),
}
REASON_BY_FLAW: Final = MappingProxyType({name: flaw.reason for name, flaw in FLAWS.items()})
