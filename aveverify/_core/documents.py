"""What makes an HTTP answer a good document: status, type, encoding, size, and for how long it is fresh.

Decides about answers, whoever fetched them. Only a 200 counts (NET-009). Rules DISC-03, DISC-06, JWKS-02; RFC 9110,
RFC 9111.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aveverify._core.faults import DocumentFault
from aveverify._core.timestamps import days_from_date
from aveverify.cache_policy import CachePolicy

Headers = dict[str, str]

OK: Final = 200
NOT_MODIFIED: Final = 304
_JSON: Final = "application/json"
_KEY_SET: Final = "application/jwk-set+json"
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2 calls it so
# JWKS-02: no blank before `;`, only spaces behind it, each parameter name=value. A quoted value has a character at
# least, which may be a quote, and no escapes; spaces may follow it. An unquoted one may be empty where nothing follows.
_VALUE: Final = rf"({_TOKEN})|\"([^\x00-\x1f\x7f][^\x00-\x1f\x7f\"]*)\"\x20*"
_MEDIA_TYPE: Final = re.compile(
    rf"({_TOKEN}/{_TOKEN})((?:;\x20*{_TOKEN}=(?:{_VALUE}))*)(?:;\x20*(?P<unfinished>{_TOKEN}=)?)?", re.ASCII
)
_PARAMETER: Final = re.compile(rf";\x20*({_TOKEN})=(?:{_VALUE})")
_DIRECTIVE: Final = re.compile(rf"({_TOKEN})(?:=(?:({_TOKEN})|\"([^\"]*)\"))?[ \t]*(?:,|$)")
_HTTP_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_DIGITS: Final = 10
_MAX_HEADER_CHARACTERS: Final = 1_024


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
    if 300 <= status < 400 and status != NOT_MODIFIED:  # noqa: PLR2004 - redirects
        raise DocumentFault(f"the issuer redirects (status {status}), which is not followed", status)
    if status != OK:
        raise DocumentFault(f"the issuer answered with status {status}", status)
    # NET-003: identity was asked for, and nothing is ever decoded.
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise DocumentFault("the answer has a content coding that was not asked for")
    # NET-001: whoever fetched it, the bound holds.
    if len(body) > max_body_bytes:
        raise DocumentFault("the answer is too long")


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
    content_type = headers.get("content-type", "")[:_MAX_HEADER_CHARACTERS]
    found = _MEDIA_TYPE.fullmatch(content_type) if content_type.isascii() else None
    if found is not None and found[1].lower() in (_JSON, _KEY_SET) and _charset_of(found) in (None, "utf-8"):
        return
    raise DocumentFault("the answer has no fitting Content-Type")


def _charset_of(media_type: re.Match[str]) -> str | None:
    # JWKS-02: of several, the first counts.
    for name, plain, quoted in _PARAMETER.findall(media_type[2]):
        if name.lower() == "charset":
            charset: str = plain or quoted
            return charset.lower()
    # At the end, and empty.
    return "" if (media_type["unfinished"] or "").lower() == "charset=" else None


def _check_loose_type(headers: Headers, allowed: tuple[str, ...]) -> None:
    # DISC-03: the part before the first `;`, lower-cased and not trimmed. A character beyond ASCII matches nothing.
    content_type = headers.get("content-type")
    if content_type is None:
        return
    if not content_type.isascii() or content_type.partition(";")[0].lower() not in allowed:
        raise DocumentFault("the answer has no fitting Content-Type")


def decide_fresh_seconds(headers: Headers, policy: CachePolicy) -> float:
    """Decide how long a document is fresh.

    Args:
        headers: Folded headers of the answer.
        policy: Default, floor and ceiling.

    Returns:
        `max-age`, or else `Expires` less `Date`, less `Age`, within floor and ceiling; the floor for `no-store` and
        `no-cache`; the default where nothing is said.

    Source: RFC 9111 §4.2.1, §5.1 to §5.3; ROT-009.
    """
    directives = _DIRECTIVE.findall(_bounded(headers, "cache-control"))
    names = {name.lower() for name, _, _ in directives}
    if names & {"no-store", "no-cache"}:
        return policy.min_fresh_seconds
    lifetime_seconds: int | None = None
    if "max-age" in names:
        # RFC 9111 §4.2.1: of several the smallest, and an unreadable one is a stale answer.
        lifetime_seconds = min(
            _parse_delta_seconds(plain or quoted) for name, plain, quoted in directives if name.lower() == "max-age"
        )
    elif "expires" in headers:
        # RFC 9111 §5.3: an unreadable date, `0` above all, is in the past.
        expires, date = (parse_http_date(_bounded(headers, name)) for name in ("expires", "date"))
        lifetime_seconds = expires - date if expires is not None and date is not None else 0
    if lifetime_seconds is None:
        return policy.fresh_seconds
    age_seconds = _parse_delta_seconds(_bounded(headers, "age"))
    return max(policy.min_fresh_seconds, min(lifetime_seconds - age_seconds, policy.max_fresh_seconds))


def make_conditional_headers(headers: Headers) -> Headers:
    """Write the request headers that ask whether a document has changed.

    Args:
        headers: Folded headers of the answer that brought it.

    Returns:
        `If-None-Match` and `If-Modified-Since`, as far as the answer had validators that may be sent back.

    Source: RFC 9110 §13.1.2, §13.1.3; ROT-010.
    """
    conditional: Headers = {}
    for validator, question in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")):
        value = headers.get(validator, "")
        # What an issuer sent goes back into a request: visible ASCII only, and not without end.
        if value and len(value) <= _MAX_HEADER_CHARACTERS and value.isascii() and value.isprintable():
            conditional[question] = value
    return conditional


def renew_headers(kept: Headers, new: Headers) -> Headers:
    """Merge the headers of a 304 into those of the answer that it renews.

    Args:
        kept: Folded headers of the answer that brought the body.
        new: Folded headers of the 304.

    Returns:
        The new ones where there are any; what describes the body, or the age of an answer, stays with its own answer.

    Source: RFC 9111 §3.2, §4.3.4; RFC 9110 §15.4.5; ROT-010.
    """
    lasting = {name: value for name, value in kept.items() if name != "age"}
    return lasting | {name: value for name, value in new.items() if not name.startswith("content-")}


def parse_retry_after(headers: Headers, now: float) -> float:
    """Read how many seconds an issuer asks to be left alone; 0 where it says nothing readable.

    Args:
        headers: Folded headers of the answer.
        now: The instant of the answer, in seconds since the epoch.

    Returns:
        Seconds, never negative.

    Source: RFC 9110 §10.2.3; NET-010.
    """
    text = _bounded(headers, "retry-after")
    date = parse_http_date(text)
    return float(_parse_delta_seconds(text)) if date is None else max(date - now, 0.0)


def parse_http_date(text: str) -> int | None:
    """Read a date in the form that HTTP prescribes for senders.

    Args:
        text: For instance `Sun, 06 Nov 1994 08:49:37 GMT`.

    Returns:
        Seconds since the epoch, or None where it is no such date.

    Source: RFC 9110 §5.6.7.
    """
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    return days_from_date(year, _MONTHS.index(found[2]) + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second


def _bounded(headers: Headers, name: str) -> str:
    # NET-016: whatever a hostile header holds, it is read in a bounded time.
    return headers.get(name, "")[:_MAX_HEADER_CHARACTERS].strip()


def _parse_delta_seconds(text: str) -> int:
    return int(text[:_MAX_DIGITS]) if text.isascii() and text.isdigit() else 0
