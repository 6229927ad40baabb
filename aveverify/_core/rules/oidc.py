"""Steps 3 and 6 for OIDC providers: the header, the claims that must be there, audience, key and expiry.

All parsing comes before all checking: a wrong structure or type is refused first, whatever else is wrong (OIDC-25,
OIDC-26). OpenID Connect Core 1.0 §3.1.3.7; rules OIDC-01 to OIDC-27; the types of the claims are in `oidc_claims`.
"""

from __future__ import annotations

from math import floor
from typing import Final, NoReturn

from aveverify._core.jose.algorithm_names import OIDC_ALGORITHM_NAMES
from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.jose.jws import (
    Header,
    UnverifiedToken,
    check_list_members,
    check_text_members,
    parse_header,
    parse_signature,
)
from aveverify._core.jose.jwt_claims import MAX_NUMERIC_DATE, UnverifiedClaims
from aveverify._core.jose.public_key import PublicKey
from aveverify._core.jose.strict_json import is_text_or_null
from aveverify._core.rules.oidc_claims import PLAIN_TYPE_OF_CLAIM, check_claim_types, check_language_tags
from aveverify._core.rules.user_claims import strip_language_tags
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
_REQUIRED_CLAIMS: Final = (("exp", "OIDC-20"), ("iat", "OIDC-21"), ("sub", "OIDC-23"))


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
            check_language_tags(unverified.claims)
    # Compared by C, and here instead of in `check_claim_types`, which saves a call of Python: every claim has
    # the one type that makes it right, or has no rule, so that its own type stands on both sides.
    types = [*map(type, claims.values())]
    get = claims.get
    if [*map(PLAIN_TYPE_OF_CLAIM.get, claims, types)] != types or not 0 <= get("auth_time", 0) <= MAX_NUMERIC_DATE:
        check_claim_types(claims)
    # OIDC-20, OIDC-21, OIDC-23; DV-06. OIDC-09, OIDC-22: `azp` and `nbf` have a type, and are never compared.
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


def _refuse_missing(claims: JsonObject) -> NoReturn:
    # OIDC-20, OIDC-21, OIDC-23
    for name, rule in _REQUIRED_CLAIMS:
        if claims.get(name) is None:
            raise InvalidTokenError(Reason.CLAIM_MISSING, rule=rule, kind="oidc", claim=name)
    # DV-06: all users with an empty subject would be one user.
    raise InvalidTokenError(Reason.CLAIM_MISSING, rule="DV-06", kind="oidc", claim="sub")


def check_header(header: Header, _algorithm: str | None = None) -> None:
    """Refuse a header that no key could make acceptable: kind of token, content type, extensions, algorithm.

    Args:
        header: The header of a well-formed token.

    Raises:
        InvalidTokenError: Always with the code `Unauthenticated`.

    Source: OIDC-03 to OIDC-06, OIDC-10, OIDC-11.
    """
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


def check_audiences(unverified: UnverifiedClaims, application_id: str | None) -> None:
    """Refuse a token for further audiences.

    Args:
        unverified: The claims; selection has found the configured audience among their audiences.
        application_id: The configured audience.

    Raises:
        InvalidTokenError: `EXTRA_AUDIENCE`, with the code `Unauthenticated`.

    Source: OIDC-08.
    """
    for audience in unverified.audiences:
        if audience != application_id:
            raise InvalidTokenError(Reason.EXTRA_AUDIENCE, rule="OIDC-08", kind="oidc", issuer=unverified.issuer)


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
    # OIDC-13: without a kid every key of the set is a candidate. OIDC-14: with one, a key without kid is none.
    candidates = keys.candidates if header.kid is None else keys.with_kid(header.kid)
    key_type, algs = _KEY_TYPE[header.alg], (None, header.alg)
    # OIDC-12: `crv` is not part of the filter. DV-04: `use` and `key_ops` are. OIDC-16: a key's own alg is the token's.
    eligible = [it for it in candidates if it.for_signatures and it.key_type == key_type and it.alg in algs]
    if len(eligible) == 1:
        key = eligible[0].key
        if key is not None and key.algorithm.name == header.alg:
            return key
        # OIDC-17, OIDC-18: unreadable, too short, another curve; the error names the rule of the choice all the same.
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


def compute_validity(claims: JsonObject, leeway_seconds: float) -> tuple[int, int]:
    """Compute between which whole seconds `check_claims` certainly passes. Rounded to the cautious side.

    Args:
        claims: Claims that have passed.
        leeway_seconds: Clock skew to forgive.

    Returns:
        The first such second since the epoch, and the first that is no such second any more.

    Source: OIDC-19; TOK-006.
    """
    exp = claims["exp"]
    # The very object of the claim where that is right already, so that the token cache holds no second one.
    return 0, exp if type(exp) is int and not leeway_seconds else floor(exp + leeway_seconds)
