"""What makes an HTTP answer a good document: status, type, encoding, size, and for how long it is fresh.

Decides about answers, whoever fetched them. Only a 200 counts (NET-009). Rules DISC-03, DISC-06, JWKS-02; RFC 9110,
RFC 9111.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aveverify._core.jose.document_error import DocumentFault
from aveverify._core.jose.timestamps import days_from_date
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
_BLANKS: Final = " \t"
_WEAK: Final = "W/"
# RFC 9110 §8.8.3, without obs-text. `*` and lists are none: they would ask for a 304 to another body.
_ENTITY_TAG: Final = re.compile(r"(?:W/)?\"[!#-~]*\"")
# The lifetime of a document; a 304 renews it.
_LIFETIME: Final = ("cache-control", "expires", "date", "age")
# Everything that is read of a good document.
_READ: Final = ("content-type", "etag", "last-modified", *_LIFETIME)


def fold_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Put headers into one dictionary: names in lower case, repeated ones joined by a comma.

    Source: RFC 9110 §5.3.
    """
    folded: Headers = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded


def keep_headers(headers: Headers) -> Headers:
    """Keep the headers that are read, each of a bounded length.

    Args:
        headers: Folded headers of an answer, or of a stored document.

    Returns:
        At most seven headers. Nothing else of an answer outlives its flight.

    Source: RFC 9111 §3.2; NET-016; NET-024.
    """
    # One character more than is ever used: what is too long stays too long.
    return {name: headers[name][: _MAX_HEADER_CHARACTERS + 1] for name in _READ if name in headers}


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
    content_type = headers.get("content-type", "")
    # NET-016: too long is refused, for what is cut off may be another charset.
    is_readable = content_type.isascii() and len(content_type) <= _MAX_HEADER_CHARACTERS
    found = _MEDIA_TYPE.fullmatch(content_type) if is_readable else None
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


def decide_fresh_seconds(headers: Headers, policy: CachePolicy, confirmed_seconds: float = 0.0) -> float:
    """Decide how long a document is fresh.

    Args:
        headers: Folded headers of the answer.
        policy: Default, floor and ceiling.
        confirmed_seconds: How old the body was when a 304 last confirmed it; 0 where the answer brought the body.

    Returns:
        Seconds from the answer: `max-age`, or else `Expires` less `Date`, or else the default, less `Age`, within floor
        and ceiling; the floor for `no-store` and `no-cache`. A document that 304s have confirmed for longer than the
        policy allows is stale already: zero or less.

    Source: RFC 9111 §4.2.1, §5.1 to §5.3; ROT-009; NET-027.
    """
    lifetime_seconds = _read_lifetime_seconds(headers, policy)
    if not confirmed_seconds:
        return lifetime_seconds
    return min(lifetime_seconds, policy.bound_confirmation_seconds(lifetime_seconds) - confirmed_seconds)


def _read_lifetime_seconds(headers: Headers, policy: CachePolicy) -> float:
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
    # RFC 9111 §5.1: of several ages the first counts. A cache that adds its own beside another one must not hide both.
    age_seconds = _parse_delta_seconds(_bounded(headers, "age").partition(",")[0].rstrip(_BLANKS))
    remaining_seconds = (policy.fresh_seconds if lifetime_seconds is None else lifetime_seconds) - age_seconds
    return max(policy.min_fresh_seconds, min(remaining_seconds, policy.max_fresh_seconds))


def make_conditional_headers(headers: Headers, policy: CachePolicy, body_age_seconds: float) -> Headers:
    """Write the request headers that ask whether a document has changed.

    `Last-Modified` is not sent back: a file server compares dates with `<=`, so a rotated file with an older date
    would never arrive, and its 304 looks like any other.

    Args:
        headers: Folded headers of the document.
        policy: How long 304s may confirm a body.
        body_age_seconds: How long ago the body came in full.

    Returns:
        `If-None-Match`; nothing where the document has no single well-formed entity tag, or where a further lifetime
        of its body would exceed the policy.

    Source: RFC 9110 §8.8.3, §13.1.2; ROT-010; NET-027.
    """
    etag = headers.get("etag", "").strip(_BLANKS)
    if len(etag) > _MAX_HEADER_CHARACTERS or _ENTITY_TAG.fullmatch(etag) is None:
        return {}
    lifetime_seconds = _read_lifetime_seconds(headers, policy)
    if body_age_seconds + lifetime_seconds > policy.bound_confirmation_seconds(lifetime_seconds):
        return {}
    return {"If-None-Match": etag}


def confirms(kept: Headers, new: Headers) -> bool:
    """Tell whether a 304 speaks of the document that was asked about.

    Args:
        kept: Folded headers of the document.
        new: Folded headers of the 304.

    Returns:
        False where the 304 names another validator: a strong entity tag that is not the same text, a weak one with
        another opaque tag, or another `Last-Modified`.

    Source: RFC 9110 §8.8.3.2; RFC 9111 §4.3.4; NET-027.
    """
    date, etag = (None if value is None else value.strip(_BLANKS) for value in map(new.get, ("last-modified", "etag")))
    if date is not None and date != kept.get("last-modified", "").strip(_BLANKS):
        return False
    if etag is None:
        return True
    known = kept.get("etag", "").strip(_BLANKS)
    return etag == known or (etag.startswith(_WEAK) and etag.removeprefix(_WEAK) == known.removeprefix(_WEAK))


def renew_headers(kept: Headers, new: Headers) -> Headers:
    """Renew the lifetime of a document by the headers of a 304 that confirms it.

    Args:
        kept: Folded headers of the document.
        new: Folded headers of the 304.

    Returns:
        The lifetime that the 304 says, where it says one, and the validators and the type of the document. The age of
        an answer stays with that answer.

    Source: RFC 9111 §3.2, §4.3.4; RFC 9110 §15.4.5; ROT-010; NET-024.
    """
    lasting = {name: value for name, value in kept.items() if name != "age"}
    return lasting | {name: value for name, value in keep_headers(new).items() if name in _LIFETIME}


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
