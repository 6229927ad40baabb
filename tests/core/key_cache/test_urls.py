"""Addresses: which are URLs, which may be fetched, and what a `data:` URL holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aveverify._core.key_cache.urls import (
    Address,
    add_scheme,
    decode_data_url,
    is_data_url,
    is_fetch_allowed,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "with_scheme"),
    [
        ("idp.example", "https://idp.example"), ("localhost:3000", "https://localhost:3000"), ("", "https://"),
        ("https://a", "https://a"), ("HTTP://a", "HTTP://a"), ("x1_://a", "x1_://a"), ("a.b://c", "https://a.b://c"),
        ("//a", "https:////a"), (" https://a", "https:// https://a"), ("https:/a", "https://https:/a"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_text_without_scheme_gets_one(text: str, with_scheme: str) -> None:
    """CFG-09: word characters and `://` are a scheme."""
    assert add_scheme(text) == with_scheme


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("https://idp.example", ("https", "idp.example", ""), id="plain"),
        pytest.param("HTTPS://IDP.Example/A", ("https", "idp.example", "/A"), id="case of scheme and host"),
        pytest.param("https://idp.example:443/a/b?c=/d#/e", ("https", "idp.example", "/a/b"), id="everything"),
        pytest.param("https://idp.example?x", ("https", "idp.example", ""), id="query without path"),
        pytest.param("https://idp.example#x", ("https", "idp.example", ""), id="fragment without path"),
        pytest.param("https://user:pw@idp.example/", ("https", "idp.example", "/"), id="user and password"),
        pytest.param("https://a@b@idp.example", ("https", "idp.example", ""), id="two at signs"),
        pytest.param("https://idp.example:", ("https", "idp.example", ""), id="an empty port"),
        pytest.param("https://idp.example:0", ("https", "idp.example", ""), id="the lowest port"),
        pytest.param("https://idp.example:65534", ("https", "idp.example", ""), id="a port below the highest"),
        pytest.param("https://idp.example:65535", ("https", "idp.example", ""), id="the highest port"),
        pytest.param("https://idp.example.", ("https", "idp.example.", ""), id="a trailing dot"),
        pytest.param("https://bücher.example", ("https", "bücher.example", ""), id="an international host"),
        pytest.param("https://[::1]/x", ("https", "[::1]", "/x"), id="IPv6"),
        pytest.param("https://[2001:DB8::1]:8443", ("https", "[2001:db8::1]", ""), id="IPv6 with a port"),
        pytest.param("https://user@[::1]:1", ("https", "[::1]", ""), id="IPv6 with a user"),
        pytest.param("ftp+x-1.y://h", ("ftp+x-1.y", "h", ""), id="another scheme"),
    ],
)
def test_an_absolute_url_is_read(text: str, address: tuple[str, str, str]) -> None:
    """CFG-10."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("idp.example", id="no scheme"),
        pytest.param("https:idp.example", id="no slashes"),
        pytest.param("https:/idp.example", id="one slash"),
        pytest.param("://idp.example", id="an empty scheme"),
        pytest.param("1https://idp.example", id="a scheme that begins with a digit"),
        pytest.param("hüttps://idp.example", id="a scheme outside ASCII"),
        pytest.param("https://", id="no host"),
        pytest.param("https:///x", id="no host but a path"),
        pytest.param("https://user@", id="a user and no host"),
        pytest.param("https://:443", id="a port and no host"),
        pytest.param("https://.", id="a host of a dot"),
        pytest.param("https://...", id="a host of dots"),
        pytest.param("https://idp.example:x", id="a port that is no number"),
        pytest.param("https://idp.example:-1", id="a negative port"),
        pytest.param("https://idp.example:+1", id="a port with a sign"),
        pytest.param("https://idp.example:65536", id="a port above the highest"),
        pytest.param("https://idp.example:99999999999", id="a port of many digits"),
        pytest.param("https://idp.example:0000065536", id="a port above the highest behind zeros"),
        pytest.param("https://idp.example:\u0661", id="a port in another script"),
        pytest.param("https://idp.example:1:2", id="two ports"),
        pytest.param("https://idp example", id="a blank"),
        pytest.param(" https://idp.example", id="a blank in front"),
        pytest.param("https://idp.example ", id="a blank behind"),
        pytest.param("https://idp.example/a b", id="a blank in the path"),
        pytest.param("https://idp\t.example", id="a tab"),
        pytest.param("https://go\nod.example", id="a line feed"),
        pytest.param("https://idp.example/\x00", id="NUL"),
        pytest.param("https://idp.example\x7f", id="DEL"),
        pytest.param("https://idp.example/\u00a0", id="a blank outside ASCII"),
        pytest.param("https://idp.example\\@evil.example", id="a backslash"),
        pytest.param("https://idp.example/\ud800", id="a lone surrogate"),
        pytest.param("https://i%64p.example", id="a percent in the host"),
        pytest.param("https://i<dp>.example", id="angle brackets"),
        pytest.param('https://"idp.example"', id="quotes"),
        pytest.param("https://idp^.example", id="a caret"),
        pytest.param("https://idp[.example", id="a bracket inside"),
        pytest.param("https://[::1", id="an open bracket"),
        pytest.param("https://[]", id="empty brackets"),
        pytest.param("https://[idp.example]", id="a name in brackets"),
        pytest.param("https://[127.0.0.1]", id="IPv4 in brackets"),
        pytest.param("https://[::1]x", id="text behind the bracket"),
        pytest.param("https://[::1]x:1", id="text between bracket and port"),
        pytest.param("https://[::1%eth0]", id="IPv6 with a zone"),
        pytest.param("https://::1", id="IPv6 without brackets"),
    ],
)
def test_what_is_no_absolute_url_is_not(text: str) -> None:
    """CFG-10; CFG-005 to CFG-007: an address that needs mending is refused."""
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("LOCALHOST", True), ("127.0.0.1", True), ("[::1]", True), ("127.0.0.2", False),
        ("localhost.", False), ("localhost.example", False), ("[0:0:0:0:0:0:0:1]", False), ("[::]", False),
        ("127.1", False), ("2130706433", False), ("[::ffff:127.0.0.1]", False), ("\uff4cocalhost", False),
    ],
    ids=ascii,
)  # fmt: skip
def test_loopback_has_three_spellings(host: str, *, loopback: bool) -> None:
    """DV-10."""
    address = parse_address(f"http://{host}:8080/x")

    assert address is not None
    assert address.is_loopback is loopback


@pytest.mark.parametrize("insecure_http", [False, True], ids=["no opt-in", "opt-in"])
@pytest.mark.parametrize("plain_http", [False, True], ids=["https led here", "http led here"])
@pytest.mark.parametrize(
    ("address", "good"),
    [
        pytest.param(Address("https", "idp.example", ""), lambda _http, _opt: True, id="https"),
        pytest.param(Address("https", "localhost", ""), lambda _http, _opt: True, id="https on loopback"),
        pytest.param(Address("http", "localhost", ""), lambda http, _opt: http, id="http on loopback"),
        pytest.param(Address("http", "idp.example", ""), lambda http, opt: http and opt, id="http elsewhere"),
        pytest.param(Address("ftp", "localhost", ""), lambda _http, _opt: False, id="another scheme"),
    ],
)
def test_plain_http_needs_loopback_or_an_opt_in(
    address: Address, good: Callable[[bool, bool], bool], *, plain_http: bool, insecure_http: bool
) -> None:
    """DV-10; DISC-09."""
    assert is_fetch_allowed(address, plain_http=plain_http, insecure_http=insecure_http) is good(
        plain_http, insecure_http
    )


@pytest.mark.parametrize(
    ("text", "data"),
    [("data:,x", True), ("DATA:,x", True), ("dAtA:", True), ("data", False), ("https://data:", False), ("", False)],
    ids=ascii,
)
def test_a_data_url_is_known_by_its_scheme(text: str, *, data: bool) -> None:
    """JWKS-01."""
    assert is_data_url(text) is data


@pytest.mark.parametrize(
    ("text", "body"),
    [
        pytest.param("data:,x", b"x", id="plain"),
        pytest.param("data:,", b"", id="empty"),
        pytest.param("data:application/json,%7B%7d", b"{}", id="percent-encoded"),
        pytest.param("data:,%zz%", b"%zz%", id="a percent sign that escapes nothing"),
        pytest.param("data:,ä", "ä".encode(), id="outside ASCII"),
        pytest.param("data:text/html;charset=x,a", b"a", id="the media type does not matter"),
        pytest.param("data:,a,b", b"a,b", id="only the first comma parts"),
        pytest.param("data:,a#b", b"a", id="a fragment is cut off"),
        pytest.param("data:,a%23b", b"a#b", id="an escaped mark is no fragment"),
        pytest.param("data:;base64,YWI=", b"ab", id="base64"),
        pytest.param("data:;base64,YWI", b"ab", id="base64 without padding"),
        pytest.param("data:;base64,YQ==", b"a", id="base64 with two of padding"),
        pytest.param("data:;base64,YQ", b"a", id="base64 without two of padding"),
        pytest.param("data:;base64,YWJj", b"abc", id="base64 that needs none"),
        pytest.param("data:;base64,", b"", id="base64 of nothing"),
        pytest.param("data:;BASE64,YWI=", b"ab", id="base64 in capitals"),
        pytest.param("data:;  base64,YWI=", b"ab", id="blanks before base64"),
        pytest.param("data:application/json;x=y;base64,YWI=", b"ab", id="base64 behind others"),
        pytest.param("data:;base64, Y W\tI\n=\r\x0c", b"ab", id="white space in base64"),
        pytest.param("data:;base64,YW%49%3d", b"ab", id="escapes in base64"),
        pytest.param("data:;base64,YWJ=", b"ab", id="unused bits in base64"),
        pytest.param("data:;base64 ,YWI=", b"ab", id="a blank behind base64"),
        pytest.param("data:;b\tase\n64 \r ,YWI=", b"ab", id="tabs and line breaks in base64, which URLs lose"),
        pytest.param("data:,a\tb\r\nc", b"abc", id="tabs and line breaks in the body"),
        pytest.param("data:;base64\x0c,YWI=", b"YWI=", id="a form feed behind base64"),
        pytest.param("data:;base64;x,YWI=", b"YWI=", id="base64 that is not last is a parameter"),
        pytest.param("data:base64,YWI=", b"YWI=", id="base64 without a semicolon is a media type"),
    ],
)
def test_the_body_of_a_data_url(text: str, body: bytes) -> None:
    """JWKS-01."""
    assert decode_data_url(text) == body


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("data:", id="no comma"),
        pytest.param("data:application/json", id="only a media type"),
        pytest.param("data:#,x", id="a comma only in the fragment"),
        pytest.param("data:;base64,A", id="a length that encodes nothing"),
        pytest.param("data:;base64,====", id="nothing but padding"),
        pytest.param("data:;base64,YQ=", id="half of the padding"),
        pytest.param("data:;base64,YWI==", id="more padding than needed"),
        pytest.param("data:;base64,YWJj=", id="padding that is not needed"),
        pytest.param("data:;base64,YWJj====", id="a group of padding"),
        pytest.param("data:;base64,Y=WI", id="padding inside"),
        pytest.param("data:;base64,YW-_", id="the alphabet of base64url"),
        pytest.param("data:;base64,YWI!", id="a foreign character"),
        pytest.param("data:;base64,YW\x0bI=", id="white space that is not ASCII's"),
        pytest.param("data:;base64,YWIä", id="outside ASCII"),
        pytest.param("data:,\ud800", id="a lone surrogate"),
        pytest.param("data:;base64,\ud800", id="a lone surrogate in base64"),
    ],
)
def test_a_data_url_without_a_body(text: str) -> None:
    """JWKS-01; DV-18."""
    assert decode_data_url(text) is None
