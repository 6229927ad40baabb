"""Steps 3 and 6 for OIDC providers: the header, the types of the standard claims, audience and expiry.

All parsing comes before all checking: a structure or type at fault is refused first, whatever else is wrong
(OIDC-25, OIDC-26). Rules OIDC-01 to OIDC-27 and CLM-02 to CLM-11.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any, Final, NoReturn

from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jwk import OIDC_ALGORITHM_NAMES, KeySet, PublicKey
from aveverify._core.jose.jws import (
    Header,
    UnverifiedToken,
    check_list_members,
    check_text_members,
    is_text_or_null,
    is_texts_or_null,
    parse_header,
    parse_signature,
)
from aveverify._core.jose.jwt_claims import MAX_NUMERIC_DATE, UnverifiedClaims
from aveverify._core.jose.timestamps import format_timestamp
from aveverify._core.rules.user_claims import STANDARD_CLAIMS, TAGGABLE_CLAIMS, strip_language_tags
from aveverify.errors import Hint, InvalidTokenError, Reason

DEFAULT_LEEWAY_SECONDS: Final = 0.0

# OIDC-10
ALLOWED_ALGORITHMS: Final = frozenset({"RS256", "EdDSA"})
_KEY_TYPE: Final = {"RS256": "RSA", "EdDSA": "OKP"}
_TYPES_OF_JWT: Final = frozenset({"application/jwt", "application/jose"})
# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__
_SCHEMES: Final = ("https://", "http://")
_HASH, _BACKSLASH = b"#\\"
_USUAL_TYPE: Final = "JWT"
_ADDRESS_MEMBERS: Final = ("formatted", "street_address", "locality", "region", "postal_code", "country")


def parse_token(unverified: UnverifiedClaims, header: Header | None = None) -> UnverifiedToken:
    """Read the whole token strictly: segments, header, and the types of all standard claims.

    Args:
        unverified: The token, read by step 1, of an OIDC provider.
        header: What the same header segment says, where it is known already.

    Returns:
        The token, well formed but not verified; its claims have no language tags.

    Raises:
        InvalidTokenError: Always with the code `InvalidAuthHeader`.

    Source: OIDC-01, OIDC-02, OIDC-20 to OIDC-27; CLM-02 to CLM-11; DV-11.
    """
    token, _, payload_end, payload, claims, issuer, _ = unverified
    # DISC-02, DV-11
    if not issuer.startswith(_SCHEMES):
        raise InvalidTokenError(Reason.ISSUER_WITHOUT_SCHEME, rule="DV-11", kind="oidc", claim="iss", issuer=issuer)
    if header is None:
        header = _parse_header_members(parse_header(unverified, "oidc"))
    signature = parse_signature(unverified, "oidc")
    # CLM-05 to CLM-07: only where the text has a `#`, written as itself or as an escape, can a name have one.
    if _HASH in payload or _BACKSLASH in payload:
        claims = strip_language_tags(claims)
        if claims is not unverified.claims:
            _check_language_tags(unverified.claims)
    # Compared by C: every claim has the one type that needs no further look, or has no rule and matches itself.
    types = [*map(type, claims.values())]
    get = claims.get
    if [*map(_PLAIN_TYPES.get, claims, types)] != types or not 0 <= get("auth_time", 0) <= MAX_NUMERIC_DATE:
        _check_claim_types(claims)
    # OIDC-20, OIDC-21, OIDC-23; DV-06
    if get("exp") is None or get("iat") is None or not get("sub"):
        _refuse_missing(claims)
    return _new(UnverifiedToken, (unverified, claims, header, token[:payload_end], signature))


def _parse_header_members(header: JsonObject) -> Header:
    # OIDC-02
    alg = header.get("alg")
    if type(alg) is not str or alg not in OIDC_ALGORITHM_NAMES:
        shown = alg if type(alg) is str else None
        raise InvalidTokenError(Reason.UNKNOWN_ALGORITHM, rule="OIDC-02", kind="oidc", alg=shown)
    kid, typ, cty, crit = header.get("kid"), header.get("typ"), header.get("cty"), header.get("crit")
    if not is_text_or_null(kid) or not is_text_or_null(typ) or not is_text_or_null(cty):
        check_text_members(header, ("kid", "typ", "cty"), "oidc", "OIDC-02")
    if crit is not None:
        check_list_members(header, ("crit",), "oidc", "OIDC-02")
    return _new(Header, (alg, kid, typ, cty, crit is not None))


def _check_claim_types(claims: JsonObject) -> None:
    for name, value in claims.items():
        check = _CHECKS.get(name)
        # CLM-02, OIDC-24: null is absent.
        if check is not None and value is not None:
            check(name, value)


def _refuse_missing(claims: JsonObject) -> NoReturn:
    # OIDC-20, OIDC-21, OIDC-23
    for name, rule in _REQUIRED_CLAIMS:
        if claims.get(name) is None:
            raise InvalidTokenError(Reason.CLAIM_MISSING, rule=rule, kind="oidc", claim=name)
    # DV-06: all users with an empty subject would be one user.
    raise InvalidTokenError(Reason.CLAIM_MISSING, rule="DV-06", kind="oidc", claim="sub")


def _check_language_tags(claims: JsonObject) -> None:
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


def _check_text(name: str, value: object) -> None:
    # CLM-03, OIDC-24
    if type(value) is not str:
        _refuse_type(name, Hint.NOT_TEXT, "CLM-03")


def _check_boolean(name: str, value: object) -> None:
    # CLM-04
    if type(value) is not bool:
        _refuse_type(name, Hint.NOT_BOOLEAN, "CLM-04")


def _check_address(name: str, value: Any) -> None:  # noqa: ANN401 - a JSON value
    # CLM-09
    if type(value) is not dict or not all(is_text_or_null(value.get(member)) for member in _ADDRESS_MEMBERS):
        _refuse_type(name, None, "CLM-09")


def _check_updated_at(name: str, value: object) -> None:
    # CLM-10
    if format_timestamp(value) is None:
        _refuse_type(name, None, "CLM-10")


def _check_auth_time(name: str, value: Any) -> None:  # noqa: ANN401 - a JSON value
    # OIDC-24
    if format_timestamp(value) is None:
        _refuse_type(name, Hint.NOT_NUMBER, "OIDC-24")
    # DV-01
    if type(value) is not str and value > MAX_NUMERIC_DATE:
        raise InvalidTokenError(
            Reason.CLAIM_OUT_OF_RANGE, rule="DV-01", kind="oidc", claim=name, hint=Hint.MILLISECONDS
        )


def _check_texts(name: str, value: object) -> None:
    # OIDC-24
    if not is_texts_or_null(value):
        _refuse_type(name, Hint.NOT_TEXT, "OIDC-24")


_REQUIRED_CLAIMS: Final = (("exp", "OIDC-20"), ("iat", "OIDC-21"), ("sub", "OIDC-23"))
_CHECKS: Final[dict[str, Callable[[str, Any], None]]] = {
    **dict.fromkeys(STANDARD_CLAIMS, _check_text),
    **dict.fromkeys(("nonce", "acr", "azp", "at_hash", "c_hash"), _check_text),
    **dict.fromkeys(("email_verified", "phone_number_verified"), _check_boolean),
    "address": _check_address,
    "updated_at": _check_updated_at,
    "auth_time": _check_auth_time,
    "amr": _check_texts,
}
# The type with which a claim needs no look at its value; `object` is the type of none.
_PLAIN_TYPE: Final[dict[Callable[[str, Any], None], type]] = {
    _check_text: str,
    _check_boolean: bool,
    _check_auth_time: int,
}
_PLAIN_TYPES: Final = {name: _PLAIN_TYPE.get(check, object) for name, check in _CHECKS.items()}


def check_before_keys(token: UnverifiedToken, application_id: str | None, *, is_known_header: bool = False) -> None:
    """Refuse what no key could mend: kind of token, algorithm, further audiences. Costs no network.

    Args:
        token: A well-formed token.
        application_id: The audience that is asked for.
        is_known_header: Whether a token with this header has passed here before.

    Raises:
        InvalidTokenError: Always with the code `Unauthenticated`.

    Source: OIDC-03 to OIDC-06, OIDC-08, OIDC-10, OIDC-11.
    """
    if not is_known_header:
        _check_header(token.header)
    # OIDC-08
    for audience in token.unverified.audiences:
        if audience != application_id:
            raise InvalidTokenError(Reason.EXTRA_AUDIENCE, rule="OIDC-08", kind="oidc", issuer=token.unverified.issuer)


def _check_header(header: Header) -> None:
    # OIDC-03; RFC 8725 §3.11
    if header.typ is not None and header.typ != _USUAL_TYPE:
        typ = header.typ.lower()
        if (typ if "/" in typ else f"application/{typ}") not in _TYPES_OF_JWT:
            hint = Hint.ACCESS_TOKEN if "at+jwt" in typ else None
            raise InvalidTokenError(Reason.TYPE_NOT_ALLOWED, rule="OIDC-03", kind="oidc", hint=hint)
    # OIDC-04
    if header.cty is not None:
        raise InvalidTokenError(Reason.CONTENT_TYPE_PRESENT, rule="OIDC-04", kind="oidc")
    # OIDC-05; RFC 7515 §4.1.11
    if header.crit:
        raise InvalidTokenError(Reason.CRITICAL_HEADER, rule="OIDC-05", kind="oidc")
    # OIDC-06, OIDC-10, OIDC-11
    if header.alg not in ALLOWED_ALGORITHMS:
        hint = Hint.ES256_NEEDS_CUSTOM_JWT if header.alg == "ES256" else None
        raise InvalidTokenError(Reason.ALGORITHM_NOT_ALLOWED, rule="OIDC-10", kind="oidc", alg=header.alg, hint=hint)


def select_key(keys: KeySet, token: UnverifiedToken) -> PublicKey:
    """Choose the key that must have signed: exactly one may be eligible.

    Args:
        keys: The issuer's key set, read in the OIDC dialect.
        token: A well-formed token.

    Returns:
        The key.

    Raises:
        InvalidTokenError: `UNKNOWN_KEY`, `AMBIGUOUS_KEY` or `KEY_NOT_SUITABLE`.

    Source: OIDC-12 to OIDC-18; DV-04.
    """
    header = token.header
    candidates = keys.candidates if header.kid is None else keys.with_kid(header.kid)
    key_type, algs = _KEY_TYPE[header.alg], (None, header.alg)
    # OIDC-12: `crv` is not part of the filter. DV-04: `use` and `key_ops` are.
    eligible = [it for it in candidates if it.for_signatures and it.key_type == key_type and it.alg in algs]
    if len(eligible) == 1:
        key = eligible[0].key
        if key is not None and key.algorithm.name == header.alg:
            return key
        # OIDC-17, OIDC-18: unreadable, too short, another curve.
        reason = Reason.KEY_NOT_SUITABLE
    else:
        reason = Reason.AMBIGUOUS_KEY if eligible else Reason.UNKNOWN_KEY
    raise InvalidTokenError(
        reason, rule="OIDC-12", kind="oidc", issuer=token.unverified.issuer, kid=header.kid, alg=header.alg
    )


def check_claims(claims: JsonObject, now: float, leeway_seconds: float) -> None:
    """Refuse a token at or after its expiration time; nothing else is left to check on this path.

    Args:
        claims: The claims; `exp` is known to be a date.
        now: The instant of this verification, in seconds since the epoch.
        leeway_seconds: Clock skew to forgive; Convex forgives none here.

    Raises:
        InvalidTokenError: `EXPIRED`.

    Source: RFC 7519 §4.1.4; OIDC-19.
    """
    # OIDC-19: refused "on or after" exp; `now` in whole seconds, exp with its fraction.
    if floor(now) - claims["exp"] >= leeway_seconds:
        raise InvalidTokenError(Reason.EXPIRED, rule="OIDC-19", kind="oidc", claim="exp")


def decide_validity(claims: JsonObject, leeway_seconds: float) -> tuple[int, int]:
    """Decide between which whole seconds `check_claims` surely passes. Rounded to the cautious side.

    Returns:
        First second, first second no more.

    Source: OIDC-19; TOK-006.
    """
    exp = claims["exp"]
    # The very object of the claim where that is right already: the token cache keeps it.
    return 0, exp if type(exp) is int and not leeway_seconds else floor(exp + leeway_seconds)
