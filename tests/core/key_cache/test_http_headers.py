"""HTTP header fields: how they are folded, bounded and parsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from aveverify._core.key_cache.http_headers import (
    Headers,
    fold_headers,
    keep_headers,
    parse_http_date,
    parse_retry_after,
)

NOW = 1_700_000_000.0

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "folded"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"Content-Type": "a", "AGE": "1"}, {"content-type": "a", "age": "1"}, id="a mapping"),
        pytest.param([("A", "1"), ("b", "2"), ("a", "3")], {"a": "1, 3", "b": "2"}, id="repeated pairs are joined"),
        pytest.param((("a", "1"),), {"a": "1"}, id="a tuple of pairs"),
    ],
)
def test_headers_are_folded(headers: Mapping[str, str] | Iterable[tuple[str, str]], folded: Headers) -> None:
    """RFC 9110 §5.3."""
    assert fold_headers(headers) == folded


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0), ("0", 0), ("120", 120), (" 120 ", 120), ("-1", 0), ("1.5", 0), ("x", 0), ("", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("9" * 50, 9_999_999_999), ("1, 2", 0), ("\u0661", 0), ("\u00b2", 0),
    ],
    ids=ascii,
)  # fmt: skip
def test_retry_after_is_read_as_seconds(value: str | None, seconds: float) -> None:
    """NET-010: whatever it says, it is never negative."""
    assert parse_retry_after({} if value is None else {"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(
    ("offset", "seconds"), [(-60, 0), (0, 0), (60, 60), (86_400, 86_400)], ids=["past", "now", "soon", "tomorrow"]
)
def test_retry_after_may_be_a_date(offset: int, seconds: float) -> None:
    """RFC 9110 §10.2.3."""
    now = 784_111_777 - offset

    assert parse_retry_after({"retry-after": DATE}, now) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ],
    ids=["the standard's example", "the epoch", "a leap day", "the end of the calendar"],
)  # fmt: skip
def test_a_date_of_http_is_read(text: str, seconds: int) -> None:
    """RFC 9110 §5.6.7."""
    assert parse_http_date(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "784111777", "1994-11-06T08:49:37Z", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "sun, 06 nov 1994 08:49:37 gmt", f"{DATE} x", f"{DATE}\n",
        "Sun, 0\u0661 Nov 1994 08:49:37 GMT",
    ],
    ids=ascii,
)  # fmt: skip
def test_another_text_is_no_date_of_http(text: str) -> None:
    assert parse_http_date(text) is None


def test_net_024_only_the_headers_that_are_read_are_kept_and_none_without_end() -> None:
    names = ["content-type", "etag", "last-modified", "cache-control", "expires", "date", "age"]
    found = keep_headers(dict.fromkeys([*names, "x-a", "set-cookie", "content-encoding", "retry-after"], "x" * 9999))
    assert found == dict.fromkeys(names, "x" * 1025)
