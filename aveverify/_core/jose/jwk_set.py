"""A JWK Set document becomes a `KeySet`: every key that the path can read, in the order of the document.

A key that cannot verify stays in the set: it may make a choice ambiguous (OIDC-12). RFC 7517 §5; rules DISC-06,
DISC-10, DISC-11, JWKS-03 to JWKS-08.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aveverify._core.jose.document_error import DocumentError
from aveverify._core.jose.encoding import EncodingError, JsonValue
from aveverify._core.jose.jwk import Dialect, can_verify, is_for_signatures, is_readable, parse_public_key
from aveverify._core.jose.public_key import PublicKey
from aveverify._core.jose.strict_json import parse_json_document, repeated_members

# KEY-038: a set of a hundred keys is far beyond any real issuer; each costs a parse.
MAX_KEYS: Final = 100


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
    """The ordered candidates of one JWK Set document."""

    __slots__ = ("_by_kid", "candidates", "kids")

    def __init__(self, candidates: tuple[Candidate, ...]) -> None:
        self.candidates = candidates
        by_kid: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            if candidate.kid is not None:
                by_kid.setdefault(candidate.kid, []).append(candidate)
        self._by_kid = {kid: tuple(named) for kid, named in by_kid.items()}
        self.kids = tuple(self._by_kid)

    def with_kid(self, kid: str) -> tuple[Candidate, ...]:
        """Return the candidates of this `kid`, in the order of the document."""
        return self._by_kid.get(kid, ())


class KeySetError(DocumentError):
    """A document is no usable JWK Set."""


def parse_key_set(document: bytes, dialect: Dialect) -> KeySet:
    """Read a JWK Set document.

    Args:
        document: The body of the response.
        dialect: Which path reads it.

    Returns:
        The candidates, at least one of which can verify.

    Raises:
        KeySetError: The document is unreadable, too large or holds no key that can verify.

    Source: RFC 7517 §5; DISC-06, DISC-10, DISC-11; JWKS-03 to JWKS-08; DV-13; DV-14.
    """
    candidates: list[Candidate] = []
    has_usable_key = False
    for jwk in _read_entries(document):
        if not isinstance(jwk, dict):
            continue
        key = parse_public_key(jwk, dialect)
        has_usable_key |= key is not None and can_verify(jwk, key.algorithm)
        if is_readable(jwk, dialect):
            candidates.append(Candidate(jwk.get("kid"), jwk["kty"], jwk.get("alg"), is_for_signatures(jwk), key))
    if not has_usable_key:
        raise KeySetError("the key set holds no usable key")
    return KeySet(tuple(candidates))


def _read_entries(document: bytes) -> list[JsonValue]:
    try:
        members, fault = parse_json_document(document), None
    except EncodingError as error:
        members, fault = {}, error.fault
    if fault is not None:
        raise KeySetError(f"the key set cannot be read: {fault.value}")
    entries = members.get("keys")
    if type(entries) is not list or "keys" in repeated_members(members):
        raise KeySetError("the key set has no array `keys`")
    if len(entries) > MAX_KEYS:
        raise KeySetError(f"the key set holds more than {MAX_KEYS} keys")
    return entries
