"""The compact serialization of a JWS: three segments, and the types that say how far a token is trusted.

`UnverifiedClaims` -> `UnverifiedToken` (well formed) -> `VerifiedToken` (signed by a key of the issuer). Only
`verify_signature` makes the last one. The algorithm comes from the key; the token's `alg` was compared with it before
and chooses nothing (RFC 8725 §3.1). RFC 7515 §5.2, §7.1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aveverify._core.jose.compact_hints import hint_at_form
from aveverify._core.jose.encoding import (
    EncodingError,
    JsonObject,
    base64url_fault,
    decode_base64url,
    decode_segment,
)
from aveverify._core.jose.jwt_claims import UnverifiedClaims
from aveverify._core.jose.public_key import PublicKey
from aveverify._core.jose.strict_json import is_text_or_null, is_texts_or_null, parse_json_object
from aveverify.errors import Fault, InvalidTokenError, ProviderKind, Reason

# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__


class Header(NamedTuple):
    """The members of a JOSE header that have an effect, with their types checked."""

    alg: str
    kid: str | None
    typ: str | None
    cty: str | None
    crit: bool


class UnverifiedToken(NamedTuple):
    """A well-formed token whose signature is not verified yet.

    Attributes:
        unverified: The token as step 1 read it.
        claims: The members of the payload; in OIDC without language tags.
        header: The members of the header that have an effect.
        signing_input: The bytes that the signature covers.
        signature: The signature, decoded.
    """

    unverified: UnverifiedClaims
    claims: JsonObject
    header: Header
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Show alg and kid only."""
        return f"<UnverifiedToken alg={self.header.alg!a} kid={self.header.kid!a}>"


class VerifiedToken(NamedTuple):
    """A token that a key of the issuer has signed. Step 6 still has to check its claims.

    Attributes:
        claims: The members of the payload; in OIDC without language tags.
        payload: The payload, decoded.
    """

    claims: JsonObject
    payload: bytes

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "<VerifiedToken>"


def _check_segments(unverified: UnverifiedClaims, kind: ProviderKind) -> None:
    """Refuse a token that has not exactly three segments.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN`.

    Source: RFC 7515 §7.1; OIDC-01; CJ-02.
    """
    if unverified.payload_end < 0 or unverified.token.rfind(b".") != unverified.payload_end:
        hint = hint_at_form(unverified.token, unverified.payload_end)
        raise InvalidTokenError(Reason.MALFORMED_TOKEN, rule="RFC7515-7.1", kind=kind, fault=Fault.SEGMENTS, hint=hint)


def parse_header(unverified: UnverifiedClaims, kind: ProviderKind) -> JsonObject:
    """Read the header segment of a token, once it has exactly three segments.

    Args:
        unverified: The token, read by step 1.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The members of the header.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN` or `MALFORMED_HEADER`.

    Source: RFC 7515 §4; OIDC-01, OIDC-02; CJ-02, CJ-03; DV-08; DV-12.
    """
    _check_segments(unverified, kind)
    try:
        return parse_json_object(decode_base64url(unverified.token[: unverified.header_end]))
    except EncodingError as error:
        fault = error.fault
    hint = hint_at_form(unverified.token, unverified.payload_end)
    raise InvalidTokenError(Reason.MALFORMED_HEADER, rule="RFC7515-4", kind=kind, fault=fault, hint=hint)


def parse_signature(unverified: UnverifiedClaims, kind: ProviderKind) -> bytes:
    """Decode the signature segment.

    Args:
        unverified: The token, read by step 1.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The signature, of whatever length.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN` or `MALFORMED_SIGNATURE`.

    Source: RFC 7515 §5.2 step 7, §7.1; DV-02; OIDC-01; CJ-02.
    """
    segment = unverified.token[unverified.payload_end + 1 :]
    signature = decode_segment(segment)
    if signature is None:
        # A dot is no base64url either: with more or fewer than three segments, the last one cannot be decoded.
        _check_segments(unverified, kind)
        hint, fault = hint_at_form(unverified.token, unverified.payload_end), base64url_fault(segment)
        raise InvalidTokenError(Reason.MALFORMED_SIGNATURE, rule="DV-02", kind=kind, fault=fault, hint=hint)
    return signature


def check_text_members(header: JsonObject, names: tuple[str, ...], kind: ProviderKind, rule: str) -> None:
    """Refuse header members that are neither text nor null.

    Raises:
        InvalidTokenError: `MALFORMED_HEADER`.

    Source: OIDC-02; CJ-03.
    """
    for name in names:
        if not is_text_or_null(header.get(name)):
            raise InvalidTokenError(Reason.MALFORMED_HEADER, rule=rule, kind=kind, claim=name, fault=Fault.MEMBER_TYPE)


def check_list_members(header: JsonObject, names: tuple[str, ...], kind: ProviderKind, rule: str) -> None:
    """Refuse header members that are neither a list of texts nor null.

    Raises:
        InvalidTokenError: `MALFORMED_HEADER`.

    Source: OIDC-02; CJ-03.
    """
    for name in names:
        if not is_texts_or_null(header.get(name)):
            raise InvalidTokenError(Reason.MALFORMED_HEADER, rule=rule, kind=kind, claim=name, fault=Fault.MEMBER_TYPE)


def verify_signature(token: UnverifiedToken, key: PublicKey, kind: ProviderKind) -> VerifiedToken:
    """Prove that a key of the issuer has signed exactly these bytes.

    Args:
        token: A well-formed token.
        key: The key that step 4 chose.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The token, verified.

    Raises:
        InvalidTokenError: `BAD_SIGNATURE`.

    Source: RFC 7515 §5.2 step 8; OIDC-17, OIDC-18; CJ-10, CJ-11.
    """
    unverified, claims, header, signing_input, signature = token
    if not key.verify(signature, signing_input):
        raise InvalidTokenError(
            Reason.BAD_SIGNATURE,
            rule="RFC7515-5.2",
            kind=kind,
            issuer=unverified.issuer,
            kid=header.kid,
            alg=header.alg,
        )
    return _new(VerifiedToken, (claims, unverified.payload))
