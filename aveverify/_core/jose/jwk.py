"""One JWK: its public members become a `PublicKey`, and each path decides by its own rules whether it can read it.

A key that a path can read but that cannot verify still counts in a choice (OIDC-12). Whether a key is *usable* does not
depend on the path and only decides whether a fetch succeeded (DV-14). Private members are never read (DV-13).
RFC 7517 §4; rules DISC-10, DISC-11, JWKS-04 to JWKS-08.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Literal

from aveverify._core.jose.algorithm_names import CUSTOM_JWT_KEY_ALGORITHM_NAMES, OIDC_ALGORITHM_NAMES
from aveverify._core.jose.encoding import EncodingError, JsonObject, JsonValue, decode_base64url
from aveverify._core.jose.public_key import Algorithm, PublicKey, UnsuitableKeyError
from aveverify._core.jose.strict_json import is_text_or_null, is_texts_or_null, repeated_members

Dialect = Literal["oidc", "customJwt"]

_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP", "oct"})
_CURVES: Final = frozenset({"P-256", "P-384", "P-521", "Ed25519", "Ed448"})
# JWKS-04: the members that each type of key must have, as base64url.
_REQUIRED: Final = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",), "oct": ("k",)}
_OIDC_READ_ONCE: Final = frozenset({"kty", "use", "kid", "alg", "n", "e", "crv", "x", "y", "k"})
_CUSTOM_JWT_READ_ONCE: Final = frozenset({"kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t"})


def parse_public_key(jwk: JsonObject, dialect: Dialect) -> PublicKey | None:
    """Read one JWK by its public members.

    Args:
        jwk: The members.
        dialect: Which path reads it. In OIDC, unused bits of base64url may be set (DISC-10); in customJwt, base64url
            must be canonical (JWKS-06).

    Returns:
        The key; None where the members do not make a key that could verify.

    Source: RFC 7517 §4; RFC 7518 §6; RFC 7638 §3; RFC 8037 §2.
    """
    # The signature library is slow to import: a program that verifies no token does not pay for it.
    from aveverify._core.jose.jwa import ALGORITHM_OF_KEY_TYPE  # noqa: PLC0415 - costly, see above

    kty = jwk.get("kty")
    algorithm = ALGORITHM_OF_KEY_TYPE.get(kty) if type(kty) is str else None
    if algorithm is None:
        return None
    try:
        verify, members = algorithm.parse_key(jwk, allow_nonzero_trailing_bits=dialect == "oidc")
    except UnsuitableKeyError:
        return None
    # RFC 7638 §3: the required members in lexicographic order, without white space.
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return PublicKey(algorithm, verify, sha256(canonical.encode()).hexdigest())


def can_verify(jwk: JsonObject, algorithm: Algorithm) -> bool:
    """Tell whether a key whose public members are good could verify a signature, on either path.

    Source: DISC-11; JWKS-08; DV-04; DV-14.
    """
    alg = jwk.get("alg")
    read_once = algorithm.key_members | {"kty", "use", "key_ops", "kid", "alg"}
    return (
        is_for_signatures(jwk)
        and is_text_or_null(jwk.get("kid"))
        and (alg is None or (type(alg) is str and alg in algorithm.key_algs))
        and read_once.isdisjoint(repeated_members(jwk))
    )


def is_for_signatures(jwk: JsonObject) -> bool:
    """Tell whether `use` and `key_ops` let a key verify signatures; null counts as absent.

    Source: RFC 7517 §4.2, §4.3; DV-04.
    """
    operations = jwk.get("key_ops")
    return jwk.get("use") in (None, "sig") and (
        operations is None or (type(operations) is list and "verify" in operations)
    )


def is_readable(jwk: JsonValue, dialect: Dialect) -> bool:
    """Tell whether a path can read a JWK, whatever the key is good for.

    Source: DISC-10; JWKS-04; JWKS-06; JWKS-07; CJ-03.
    """
    return isinstance(jwk, dict) and _IS_READABLE[dialect](jwk)


def _is_readable_in_oidc(jwk: JsonObject) -> bool:
    # DISC-10: public members that do not decode leave the key readable; it fails when it is chosen. OIDC-15: `key_ops`,
    # `x5c`, `x5t`, `x5u` and unknown members do not count here.
    kty, alg = jwk.get("kty"), jwk.get("alg")
    return (
        type(kty) is str
        and kty in _KEY_TYPES
        and is_text_or_null(jwk.get("use"))
        and is_text_or_null(jwk.get("kid"))
        and (alg is None or (type(alg) is str and alg in OIDC_ALGORITHM_NAMES))
        and _OIDC_READ_ONCE.isdisjoint(repeated_members(jwk))
    )


def _is_readable_in_custom_jwt(jwk: JsonObject) -> bool:
    # JWKS-04, JWKS-06, JWKS-07
    kty, alg, crv = jwk.get("kty"), jwk.get("alg"), jwk.get("crv")
    if type(kty) is not str or kty not in _KEY_TYPES:
        return False
    needs_curve = kty in ("EC", "OKP")
    required = _REQUIRED[kty]
    read_once = _CUSTOM_JWT_READ_ONCE.union(required, ("crv",) if needs_curve else ())
    return (
        (not needs_curve or (type(crv) is str and crv in _CURVES))
        and all(_is_canonical_base64url(jwk.get(name)) for name in required)
        and (alg is None or (type(alg) is str and alg in CUSTOM_JWT_KEY_ALGORITHM_NAMES))
        and all(is_text_or_null(jwk.get(name)) for name in ("use", "kid", "x5t", "x5u"))
        and all(is_texts_or_null(jwk.get(name)) for name in ("key_ops", "x5c"))
        and read_once.isdisjoint(repeated_members(jwk))
    )


def _is_canonical_base64url(value: JsonValue) -> bool:
    if type(value) is not str or not value.isascii():
        return False
    try:
        decode_base64url(value.encode())
    except EncodingError:
        return False
    return True


_IS_READABLE: Final[dict[Dialect, Callable[[JsonObject], bool]]] = {
    "oidc": _is_readable_in_oidc,
    "customJwt": _is_readable_in_custom_jwt,
}
