"""How long a document is fresh, how it is revalidated, and what a 304 renews. RFC 9111; RFC 9110 §8.8, §13; NET-027."""

from __future__ import annotations

import re
from typing import Final

from aveverify._core.key_cache.http_headers import (
    LIFETIME_HEADERS,
    MAX_HEADER_CHARACTERS,
    TCHARS,
    Headers,
    keep_headers,
    parse_delta_seconds,
    parse_http_date,
    read_header,
)
from aveverify.cache_policy import CachePolicy

_DIRECTIVE: Final = re.compile(rf"({TCHARS})(?:=(?:({TCHARS})|\"([^\"]*)\"))?[ \t]*(?:,|$)")
_BLANKS: Final = " \t"
_WEAK: Final = "W/"
# RFC 9110 §8.8.3, without obs-text. `*` and lists are none: they would ask for a 304 to another body.
_ENTITY_TAG: Final = re.compile(r"(?:W/)?\"[!#-~]*\"")


def decide_fresh_seconds(headers: Headers, policy: CachePolicy, confirmed_seconds: float = 0.0) -> float:
    """Decide how long a document is fresh.

    Args:
        headers: Folded headers of the response.
        policy: Default, floor and ceiling.
        confirmed_seconds: How old the body was when a 304 last confirmed it; 0 if the response contained the body.

    Returns:
        Seconds from the response: `max-age`, or else `Expires` less `Date`, or else the default, less `Age`, within
        floor and ceiling; the floor for `no-store` and `no-cache`. Zero or less if 304s have confirmed the document for
        longer than the policy allows: it is stale already.

    Source: RFC 9111 §4.2.1, §5.1 to §5.3; ROT-009; NET-027.
    """
    lifetime_seconds = _read_lifetime_seconds(headers, policy)
    if not confirmed_seconds:
        return lifetime_seconds
    return min(lifetime_seconds, policy.bound_confirmation_seconds(lifetime_seconds) - confirmed_seconds)


def _read_lifetime_seconds(headers: Headers, policy: CachePolicy) -> float:
    directives = _DIRECTIVE.findall(read_header(headers, "cache-control"))
    names = {name.lower() for name, _, _ in directives}
    if names & {"no-store", "no-cache"}:
        return policy.min_fresh_seconds
    lifetime_seconds: int | None = None
    if "max-age" in names:
        # RFC 9111 §4.2.1: the smallest of several; one that is no number makes the response stale.
        lifetime_seconds = min(
            parse_delta_seconds(plain or quoted) for name, plain, quoted in directives if name.lower() == "max-age"
        )
    elif "expires" in headers:
        # RFC 9111 §5.3: an invalid date, above all `0`, is in the past.
        expires, date = (parse_http_date(read_header(headers, name)) for name in ("expires", "date"))
        lifetime_seconds = expires - date if expires is not None and date is not None else 0
    # RFC 9111 §5.1: the first of several counts. A cache that adds its own to another one must not hide both.
    age_seconds = parse_delta_seconds(read_header(headers, "age").partition(",")[0].rstrip(_BLANKS))
    remaining_seconds = (policy.fresh_seconds if lifetime_seconds is None else lifetime_seconds) - age_seconds
    return max(policy.min_fresh_seconds, min(remaining_seconds, policy.max_fresh_seconds))


def make_conditional_headers(headers: Headers, policy: CachePolicy, body_age_seconds: float) -> Headers:
    """Make the request headers of a conditional GET.

    `Last-Modified` is not sent back: a file server compares dates with `<=`, so it would answer 304 for a rotated
    file with an older date.

    Args:
        headers: Folded headers of the document.
        policy: How long 304s may confirm a body.
        body_age_seconds: How long ago the body was transferred.

    Returns:
        `If-None-Match`; nothing if the document has no single well-formed entity tag, or if a further lifetime of its
        body would exceed the policy.

    Source: RFC 9110 §8.8.3, §13.1.2; ROT-010; NET-027.
    """
    etag = headers.get("etag", "").strip(_BLANKS)
    if len(etag) > MAX_HEADER_CHARACTERS or _ENTITY_TAG.fullmatch(etag) is None:
        return {}
    lifetime_seconds = _read_lifetime_seconds(headers, policy)
    if body_age_seconds + lifetime_seconds > policy.bound_confirmation_seconds(lifetime_seconds):
        return {}
    return {"If-None-Match": etag}


def is_confirmed(kept: Headers, new: Headers) -> bool:
    """Tell whether a 304 confirms the document that the request was about.

    Args:
        kept: Folded headers of the document.
        new: Folded headers of the 304.

    Returns:
        False if the 304 has another validator: a strong entity tag that is not the same text, a weak one with
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
    """Return the headers of a document after a 304 that confirms it.

    Args:
        kept: Folded headers of the document.
        new: Folded headers of the 304.

    Returns:
        The lifetime of the 304, if it has one, and the validators and the media type of the document. The `Age` of a
        response holds for that response only.

    Source: RFC 9111 §3.2, §4.3.4; RFC 9110 §15.4.5; ROT-010; NET-024.
    """
    lasting = {name: value for name, value in kept.items() if name != "age"}
    return lasting | {name: value for name, value in keep_headers(new).items() if name in LIFETIME_HEADERS}
