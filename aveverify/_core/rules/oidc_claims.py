"""The types of the standard claims of an OIDC token, and their language tags.

A wrong type refuses the token, also in a claim that the identity does not show. OpenID Connect Core 1.0 §2, §5.1,
§5.2; rules OIDC-24, CLM-02 to CLM-10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from aveverify._core.jose.encoding import JsonObject, JsonValue
from aveverify._core.jose.jwt_claims import MAX_NUMERIC_DATE
from aveverify._core.jose.strict_json import is_text_or_null, is_texts_or_null
from aveverify._core.jose.timestamps import format_timestamp
from aveverify._core.rules.user_claims import STANDARD_CLAIMS, TAGGABLE_CLAIMS
from aveverify.errors import Hint, InvalidTokenError, Reason

_CheckClaim = Callable[[str, JsonValue], None]

_ADDRESS_MEMBERS: Final = ("formatted", "street_address", "locality", "region", "postal_code", "country")


def check_claim_types(claims: JsonObject) -> None:
    """Refuse a standard claim of a wrong type; null counts as absent.

    Args:
        claims: The claims without language tags.

    Raises:
        InvalidTokenError: `CLAIM_TYPE` or `CLAIM_OUT_OF_RANGE`.

    Source: CLM-02 to CLM-04; CLM-09; CLM-10; OIDC-24; DV-01.
    """
    for name, value in claims.items():
        check = _CHECKS.get(name)
        # CLM-02, OIDC-24
        if check is not None and value is not None:
            check(name, value)


def check_language_tags(claims: JsonObject) -> None:
    """Refuse language tags on claims that take none, and claims with and without an empty tag in one token.

    Args:
        claims: The payload as it was sent, with its tags.

    Raises:
        InvalidTokenError: `CLAIM_TYPE`.

    Source: CLM-05 to CLM-07; CLM-15.
    """
    for name, value in claims.items():
        base, mark, tag = name.partition("#")
        if not mark or base not in STANDARD_CLAIMS:
            # CLM-15: plain text.
            continue
        if tag and base not in TAGGABLE_CLAIMS:
            # CLM-06
            raise InvalidTokenError(Reason.CLAIM_TYPE, rule="CLM-06", kind="oidc", claim=f"a tagged {base}")
        if not tag and base in claims:
            # CLM-07: both spellings in one token.
            raise InvalidTokenError(Reason.CLAIM_TYPE, rule="CLM-07", kind="oidc", claim=base)
        # CLM-05: typed, then dropped.
        if tag and value is not None:
            _check_text(base, value)


def _refuse_type(name: str, hint: Hint | None, rule: str) -> NoReturn:
    raise InvalidTokenError(Reason.CLAIM_TYPE, rule=rule, kind="oidc", claim=name, hint=hint)


def _check_text(name: str, value: JsonValue) -> None:
    # CLM-03, OIDC-24
    if type(value) is not str:
        _refuse_type(name, Hint.NOT_TEXT, "CLM-03")


def _check_boolean(name: str, value: JsonValue) -> None:
    # CLM-04
    if type(value) is not bool:
        _refuse_type(name, Hint.NOT_BOOLEAN, "CLM-04")


def _check_address(name: str, value: JsonValue) -> None:
    # CLM-09
    if type(value) is not dict or not all(is_text_or_null(value.get(member)) for member in _ADDRESS_MEMBERS):
        _refuse_type(name, None, "CLM-09")


def _check_updated_at(name: str, value: JsonValue) -> None:
    # CLM-10
    if format_timestamp(value) is None:
        _refuse_type(name, None, "CLM-10")


def _check_auth_time(name: str, value: JsonValue) -> None:
    # OIDC-24
    if format_timestamp(value) is None:
        _refuse_type(name, Hint.NOT_NUMBER, "OIDC-24")
    # DV-01
    if type(value) is not str and value > MAX_NUMERIC_DATE:
        raise InvalidTokenError(
            Reason.CLAIM_OUT_OF_RANGE, rule="DV-01", kind="oidc", claim=name, hint=Hint.MILLISECONDS
        )


def _check_texts(name: str, value: JsonValue) -> None:
    # OIDC-24
    if not is_texts_or_null(value):
        _refuse_type(name, Hint.NOT_TEXT, "OIDC-24")


_CHECKS: Final[dict[str, _CheckClaim]] = {
    **dict.fromkeys(STANDARD_CLAIMS, _check_text),
    # OIDC-24; OIDC-09: the type of `azp` alone is checked.
    **dict.fromkeys(("nonce", "acr", "azp", "at_hash", "c_hash"), _check_text),
    **dict.fromkeys(("email_verified", "phone_number_verified"), _check_boolean),
    "address": _check_address,
    "updated_at": _check_updated_at,
    "auth_time": _check_auth_time,
    "amr": _check_texts,
}
# The type that makes a claim right, whatever its value; `object` is the type of no JSON value.
_RIGHT_TYPE: Final[dict[_CheckClaim, type]] = {
    _check_text: str,
    _check_boolean: bool,
    _check_auth_time: int,
}
PLAIN_TYPE_OF_CLAIM: Final = {name: _RIGHT_TYPE.get(check, object) for name, check in _CHECKS.items()}
