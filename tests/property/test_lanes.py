"""The fast readers return the value of the strict reader or None, and both lanes give the same result."""

from __future__ import annotations

import binascii
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aveverify._accelerators import Accelerators, load
from aveverify._core.jose import encoding, fast_json
from aveverify._core.jose.encoding import EncodingError, JsonValue
from aveverify._core.jose.strict_json import parse_json_object, parse_json_object_strictly
from tests.conformance.vector_environment import exact
from tests.core.jose_factory import encode
from tests.missing import skip_missing
from tests.property.strategies import json_values
from tests.suite.effort import examples

ACCELERATORS = load()


def installed() -> Accelerators:
    """The accelerators; a visible skip where the extra is not installed."""
    if ACCELERATORS is None:
        skip_missing("fast", "an extra of the package")
    return ACCELERATORS


def read_objects() -> dict[str, fast_json.ReadObject]:
    """The fast readers of JSON that can run here."""
    fast = {} if ACCELERATORS is None else {"fast": fast_json.accelerated_json(ACCELERATORS)}
    return {"plain": fast_json.read_object, **fast}


def decode_segments() -> dict[str, encoding.DecodeSegment]:
    """The decoders of base64url that can run here."""
    fast = {} if ACCELERATORS is None else {"fast": encoding.accelerated_base64(ACCELERATORS)}
    return {"plain": encoding.decode_segment_plainly, **fast}


lanes = pytest.mark.parametrize("lane", ["plain", "fast"])


def reader(lane: str) -> fast_json.ReadObject:
    if lane == "fast":
        installed()
    return read_objects()[lane]


def decoder(lane: str) -> encoding.DecodeSegment:
    if lane == "fast":
        installed()
    return decode_segments()[lane]


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def finite(make: Callable[[str], int | float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        if not math.isfinite(float(text)):
            raise ValueError
        return make(text)

    return number


def refuse(_text: str) -> Any:
    raise ValueError


OBVIOUSLY_RIGHT = json.JSONDecoder(
    object_pairs_hook=unique, parse_int=finite(int), parse_float=finite(float), parse_constant=refuse
)


def depth_of(value: JsonValue) -> int:
    """How many containers are nested in a value."""
    if not isinstance(value, (dict, list)):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


def measured(data: bytes) -> dict[str, Any] | None:
    """What a reader says that is slow and obviously right; None where it refuses."""
    try:
        value = OBVIOUSLY_RIGHT.decode(data.decode())
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and depth_of(value) <= 127 else None


def strictly(data: bytes) -> dict[str, Any] | None:
    """What the strict reader says; None where it refuses."""
    try:
        return parse_json_object_strictly(data)
    except EncodingError:
        return None


def answer(parse: Callable[[bytes], dict[str, Any]], data: bytes) -> object:
    """The value, or the fault."""
    try:
        return exact(parse(data))
    except EncodingError as error:
        return error.fault


# --- JSON

# Pieces that come together as near misses: repeated names, blanks before colons, colons and brackets in strings,
# numbers at every edge, and text that a careless reader would mend.
PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b" ", b"\n", b"\t", b'"a"', b'"b"', b'"a":', b'"a" :', b'"":', b'":"',
    b'":a"', b'"\\u0061"', b"\\", b'"\\"":', b"1", b"-0", b"0", b"-0.0", b"1.0", b"1.50", b"1e2", b"1E400", b"-1e400",
    b"1e-400", b"18446744073709551616", b"-9223372036854775809", b"9" * 308, b"9" * 309, b"9" * 400, b"NaN",
    b"Infinity", b"true", b"null", b'"\xff"', b'"\xc3\xa9"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\x00"', b'"\x1f"',
    b'"\x7f"', b"\xef\xbb\xbf", b'{"a":1}', b'{"a":1,"a":2}', b'"\xe2\x80\xa8"',
]  # fmt: skip
noise = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)
# Objects that are nearly always well formed, with few names, so that names repeat.
names = st.sampled_from([b'"a"', b'"b"', b'""', b'":"', b'"a:"', b'"\\u0061"', b'"\xc3\xa9"'])
blanks = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t\r"])
leaves = st.sampled_from(
    [b"1", b"-0", b"1.5", b"1.50", b"1e400", b'"x"', b'":"', b'"{["', b'"a":', b"true", b"null", b"9" * 309, b"1" * 20]
)


def wrap(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    member = st.tuples(blanks, names, blanks, st.just(b":"), blanks, inner, blanks).map(b"".join)
    objects = st.lists(member, max_size=4).map(lambda members: b"{" + b",".join(members) + b"}")
    return objects | st.lists(inner, max_size=3).map(lambda entries: b"[" + b",".join(entries) + b"]")


objects = st.recursive(leaves, wrap, max_leaves=10)


# So many containers that the fast readers do not count them one by one, around the limit of nesting.
crowds = st.tuples(
    st.sampled_from([b"[]", b"{}", b'{"":0}', b'"]["', b'"\\"["', b'"\\\\"', b'{"a":1,"a":1}', b'"\\ud800"']),
    st.integers(90, 140),
    st.integers(120, 130),
    st.sampled_from([b"", b"]", b'"']),
).map(
    lambda drawn: (
        b'{"x":[' + b",".join([drawn[0]] * drawn[1]) + b'],"y":' + b"[" * drawn[2] + b"]" * drawn[2] + drawn[3] + b"}"
    )
)


@lanes
@settings(max_examples=examples(400))
@given(
    data=noise | objects | crowds | st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode())
)
@example(data=b'{"a" :1,"a":2}')
@example(data=b'{"a":":","a":":"}')
@example(data=b'{"a":{"b":1},"a":{"b":1}}')
@example(data=b'{"a":1,"a":"x"}')
@example(data=b'{"a":"x","a":1}')
@example(data=b'{"a":[{"b":1,"b":1}]}')
def test_a_fast_reader_returns_the_strict_value_or_none(lane: str, data: bytes) -> None:
    """PRE-02; DV-12: it never accepts more, and never another value."""
    found = reader(lane)(data)

    if found is not None:
        expected = strictly(data)
        assert expected is not None
        assert exact(found) == exact(expected)
        assert list(found) == list(expected)


@settings(max_examples=examples(400))
@given(data=noise | objects | crowds | st.binary(max_size=40))
@example(data=b'{"a" :1,"a":2}')
@example(data=b'{"a":"x","\\u0061":1}')
@example(data=b'{"a":"\\\\","b":"\\"","b":0}')
@example(data=b'{"a":"\\\\\\"","b":[{"":1,"":1}]}')
@example(data=b'{"a":' + b"9" * 308 + b',"b":' + b"9" * 309 + b"}")
def test_the_strict_reader_is_obviously_right(data: bytes) -> None:
    """PRE-02; DV-08; DV-12."""
    assert exact(strictly(data)) == exact(measured(data))


@settings(max_examples=examples(200))
@given(data=noise | objects | crowds | st.binary(max_size=40))
def test_what_is_read_does_not_depend_on_the_lane(data: bytes) -> None:
    """And the fault is always the one that the strict reader names."""
    expected = answer(parse_json_object_strictly, data)

    assert answer(parse_json_object, data) == expected
    for read in read_objects().values():
        found = read(data)
        assert found is None or exact(found) == expected


ORDINARY = {
    "iss": "https://idp.example", "aud": "app", "sub": "u1", "iat": 1_700_000_000, "exp": 1_700_003_600,
    "name": "Zoë {[ :", "email_verified": True, "nothing": None, "empty": "", "address": {"formatted": "1 Road"},
    "amr": ["pwd", "otp"], "ratio": 0.5,
}  # fmt: skip


@lanes
def test_an_ordinary_payload_is_read_by_the_fast_reader(lane: str) -> None:
    """Otherwise the fast reader would save nothing."""
    data = json.dumps(ORDINARY, separators=(",", ":"), ensure_ascii=False).encode()

    assert reader(lane)(data) == ORDINARY


@lanes
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":1}', id="a name twice"),
        pytest.param(b'{"a":1 ,"a" : 1}', id="a name twice, with blanks"),
        pytest.param(b'{"b":{"a":1,"a":1}}', id="a name twice deep inside"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"a":' + b"1" * 309 + b"0" * 91 + b"}", id="a number beyond a double"),
        pytest.param(b'{"a":1e400}', id="a fraction beyond a double"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":1}x', id="bytes behind"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\x01"}', id="a control character"),
        pytest.param(b'{"a":' + b"[" * 127 + b"]" * 127 + b"}", id="128 containers in one another"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_fast_reader_leaves_to_the_strict_one(lane: str, data: bytes) -> None:
    assert reader(lane)(data) is None


@pytest.mark.parametrize("length", [308, 309, 310, 372, 373, 400], ids=str)
@pytest.mark.parametrize("offset", range(0, 64, 7), ids=str)
@lanes
def test_a_long_number_is_noticed_wherever_it_stands(lane: str, length: int, offset: int) -> None:
    """PRE-02: the sample cannot step over it."""
    data = b'{"' + b"n" * offset + b'":' + b"9" * length + b"}"
    found = reader(lane)(data)

    assert found is None or found == strictly(data)
    if length > 309:
        assert found is None


@lanes
def test_many_digits_that_are_no_number_change_nothing(lane: str) -> None:
    data = json.dumps({f"n{index}": 1_700_000_000 + index for index in range(25)}, separators=(",", ":")).encode()

    assert reader(lane)(data) == json.loads(data)


# --- base64url

HOSTILE = b"A-_+/=Qgw8B .\n\x00\xff"


def canonically(text: bytes) -> bytes | None:
    """What the text encodes, by way of encoding it again."""
    try:
        data = binascii.a2b_base64(text.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return data if encode(data).encode() == text else None


@lanes
def test_every_short_text_is_decoded_or_refused_as_it_should_be(lane: str) -> None:
    """DV-02; ENC-001: all texts of up to four characters over what a decoder might take amiss."""
    decode = decoder(lane)
    for length in range(5):
        for characters in itertools.product(HOSTILE, repeat=length):
            text = bytes(characters)
            assert decode(text) == canonically(text), text


@lanes
@given(data=st.binary(max_size=300))
def test_what_is_encoded_is_decoded(lane: str, data: bytes) -> None:
    assert decoder(lane)(encode(data).encode()) == data


@lanes
@given(data=st.binary(min_size=30, max_size=300), place=st.integers(0, 39), byte=st.integers(0, 255))
def test_one_foreign_byte_in_a_long_text_is_found(lane: str, data: bytes, place: int, byte: int) -> None:
    """SIMD decoders look at many characters at once, and at the rest one by one."""
    text = bytearray(encode(data).encode())
    text[place] = byte

    assert decoder(lane)(bytes(text)) == canonically(bytes(text))
