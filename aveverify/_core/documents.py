"""What makes an HTTP answer a good document: status, type, encoding, size, and for how long it is fresh.

Decides about answers, whoever fetched them. Only a 200 counts (NET-009). Rules DISC-03, DISC-06, JWKS-02; RFC 9110,
RFC 9111.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aveverify.cache_policy import CachePolicy

Headers = dict[str, str]

OK: Final = 200
_JSON: Final = "application/json"
_KEY_SET: Final = "application/jwk-set+json"
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2 calls it so
# JWKS-02: no blank before `;`, each parameter name=value, an empty rest after `;` is fine.
_MEDIA_TYPE: Final = re.compile(rf"({_TOKEN}/{_TOKEN})((?:;[ \t]*{_TOKEN}=(?:{_TOKEN}|\"(?:[^\"\\]|\\.)*\"))*);?[ \t]*")
_PARAMETER: Final = re.compile(rf";[ \t]*({_TOKEN})=(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*)\")")
_DIRECTIVE: Final = re.compile(rf"({_TOKEN})(?:=(?:({_TOKEN})|\"([^\"]*)\"))?[ \t]*(?:,|$)")
_MAX_DIGITS: Final = 10


class DocumentFault(ValueError):  # noqa: N818 - it says what is wrong with an answer
    """An answer is no document.

    Args:
        cause: What is wrong with it, in our own words.
        status: Its HTTP status.
    """

    def __init__(self, cause: str, status: int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status


def fold_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Put headers into one dictionary: names in lower case, repeated ones joined by a comma.

    Source: RFC 9110 §5.3.
    """
    folded: Headers = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded


def check_answer(status: int, headers: Headers, body: bytes, max_body_bytes: int) -> None:
    """Refuse an answer that is not a whole 200 without a content coding.

    Args:
        status: The HTTP status.
        headers: Folded headers.
        body: The body as it came.
        max_body_bytes: How long it may be.

    Raises:
        DocumentFault: Says what is wrong.

    Source: NET-001; NET-003; NET-008; NET-009.
    """
    if 300 <= status < 400:  # noqa: PLR2004 - redirects
        raise DocumentFault(f"the issuer redirects (status {status}), which is not followed", status)
    if status != OK:
        raise DocumentFault(f"the issuer answered with status {status}", status)
    # NET-003: identity was asked for, and nothing is ever decoded.
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise DocumentFault("the answer has a content coding that was not asked for", status)
    # NET-001: whoever fetched it, the bound holds.
    if len(body) > max_body_bytes:
        raise DocumentFault("the answer is too long", status)


def check_metadata_type(headers: Headers) -> None:
    """Refuse a discovery answer that says it is something else than JSON.

    Raises:
        DocumentFault: Says what is wrong.

    Source: DISC-03.
    """
    _check_loose_type(headers, (_JSON,))


def check_oidc_key_set_type(headers: Headers) -> None:
    """Refuse an OIDC key-set answer that says it is something else than JSON or a JWK set.

    Raises:
        DocumentFault: Says what is wrong.

    Source: DISC-06.
    """
    _check_loose_type(headers, (_JSON, _KEY_SET))


def check_custom_jwt_key_set_type(headers: Headers) -> None:
    """Refuse a customJwt key-set answer without a well-formed, fitting media type.

    Raises:
        DocumentFault: Says what is wrong.

    Source: JWKS-02.
    """
    found = _MEDIA_TYPE.fullmatch(headers.get("content-type", ""))
    if found is not None and found[1].lower() in (_JSON, _KEY_SET):
        charsets = [
            (plain or quoted).lower()
            for name, plain, quoted in _PARAMETER.findall(found[2])
            if name.lower() == "charset"
        ]
        if all(charset == "utf-8" for charset in charsets):
            return
    raise DocumentFault("the answer has no fitting Content-Type", OK)


def _check_loose_type(headers: Headers, allowed: tuple[str, ...]) -> None:
    # DISC-03: the part before the first `;`, lower-cased and not trimmed.
    content_type = headers.get("content-type")
    if content_type is not None and content_type.partition(";")[0].lower() not in allowed:
        raise DocumentFault("the answer has no fitting Content-Type", OK)


def decide_fresh_seconds(headers: Headers, policy: CachePolicy) -> float:
    """Decide how long a document is fresh.

    Args:
        headers: Folded headers of the answer.
        policy: Default, floor and ceiling.

    Returns:
        `max-age` less `Age`, within floor and ceiling; the floor for `no-store` and `no-cache`; else the default.

    Source: RFC 9111 §4.2.1, §5.1, §5.2.2; ROT-009.
    """
    directives = {
        name.lower(): plain or quoted for name, plain, quoted in _DIRECTIVE.findall(headers.get("cache-control", ""))
    }
    if directives.keys() & {"no-store", "no-cache"}:
        return policy.min_fresh_seconds
    if "max-age" not in directives:
        return policy.fresh_seconds
    # RFC 9111 §4.2.1 encourages taking an unreadable lifetime for a stale answer.
    max_age = _parse_delta_seconds(directives["max-age"])
    age = _parse_delta_seconds(headers.get("age", "0"))
    return max(policy.min_fresh_seconds, min(max_age - age, policy.max_fresh_seconds))


def parse_retry_after(headers: Headers) -> float:
    """Read how many seconds an issuer asks to be left alone; 0 where it says nothing readable.

    Source: RFC 9110 §10.2.3; NET-010.
    """
    return float(_parse_delta_seconds(headers.get("retry-after", "0")))


def _parse_delta_seconds(text: str) -> int:
    text = text.strip()
    return int(text[:_MAX_DIGITS]) if text.isascii() and text.isdigit() else 0
