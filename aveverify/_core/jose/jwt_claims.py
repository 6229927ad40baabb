"""Step 1: the text becomes claims, none of which is trusted yet.

Reads the payload and checks the types of the registered claims; header and signature are read later (PRE-07).
RFC 7519 §4.1; rules PRE-01 to PRE-06.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aveverify._core.jose.compact_hints import hint_at_form
from aveverify._core.jose.encoding import EncodingError, JsonObject, JsonValue, base64url_fault, decode_segment
from aveverify._core.jose.strict_json import holds_only_texts, parse_json_object_strictly, read_object
from aveverify.errors import Fault, Hint, InvalidTokenError, Reason

NumericDate = int | float

# 9999-12-31T23:59:59Z. Milliseconds sent as seconds would make a token that never expires (DV-01).
MAX_NUMERIC_DATE: Final = 253_402_300_799
_MILLISECONDS_OF_2001: Final = 1_000_000_000_000
_TEXT_CLAIMS: Final = ("iss", "sub", "jti")
_HALF: Final = 0.5
_DATE_CLAIMS: Final = ("exp", "nbf", "iat")
# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__


class UnverifiedClaims(NamedTuple):
    """The payload of a token whose signature is not verified: anyone can write this.

    Attributes:
        token: The whole token.
        header_end: Where its first dot is.
        payload_end: Where its second dot is; -1 where there is none.
        payload: The payload, decoded.
        claims: The members of the payload; the registered claims have the right types.
        issuer: `iss`.
        audiences: `aud`, as a tuple; empty where it is absent.
    """

    token: bytes
    header_end: int
    payload_end: int
    payload: bytes
    claims: JsonObject
    issuer: str
    audiences: tuple[str, ...]

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "<UnverifiedClaims>"


def token_bytes(token: str | bytes, max_token_bytes: int) -> bytes:
    """Turn the text of a token into bytes, within a bound.

    Args:
        token: The compact token.
        max_token_bytes: How long it may be, at least 1.

    Returns:
        Its bytes. A byte that is not ASCII is refused where its segment is decoded, so that the order of the steps
        decides (PRE-07).

    Raises:
        InvalidTokenError: `TOKEN_TOO_LARGE`, before more than four times the bound is copied.
        TypeError: It is neither text nor bytes.

    Source: PRE-01; PRE-07; ENC-042; ENC-047.
    """
    if not isinstance(token, (str, bytes)):
        message = f"a token is str or bytes, not {type(token).__name__}"
        raise TypeError(message)
    # ENC-042: the length is known without a copy, so a huge token is refused before memory is spent on it.
    if len(token) <= max_token_bytes:
        # A lone surrogate has no UTF-8, and must not raise before its segment is decoded.
        data = token.encode("utf-8", "surrogatepass") if isinstance(token, str) else bytes(token)
        if len(data) <= max_token_bytes:
            return data
    raise InvalidTokenError(Reason.TOKEN_TOO_LARGE, rule="ENC-042")


def read_claims(token: bytes) -> UnverifiedClaims:
    """Read the payload of a compact token and the types of its registered claims.

    Args:
        token: The token, within the size limit.

    Returns:
        The claims, with the places of the dots.

    Raises:
        InvalidTokenError: The payload cannot be read, or a registered claim has a wrong type or range.

    Source: PRE-01 to PRE-06.
    """
    header_end = token.find(b".")
    payload_end = token.find(b".", header_end + 1)
    if header_end < 0:
        hint = hint_at_form(token, -1)
        raise InvalidTokenError(Reason.MALFORMED_TOKEN, rule="PRE-01", fault=Fault.SEGMENTS, hint=hint)
    segment = token[header_end + 1 : payload_end if payload_end >= 0 else None]
    payload = decode_segment(segment)
    if payload is None:
        raise _malformed_payload(token, payload_end, base64url_fault(segment))
    claims = read_object(payload)
    if claims is None:
        claims = _read_strictly(token, payload_end, payload)
    # PRE-03, PRE-05: for both kinds of provider, also for claims that its rules do not use.
    get = claims.get
    issuer, audience = get("iss"), get("aud")
    if type(issuer) is not str or type(get("sub", "")) is not str or type(get("jti", "")) is not str:
        _check_text_claims(claims)
    exp, iat = get("exp"), get("iat")
    if (
        type(exp) is not int
        or type(iat) is not int
        or not 0 <= exp <= MAX_NUMERIC_DATE
        or not 0 <= iat <= MAX_NUMERIC_DATE
        or "nbf" in claims
    ):
        _check_dates(claims)
    # PRE-06
    if issuer is None:
        raise InvalidTokenError(Reason.CLAIM_MISSING, rule="PRE-06", claim="iss")
    audiences = (audience,) if type(audience) is str else _parse_audiences(audience)
    return _new(UnverifiedClaims, (token, header_end, payload_end, payload, claims, issuer, audiences))


def _malformed_payload(token: bytes, payload_end: int, fault: Fault) -> InvalidTokenError:
    hint = hint_at_form(token, payload_end)
    return InvalidTokenError(Reason.MALFORMED_PAYLOAD, rule="PRE-02", fault=fault, hint=hint)


def _read_strictly(token: bytes, payload_end: int, payload: bytes) -> JsonObject:
    try:
        return parse_json_object_strictly(payload)
    except EncodingError as error:
        fault = error.fault
    raise _malformed_payload(token, payload_end, fault)


def _check_dates(claims: JsonObject) -> None:
    # PRE-03, PRE-05: null is absent.
    for name in _DATE_CLAIMS:
        if claims.get(name) is not None:
            check_numeric_date(name, claims[name])


def _check_text_claims(claims: JsonObject) -> None:
    # PRE-03: null is absent.
    for name in _TEXT_CLAIMS:
        if claims.get(name) is not None and type(claims[name]) is not str:
            raise InvalidTokenError(Reason.CLAIM_TYPE, rule="PRE-03", claim=name, hint=Hint.NOT_TEXT)


def check_numeric_date(name: str, value: JsonValue) -> None:
    """Refuse what is not a date between the epoch and the end of the year 9999.

    Args:
        name: The claim, for the message.
        value: Its JSON value.

    Raises:
        InvalidTokenError: `CLAIM_TYPE` or `CLAIM_OUT_OF_RANGE`.

    Source: RFC 7519 §2 NumericDate; PRE-03; PRE-05; DV-01.
    """
    # type(), not isinstance(): bool is an int.
    if type(value) not in (int, float):
        raise InvalidTokenError(Reason.CLAIM_TYPE, rule="PRE-03", claim=name, hint=Hint.NOT_NUMBER)
    # DV-01: compared before rounding.
    if not 0 <= value <= MAX_NUMERIC_DATE:
        milliseconds = _MILLISECONDS_OF_2001 < value <= MAX_NUMERIC_DATE * 1000
        hint = Hint.MILLISECONDS if milliseconds else None
        raise InvalidTokenError(Reason.CLAIM_OUT_OF_RANGE, rule="DV-01", claim=name, hint=hint)


def round_date(value: NumericDate) -> int:
    """Round a date to the nearest second, halves up; dates are never negative here.

    Source: PRE-05.
    """
    if type(value) is int:
        return value
    whole = int(value)
    return whole + 1 if value - whole >= _HALF else whole


def _parse_audiences(value: JsonValue) -> tuple[str, ...]:
    # PRE-03, SEL-01: a token without `aud` has no audience.
    if value is None:
        return ()
    if type(value) is list and holds_only_texts(value):
        return tuple(value)
    raise InvalidTokenError(Reason.CLAIM_TYPE, rule="PRE-03", claim="aud", hint=Hint.NOT_TEXT)
