"""Steps 3 and 6 for customJwt providers: one configured algorithm, a key by its kid, three dates with leeway.

Every refusal of this path has the code `InvalidAuthHeader` (CJ-30). `typ`, `cty` and `azp` have no effect here: access
tokens are meant to pass (CJ-09). Rules CJ-01 to CJ-30.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Final

from aveverify._core.jose.algorithm_names import CUSTOM_JWT_HEADER_ALGORITHM_NAMES
from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jwk import is_readable
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.jose.jws import (
    Header,
    UnverifiedToken,
    check_list_members,
    check_text_members,
    parse_header,
    parse_signature,
)
from aveverify._core.jose.jwt_claims import UnverifiedClaims, round_date
from aveverify._core.jose.public_key import PublicKey
from aveverify.errors import Fault, Hint, InvalidTokenError, Reason

# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__
DEFAULT_LEEWAY_SECONDS: Final = 5.0

# CFG-13
ALLOWED_ALGORITHMS: Final = frozenset({"RS256", "ES256"})


def parse_token(unverified: UnverifiedClaims, header: Header | None = None) -> UnverifiedToken:
    """Read the whole token strictly: segments and header.

    Args:
        unverified: The token, read by step 1, of a customJwt provider.
        header: What the same header segment says, where it is known already.

    Returns:
        The token, well formed but not verified.

    Raises:
        InvalidTokenError: Always with the code `InvalidAuthHeader`.

    Source: CJ-02 to CJ-04; DV-03; DV-08.
    """
    if header is None:
        header = _parse_header_members(parse_header(unverified, "customJwt"))
    signature = parse_signature(unverified, "customJwt")
    token, _, payload_end, _, claims, _, _ = unverified
    return _new(UnverifiedToken, (unverified, claims, header, token[:payload_end], signature))


def _parse_header_members(header: JsonObject) -> Header:
    # CJ-03
    alg = header.get("alg")
    if type(alg) is not str or alg not in CUSTOM_JWT_HEADER_ALGORITHM_NAMES:
        shown = alg if type(alg) is str else None
        raise InvalidTokenError(Reason.UNKNOWN_ALGORITHM, rule="CJ-03", kind="customJwt", alg=shown)
    check_text_members(header, ("typ", "cty", "kid", "jku", "x5u", "x5t"), "customJwt", "CJ-03")
    check_list_members(header, ("x5c", "crit"), "customJwt", "CJ-03")
    jwk = header.get("jwk")
    if jwk is not None and not is_readable(jwk, "customJwt"):
        raise InvalidTokenError(
            Reason.MALFORMED_HEADER, rule="CJ-03", kind="customJwt", claim="jwk", fault=Fault.MEMBER_TYPE
        )
    return Header(alg, header.get("kid"), header.get("typ"), header.get("cty"), header.get("crit") is not None)


def check_header(header: Header, algorithm: str | None) -> None:
    """Refuse a header that no key could make acceptable: critical extensions, no kid, another algorithm.

    Args:
        header: The header of a well-formed token.
        algorithm: The configured algorithm.

    Raises:
        InvalidTokenError: Always with the code `InvalidAuthHeader`.

    Source: CJ-04; CJ-06; DV-03.
    """
    # DV-03; RFC 7515 §4.1.11
    if header.crit:
        raise InvalidTokenError(Reason.CRITICAL_HEADER, rule="DV-03", kind="customJwt")
    # CJ-04
    if header.kid is None:
        raise InvalidTokenError(Reason.KEY_ID_MISSING, rule="CJ-04", kind="customJwt", claim="kid")
    # CJ-06
    if header.alg != algorithm:
        raise InvalidTokenError(
            Reason.ALGORITHM_NOT_ALLOWED,
            rule="CJ-06",
            kind="customJwt",
            alg=header.alg,
            hint=Hint.CUSTOM_JWT_ALGORITHM,
        )


def check_audiences(_unverified: UnverifiedClaims, _application_id: str | None) -> None:
    """Accept further audiences: selection has found the configured one, or the provider accepts every audience.

    Source: CJ-15.
    """


def select_key(keys: KeySet, token: UnverifiedToken) -> PublicKey:
    """Choose the first key with the token's kid, right or wrong.

    Args:
        keys: The issuer's key set, read in the customJwt dialect.
        token: A well-formed token with a kid.

    Returns:
        The key.

    Raises:
        InvalidTokenError: `UNKNOWN_KEY` or `KEY_NOT_SUITABLE`.

    Source: CJ-05 to CJ-08, CJ-12, CJ-13; DV-04.
    """
    header = token.header
    named = keys.with_kid(header.kid) if header.kid is not None else ()
    # CJ-05, DV-04: keys for another purpose are left out first.
    first = next((candidate for candidate in named if candidate.for_signatures), None)
    if first is None:
        reason = Reason.UNKNOWN_KEY
    else:
        key = first.key
        # CJ-06, CJ-07: the key's own alg, if present. CJ-12, CJ-13: its type. The error names CJ-05, the rule of the
        # choice, for all of them.
        if key is not None and key.algorithm.name == header.alg and first.alg in (None, header.alg):
            return key
        reason = Reason.KEY_NOT_SUITABLE
    raise InvalidTokenError(
        reason, rule="CJ-05", kind="customJwt", issuer=token.unverified.issuer, kid=header.kid, alg=header.alg
    )


def check_claims(claims: JsonObject, now: float, leeway_seconds: float) -> None:
    """Refuse a token that has expired, is not valid yet or was issued in the future, or that lacks `sub` or `exp`.

    Args:
        claims: Claims whose types are known to be right.
        now: The instant of this verification, in seconds since the epoch.
        leeway_seconds: Clock skew to forgive; Convex forgives 5 seconds here.

    Raises:
        InvalidTokenError: `EXPIRED`, `NOT_YET_VALID`, `ISSUED_IN_THE_FUTURE` or `CLAIM_MISSING`, in this order; always
            with the code `InvalidAuthHeader`.

    Source: RFC 7519 §4.1.4 to §4.1.6; CJ-16 to CJ-22; DV-06.
    """
    seconds = floor(now)
    exp, nbf, iat = claims.get("exp"), claims.get("nbf"), claims.get("iat")
    # CJ-19: exp, nbf, iat, in this order. CJ-22: all three are rounded to whole seconds first.
    # CJ-16
    if exp is not None and seconds - round_date(exp) > leeway_seconds:
        raise InvalidTokenError(Reason.EXPIRED, rule="CJ-16", kind="customJwt", claim="exp")
    # CJ-17
    if nbf is not None and round_date(nbf) - seconds > leeway_seconds:
        raise InvalidTokenError(Reason.NOT_YET_VALID, rule="CJ-17", kind="customJwt", claim="nbf")
    # CJ-18
    if iat is not None and round_date(iat) - seconds > leeway_seconds:
        raise InvalidTokenError(Reason.ISSUED_IN_THE_FUTURE, rule="CJ-18", kind="customJwt", claim="iat")
    # CJ-20. CJ-21, DV-06: all users with an empty subject would be one user.
    if not claims.get("sub"):
        raise InvalidTokenError(Reason.CLAIM_MISSING, rule="CJ-20", kind="customJwt", claim="sub")
    if claims.get("exp") is None:
        raise InvalidTokenError(Reason.CLAIM_MISSING, rule="CJ-20", kind="customJwt", claim="exp")


def compute_validity(claims: JsonObject, leeway_seconds: float) -> tuple[int, int]:
    """Compute between which whole seconds `check_claims` certainly passes. Rounded to the cautious side.

    Args:
        claims: Claims that have passed.
        leeway_seconds: Clock skew to forgive.

    Returns:
        The first such second since the epoch, and the first that is no such second any more.

    Source: CJ-16 to CJ-18; TOK-006; TOK-007.
    """
    earliest = max(round_date(claims.get("nbf") or 0), round_date(claims.get("iat") or 0))
    return max(ceil(earliest - leeway_seconds) + 1, 0), floor(round_date(claims["exp"]) + leeway_seconds)
