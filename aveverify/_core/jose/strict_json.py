"""Strict JSON: RFC 8259 in the profile of I-JSON (RFC 7493).

UTF-8, unique member names, whole surrogate pairs, finite numbers, and at most 127 nested containers, so that one text
has one meaning. Documents of an issuer are read more leniently: they may repeat names. Knows nothing of tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from math import isfinite
from typing import Final

from aveverify._accelerators import ACCELERATORS
from aveverify._core.jose import fast_json
from aveverify._core.jose.encoding import EncodingError, JsonObject, JsonValue
from aveverify.errors import Fault

# Returns what `parse_json_object_strictly` would return; None where that is not certain.
read_object: Final = fast_json.read_object if ACCELERATORS is None else fast_json.accelerated_json(ACCELERATORS)


class RepeatingObject(JsonObject):
    """A JSON object in which some member names occurred more than once; the last value of each is kept."""

    __slots__ = ("repeated",)

    repeated: frozenset[str]


def parse_json_object(data: bytes) -> JsonObject:
    """Read one JSON object in which no member name occurs twice, at any depth.

    Args:
        data: The whole text; only JSON white space may surround the object.

    Returns:
        The members. Numbers without fraction and exponent are exact integers.

    Raises:
        EncodingError: Says what is wrong.

    Source: RFC 8259; RFC 7493; RFC 7515 §4; PRE-02; DV-12.
    """
    members = read_object(data)
    return parse_json_object_strictly(data) if members is None else members


def parse_json_object_strictly(data: bytes) -> JsonObject:
    """Do what `parse_json_object` does without `read_object`, and find the fault of a text that is refused.

    Raises:
        EncodingError: Says what is wrong.
    """
    # Python's own int() is exact and fast, but not for thousands of digits.
    value = _parse(data, _USUAL if fast_json.has_no_huge_integer(data) else _CAREFUL)
    # Written once, for two checks: numbers take longer to write than to read.
    written = _write_again(value)
    if type(value) is not dict:
        raise EncodingError(Fault.NOT_OBJECT)
    # DV-12: a member that another of its name replaced took its name with it, so the value has fewer strings than the
    # text. C writes and counts: a hook for objects would be called thousands of times for a token of an attacker.
    if fast_json.count_quotes(data) != fast_json.count_quotes(written):
        raise EncodingError(Fault.REPEATED_MEMBER)
    return value


def parse_json_document(data: bytes) -> JsonObject:
    """Read one JSON object of an issuer's document, and record which member names occurred twice.

    Args:
        data: The whole text.

    Returns:
        The members; objects with repeated names are `RepeatingObject`.

    Raises:
        EncodingError: Says what is wrong.

    Source: DISC-04, DISC-06, DISC-10, JWKS-03, JWKS-07.
    """
    value = _parse(data, _RECORDING)
    if b"\\u" in data:
        _write_again(value)
    if not isinstance(value, dict):
        raise EncodingError(Fault.NOT_OBJECT)
    return value


def repeated_members(members: JsonObject) -> frozenset[str]:
    """Return the names that occurred more than once in an object of `parse_json_document`."""
    return members.repeated if isinstance(members, RepeatingObject) else frozenset()


def is_text_or_null(value: JsonValue) -> bool:
    """Tell whether a JSON value is text or null."""
    return value is None or type(value) is str


def is_texts_or_null(value: JsonValue) -> bool:
    """Tell whether a JSON value is a list of texts or null."""
    return value is None or (type(value) is list and holds_only_texts(value))


def holds_only_texts(values: list[JsonValue]) -> bool:
    """Tell whether a list holds nothing but texts. An attacker's list may be long, so C looks at its entries."""
    return [*map(type, values)].count(str) == len(values)


def _parse(data: bytes, decoder: json.JSONDecoder) -> JsonValue:
    if fast_json.nests_too_deep(data):
        raise EncodingError(Fault.TOO_DEEP)
    try:
        return decoder.decode(data.decode())
    except EncodingError as error:
        fault = error.fault
    except UnicodeDecodeError:
        fault = Fault.NOT_UTF8
    except RecursionError:
        # JSN-020: the caller's stack is nearly used up. The depth of the text itself is bounded above.
        fault = Fault.TOO_DEEP
    except ValueError:
        fault = Fault.NOT_JSON
    # Out here, so that the library's error, which may quote the text, is no context of ours.
    raise EncodingError(fault)


def _write_again(value: JsonValue) -> bytes:
    try:
        return _write(value).encode()
    except UnicodeEncodeError:
        # Only an escape can make half a surrogate pair: the text that was read is valid UTF-8.
        fault = Fault.LONE_SURROGATE
    except RecursionError:
        # JSN-020: writing may need more of the caller's stack than reading did.
        fault = Fault.TOO_DEEP
    raise EncodingError(fault)


def _record_repeated_names(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeating = RepeatingObject(members)
    repeating.repeated = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeating


# A double has at most 309 digits before the point; shorter integers are finite.
_MAX_CERTAIN_DIGITS: Final = 308


def _finite_int(text: str) -> int:
    # The length bound keeps int() from its quadratic time and its own limit of 4,300 digits (JSN-009).
    if len(text) > _MAX_CERTAIN_DIGITS and not isfinite(float(text)):
        raise EncodingError(Fault.NUMBER_RANGE)
    return int(text)


def _finite_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise EncodingError(Fault.NUMBER_RANGE)
    return number


def _no_constant(_text: str) -> JsonValue:
    raise EncodingError(Fault.NOT_JSON)


_write: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_USUAL: Final = json.JSONDecoder(parse_float=_finite_float, parse_constant=_no_constant)
_CAREFUL: Final = json.JSONDecoder(parse_int=_finite_int, parse_float=_finite_float, parse_constant=_no_constant)
_RECORDING: Final = json.JSONDecoder(
    object_pairs_hook=_record_repeated_names,
    parse_int=_finite_int,
    parse_float=_finite_float,
    parse_constant=_no_constant,
)
