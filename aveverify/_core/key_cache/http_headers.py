"""HTTP header fields: folded, bounded, and read as a number of seconds or a date.

Whatever a hostile issuer sends in a header, it is stored and parsed in bounded space and time (NET-016, NET-024).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aveverify._core.jose.timestamps import days_from_date

Headers = dict[str, str]

# RFC 9110 §5.6.2
TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
MAX_HEADER_CHARACTERS: Final = 1_024
# What the lifetime of a document is read from; a 304 renews it.
LIFETIME_HEADERS: Final = ("cache-control", "expires", "date", "age")
# Everything that is read of a good document.
_READ_HEADERS: Final = ("content-type", "etag", "last-modified", *LIFETIME_HEADERS)
_HTTP_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Three centuries. Beyond that a number of seconds is cut off, so that a hostile one costs nothing.
_MAX_DIGITS: Final = 10


def fold_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Return headers as one dictionary: names in lower case, repeated ones joined by a comma.

    Source: RFC 9110 §5.3.
    """
    folded: Headers = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded


def keep_headers(headers: Headers) -> Headers:
    """Return the headers that are read, each of a bounded length.

    Args:
        headers: Folded headers of a response, or of a stored document.

    Returns:
        At most seven headers. Nothing else of a response outlives its refresh.

    Source: RFC 9111 §3.2; NET-016; NET-024.
    """
    # One character more than is ever used, so that a value that is too long stays too long.
    return {name: headers[name][: MAX_HEADER_CHARACTERS + 1] for name in _READ_HEADERS if name in headers}


def read_header(headers: Headers, name: str) -> str:
    """Return the beginning of a header without the blanks around it; empty if it is missing (NET-016)."""
    return headers.get(name, "")[:MAX_HEADER_CHARACTERS].strip()


def parse_delta_seconds(text: str) -> int:
    """Parse a number of seconds; 0 if it is none.

    Source: RFC 9111 §1.2.2.
    """
    return int(text[:_MAX_DIGITS]) if text.isascii() and text.isdigit() else 0


def parse_http_date(text: str) -> int | None:
    """Parse a date in the form that HTTP prescribes for senders.

    Args:
        text: For instance `Sun, 06 Nov 1994 08:49:37 GMT`.

    Returns:
        Seconds since the epoch; None if it is no such date.

    Source: RFC 9110 §5.6.7.
    """
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    return days_from_date(year, _MONTHS.index(found[2]) + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second


def parse_retry_after(headers: Headers, now: float) -> float:
    """Parse for how many seconds an issuer asks for no further request; 0 if it does not, or not readably.

    Args:
        headers: Folded headers of the response.
        now: The instant of the response, in seconds since the epoch.

    Returns:
        Seconds, never negative.

    Source: RFC 9110 §10.2.3; NET-010.
    """
    text = read_header(headers, "retry-after")
    date = parse_http_date(text)
    return float(parse_delta_seconds(text)) if date is None else max(date - now, 0.0)
