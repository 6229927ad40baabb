"""The closed list of reasons: for each its step, Convex's codes and one fixed sentence.

A new reason starts here: a member of `Reason` and a row in `TABLE`.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final, Literal, NamedTuple

from aveverify.errors._named_values import NamedValues

ProviderKind = Literal["oidc", "customJwt"]


class Step(IntEnum):
    """The six steps of one verification, in their order; a token is refused by the first that fails."""

    READ = 1
    SELECT = 2
    PARSE = 3
    KEY = 4
    SIGNATURE = 5
    CHECK = 6


class Reason(NamedValues):
    """Why a token or a request was refused. The list is closed; a new reason needs a new version.

    The value of a member is its name.
    """

    TOKEN_TOO_LARGE = auto()
    MALFORMED_TOKEN = auto()
    MALFORMED_PAYLOAD = auto()
    CLAIM_TYPE = auto()
    CLAIM_OUT_OF_RANGE = auto()
    CLAIM_MISSING = auto()
    UNKNOWN_ISSUER = auto()
    AUDIENCE_MISMATCH = auto()
    ISSUER_WITHOUT_SCHEME = auto()
    MALFORMED_HEADER = auto()
    MALFORMED_SIGNATURE = auto()
    UNKNOWN_ALGORITHM = auto()
    KEY_ID_MISSING = auto()
    CRITICAL_HEADER = auto()
    TYPE_NOT_ALLOWED = auto()
    CONTENT_TYPE_PRESENT = auto()
    ALGORITHM_NOT_ALLOWED = auto()
    EXTRA_AUDIENCE = auto()
    ISSUER_MISMATCH = auto()
    UNKNOWN_KEY = auto()
    AMBIGUOUS_KEY = auto()
    KEY_NOT_SUITABLE = auto()
    BAD_SIGNATURE = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    ISSUED_IN_THE_FUTURE = auto()
    NOT_AN_ID_TOKEN = auto()
    REFUSED_BY_CHECK = auto()
    UNKNOWN_USER = auto()
    INACTIVE_USER = auto()
    OTHER_USER = auto()
    CLOCK_UNUSABLE = auto()
    KEYS_UNAVAILABLE = auto()
    MALFORMED_AUTHORIZATION = auto()
    REPEATED_AUTHORIZATION = auto()
    INSUFFICIENT_SCOPE = auto()
    NOT_ALLOWED = auto()
    MISCONFIGURED = auto()

    @property
    def explanation(self) -> str:
        """What was found, as one sentence without a full stop."""
        return TABLE[self].sentence


# Convex's codes for a refused token (HTTP-08).
_IAH: Final = "InvalidAuthHeader"
_UNA: Final = "Unauthenticated"
_NAP: Final = "NoAuthProvider"
_DISC: Final = "AuthProviderDiscoveryFailed"


class Row(NamedTuple):
    """What is fixed for one reason.

    Attributes:
        step: The step that finds it; None outside of the six.
        oidc_code: Convex's code on the OIDC path, or None.
        custom_jwt_code: Convex's code on the customJwt path, or None.
        sentence: What was found, without a full stop.
    """

    step: Step | None
    oidc_code: str | None
    custom_jwt_code: str | None
    sentence: str

    def convex_code(self, kind: ProviderKind | None) -> str | None:
        """Return Convex's code. Before a provider is selected (`kind` is None) both paths have the same one."""
        return self.custom_jwt_code if kind == "customJwt" else self.oidc_code


# One row per reason.
TABLE: Final[dict[Reason, Row]] = {
    Reason.TOKEN_TOO_LARGE: Row(Step.READ, _IAH, _IAH, "the token is longer than max_token_bytes"),
    Reason.MALFORMED_TOKEN: Row(
        Step.READ, _IAH, _IAH, "this is not a signed JWT: three base64url segments joined by two dots"
    ),
    Reason.MALFORMED_PAYLOAD: Row(Step.READ, _IAH, _IAH, "the payload is not one strict JSON object in base64url"),
    Reason.CLAIM_TYPE: Row(Step.READ, _IAH, _IAH, "a claim has the wrong type"),
    Reason.CLAIM_OUT_OF_RANGE: Row(Step.READ, _IAH, _IAH, "a date is negative or outside the calendar"),
    Reason.CLAIM_MISSING: Row(Step.READ, _IAH, _IAH, "a required claim is absent, null or empty"),
    Reason.UNKNOWN_ISSUER: Row(Step.SELECT, _NAP, _NAP, "no provider is configured for this issuer"),
    Reason.AUDIENCE_MISMATCH: Row(
        Step.SELECT, _NAP, _NAP, "no provider of this issuer is configured for this audience"
    ),
    Reason.ISSUER_WITHOUT_SCHEME: Row(Step.PARSE, _IAH, _IAH, "iss has no https:// or http:// in front"),
    Reason.MALFORMED_HEADER: Row(Step.PARSE, _IAH, _IAH, "the header is not one strict JSON object in base64url"),
    Reason.MALFORMED_SIGNATURE: Row(Step.PARSE, _IAH, _IAH, "the signature is not canonical base64url"),
    Reason.UNKNOWN_ALGORITHM: Row(Step.PARSE, _IAH, _IAH, "alg is absent or not a registered name"),
    Reason.KEY_ID_MISSING: Row(Step.PARSE, _IAH, _IAH, "the header has no kid, which customJwt providers need"),
    Reason.CRITICAL_HEADER: Row(Step.PARSE, _UNA, _IAH, "the header requires an extension (crit)"),
    Reason.TYPE_NOT_ALLOWED: Row(Step.PARSE, _UNA, _IAH, "typ in the header names another kind of token"),
    Reason.CONTENT_TYPE_PRESENT: Row(
        Step.PARSE, _UNA, _IAH, "cty in the header says that the payload is not a set of claims"
    ),
    Reason.ALGORITHM_NOT_ALLOWED: Row(Step.PARSE, _UNA, _IAH, "the provider does not allow this algorithm"),
    Reason.EXTRA_AUDIENCE: Row(Step.PARSE, _UNA, _IAH, "aud names other audiences besides the application id"),
    Reason.ISSUER_MISMATCH: Row(Step.KEY, _DISC, _IAH, "iss differs from the issuer of the discovery document"),
    Reason.UNKNOWN_KEY: Row(Step.KEY, _UNA, _IAH, "the issuer publishes no key that fits the token"),
    Reason.AMBIGUOUS_KEY: Row(Step.KEY, _UNA, _IAH, "several keys of the issuer fit the token"),
    Reason.KEY_NOT_SUITABLE: Row(Step.KEY, _UNA, _IAH, "the key that fits the token cannot be used for this algorithm"),
    Reason.BAD_SIGNATURE: Row(Step.SIGNATURE, _UNA, _IAH, "the signature is wrong"),
    Reason.EXPIRED: Row(Step.CHECK, _UNA, _IAH, "the token has expired (exp)"),
    Reason.NOT_YET_VALID: Row(Step.CHECK, _UNA, _IAH, "the token is not valid yet (nbf)"),
    Reason.ISSUED_IN_THE_FUTURE: Row(Step.CHECK, _UNA, _IAH, "the token was issued in the future (iat)"),
    Reason.NOT_AN_ID_TOKEN: Row(Step.CHECK, _UNA, _UNA, "the claims are not those of an ID token"),
    Reason.REFUSED_BY_CHECK: Row(None, _UNA, _UNA, "the application's own check refused this user"),
    Reason.UNKNOWN_USER: Row(None, _UNA, _UNA, "the application has no user for this identity"),
    Reason.INACTIVE_USER: Row(None, _UNA, _UNA, "this user is inactive in the application"),
    Reason.OTHER_USER: Row(None, _UNA, _UNA, "the new token of this connection belongs to another user"),
    Reason.CLOCK_UNUSABLE: Row(None, None, None, "this machine's clock returns no usable time"),
    Reason.KEYS_UNAVAILABLE: Row(
        Step.KEY, _DISC, _IAH, "the issuer's keys are unavailable, so the token was not judged"
    ),
    Reason.MALFORMED_AUTHORIZATION: Row(None, None, None, "the credentials of the request are malformed"),
    Reason.REPEATED_AUTHORIZATION: Row(None, None, None, "the request carries credentials more than once"),
    Reason.INSUFFICIENT_SCOPE: Row(None, None, None, "the token lacks a required scope"),
    Reason.NOT_ALLOWED: Row(None, None, None, "the application's `allow` says no to this identity"),
    Reason.MISCONFIGURED: Row(None, None, None, "the configuration is wrong"),
}
