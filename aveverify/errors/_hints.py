"""What most likely went wrong with a token: hints and faults.

The value of a member is its sentence, and a pickled error stores the value. To reword a sentence, map the old one to
the member in `_missing_`, or pickles of older versions no longer load.
"""

from __future__ import annotations

from enum import StrEnum


class Hint(StrEnum):
    """What most likely went wrong, where we can tell. The value is the sentence."""

    AVE_ACCESS_TOKEN = "this is Ave's access_token_jwt; send the id_token"  # noqa: S105 - a sentence
    ACCESS_TOKEN = "this looks like an access token; send the id_token"  # noqa: S105 - a sentence
    OPAQUE_TOKEN = "this is not a JWT but an opaque token (access_token or refresh_token); send the id_token"  # noqa: S105 - prose
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
    OTHER_SCOPE_CLAIM = "the token has scopes in another claim than `scope`; name that claim in scope_claims"
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
