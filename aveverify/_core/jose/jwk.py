"""Keys: one JWK becomes a candidate, a key-set document becomes a `KeySet`, in the dialect of the path.

A set keeps every key that the path can read, also one that cannot verify: it may make a choice ambiguous (OIDC-12).
Whether a key is *usable* does not depend on the path and only decides whether a fetch succeeded (DV-14). Private
members are never read (DV-13). RFC 7517; rules DISC-10, DISC-11, JWKS-03 to JWKS-08.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from aveverify._core.jose.document_error import DocumentFault
from aveverify._core.jose.encoding import (
    EncodingError,
    JsonObject,
    decode_base64url,
    parse_json_document,
    repeated_members,
)
from aveverify._core.jose.jwa import ALGORITHM_OF_KEY_TYPE, Algorithm, UnsuitableKeyError, Verify
from aveverify._core.jose.jws import is_text_or_null, is_texts_or_null
from aveverify.errors import Fault

Dialect = Literal["oidc", "customJwt"]

# KEY-038: a set of a hundred keys is far beyond any real issuer; each costs a parse.
MAX_KEYS: Final = 100

_SIGNATURES: Final = frozenset(f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512))
_CONTENT_ENCRYPTION: Final = frozenset(
    {"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}
)
_KEY_MANAGEMENT: Final = frozenset(
    {
        "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "A128KW", "A192KW", "A256KW", "dir", "ECDH-ES", "ECDH-ES+A128KW",
        "ECDH-ES+A192KW", "ECDH-ES+A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "PBES2-HS256+A128KW",
        "PBES2-HS384+A192KW", "PBES2-HS512+A256KW",
    }
)  # fmt: skip
# OIDC-02, DISC-10: the names that headers and keys may carry on the OIDC path.
OIDC_ALGORITHM_NAMES: Final = _SIGNATURES | _CONTENT_ENCRYPTION | {"none", "EdDSA"}
# CJ-03: EdDSA is not even a known name on the customJwt path. Keys may carry more (JWKS-04).
CUSTOM_JWT_HEADER_ALGORITHM_NAMES: Final = _SIGNATURES | {"none"}
_CUSTOM_JWT_KEY_ALGORITHM_NAMES: Final = CUSTOM_JWT_HEADER_ALGORITHM_NAMES | _CONTENT_ENCRYPTION | _KEY_MANAGEMENT

_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP", "oct"})
_CURVES: Final = frozenset({"P-256", "P-384", "P-521", "Ed25519", "Ed448"})
# JWKS-04: the members that each type of key must have, as base64url.
_REQUIRED: Final = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",), "oct": ("k",)}
_OIDC_READ_ONCE: Final = frozenset({"kty", "use", "kid", "alg", "n", "e", "crv", "x", "y", "k"})
_CUSTOM_JWT_READ_ONCE: Final = frozenset({"kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t"})


class PublicKey(NamedTuple):
    """A key that can verify. Bound to one algorithm, which the token cannot change.

    Attributes:
        algorithm: The one algorithm.
        verify: Takes signature and signing input, and tells whether the key made the one over the other.
        thumbprint: Its JWK thumbprint with SHA-256 (RFC 7638), in hexadecimal digits.
    """

    algorithm: Algorithm
    verify: Verify
    thumbprint: str

    def __repr__(self) -> str:
        """Show the algorithm only."""
        return f"<PublicKey {self.algorithm.name}>"


class Candidate(NamedTuple):
    """One readable key of a set, as the document gives it.

    Attributes:
        kid: Its `kid`.
        key_type: Its `kty`.
        alg: Its `alg`.
        for_signatures: Whether `use` and `key_ops` let it verify signatures (DV-04).
        key: The key, or None where its public members do not make one.
    """

    kid: str | None
    key_type: str
    alg: str | None
    for_signatures: bool
    key: PublicKey | None


class KeySet:
    """The ordered candidates of one key-set document."""

    __slots__ = ("_by_kid", "candidates", "kids", "usable_count")

    def __init__(self, candidates: tuple[Candidate, ...], usable_count: int) -> None:
        self.candidates = candidates
        self.usable_count = usable_count
        by_kid: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            if candidate.kid is not None:
                by_kid.setdefault(candidate.kid, []).append(candidate)
        self._by_kid = {kid: tuple(named) for kid, named in by_kid.items()}
        self.kids = tuple(self._by_kid)

    def with_kid(self, kid: str) -> tuple[Candidate, ...]:
        """Return the candidates of this `kid`, in the order of the document."""
        return self._by_kid.get(kid, ())


class KeySetFault(DocumentFault):
    """A document is no usable key set."""


def parse_key_set(document: bytes, dialect: Dialect) -> KeySet:
    """Read a key-set document.

    Args:
        document: The body of the answer.
        dialect: Which path reads it.

    Returns:
        The candidates, at least one of them usable by some path.

    Raises:
        KeySetFault: The document is unreadable, too large or holds no usable key.

    Source: RFC 7517 §5; DISC-06, DISC-10, DISC-11; JWKS-03 to JWKS-08; DV-13; DV-14.
    """
    fault: Fault | None = None
    try:
        members = parse_json_document(document)
    except EncodingError as error:
        members, fault = {}, error.fault
    if fault is not None:
        raise KeySetFault(f"the key set cannot be read: {fault.value}")
    entries = members.get("keys")
    if type(entries) is not list or "keys" in repeated_members(members):
        raise KeySetFault("the key set has no array `keys`")
    if len(entries) > MAX_KEYS:
        raise KeySetFault(f"the key set holds more than {MAX_KEYS} keys")
    candidates: list[Candidate] = []
    usable_count = 0
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        key = _parse_material(entry, allow_nonzero_trailing_bits=dialect == "oidc")
        usable_count += key is not None and is_usable(entry, key.algorithm)
        if _READABLE[dialect](entry):
            candidates.append(
                Candidate(entry.get("kid"), entry["kty"], entry.get("alg"), _is_for_signatures(entry), key)
            )
    if usable_count == 0:
        raise KeySetFault("the key set holds no usable key")
    return KeySet(tuple(candidates), usable_count)


def parse_public_key(jwk: JsonObject, *, strict: bool) -> PublicKey:
    """Read one JWK by its public members.

    Args:
        jwk: The members.
        strict: Whether base64url must be canonical, as on the customJwt path (JWKS-06).

    Returns:
        The key.

    Raises:
        UnsuitableKeyError: It is not a key that could verify.

    Source: RFC 7517 §4; RFC 7518 §6; RFC 8037 §2.
    """
    key = _parse_material(jwk, allow_nonzero_trailing_bits=not strict)
    if key is None:
        raise UnsuitableKeyError
    return key


def is_usable(jwk: JsonObject, algorithm: Algorithm) -> bool:
    """Tell whether a key whose public members are good could verify a signature, whichever provider asks.

    Source: DISC-11; JWKS-08; DV-04; DV-14.
    """
    alg = jwk.get("alg")
    read_once = algorithm.key_members | {"kty", "use", "key_ops", "kid", "alg"}
    return (
        _is_for_signatures(jwk)
        and is_text_or_null(jwk.get("kid"))
        and (alg is None or (type(alg) is str and alg in algorithm.key_algs))
        and read_once.isdisjoint(repeated_members(jwk))
    )


def is_readable_strictly(jwk: Any) -> bool:  # noqa: ANN401 - a JSON value
    """Tell whether the customJwt path can read a key, whatever it is good for.

    Source: JWKS-04; JWKS-06; JWKS-07; CJ-03.
    """
    return isinstance(jwk, dict) and _is_readable_on_custom_jwt(jwk)


def _parse_material(jwk: JsonObject, *, allow_nonzero_trailing_bits: bool) -> PublicKey | None:
    kty = jwk.get("kty")
    algorithm = ALGORITHM_OF_KEY_TYPE.get(kty) if type(kty) is str else None
    if algorithm is None:
        return None
    try:
        verify, members = algorithm.parse_key(jwk, allow_nonzero_trailing_bits)
    except UnsuitableKeyError:
        return None
    # RFC 7638 §3: the required members in lexicographic order, without white space.
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return PublicKey(algorithm, verify, sha256(canonical.encode()).hexdigest())


def _is_for_signatures(jwk: JsonObject) -> bool:
    # DV-04; RFC 7517 §4.2, §4.3: null counts as absent.
    operations = jwk.get("key_ops")
    return jwk.get("use") in (None, "sig") and (
        operations is None or (type(operations) is list and "verify" in operations)
    )


def _is_readable_on_oidc(jwk: JsonObject) -> bool:
    # DISC-10: public members that do not decode leave the key readable; it fails when it is chosen.
    kty, alg = jwk.get("kty"), jwk.get("alg")
    return (
        type(kty) is str
        and kty in _KEY_TYPES
        and is_text_or_null(jwk.get("use"))
        and is_text_or_null(jwk.get("kid"))
        and (alg is None or (type(alg) is str and alg in OIDC_ALGORITHM_NAMES))
        and _OIDC_READ_ONCE.isdisjoint(repeated_members(jwk))
    )


def _is_readable_on_custom_jwt(jwk: JsonObject) -> bool:
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
        and (alg is None or (type(alg) is str and alg in _CUSTOM_JWT_KEY_ALGORITHM_NAMES))
        and all(is_text_or_null(jwk.get(name)) for name in ("use", "kid", "x5t", "x5u"))
        and all(is_texts_or_null(jwk.get(name)) for name in ("key_ops", "x5c"))
        and read_once.isdisjoint(repeated_members(jwk))
    )


def _is_canonical_base64url(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    if type(value) is not str or not value.isascii():
        return False
    try:
        decode_base64url(value.encode())
    except EncodingError:
        return False
    return True


_READABLE: Final[dict[Dialect, Callable[[JsonObject], bool]]] = {
    "oidc": _is_readable_on_oidc,
    "customJwt": _is_readable_on_custom_jwt,
}
