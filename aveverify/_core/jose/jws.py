"""The compact serialization: three segments, and the types that say how far a token is trusted.

`UnverifiedClaims` -> `UnverifiedToken` (well formed) -> `VerifiedToken` (signed by a key of the issuer). Only
`aveverify._core.jose.signature` makes the last one. RFC 7515 §7.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aveverify._core.jose.encoding import (
    EncodingError,
    JsonObject,
    base64url_fault,
    decode_base64url,
    decode_segment,
    holds_only_texts,
    parse_json_object,
)
from aveverify._core.jose.jwt_claims import UnverifiedClaims, hint_at_form
from aveverify.errors import Fault, InvalidTokenError, ProviderKind, Reason


class Header(NamedTuple):
    """The members of a JOSE header that have an effect, with their types checked."""

    alg: str
    kid: str | None
    typ: str | None
    cty: str | None
    crit: bool


class UnverifiedToken(NamedTuple):
    """A well-formed token whose signature nobody has looked at."""

    unverified: UnverifiedClaims
    claims: JsonObject
    header: Header
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Show alg and kid only."""
        return f"<UnverifiedToken alg={self.header.alg!a} kid={self.header.kid!a}>"


class VerifiedToken(NamedTuple):
    """A token that a key of the issuer has signed. Its times and its kind are still to be checked."""

    claims: JsonObject
    issuer: str
    payload: bytes

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "<VerifiedToken>"


def check_segments(claims: UnverifiedClaims, kind: ProviderKind) -> None:
    """Refuse a token that has not exactly three segments.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN`.

    Source: RFC 7515 §7.1; OIDC-01; CJ-02.
    """
    if claims.payload_end < 0 or claims.token.rfind(b".") != claims.payload_end:
        hint = hint_at_form(claims.token, claims.payload_end)
        raise InvalidTokenError(Reason.MALFORMED_TOKEN, rule="RFC7515-7.1", kind=kind, fault=Fault.SEGMENTS, hint=hint)


def parse_header(claims: UnverifiedClaims, kind: ProviderKind) -> JsonObject:
    """Read the header segment of a token, once it has exactly three segments.

    Args:
        claims: The token, read by step 1.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The members of the header.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN` or `MALFORMED_HEADER`.

    Source: RFC 7515 §4; OIDC-01, OIDC-02; CJ-02, CJ-03; DV-08; DV-12.
    """
    check_segments(claims, kind)
    try:
        return parse_json_object(decode_base64url(claims.token[: claims.header_end]))
    except EncodingError as error:
        fault = error.fault
    hint = hint_at_form(claims.token, claims.payload_end)
    raise InvalidTokenError(Reason.MALFORMED_HEADER, rule="RFC7515-4", kind=kind, fault=fault, hint=hint)


def parse_signature(claims: UnverifiedClaims, kind: ProviderKind) -> bytes:
    """Decode the signature segment.

    Args:
        claims: The token, read by step 1.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The signature, of whatever length.

    Raises:
        InvalidTokenError: `MALFORMED_TOKEN` or `MALFORMED_SIGNATURE`.

    Source: RFC 7515 §5.2 step 7, §7.1; DV-02; OIDC-01; CJ-02.
    """
    segment = claims.token[claims.payload_end + 1 :]
    signature = decode_segment(segment)
    if signature is None:
        # A dot is no base64url either: with more or fewer than three segments, the last one cannot be decoded.
        check_segments(claims, kind)
        hint, fault = hint_at_form(claims.token, claims.payload_end), base64url_fault(segment)
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


def is_text_or_null(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    """Tell whether a JSON value is text or null."""
    return value is None or type(value) is str


def is_texts_or_null(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    """Tell whether a JSON value is a list of texts or null."""
    return value is None or (type(value) is list and holds_only_texts(value))
