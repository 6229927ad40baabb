"""Where Wycheproof's cases and the RFCs' examples meet the core: below the claims, at keys and compact JWS.

A JWS payload need not hold claims, so steps 1 and 2 are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aveverify import InvalidTokenError
from aveverify._core.jose.encoding import EncodingError, decode_base64url
from aveverify._core.jose.jwk import Dialect, parse_public_key
from aveverify._core.jose.jwk_set import KeySetError, parse_key_set
from aveverify._core.jose.jws import Header, UnverifiedToken, parse_header, parse_signature, verify_signature
from aveverify._core.jose.jwt_claims import UnverifiedClaims
from aveverify._core.jose.public_key import PublicKey
from aveverify.errors import Fault

DIALECTS: tuple[Dialect, ...] = ("oidc", "customJwt")


def public_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """The key that a JWK describes, or None where it describes none that could verify here."""
    return parse_public_key(dict(jwk), "customJwt")


def payload_of(jws: bytes, keys: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The payload of a compact JWS if a key of the set verifies it; the same in both dialects."""
    in_oidc, in_custom_jwt = ({payload_under(jws, key) for key in verifying_keys(keys, path)} for path in DIALECTS)
    assert in_oidc == in_custom_jwt
    return next(iter(in_oidc - {None}), None)


def verifying_keys(keys: Sequence[Mapping[str, Any]], dialect: Dialect) -> list[PublicKey]:
    """The keys of a set that may verify signatures."""
    try:
        candidates = parse_key_set(json.dumps({"keys": keys}).encode(), dialect).candidates
    except KeySetError:
        return []
    return [
        candidate.key
        for candidate in candidates
        if candidate.for_signatures and candidate.key and candidate.alg in {None, candidate.key.algorithm.name}
    ]


def payload_under(jws: bytes, key: PublicKey) -> bytes | None:
    """The payload of a compact JWS if this key verifies it."""
    try:
        return verify_signature(well_formed(jws, key), key, "customJwt").payload
    except (InvalidTokenError, EncodingError):
        return None


def well_formed(jws: bytes, key: PublicKey) -> UnverifiedToken:
    """Read a compact JWS strictly, and see that its header asks for the algorithm of the key and nothing more."""
    header_end = jws.find(b".")
    payload_end = jws.find(b".", header_end + 1)
    payload = decode_base64url(jws[header_end + 1 : payload_end])
    unverified = UnverifiedClaims(jws, header_end, payload_end, payload, {}, "", ())
    members = parse_header(unverified, "customJwt")
    if members.get("alg") != key.algorithm.name or "crit" in members:
        raise EncodingError(Fault.MEMBER_TYPE)
    header = Header(members["alg"], members.get("kid"), None, None, crit=False)
    signature = parse_signature(unverified, "customJwt")
    return UnverifiedToken(unverified, {}, header, jws[:payload_end], signature)
