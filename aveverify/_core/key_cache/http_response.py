"""What makes an HTTP response a good document: its status, content coding, media type and size.

Applies to every response, also to those of a custom fetcher. Only a 200 counts (NET-009). Rules DISC-03, DISC-06,
JWKS-02; RFC 9110. How long a document is fresh stands in `http_freshness`.
"""

from __future__ import annotations

import re
from typing import Final

from aveverify._core.jose.document_error import DocumentError
from aveverify._core.key_cache.http_headers import MAX_HEADER_CHARACTERS, TCHARS, Headers

OK: Final = 200
NOT_MODIFIED: Final = 304
_FIRST_REDIRECT: Final = 300
_LAST_REDIRECT: Final = 399
_JSON: Final = "application/json"
_KEY_SET: Final = "application/jwk-set+json"
# JWKS-02: no blank before `;`, only spaces after it, each parameter name=value. A quoted value has at least one
# character, which may be a quote, and no escapes; spaces may follow it. Only the last unquoted value may be empty.
_VALUE: Final = rf"({TCHARS})|\"([^\x00-\x1f\x7f][^\x00-\x1f\x7f\"]*)\"\x20*"
_MEDIA_TYPE: Final = re.compile(
    rf"({TCHARS}/{TCHARS})((?:;\x20*{TCHARS}=(?:{_VALUE}))*)(?:;\x20*(?P<unfinished>{TCHARS}=)?)?", re.ASCII
)
_PARAMETER: Final = re.compile(rf";\x20*({TCHARS})=(?:{_VALUE})")


def check_response(status: int, headers: Headers, body: bytes, max_body_bytes: int) -> None:
    """Refuse any status but 200, and any content coding.

    Args:
        status: The HTTP status.
        headers: Folded headers.
        body: The body, not decoded.
        max_body_bytes: The longest body that is accepted.

    Raises:
        DocumentError: Names what is wrong.

    Source: NET-001; NET-003; NET-008; NET-009.
    """
    if _FIRST_REDIRECT <= status <= _LAST_REDIRECT and status != NOT_MODIFIED:
        raise DocumentError(f"the issuer redirects (status {status}), which is not followed", status)
    if status != OK:
        raise DocumentError(f"the issuer answered with status {status}", status)
    # NET-003: identity was asked for, and nothing is ever decoded.
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise DocumentError("the response has a content coding that was not asked for")
    # NET-001: the bound also holds for a custom fetcher.
    if len(body) > max_body_bytes:
        raise DocumentError("the response is too long")


def check_metadata_type(headers: Headers) -> None:
    """Refuse a discovery document with a media type other than JSON; one without a type is accepted.

    Raises:
        DocumentError: Names what is wrong.

    Source: DISC-03.
    """
    _check_loose_type(headers, (_JSON,))


def check_oidc_key_set_type(headers: Headers) -> None:
    """Refuse an OIDC JWK Set with another media type than JSON or JWK Set; one without a type is accepted.

    Raises:
        DocumentError: Names what is wrong.

    Source: DISC-06.
    """
    _check_loose_type(headers, (_JSON, _KEY_SET))


def check_custom_jwt_key_set_type(headers: Headers) -> None:
    """Refuse a customJwt JWK Set without a well-formed media type of JSON or JWK Set.

    Raises:
        DocumentError: Names what is wrong.

    Source: JWKS-02.
    """
    content_type = headers.get("content-type", "")
    # NET-016: one that is too long is refused: what would be cut off may name another charset.
    is_readable = content_type.isascii() and len(content_type) <= MAX_HEADER_CHARACTERS
    found = _MEDIA_TYPE.fullmatch(content_type) if is_readable else None
    if found is not None and found[1].lower() in (_JSON, _KEY_SET) and _charset_of(found) in (None, "utf-8"):
        return
    raise DocumentError("the response has no fitting Content-Type")


def _charset_of(media_type: re.Match[str]) -> str | None:
    # JWKS-02: of several, the first counts.
    for name, plain, quoted in _PARAMETER.findall(media_type[2]):
        if name.lower() == "charset":
            charset: str = plain or quoted
            return charset.lower()
    # The last parameter may be an empty charset.
    return "" if (media_type["unfinished"] or "").lower() == "charset=" else None


def _check_loose_type(headers: Headers, allowed: tuple[str, ...]) -> None:
    # DISC-03: the part before the first `;`, in lower case and not trimmed. A character beyond ASCII matches nothing.
    content_type = headers.get("content-type")
    if content_type is None:
        return
    if not content_type.isascii() or content_type.partition(";")[0].lower() not in allowed:
        raise DocumentError("the response has no fitting Content-Type")
