"""From verified claims to the members of the identity: their names, and which claims it shows.

Types were checked by the rules of the path. Rules CLM-01, CLM-05, CLM-11 to CLM-15, CJ-23 to CJ-27 and ID-01 to ID-05.
"""

from __future__ import annotations

from typing import Any, Final

from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.timestamps import format_timestamp

# CLM-01: claim -> Convex's member. `address` and `updated_at` change their value, too.
MEMBER_OF_CLAIM: Final = {
    "name": "name",
    "nickname": "nickname",
    "email": "email",
    "gender": "gender",
    "given_name": "givenName",
    "family_name": "familyName",
    "preferred_username": "preferredUsername",
    "profile": "profileUrl",
    "picture": "pictureUrl",
    "website": "websiteUrl",
    "email_verified": "emailVerified",
    "birthdate": "birthday",
    "zoneinfo": "timezone",
    "locale": "language",
    "phone_number": "phoneNumber",
    "phone_number_verified": "phoneNumberVerified",
    "address": "address",
    "updated_at": "updatedAt",
}
# CLM-05: the claims that may carry a language tag.
TAGGABLE_CLAIMS: Final = frozenset(
    {"name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website"}
)
# CLM-11, CLM-15: the claims whose name may be followed by `#`; all others are plain text.
STANDARD_CLAIMS: Final = frozenset({*MEMBER_OF_CLAIM, "sub", "middle_name", "birthday"})
# CLM-13; the registered claims of the token are not custom claims either.
_PROTOCOL_CLAIMS: Final = frozenset(
    {"iss", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "fva"}
)
# DV-07: no custom claim may replace what the identity says of itself.
_RESERVED_MEMBERS: Final = ("tokenIdentifier", "issuer", "subject")
# CJ-23
_REGISTERED_CLAIMS: Final = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


def strip_language_tags(claims: JsonObject) -> JsonObject:
    """Remove language tags from OIDC claims: an empty tag is no tag, and tagged claims are dropped.

    Args:
        claims: The payload, its tags already checked by `aveverify._core.rules.oidc`.

    Returns:
        The claims without `#` in the names of standard claims; the same object where there is none.

    Source: CLM-05; CLM-07; CLM-15.
    """
    # Joined and searched by C: nearly every token has no `#` in any name.
    if "#" not in "".join(claims):
        return claims
    plain: JsonObject = {}
    for name, value in claims.items():
        base, mark, tag = name.partition("#")
        if not mark or base not in STANDARD_CLAIMS:
            plain[name] = value
        elif not tag:
            plain[base] = value
    return plain


def oidc_attributes(claims: JsonObject) -> JsonObject:
    """Map the standard claims of an OIDC token to Convex's members.

    Args:
        claims: Verified claims without language tags.

    Returns:
        The members that are present, by Convex's names.

    Source: CLM-01; CLM-02; CLM-09; CLM-10; ID-03.
    """
    members: JsonObject = {}
    for claim, value in claims.items():
        member = MEMBER_OF_CLAIM.get(claim)
        # CLM-02: null is absent.
        if member is None or value is None:
            continue
        if claim == "updated_at":
            members[member] = format_timestamp(value)
        elif claim != "address":
            members[member] = value
        elif value.get("formatted") is not None:
            members[member] = value["formatted"]
    return members


def oidc_custom_claims(claims: JsonObject) -> JsonObject:
    """Select the claims of an OIDC token that the identity shows under their own names.

    Args:
        claims: Verified claims.

    Returns:
        Custom claims with their JSON values.

    Source: CLM-13; CLM-14; ID-04; DV-07.
    """
    claims = strip_language_tags(claims)
    # ID-04: one object holds attributes and custom claims, so a claim named like a present attribute is left out.
    taken = {*_RESERVED_MEMBERS, *oidc_attributes(claims)}
    return {
        name: value
        for name, value in claims.items()
        if name not in STANDARD_CLAIMS and name not in _PROTOCOL_CLAIMS and name not in taken
    }


def custom_jwt_custom_claims(claims: JsonObject) -> JsonObject:
    """Flatten the claims of a customJwt token into dotted names.

    Args:
        claims: Verified claims.

    Returns:
        Custom claims; arrays, scalars and nulls as they are, objects taken apart.

    Source: CJ-23 to CJ-27; DV-07.
    """
    flat: JsonObject = {}
    _flatten("", {name: value for name, value in claims.items() if name not in _REGISTERED_CLAIMS}, flat)
    # CJ-26: after flattening, so that `fva.x` survives. DV-07 likewise: `issuer.a` survives.
    for name in ("fva", *_RESERVED_MEMBERS):
        flat.pop(name, None)
    return flat


def _flatten(prefix: str, members: dict[str, Any], flat: JsonObject) -> None:
    # The depth is bounded by the parser: at most 127 nested containers.
    for name, value in members.items():
        # CJ-24: objects alone are taken apart; an empty one leaves nothing, and an empty name counts.
        if isinstance(value, dict):
            _flatten(f"{prefix}{name}.", value, flat)
        else:
            # CJ-25: the later member wins.
            flat[f"{prefix}{name}"] = value
