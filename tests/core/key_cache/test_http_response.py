"""What makes an HTTP answer a good document, and for how long it is fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from aveverify import CachePolicy
from aveverify._core.jose.document_error import DocumentFault
from aveverify._core.key_cache.http_response import (
    Headers,
    check_answer,
    check_custom_jwt_key_set_type,
    check_metadata_type,
    check_oidc_key_set_type,
    confirms,
    decide_fresh_seconds,
    fold_headers,
    keep_headers,
    make_conditional_headers,
    parse_http_date,
    parse_retry_after,
    renew_headers,
)
from tests.core.jose_factory import raised, without

NOW = 1_700_000_000.0
POLICY = CachePolicy(fresh_seconds=600, min_fresh_seconds=60, max_fresh_seconds=3600)


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


# --- status, coding, size


@pytest.mark.parametrize(
    "status",
    [
        100, 199, 201, 203, 204, 206, 299, 300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 403, 404, 410, 429, 500,
        502, 503, 504, 520, 0,
    ],
    ids=str,
)  # fmt: skip
def test_only_a_200_counts(status: int) -> None:
    """DISC-03; NET-008; NET-009."""
    fault = raised(DocumentFault, lambda: check_answer(status, {}, b"{}", 100))

    assert fault.status == status


def test_a_200_is_an_answer() -> None:
    check_answer(200, {}, b"{}", 100)


@pytest.mark.parametrize("coding", ["identity", "IDENTITY", " identity ", ""], ids=repr)
def test_no_content_coding_is_fine(coding: str) -> None:
    check_answer(200, {"content-encoding": coding}, b"{}", 100)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "identity, gzip", "gzip,gzip,gzip", "x"])
def test_a_content_coding_that_was_not_asked_for_is_a_fault(coding: str) -> None:
    """NET-003; NET-004: nothing is ever decoded."""
    raised(DocumentFault, lambda: check_answer(200, {"content-encoding": coding}, b"{}", 100))


def test_a_body_has_a_longest_length() -> None:
    """NET-001: one below, at, and one above the limit."""
    check_answer(200, {}, b"x" * 99, 100)
    check_answer(200, {}, b"x" * 100, 100)
    raised(DocumentFault, lambda: check_answer(200, {}, b"x" * 101, 100))


# --- media types

Check = Callable[[Headers], None]
JSON, KEY_SET = "application/json", "application/jwk-set+json"


def accepts(check: Check, content_type: str | None) -> bool:
    headers = {} if content_type is None else {"content-type": content_type}
    try:
        check(headers)
    except DocumentFault:
        return False
    return True


@pytest.mark.parametrize(
    ("content_type", "as_metadata", "as_key_set"),
    [
        (None, True, True), (JSON, True, True), ("Application/JSON", True, True), (f"{JSON};charset=utf-8", True, True),
        (f"{JSON}; charset=utf-16", True, True), (f"{JSON};", True, True), (KEY_SET, False, True),
        (f"{KEY_SET};x", False, True), (f"{JSON} ; charset=utf-8", False, False), (f" {JSON}", False, False),
        (f"{JSON} ", False, False), ("text/plain", False, False), ("text/html", False, False), ("", False, False),
        (f"{JSON}, {JSON}", False, False), ("application/json+x", False, False), (f"x;{JSON}", False, False),
        (f"{JSON};x=é", False, False), (f"{JSON};x=\x7f", True, True), (f"{JSON};x=\x80", False, False),
    ],
    ids=str,
)  # fmt: skip
def test_the_oidc_path_looks_at_what_stands_before_the_semicolon(
    content_type: str | None, *, as_metadata: bool, as_key_set: bool
) -> None:
    """DISC-03; DISC-06: lower-cased and not trimmed; absent is fine."""
    assert accepts(check_metadata_type, content_type) is as_metadata
    assert accepts(check_oidc_key_set_type, content_type) is as_key_set


@pytest.mark.parametrize(
    "content_type",
    [
        JSON, KEY_SET, "APPLICATION/JSON", f"{JSON};", f"{JSON}; ", f"{JSON};charset=utf-8", f"{JSON}; charset=UTF-8",
        f'{JSON}; charset="utf-8"', f"{JSON};   x=y;charset=utf-8", f"{JSON};x=y", f"{JSON};CHARSET=utf-8",
        f"{JSON};x=",
        f'{JSON};x="a;b"', f'{JSON};x="a" ;charset=utf-8', f'{JSON};x="a"  ', f'{JSON};x="\\";y=z', f'{JSON};x="""',
        f"{JSON};charset=utf-8;charset=utf-16", f"{JSON};charset=utf-8;charset=",
    ],
)  # fmt: skip
def test_the_custom_jwt_path_takes_a_well_formed_media_type(content_type: str) -> None:
    """JWKS-02."""
    assert accepts(check_custom_jwt_key_set_type, content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None, "", "application", "application/", "/json", "text/plain", f"{JSON} ;charset=utf-8", f" {JSON}",
        f"{JSON};charset", f"{JSON};charset=", f"{JSON};charset=utf-16", f'{JSON};charset="utf-16"',
        f"{JSON};charset=utf8", f"{JSON};charset=utf-16;charset=utf-8", f"{JSON};x=y z", f"{JSON};;x=y",
        f"{JSON}, {JSON}", f'{JSON};x="y', "application/json/json", "application/jsön", f"{JSON} ", f"{JSON};\tx=y",
        f"{JSON};x=y ", f"{JSON};x=;y=z", f"{JSON};x=;", f'{JSON};x=""', f'{JSON};x="a\\"b"', f'{JSON};x="a"b',
        f'{JSON};x="a\tb"', f'{JSON};x="é"', f'{JSON};x="a"\t', f"{JSON}; =y", f"{JSON};=",
    ],
    ids=ascii,
)  # fmt: skip
def test_the_custom_jwt_path_takes_no_other(content_type: str | None) -> None:
    """JWKS-02."""
    assert not accepts(check_custom_jwt_key_set_type, content_type)


# --- freshness


@pytest.mark.parametrize("characters", [1023, 1024, 1025])
def test_jwks_02_a_media_type_that_is_too_long_to_be_read_is_refused(characters: int) -> None:
    """NET-016: a reader that stopped at its bound would miss the charset behind it."""
    content_type = f"{JSON};".ljust(characters - 5) + "a=utf"
    assert len(content_type) == characters

    assert accepts(check_custom_jwt_key_set_type, content_type) is (characters <= 1024)
    assert not accepts(check_custom_jwt_key_set_type, f"{JSON};".ljust(1024) + "charset=utf-16")


@pytest.mark.parametrize(
    ("max_age", "fresh_seconds"),
    [(59, 60), (60, 60), (61, 61), (600, 600), (3599, 3599), (3600, 3600), (3601, 3600), (86400, 3600), (0, 60)],
    ids=str,
)
def test_max_age_is_honoured_within_floor_and_ceiling(max_age: int, fresh_seconds: float) -> None:
    """ROT-009."""
    assert decide_fresh_seconds({"cache-control": f"max-age={max_age}"}, POLICY) == fresh_seconds


@pytest.mark.parametrize(
    ("age", "fresh_seconds"),
    [
        ("0", 1000),
        ("400", 600),
        ("939", 61),
        ("940", 60),
        ("941", 60),
        ("2000", 60),
        ("x", 1000),
        ("-5", 1000),
        (" 400 ", 600),
        ("400, 20", 600),
        ("400 ,20", 600),
        (", 400", 1000),
    ],
    ids=str,
)
def test_age_is_taken_off(age: str, fresh_seconds: float) -> None:
    """RFC 9111 §4.2.1."""
    assert decide_fresh_seconds({"cache-control": "max-age=1000", "age": age}, POLICY) == fresh_seconds


@pytest.mark.parametrize(("age", "fresh_seconds"), [("500", 100), ("539", 61), ("540", 60), ("541", 60)], ids=str)
def test_age_is_taken_off_the_default_too(age: str, fresh_seconds: float) -> None:
    """SEC-15: a cache that holds a key set without `max-age` says with `Age` for how long it has held it."""
    assert decide_fresh_seconds({"age": age}, POLICY) == fresh_seconds


@pytest.mark.parametrize(
    ("cache_control", "fresh_seconds"),
    [
        pytest.param(None, 600, id="none"),
        pytest.param("", 600, id="empty"),
        pytest.param("public", 600, id="nothing about time"),
        pytest.param("public, max-age=100, stale-while-revalidate=21600", 100, id="among others"),
        pytest.param("MAX-AGE=100", 100, id="in capitals"),
        pytest.param('max-age="100"', 100, id="quoted"),
        pytest.param("max-age=100,max-age=200", 100, id="twice: the smallest"),
        pytest.param("s-maxage=100", 600, id="for shared caches only"),
        pytest.param("max-age", 60, id="without a value"),
        pytest.param("max-age=", 600, id="with an empty value, which is no directive"),
        pytest.param("max-age=-1", 60, id="negative"),
        pytest.param("max-age=1.5", 60, id="a fraction"),
        pytest.param("max-age=1e3", 60, id="an exponent"),
        pytest.param("max-age=x", 60, id="not a number"),
        pytest.param("max-age=99999999999999999999999999", 3600, id="huge"),
        pytest.param("max-age=" + "9" * 10_000, 3600, id="huge beyond what int() takes"),
        pytest.param("no-store", 60, id="no-store"),
        pytest.param("no-cache", 60, id="no-cache"),
        pytest.param('no-cache="set-cookie", max-age=1000', 60, id="no-cache for a header"),
        pytest.param("No-Store, max-age=1000", 60, id="no-store beats max-age"),
        pytest.param("private, max-age=1000", 1000, id="private"),
        pytest.param("max-age=\u0661\u0660\u0660", 600, id="digits of another script, which are no token"),
    ],
)
def test_cache_control_decides_the_freshness(cache_control: str | None, fresh_seconds: float) -> None:
    headers = {} if cache_control is None else {"cache-control": cache_control}

    assert decide_fresh_seconds(headers, POLICY) == fresh_seconds


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
TEN_MINUTES_LATER = "Sun, 06 Nov 1994 08:59:37 GMT"


@pytest.mark.parametrize(
    ("headers", "fresh_seconds"),
    [
        pytest.param({"expires": TEN_MINUTES_LATER, "date": DATE}, 600, id="less the date"),
        pytest.param({"expires": TEN_MINUTES_LATER, "date": DATE, "age": "100"}, 500, id="less the age"),
        pytest.param({"expires": DATE, "date": DATE}, 60, id="at once"),
        pytest.param({"expires": DATE, "date": TEN_MINUTES_LATER}, 60, id="in the past"),
        pytest.param({"expires": "0", "date": DATE}, 60, id="nought"),
        pytest.param({"expires": TEN_MINUTES_LATER}, 60, id="without a date"),
        pytest.param({"expires": TEN_MINUTES_LATER, "date": "x"}, 60, id="with an unreadable date"),
        pytest.param({"expires": "Fri, 31 Dec 9999 23:59:59 GMT", "date": DATE}, 3600, id="in the far future"),
        pytest.param({"expires": DATE, "date": DATE, "cache-control": "max-age=900"}, 900, id="max-age comes first"),
        pytest.param({"expires": DATE, "date": DATE, "cache-control": "public"}, 60, id="beside other directives"),
        pytest.param({"date": DATE}, 600, id="a date alone says nothing"),
    ],
)
def test_expires_counts_where_max_age_is_not_said(headers: Headers, fresh_seconds: float) -> None:
    """RFC 9111 §5.3; ROT-009."""
    assert decide_fresh_seconds(headers, POLICY) == fresh_seconds


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a" * 90_000 + ";", id="a token that never ends"),
        pytest.param("a=" * 45_000 + ";", id="equals signs"),
        pytest.param("max-age=" + "1" * 90_000 + ";", id="a number that never ends"),
        pytest.param('a="' + "b" * 90_000, id="a quoted text that never ends"),
        pytest.param('a="' * 30_000, id="quotes"),
        pytest.param("a" + " " * 90_000 + ";", id="blanks"),
        pytest.param("," * 90_000, id="commas"),
    ],
)
def test_a_hostile_header_is_read_in_time_that_grows_with_its_length(value: str) -> None:
    """NET-016: 90 KB are what an HTTP library lets through."""
    assert 60 <= decide_fresh_seconds({"cache-control": value}, POLICY) <= 3600
    accepts(check_custom_jwt_key_set_type, f"{JSON};{value}")
    assert parse_retry_after({"retry-after": value}, NOW) == 0


# --- Retry-After


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


# --- validators


@pytest.mark.parametrize(
    ("headers", "conditional"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"etag": '"x"'}, {"If-None-Match": '"x"'}, id="an ETag"),
        pytest.param({"etag": ' "x"\t'}, {"If-None-Match": '"x"'}, id="an ETag among blanks"),
        pytest.param({"etag": '""'}, {"If-None-Match": '""'}, id="an ETag of nothing"),
        pytest.param({"etag": 'W/"x"'}, {"If-None-Match": 'W/"x"'}, id="a weak ETag"),
        pytest.param({"last-modified": DATE}, {}, id="a date"),
        pytest.param({"etag": '"x"', "last-modified": DATE}, {"If-None-Match": '"x"'}, id="both"),
        pytest.param({"etag": ""}, {}, id="an empty ETag"),
        pytest.param({"etag": "*"}, {}, id="any ETag"),
        pytest.param({"etag": "x"}, {}, id="an ETag without quotes"),
        pytest.param({"etag": 'w/"x"'}, {}, id="a weak ETag in small letters"),
        pytest.param({"etag": '"x", "y"'}, {}, id="two ETags"),
        pytest.param({"etag": '"x y"'}, {}, id="a blank within"),
        pytest.param({"etag": '"x"\n'}, {}, id="a line feed at the end"),
        pytest.param({"etag": '"x"\r\nX: y'}, {}, id="a line feed"),
        pytest.param({"etag": '"\x00"'}, {}, id="NUL"),
        pytest.param({"etag": '"\x7f"'}, {}, id="DEL"),
        pytest.param({"etag": '"ä"'}, {}, id="outside ASCII"),
        pytest.param({"etag": f'"{"x" * 1021}"'}, {"If-None-Match": f'"{"x" * 1021}"'}, id="one below the limit"),
        pytest.param({"etag": f'"{"x" * 1022}"'}, {"If-None-Match": f'"{"x" * 1022}"'}, id="at the limit"),
        pytest.param({"etag": f'"{"x" * 1023}"'}, {}, id="one above the limit"),
    ],
)  # fmt: skip
def test_net_027_an_issuers_entity_tag_is_sent_back_and_its_date_is_not(headers: Headers, conditional: Headers) -> None:
    """ROT-010; NET-027: `*` and lists would ask for a 304 to another body, a date gets one for an older file."""
    assert make_conditional_headers(headers, CachePolicy(), 0.0) == conditional
    assert make_conditional_headers(keep_headers(headers), CachePolicy(), 0.0) == conditional


@pytest.mark.parametrize(
    ("lifetime", "policy", "last_seconds"),
    [
        pytest.param({}, CachePolicy(), 3000, id="the default"),
        pytest.param({"cache-control": "max-age=60"}, CachePolicy(), 3540, id="the shortest lifetime"),
        pytest.param({"cache-control": "max-age=3600"}, CachePolicy(), 0, id="the longest lifetime"),
        pytest.param({}, CachePolicy(stale_if_error_seconds=600), 600, id="a lower cap"),
        pytest.param({}, CachePolicy(stale_if_error_seconds=0), 0, id="failing closed"),
        pytest.param({}, CachePolicy(max_fresh_seconds=600), 0, id="a lower ceiling"),
    ],
)
def test_net_027_a_body_is_asked_about_as_long_as_a_304_may_renew_it_for_a_whole_lifetime(
    lifetime: Headers, policy: CachePolicy, last_seconds: float
) -> None:
    headers = {"etag": '"x"'} | lifetime
    asked = [bool(make_conditional_headers(headers, policy, last_seconds + more)) for more in (0, 0.001)]
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("kept", "new", "is_confirmed"),
    [
        pytest.param({"etag": '"1"'}, {}, True, id="no validator"),
        pytest.param({"etag": '"1"'}, {"etag": '"1"'}, True, id="the same"),
        pytest.param({"etag": '"1"'}, {"etag": ' "1" '}, True, id="the same among blanks"),
        pytest.param({"etag": '"1"'}, {"etag": 'W/"1"'}, True, id="the same, weakly"),
        pytest.param({"etag": 'W/"1"'}, {"etag": 'W/"1"'}, True, id="the same weak one"),
        pytest.param({"etag": 'W/"1"'}, {"etag": '"1"'}, False, id="a strong one of a weak one"),
        pytest.param({"etag": '"1"'}, {"etag": '"2"'}, False, id="another one"),
        pytest.param({"etag": '"1"'}, {"etag": 'W/"2"'}, False, id="another weak one"),
        pytest.param({"etag": '"a"'}, {"etag": '"A"'}, False, id="another case"),
        pytest.param({"etag": '"1"'}, {"etag": "1"}, False, id="the same without quotes"),
        pytest.param({"etag": '"1"'}, {"etag": ""}, False, id="an empty one"),
        pytest.param({"etag": '"1"'}, {"etag": '"1", "2"'}, False, id="two"),
        pytest.param({"etag": '"1"', "last-modified": DATE}, {"last-modified": DATE}, True, id="the same date"),
        pytest.param({"etag": '"1"', "last-modified": DATE}, {"etag": '"1"', "last-modified": "0"}, False,
                     id="another date beside the same ETag"),
        pytest.param({"etag": '"1"'}, {"last-modified": DATE}, False, id="a date that was not there"),
    ],
)  # fmt: skip
def test_net_027_a_304_with_another_validator_is_no_confirmation(
    kept: Headers, new: Headers, *, is_confirmed: bool
) -> None:
    """RFC 9110 §8.8.3.2; RFC 9111 §4.3.4."""
    assert confirms(kept, new) is is_confirmed


@pytest.mark.parametrize(
    ("policy", "cache_control", "confirmed_seconds", "seconds"),
    [
        pytest.param(CachePolicy(), "max-age=600", 3000, 600, id="the last whole lifetime"),
        pytest.param(CachePolicy(), "max-age=600", 3001, 599, id="the rest of the bound"),
        pytest.param(CachePolicy(), "max-age=600", 3600, 0, id="at the bound"),
        pytest.param(CachePolicy(), "max-age=600", 3700, -100, id="past the bound"),
        pytest.param(CachePolicy(), "max-age=3600", 480, 3120, id="a longer lifetime"),
        pytest.param(CachePolicy(stale_if_error_seconds=60), "max-age=600", 60, 600, id="the cap"),
        pytest.param(CachePolicy(stale_if_error_seconds=60), "max-age=600", 61, 599, id="past the cap"),
        pytest.param(CachePolicy(stale_if_error_seconds=0), "max-age=600", 0, 600, id="a body that has just come"),
    ],
)
def test_net_027_304s_alone_keep_a_body_fresh_for_a_bounded_time(
    policy: CachePolicy, cache_control: str, confirmed_seconds: float, seconds: float
) -> None:
    assert decide_fresh_seconds({"cache-control": cache_control}, policy, confirmed_seconds) == seconds


KEPT = {"content-type": JSON, "etag": '"1"', "cache-control": "max-age=60", "age": "50"}


@pytest.mark.parametrize(
    ("new", "changes"),
    [
        pytest.param({}, {}, id="nothing is said"),
        pytest.param({"cache-control": "max-age=90"}, {"cache-control": "max-age=90"}, id="another lifetime"),
        pytest.param({"age": "5"}, {"age": "5"}, id="another age"),
        pytest.param({"etag": 'W/"1"'}, {}, id="the same validator, weakly"),
        pytest.param({"content-type": "text/html", "content-length": "0"}, {}, id="what describes no body"),
        pytest.param({"expires": "0"}, {"expires": "0"}, id="something that was not said before"),
        pytest.param({"date": DATE, "x-1": "1", "set-cookie": "a=b"}, {"date": DATE}, id="what is not read"),
    ],
)
def test_a_304_renews_the_lifetime_that_it_says_and_never_the_body(new: Headers, changes: Headers) -> None:
    """RFC 9111 §4.3.4; ROT-010; NET-024: the age of the old answer dies with it."""
    assert renew_headers(KEPT, new) == without(KEPT, "age") | changes
    assert KEPT["age"] == "50"


def test_net_024_only_the_headers_that_are_read_are_kept_and_none_without_end() -> None:
    names = ["content-type", "etag", "last-modified", "cache-control", "expires", "date", "age"]
    found = keep_headers(dict.fromkeys([*names, "x-a", "set-cookie", "content-encoding", "retry-after"], "x" * 9999))
    assert found == dict.fromkeys(names, "x" * 1025)


def test_a_fault_says_what_is_wrong_in_our_own_words() -> None:
    """SEC-14."""
    fault = raised(DocumentFault, lambda: check_answer(200, {"content-encoding": "s3cret"}, b"s3cret", 100))

    assert (str(fault), fault.status) == (fault.cause, 0)
    assert "s3cret" not in fault.cause
