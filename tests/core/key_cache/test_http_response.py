"""What makes an HTTP response a good document."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aveverify import CachePolicy
from aveverify._core.jose.document_error import DocumentError
from aveverify._core.key_cache.http_freshness import (
    decide_fresh_seconds,
)
from aveverify._core.key_cache.http_headers import (
    Headers,
    parse_retry_after,
)
from aveverify._core.key_cache.http_response import (
    check_custom_jwt_key_set_type,
    check_metadata_type,
    check_oidc_key_set_type,
    check_response,
)
from tests.core.jose_factory import raised

NOW = 1_700_000_000.0
POLICY = CachePolicy(fresh_seconds=600, min_fresh_seconds=60, max_fresh_seconds=3600)


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
    fault = raised(DocumentError, lambda: check_response(status, {}, b"{}", 100))

    assert fault.status == status


def test_a_200_is_an_answer() -> None:
    check_response(200, {}, b"{}", 100)


@pytest.mark.parametrize("coding", ["identity", "IDENTITY", " identity ", ""], ids=repr)
def test_no_content_coding_is_fine(coding: str) -> None:
    check_response(200, {"content-encoding": coding}, b"{}", 100)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "identity, gzip", "gzip,gzip,gzip", "x"])
def test_a_content_coding_that_was_not_asked_for_is_a_fault(coding: str) -> None:
    """NET-003; NET-004: nothing is ever decoded."""
    raised(DocumentError, lambda: check_response(200, {"content-encoding": coding}, b"{}", 100))


def test_a_body_has_a_longest_length() -> None:
    """NET-001: one below, at, and one above the limit."""
    check_response(200, {}, b"x" * 99, 100)
    check_response(200, {}, b"x" * 100, 100)
    raised(DocumentError, lambda: check_response(200, {}, b"x" * 101, 100))


Check = Callable[[Headers], None]

JSON, KEY_SET = "application/json", "application/jwk-set+json"


def accepts(check: Check, content_type: str | None) -> bool:
    headers = {} if content_type is None else {"content-type": content_type}
    try:
        check(headers)
    except DocumentError:
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


@pytest.mark.parametrize("characters", [1023, 1024, 1025])
def test_jwks_02_a_media_type_that_is_too_long_to_be_read_is_refused(characters: int) -> None:
    """NET-016: a reader that stopped at its bound would miss the charset behind it."""
    content_type = f"{JSON};".ljust(characters - 5) + "a=utf"
    assert len(content_type) == characters

    assert accepts(check_custom_jwt_key_set_type, content_type) is (characters <= 1024)
    assert not accepts(check_custom_jwt_key_set_type, f"{JSON};".ljust(1024) + "charset=utf-16")


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


def test_a_fault_says_what_is_wrong_in_our_own_words() -> None:
    """SEC-14."""
    fault = raised(DocumentError, lambda: check_response(200, {"content-encoding": "s3cret"}, b"s3cret", 100))

    assert (str(fault), fault.status) == (fault.cause, 0)
    assert "s3cret" not in fault.cause
