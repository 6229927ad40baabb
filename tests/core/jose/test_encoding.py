"""Strict base64url: one text for each sequence of bytes."""

from __future__ import annotations

import pytest

from aveverify._core.jose.encoding import EncodingError, decode_base64url
from aveverify.errors import Fault
from tests.core.jose_factory import raised


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"AA", b"\x00", id="one byte"),
        pytest.param(b"AAA", b"\x00\x00", id="two bytes"),
        pytest.param(b"AAAA", b"\x00\x00\x00", id="three bytes"),
        pytest.param(b"-_-_", b"\xfb\xff\xbf", id="both characters of the alphabet's end"),
        pytest.param(b"_w", b"\xff", id="last character at its largest, two"),
        pytest.param(b"__8", b"\xff\xff", id="last character at its largest, three"),
    ],
)
def test_base64url_decodes(text: bytes, data: bytes) -> None:
    assert decode_base64url(text) == data


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"A", id="a length that encodes nothing"),
        pytest.param(b"AAAAA", id="such a length after a whole group"),
        pytest.param(b"AA==", id="padding"),
        pytest.param(b"AAA=", id="padding of one"),
        pytest.param(b"AAAA====", id="padding after a whole group"),
        pytest.param(b"====", id="nothing but padding"),
        pytest.param(b"A=AA", id="padding inside"),
        pytest.param(b"++++", id="plus of the standard alphabet"),
        pytest.param(b"////", id="slash of the standard alphabet"),
        pytest.param(b"AA A", id="blank"),
        pytest.param(b"AAAA\n", id="line feed at the end"),
        pytest.param(b"\nAAAA", id="line feed at the start"),
        pytest.param(b"AA\r\nAA", id="CRLF inside"),
        pytest.param(b"AA\x00A", id="NUL"),
        pytest.param(b"AA.A", id="dot"),
        pytest.param(b"AA%A", id="percent"),
        pytest.param(b"AB", id="unused bits set, two characters"),
        pytest.param(b"AAB", id="unused bits set, three characters"),
    ],
)
def test_base64url_refuses(text: bytes) -> None:
    assert raised(EncodingError, lambda: decode_base64url(text)).fault is Fault.NOT_BASE64URL


@pytest.mark.parametrize("text", [b"AA\xffA", b"\x80", "é".encode()], ids=ascii)
def test_base64url_says_where_a_byte_is_not_even_ascii(text: bytes) -> None:
    assert raised(EncodingError, lambda: decode_base64url(text)).fault is Fault.NOT_ASCII


@pytest.mark.parametrize(("text", "data"), [(b"AB", b"\x00"), (b"AAB", b"\x00\x00")], ids=["two", "three"])
def test_unused_bits_are_passed_over_where_keys_may_have_them(text: bytes, data: bytes) -> None:
    assert decode_base64url(text, allow_nonzero_trailing_bits=True) == data


@pytest.mark.parametrize("text", [b"A", b"AA==", b"A+", b"A\n"], ids=["length", "padding", "alphabet", "white space"])
def test_unused_bits_excuse_nothing_else(text: bytes) -> None:
    assert (
        raised(EncodingError, lambda: decode_base64url(text, allow_nonzero_trailing_bits=True)).fault
        is Fault.NOT_BASE64URL
    )
