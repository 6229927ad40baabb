"""Strict JSON: one text, one value; and the documents of an issuer, which may repeat names."""

from __future__ import annotations

import gc
import json
import sys

import pytest

from aveverify._core.jose import strict_json
from aveverify._core.jose.encoding import EncodingError, JsonValue
from aveverify._core.jose.fast_json import MAX_NESTED_CONTAINERS
from aveverify._core.jose.strict_json import parse_json_document, parse_json_object, repeated_members
from aveverify.errors import Fault
from tests.core.jose_factory import raised


def fault_of(data: bytes) -> Fault:
    return raised(EncodingError, lambda: parse_json_object(data)).fault


# --- JSON


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"{}", {}, id="nothing"),
        pytest.param(b' \t\r\n{"a":1}\n\r\t ', {"a": 1}, id="white space around"),
        pytest.param('{"a":"😀"}'.encode(), {"a": "😀"}, id="UTF-8"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}, id="a whole surrogate pair"),
        pytest.param(b'{"a":"\\\\ud800"}', {"a": "\\ud800"}, id="an escaped backslash before ud800"),
        pytest.param(b'{"\\u0061":1}', {"a": 1}, id="an escaped name"),
        pytest.param(b'{"":{"":[]}}', {"": {"": []}}, id="empty names"),
        pytest.param(b'{"a":[{"a":1},{"a":1}]}', {"a": [{"a": 1}, {"a": 1}]}, id="one name in several objects"),
        pytest.param(b'{"__proto__":1}', {"__proto__": 1}, id="no name is special"),
        pytest.param(b'{"a":1e308}', {"a": 1e308}, id="a large double"),
        pytest.param(b'{"a":1e-400}', {"a": 0.0}, id="a double that becomes zero"),
        pytest.param(b'{"a":-0}', {"a": 0}, id="minus zero is the integer zero"),
        pytest.param(b'{"a":12345678901234567890123}', {"a": 12345678901234567890123}, id="a large integer is exact"),
    ],
)
def test_json_is_read(data: bytes, value: JsonValue) -> None:
    assert parse_json_object(data) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1", int), ("1.0", float), ("1e0", float), ("-0.0", float), ("true", bool), ("null", type(None))],
    ids=["integer", "fraction", "exponent", "negative zero", "boolean", "null"],
)
def test_a_number_keeps_the_type_that_it_is_written_in(text: str, kind: type) -> None:
    """ID-06."""
    assert type(parse_json_object(f'{{"a":{text}}}'.encode())["a"]) is kind


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(b"", Fault.NOT_JSON, id="nothing"),
        pytest.param(b"{", Fault.NOT_JSON, id="cut off"),
        pytest.param(b'{"a":1}{', Fault.NOT_JSON, id="bytes after the object"),
        pytest.param(b'{"a":1}\x00', Fault.NOT_JSON, id="NUL after the object"),
        pytest.param(b'\x0b{"a":1}', Fault.NOT_JSON, id="white space that is not JSON's"),
        pytest.param('\u00a0{"a":1}'.encode(), Fault.NOT_JSON, id="a blank that is not JSON's"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', Fault.NOT_JSON, id="byte order mark"),
        pytest.param(b'{"a":1,}', Fault.NOT_JSON, id="trailing comma"),
        pytest.param(b"{'a':1}", Fault.NOT_JSON, id="single quotes"),
        pytest.param(b'{"a":01}', Fault.NOT_JSON, id="leading zero"),
        pytest.param(b'{"a":+1}', Fault.NOT_JSON, id="plus sign"),
        pytest.param(b'{"a":.5}', Fault.NOT_JSON, id="no digit before the point"),
        pytest.param(b'{"a":5.}', Fault.NOT_JSON, id="no digit after the point"),
        pytest.param(b'{"a":"\t"}', Fault.NOT_JSON, id="a control character in a string"),
        pytest.param(b'{"a":"\\x41"}', Fault.NOT_JSON, id="an escape that is not JSON's"),
        pytest.param(b'{"a":"\\u00e"}', Fault.NOT_JSON, id="half an escape"),
        pytest.param(b'{"a":NaN}', Fault.NOT_JSON, id="NaN"),
        pytest.param(b'{"a":Infinity}', Fault.NOT_JSON, id="Infinity"),
        pytest.param(b'{"a":-Infinity}', Fault.NOT_JSON, id="-Infinity"),
        pytest.param(b"NaN", Fault.NOT_JSON, id="NaN alone"),
        pytest.param(b"[]", Fault.NOT_OBJECT, id="array"),
        pytest.param(b'"a"', Fault.NOT_OBJECT, id="string"),
        pytest.param(b"1", Fault.NOT_OBJECT, id="number"),
        pytest.param(b"null", Fault.NOT_OBJECT, id="null"),
        pytest.param(b'{"a":"\xff"}', Fault.NOT_UTF8, id="a byte that is not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', Fault.NOT_UTF8, id="a surrogate as bytes"),
        pytest.param(b'{"a":"\xc0\x80"}', Fault.NOT_UTF8, id="an overlong NUL"),
        pytest.param('{"a":1}'.encode("utf-16"), Fault.NOT_UTF8, id="UTF-16"),
        pytest.param(b'{"a":"\\ud800"}', Fault.LONE_SURROGATE, id="lone surrogate, high"),
        pytest.param(b'{"a":"\\uDC00"}', Fault.LONE_SURROGATE, id="lone surrogate, low, upper case"),
        pytest.param(b'{"a":"\\ude00\\ud83d"}', Fault.LONE_SURROGATE, id="a pair the wrong way round"),
        pytest.param(b'{"\\ud800":1}', Fault.LONE_SURROGATE, id="lone surrogate in a name"),
        pytest.param(b'{"a":[{"b":"\\ud800"}]}', Fault.LONE_SURROGATE, id="lone surrogate deep inside"),
        pytest.param(b'{"a":1,"a":1}', Fault.REPEATED_MEMBER, id="a name twice"),
        pytest.param(b'{"a":1,"\\u0061":1}', Fault.REPEATED_MEMBER, id="a name twice, once escaped"),
        pytest.param(b'{"b":[{"a":1,"a":1}]}', Fault.REPEATED_MEMBER, id="a name twice deep inside"),
        pytest.param(b'{"a":null,"a":null}', Fault.REPEATED_MEMBER, id="a name twice, null"),
        pytest.param(b'{"a":1e400}', Fault.NUMBER_RANGE, id="beyond a double"),
        pytest.param(b'{"a":-1e400}', Fault.NUMBER_RANGE, id="beyond a double, negative"),
        pytest.param(b'{"a":1.5e309}', Fault.NUMBER_RANGE, id="beyond a double, with a fraction"),
    ],
)
def test_json_refuses(data: bytes, fault: Fault) -> None:
    assert fault_of(data) is fault


# The largest double is just below 2**1024 - 2**970; from there on a number rounds to infinity.
LARGEST_INTEGER = 2**1024 - 2**970 - 1


@pytest.mark.parametrize("sign", ["", "-"], ids=["positive", "negative"])
def test_an_integer_is_exact_up_to_the_range_of_a_double(sign: str) -> None:
    """PRE-02; ID-06."""
    assert parse_json_object(f'{{"a":{sign}{LARGEST_INTEGER}}}'.encode()) == {"a": int(f"{sign}{LARGEST_INTEGER}")}
    assert fault_of(f'{{"a":{sign}{LARGEST_INTEGER + 1}}}'.encode()) is Fault.NUMBER_RANGE


@pytest.mark.parametrize("digits", [308, 309, 310, 4300, 4301, 100_000], ids=lambda digits: f"{digits} digits")
def test_the_length_of_an_integer_is_no_way_around_its_range(digits: int) -> None:
    """JSN-009: `int` refuses more than 4,300 digits and takes quadratic time below."""
    smallest = f'{{"a":1{"0" * (digits - 1)}}}'.encode()
    if digits <= 309:
        assert parse_json_object(smallest) == {"a": 10 ** (digits - 1)}
    else:
        assert fault_of(smallest) is Fault.NUMBER_RANGE


def test_the_limit_is_that_of_convex() -> None:
    assert MAX_NESTED_CONTAINERS == 127


def nested(containers: int, opening: bytes, closing: bytes) -> bytes:
    """So many containers, the outermost object counted."""
    inner = containers - 1
    return b'{"a":' + opening * inner + b"1" + closing * inner + b"}"


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")], ids=["arrays", "objects", "both"]
)
def test_nesting_has_one_limit(opening: bytes, closing: bytes) -> None:
    """PRE-02: 127 containers, counting the outermost."""
    each = opening.count(b"[") + opening.count(b"{")
    fitting = 1 + (MAX_NESTED_CONTAINERS - 1) // each

    assert parse_json_object(nested(fitting, opening, closing))
    assert fault_of(nested(fitting + 1, opening, closing)) is Fault.TOO_DEEP


def test_the_limit_stands_beside_many_containers_that_are_not_nested() -> None:
    """The depth is followed up and down, not estimated."""
    beside = b'{"x":[' + b",".join([b"[]"] * 300) + b'],"y":'

    assert parse_json_object(beside + nested(126, b"[", b"]") + b"}")
    assert fault_of(beside + nested(127, b"[", b"]") + b"}") is Fault.TOO_DEEP


@pytest.mark.parametrize("count", [126, 127, 128, 5000], ids=lambda count: f"{count} beside each other")
def test_containers_beside_each_other_are_not_nested(count: int) -> None:
    assert len(parse_json_object(b'{"a":[' + b",".join([b"[]"] * count) + b"]}")["a"]) == count


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 500, id="brackets"),
        pytest.param('\\"' + "[" * 500, id="brackets after an escaped quote"),
        pytest.param("[" * 500 + "\\\\", id="brackets before an escaped backslash"),
        pytest.param("{" * 500 + '\\\\\\"' + "}" * 400, id="braces around both"),
    ],
)
def test_brackets_inside_strings_do_not_nest(text: str) -> None:
    data = f'{{"a":"{text}","b":[[1]]}}'.encode()

    assert parse_json_object(data) == json.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 100_000, id="opened and never closed"),
        pytest.param(b'{"a":' * 100_000, id="objects opened and never closed"),
        pytest.param(b"]" * 200 + b"[" * 200, id="closed before they open"),
    ],
)
def test_what_is_too_deep_is_refused_before_it_is_parsed(data: bytes) -> None:
    assert fault_of(data) in (Fault.TOO_DEEP, Fault.NOT_JSON)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 128 + b'"' + b'\\"' * 250_000, id="a string that never ends"),
        pytest.param(b"[" * 128 + b'\\"' * 250_000, id="escapes outside any string"),
        pytest.param(b"[" * 128 + b'"' * 500_001, id="an odd number of quotes"),
        pytest.param(b"[" * 128 + b"\\" * 500_000, id="backslashes"),
        pytest.param(b'"' + b"[" * 500_000, id="an open string of brackets"),
    ],
)
def test_the_depth_of_half_a_mebibyte_is_found_in_time_that_grows_with_its_length(data: bytes) -> None:
    """JSN-020: a document may be half a mebibyte long, and its author may be hostile."""
    assert fault_of(data) in (Fault.TOO_DEEP, Fault.NOT_JSON)


def test_a_stack_that_is_nearly_used_up_is_a_refusal() -> None:
    """JSN-020: the caller's frames count too; no RecursionError comes out of the parser."""
    data = nested(100, b'{"a":', b"}")
    depth = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    before = sys.getrecursionlimit()
    faults = set()
    # A collection would run the finalizers of others where there is no room for them.
    gc.collect()
    gc.disable()
    for spare in range(1, 60):
        try:
            sys.setrecursionlimit(depth + spare)
            parse_json_object(data)
        except EncodingError as error:
            faults.add(error.fault)
        except RecursionError:
            # Not even the refusal itself had room.
            continue
        finally:
            sys.setrecursionlimit(before)
    gc.enable()

    # From 3.12 on, C counts its own frames: there a text of this depth is simply read.
    assert faults <= {Fault.TOO_DEEP}


# --- documents


def test_a_document_remembers_which_names_occurred_twice() -> None:
    document = parse_json_document(b'{"keys":[{"kid":"a","kid":"b","n":1}],"x":1}')

    assert repeated_members(document) == frozenset()
    assert repeated_members(document["keys"][0]) == {"kid"}
    assert document["keys"][0] == {"kid": "b", "n": 1}


def test_a_document_may_itself_repeat_a_name() -> None:
    assert repeated_members(parse_json_document(b'{"a":1,"b":2,"a":3,"b":4,"c":5}')) == {"a", "b"}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"[]", Fault.NOT_OBJECT),
        (b"{} {}", Fault.NOT_JSON),
        (b'{"a":NaN}', Fault.NOT_JSON),
        (b'{"a":1e400}', Fault.NUMBER_RANGE),
        (b'{"a":"\\ud800"}', Fault.LONE_SURROGATE),
        (b'{"a":"\xff"}', Fault.NOT_UTF8),
        (nested(128, b"[", b"]"), Fault.TOO_DEEP),
    ],
    ids=["array", "two documents", "NaN", "beyond a double", "lone surrogate", "not UTF-8", "too deep"],
)
def test_a_document_is_as_strict_as_a_token_in_everything_else(data: bytes, fault: Fault) -> None:
    assert raised(EncodingError, lambda: parse_json_document(data)).fault is fault


def test_jsn_020_a_text_with_escapes_is_written_again_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of numbers take longer to write than to read, and one escape beside them costs an attacker nothing."""
    written: list[object] = []
    write = strict_json._write

    def count(value: object) -> str:
        written.append(value)
        return write(value)

    monkeypatch.setattr(strict_json, "_write", count)
    monkeypatch.setattr(json, "dumps", count)

    assert strict_json.parse_json_object_strictly(b'{"x": [1e-300], "y": "\\ud83d\\ude00"}') == {
        "x": [1e-300],
        "y": "\U0001f600",
    }
    assert len(written) == 1


def test_jsn_020_a_stack_that_is_used_up_while_writing_again_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(_value: object) -> str:
        raise RecursionError

    monkeypatch.setattr(strict_json, "_write", overflow)

    with pytest.raises(EncodingError) as caught:
        strict_json.parse_json_object_strictly(b'{ "x": 1}')
    assert caught.value.fault is Fault.TOO_DEEP
