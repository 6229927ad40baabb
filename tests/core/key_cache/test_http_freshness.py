"""How long a document is fresh, how it is revalidated, and what a 304 renews."""

from __future__ import annotations

import pytest

from aveverify import CachePolicy
from aveverify._core.key_cache.http_freshness import (
    decide_fresh_seconds,
    is_confirmed,
    make_conditional_headers,
    renew_headers,
)
from aveverify._core.key_cache.http_headers import (
    Headers,
    keep_headers,
)
from tests.core.jose_factory import without

POLICY = CachePolicy(fresh_seconds=600, min_fresh_seconds=60, max_fresh_seconds=3600)


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
    ("kept", "new", "is_same"),
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
def test_net_027_a_304_with_another_validator_is_no_confirmation(kept: Headers, new: Headers, *, is_same: bool) -> None:
    """RFC 9110 §8.8.3.2; RFC 9111 §4.3.4."""
    assert is_confirmed(kept, new) is is_same


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


KEPT = {"content-type": "application/json", "etag": '"1"', "cache-control": "max-age=60", "age": "50"}


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
