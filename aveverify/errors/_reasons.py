"""The closed vocabularies of refusal: steps, reasons, hints, faults and problems, one fixed sentence each.

`aveverify.errors` makes the messages out of these; nothing here ever holds a part of a token.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, Literal, NamedTuple

ProviderKind = Literal["oidc", "customJwt"]


class Step(IntEnum):
    """The six steps of one verification, as `aveverify._core.verification` performs them."""

    READ = 1
    SELECT = 2
    PARSE = 3
    KEY = 4
    SIGNATURE = 5
    CHECK = 6


class Reason(StrEnum):
    """Why something was refused. The list is closed: a new reason is a new version."""

    TOKEN_TOO_LARGE = "TOKEN_TOO_LARGE"  # noqa: S105 - a name, not a secret
    MALFORMED_TOKEN = "MALFORMED_TOKEN"  # noqa: S105 - a name, not a secret
    MALFORMED_PAYLOAD = "MALFORMED_PAYLOAD"
    CLAIM_TYPE = "CLAIM_TYPE"
    CLAIM_OUT_OF_RANGE = "CLAIM_OUT_OF_RANGE"
    CLAIM_MISSING = "CLAIM_MISSING"
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"
    AUDIENCE_MISMATCH = "AUDIENCE_MISMATCH"
    ISSUER_WITHOUT_SCHEME = "ISSUER_WITHOUT_SCHEME"
    MALFORMED_HEADER = "MALFORMED_HEADER"
    MALFORMED_SIGNATURE = "MALFORMED_SIGNATURE"
    UNKNOWN_ALGORITHM = "UNKNOWN_ALGORITHM"
    KEY_ID_MISSING = "KEY_ID_MISSING"
    CRITICAL_HEADER = "CRITICAL_HEADER"
    TYPE_NOT_ALLOWED = "TYPE_NOT_ALLOWED"
    CONTENT_TYPE_PRESENT = "CONTENT_TYPE_PRESENT"
    ALGORITHM_NOT_ALLOWED = "ALGORITHM_NOT_ALLOWED"
    EXTRA_AUDIENCE = "EXTRA_AUDIENCE"
    ISSUER_MISMATCH = "ISSUER_MISMATCH"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    AMBIGUOUS_KEY = "AMBIGUOUS_KEY"
    KEY_NOT_SUITABLE = "KEY_NOT_SUITABLE"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    ISSUED_IN_THE_FUTURE = "ISSUED_IN_THE_FUTURE"
    NOT_AN_ID_TOKEN = "NOT_AN_ID_TOKEN"  # noqa: S105 - a name, not a secret
    REFUSED_BY_CHECK = "REFUSED_BY_CHECK"
    UNKNOWN_USER = "UNKNOWN_USER"
    INACTIVE_USER = "INACTIVE_USER"
    OTHER_USER = "OTHER_USER"
    CLOCK_UNUSABLE = "CLOCK_UNUSABLE"
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE"
    MALFORMED_AUTHORIZATION = "MALFORMED_AUTHORIZATION"
    REPEATED_AUTHORIZATION = "REPEATED_AUTHORIZATION"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    MISCONFIGURED = "MISCONFIGURED"

    @property
    def explanation(self) -> str:
        """One sentence that says what was found."""
        return TABLE[self].sentence


# Convex's words for a refused token (`convex-semantics`, section 8 and HTTP-08).
_IAH: Final = "InvalidAuthHeader"
_UNA: Final = "Unauthenticated"
_NAP: Final = "NoAuthProvider"
_DISC: Final = "AuthProviderDiscoveryFailed"


class Row(NamedTuple):
    """What is fixed about one reason."""

    step: Step | None
    oidc_code: str | None
    custom_jwt_code: str | None
    sentence: str


# One row per reason. Until a provider is chosen (steps 1 and 2) the code does not depend on its kind.
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
    Reason.CRITICAL_HEADER: Row(Step.PARSE, _UNA, _IAH, "the header demands an extension (crit)"),
    Reason.TYPE_NOT_ALLOWED: Row(Step.PARSE, _UNA, _IAH, "typ in the header says that this is another kind of token"),
    Reason.CONTENT_TYPE_PRESENT: Row(Step.PARSE, _UNA, _IAH, "cty in the header says that the payload is no claims"),
    Reason.ALGORITHM_NOT_ALLOWED: Row(Step.PARSE, _UNA, _IAH, "the provider does not allow this algorithm"),
    Reason.EXTRA_AUDIENCE: Row(Step.PARSE, _UNA, _IAH, "aud names further audiences beside the application id"),
    Reason.ISSUER_MISMATCH: Row(Step.KEY, _DISC, _IAH, "iss differs from the issuer of the discovery document"),
    Reason.UNKNOWN_KEY: Row(Step.KEY, _UNA, _IAH, "the issuer publishes no key that fits the token"),
    Reason.AMBIGUOUS_KEY: Row(Step.KEY, _UNA, _IAH, "several keys of the issuer fit the token"),
    Reason.KEY_NOT_SUITABLE: Row(Step.KEY, _UNA, _IAH, "the key that fits the token cannot be used for this algorithm"),
    Reason.BAD_SIGNATURE: Row(Step.SIGNATURE, _UNA, _IAH, "the signature is wrong"),
    Reason.EXPIRED: Row(Step.CHECK, _UNA, _IAH, "the token has expired (exp)"),
    Reason.NOT_YET_VALID: Row(Step.CHECK, _UNA, _IAH, "the token is not valid yet (nbf)"),
    Reason.ISSUED_IN_THE_FUTURE: Row(Step.CHECK, _UNA, _IAH, "the token was issued in the future (iat)"),
    Reason.NOT_AN_ID_TOKEN: Row(Step.CHECK, _UNA, _UNA, "the claims are those of another kind of token"),
    Reason.REFUSED_BY_CHECK: Row(None, _UNA, _UNA, "the application's own check refused this user"),
    Reason.UNKNOWN_USER: Row(None, _UNA, _UNA, "the application knows no user of this identity"),
    Reason.INACTIVE_USER: Row(None, _UNA, _UNA, "the application knows this user as inactive"),
    Reason.OTHER_USER: Row(None, _UNA, _UNA, "the new token of this connection belongs to another user"),
    Reason.CLOCK_UNUSABLE: Row(None, None, None, "the clock of this machine gives no usable time"),
    Reason.KEYS_UNAVAILABLE: Row(Step.KEY, _DISC, _IAH, "the keys of the issuer cannot be had"),
    Reason.MALFORMED_AUTHORIZATION: Row(None, None, None, "the credentials of the request are malformed"),
    Reason.REPEATED_AUTHORIZATION: Row(None, None, None, "the request carries credentials more than once"),
    Reason.INSUFFICIENT_SCOPE: Row(None, None, None, "the token lacks a required scope"),
    Reason.MISCONFIGURED: Row(None, None, None, "the configuration is wrong"),
}


class Hint(StrEnum):
    """What most likely went wrong, where we can tell. The value is the sentence."""

    AVE_ACCESS_TOKEN = "this is Ave's access_token_jwt; send the id_token"  # noqa: S105 - a sentence
    ACCESS_TOKEN = "this looks like an access token; send the id_token"  # noqa: S105 - a sentence
    OPAQUE_TOKEN = "this is not a JWT but an opaque token (access_token or refresh_token); send the id_token"  # noqa: S105
    BEARER_PREFIX = "the text begins with a scheme; pass only what follows `Bearer `, or use verify_header"
    QUOTED = "the token is wrapped in quotes or blanks; strip them"
    ENCRYPTED = "five segments are an encrypted token (JWE); ask the issuer for a signed id_token"
    JSON_SERIALIZATION = "this is JSON; only the compact serialization is accepted"
    MILLISECONDS = "this date looks like milliseconds; NumericDate counts seconds"
    OTHER_CLIENT = "the token is for another client id than the configured one"
    NO_AUDIENCE = "the token has no aud; ask the issuer to put the application id there"
    ORIGIN_AUDIENCE = "one side says `origin:…` (Quick Ave), the other a client id; both need a provider of their own"
    EMPTY_APPLICATION_ID = "a provider of this issuer has an empty application_id, which only an empty aud matches"
    TRAILING_SLASH = "the issuers differ only by trailing slashes; iss must equal the discovery document's issuer"
    SIMILAR_ISSUER = "a configured issuer differs only in case, scheme, port or a part in front of the host"
    NOT_BOOLEAN = "this claim must be the JSON value true or false, not text or a number"
    NOT_TEXT = "this claim must be a JSON string"
    NOT_NUMBER = "this claim must be a JSON number"
    ES256_NEEDS_CUSTOM_JWT = "OIDC providers accept RS256 and EdDSA; for ES256 use Provider.custom_jwt"
    NO_USER = "load_user (Django: USER_LOADER) returned no user; to admit new users, let it create them"
    CUSTOM_JWT_ALGORITHM = "a customJwt provider accepts only its configured algorithm"


class Fault(StrEnum):
    """What exactly is wrong with a text that had to be base64url or JSON. The value is the sentence."""

    NOT_ASCII = "it holds a character outside ASCII"
    NOT_BASE64URL = "it is not canonical unpadded base64url"
    NOT_UTF8 = "it is not UTF-8"
    NOT_JSON = "it is not JSON"
    NOT_OBJECT = "it is not a JSON object"
    REPEATED_MEMBER = "a member name occurs twice in one object"
    TOO_DEEP = "it nests too deeply"
    NUMBER_RANGE = "a number is outside the range of a double"
    LONE_SURROGATE = "a string holds half a surrogate pair"
    MEMBER_TYPE = "a member has the wrong type"
    SEGMENTS = "it has not exactly three segments"


_SCHEMA: Final = "AuthConfigNotMatchingSchemaError"
_URL: Final = "InvalidProviderDomainUrl"
_INSECURE: Final = "InsecureConfiguration"


class Mend(NamedTuple):
    """What is fixed about one problem."""

    rule: str
    code: str | None
    sentence: str


class Problem(StrEnum):
    """What is wrong with a configuration."""

    NOT_A_CONFIG = "NOT_A_CONFIG"
    MISSING = "MISSING"
    WRONG_TYPE = "WRONG_TYPE"
    MISSPELT = "MISSPELT"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    FOREIGN_MEMBER = "FOREIGN_MEMBER"
    SHARED_ISSUER = "SHARED_ISSUER"
    QUOTED = "QUOTED"
    PADDED = "PADDED"
    WELL_KNOWN = "WELL_KNOWN"
    NOT_A_URL = "NOT_A_URL"
    NO_DOT = "NO_DOT"
    PLAIN_HTTP = "PLAIN_HTTP"
    ALGORITHM = "ALGORITHM"
    KEY_SET_ADDRESS = "KEY_SET_ADDRESS"
    KEY_SET_DATA = "KEY_SET_DATA"
    FETCH_ADDRESS = "FETCH_ADDRESS"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    EMPTY = "EMPTY"
    AUDIENCE = "AUDIENCE"
    UNREADABLE_FILE = "UNREADABLE_FILE"
    NOT_A_PROVIDER = "NOT_A_PROVIDER"
    NO_PROVIDERS = "NO_PROVIDERS"
    NOT_A_VERIFIER = "NOT_A_VERIFIER"
    NOT_AN_APPLICATION = "NOT_AN_APPLICATION"
    NOT_A_VIEW = "NOT_A_VIEW"
    UNKNOWN_OPTION = "UNKNOWN_OPTION"
    UNGUARDED_VIEW = "UNGUARDED_VIEW"
    NOT_ENFORCED = "NOT_ENFORCED"
    INSTALLED_TWICE = "INSTALLED_TWICE"
    ENVIRONMENT = "ENVIRONMENT"
    NO_MIDDLEWARE = "NO_MIDDLEWARE"
    CLOSED = "CLOSED"
    WEAK_KEY = "WEAK_KEY"
    INSECURE_TLS = "INSECURE_TLS"


MENDS: Final[dict[Problem, Mend]] = {
    Problem.NOT_A_CONFIG: Mend(
        "CFG-01", _SCHEMA, "must be an object with an array `providers` of objects; pass what auth.config exports"
    ),
    Problem.MISSING: Mend("CFG-02", _SCHEMA, "is required; add it"),
    Problem.WRONG_TYPE: Mend("CFG-02", _SCHEMA, "has the wrong type; it must be text"),
    Problem.MISSPELT: Mend("CFG-04", _SCHEMA, "is a misspelling; write applicationID"),
    Problem.UNKNOWN_TYPE: Mend("CFG-05", _SCHEMA, "must be absent, `oidc` or `customJwt`; case counts"),
    Problem.FOREIGN_MEMBER: Mend(
        "CFG-06", _SCHEMA, "belongs to the other type of provider; OIDC has domain, customJwt has issuer"
    ),
    Problem.SHARED_ISSUER: Mend(
        "CFG-07", _INSECURE, "is shared by all applications of that service; set the application id"
    ),
    Problem.QUOTED: Mend("CFG-08", _URL, "begins or ends with a quote; remove the quotes"),
    Problem.PADDED: Mend("DV-24", _SCHEMA, "begins or ends with a blank, a line break or a quote; remove it"),
    Problem.WELL_KNOWN: Mend(
        "DV-24", _URL, "is the address of a discovery document; write what stands in front of /.well-known/"
    ),
    Problem.NOT_A_URL: Mend("CFG-10", _URL, "must be an https URL with a host and a valid port, without blanks"),
    Problem.NO_DOT: Mend("CFG-11", _URL, "has neither scheme nor dot; write the whole URL, beginning with https://"),
    Problem.PLAIN_HTTP: Mend(
        "DV-10", _INSECURE, "is plain http to another machine; use https, or say insecure_http=True for a test network"
    ),
    Problem.ALGORITHM: Mend("CFG-13", _SCHEMA, "must be exactly RS256 or ES256"),
    Problem.KEY_SET_ADDRESS: Mend("DV-18", _SCHEMA, "must be an absolute https URL without blanks, or a data: URL"),
    Problem.KEY_SET_DATA: Mend("DV-18", _SCHEMA, "is a data: URL that does not decode to a key set with a usable key"),
    Problem.FETCH_ADDRESS: Mend("DV-10", None, "must be an absolute https URL without blanks (http only on loopback)"),
    Problem.OUT_OF_RANGE: Mend("CFG-009", None, "has a wrong value"),
    Problem.EMPTY: Mend("CFG-002", None, "is empty or blank; set it, or leave it out"),
    Problem.AUDIENCE: Mend(
        "SEC-03", None, "is missing: give the application id, or say any_audience=True to accept tokens of every client"
    ),
    Problem.UNREADABLE_FILE: Mend("CFG-01", None, "names a file that cannot be read"),
    Problem.NOT_A_PROVIDER: Mend("CFG-01", None, "is not a Provider; for an auth.config use Verifier.from_auth_config"),
    Problem.NO_PROVIDERS: Mend("HTP-043", None, "is empty, so every token would be refused; name a Provider"),
    Problem.NOT_A_VERIFIER: Mend("HTP-043", None, "must be a Verifier, for example Verifier(Provider.ave('app_123'))"),
    Problem.NOT_AN_APPLICATION: Mend("HTP-043", None, "is not an application that can stand here"),
    Problem.NOT_A_VIEW: Mend("HTP-043", None, "is not a view function, so it cannot be decorated"),
    Problem.UNKNOWN_OPTION: Mend("HTP-043", None, "is unknown"),
    Problem.UNGUARDED_VIEW: Mend(
        "HTP-043", None, "is registered without its aveverify decorator; write the decorator below the route"
    ),
    Problem.NOT_ENFORCED: Mend("HTP-043", None, "is not enforced, so requests without a token would be served"),
    Problem.INSTALLED_TWICE: Mend("HTP-043", None, "is installed twice; remove one"),
    Problem.ENVIRONMENT: Mend(
        "CFG-16",
        None,
        "is not set: set AVEVERIFY_AUTH_CONFIG, or both AVEVERIFY_ISSUER and AVEVERIFY_APPLICATION_ID",
    ),
    Problem.NO_MIDDLEWARE: Mend(
        "HTTP-06", None, "has passed no aveverify middleware, so nothing is known of its user; install the middleware"
    ),
    Problem.CLOSED: Mend("CON-008", None, "is closed; make a new one"),
    Problem.WEAK_KEY: Mend("CFG-015", None, "can be guessed; make a random one with `openssl rand -base64 48`"),
    Problem.INSECURE_TLS: Mend(
        "CFG-014",
        None,
        "must leave certificate and name of the server checked; name a private CA by ssl_ca_certs=FILE",
    ),
}
