"""Strict base64url and strict JSON: the only ways in which bytes become values.

One text has one meaning here: canonical base64url without padding (RFC 7515 §2, RFC 4648 §3.5), and JSON
(RFC 8259) in the profile of I-JSON (RFC 7493): UTF-8, unique member names, whole surrogate pairs, finite numbers,
and at most 127 nested containers. Knows nothing of tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from math import isfinite
from typing import Any, Final

from aveverify._accelerators import ACCELERATORS
from aveverify._core.jose import fast_paths
from aveverify.errors import Fault

JsonObject = dict[str, Any]

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Of the last character, by what the length leaves over four.
_UNUSED_BITS: Final = (0, 0, 4, 2)

# One of two ways to the same values. `None` leaves everything to the strict reader, or is a refusal of base64url.
decode_segment: Final = (
    fast_paths.decode_segment if ACCELERATORS is None else fast_paths.accelerated_base64(ACCELERATORS)
)
read_object: Final = fast_paths.read_object if ACCELERATORS is None else fast_paths.accelerated_json(ACCELERATORS)


class EncodingError(ValueError):
    """A text is not what it has to be. Carries no part of the text.

    Args:
        fault: What is wrong with it.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class RepeatingObject(JsonObject):
    """A JSON object in which some member names occurred more than once; the last value of each is kept."""

    __slots__ = ("repeated",)

    repeated: frozenset[str]


def decode_base64url(text: bytes, *, allow_nonzero_trailing_bits: bool = False) -> bytes:
    """Decode base64url without padding.

    Args:
        text: The encoded text.
        allow_nonzero_trailing_bits: Whether the unused bits of the last character may be set (DISC-10 allows it
            in OIDC keys).

    Returns:
        The decoded bytes.

    Raises:
        EncodingError: `NOT_BASE64URL`, at any foreign character, padding, impossible length or set unused bit;
            `NOT_ASCII`, where a byte is not even ASCII.

    Source: RFC 7515 §2; RFC 4648 §3.2, §3.5; PRE-01.
    """
    data = decode_segment(_clear_unused_bits(text) if allow_nonzero_trailing_bits else text)
    if data is None:
        raise EncodingError(base64url_fault(text))
    return data


def base64url_fault(text: bytes) -> Fault:
    """Name what is wrong with a text that `decode_segment` refuses."""
    return Fault.NOT_BASE64URL if text.isascii() else Fault.NOT_ASCII


def _clear_unused_bits(text: bytes) -> bytes:
    unused = _UNUSED_BITS[len(text) & 3]
    place = _ALPHABET.find(text[-1:])
    if not unused or place < 0:
        return text
    place &= -1 << unused
    return text[:-1] + _ALPHABET[place : place + 1]


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
    """Do what `parse_json_object` does, for what the quick readers leave: the voice of its faults.

    Raises:
        EncodingError: Says what is wrong.
    """
    # Python's own int() is exact and fast, but not for thousands of digits.
    value = _parse_json(data, _CAREFUL if fast_paths.holds_huge_number(data) else _USUAL)
    # Once, for both questions: numbers take longer to write than to read.
    written = _write_again(value)
    if type(value) is not dict:
        raise EncodingError(Fault.NOT_OBJECT)
    # DV-12: a member that another of its name replaced took its name with it, so the value has fewer strings than the
    # text. C writes and counts: a hook for objects would be called thousands of times for a token of a stranger.
    if fast_paths.count_quotes(data) != fast_paths.count_quotes(written):
        raise EncodingError(Fault.REPEATED_MEMBER)
    return value


def parse_json_document(data: bytes) -> JsonObject:
    """Read one JSON object of an issuer's document, remembering which member names occurred twice.

    Args:
        data: The whole text.

    Returns:
        The members; objects with repeated names are `RepeatingObject`.

    Raises:
        EncodingError: Says what is wrong.

    Source: DISC-04, DISC-06, DISC-10, JWKS-03, JWKS-07.
    """
    value = _parse_json(data, _REMEMBERING)
    if b"\\u" in data:
        _write_again(value)
    if not isinstance(value, dict):
        raise EncodingError(Fault.NOT_OBJECT)
    return value


def holds_only_texts(values: list[Any]) -> bool:
    """Tell whether a list holds nothing but texts: an attacker's list may be long, and C looks at it."""
    return [*map(type, values)].count(str) == len(values)


def repeated_members(members: JsonObject) -> frozenset[str]:
    """Return the names that occurred more than once in an object of `parse_json_document`."""
    return members.repeated if isinstance(members, RepeatingObject) else frozenset()


def _parse_json(data: bytes, decoder: json.JSONDecoder) -> Any:  # noqa: ANN401 - JSON is any value
    if fast_paths.nests_too_deep(data):
        raise EncodingError(Fault.TOO_DEEP)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise EncodingError(Fault.NOT_UTF8)
    fault = Fault.NOT_JSON
    try:
        value = decoder.decode(text)
    except EncodingError as error:
        fault = error.fault
    except RecursionError:
        # JSN-020: the caller's stack is nearly used up. The depth of the text itself is bounded above.
        fault = Fault.TOO_DEEP
    except ValueError:
        fault = Fault.NOT_JSON
    else:
        return value
    raise EncodingError(fault)


def _write_again(value: Any) -> bytes:  # noqa: ANN401 - JSON is any value
    try:
        return _write(value).encode()
    except UnicodeEncodeError:
        # Only an escape can make half a surrogate pair: the text that was read is valid UTF-8.
        fault = Fault.LONE_SURROGATE
    except RecursionError:
        # JSN-020: writing may need more of the caller's stack than reading did.
        fault = Fault.TOO_DEEP
    raise EncodingError(fault)


def _remembering_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeating = RepeatingObject(members)
    repeating.repeated = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeating


# A double has at most 309 digits before the point; shorter integers need no look at their size.
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


def _no_constant(_text: str) -> Any:  # noqa: ANN401 - never returns
    raise EncodingError(Fault.NOT_JSON)


_write: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_USUAL: Final = json.JSONDecoder(parse_float=_finite_float, parse_constant=_no_constant)
_CAREFUL: Final = json.JSONDecoder(parse_int=_finite_int, parse_float=_finite_float, parse_constant=_no_constant)
_REMEMBERING: Final = json.JSONDecoder(
    object_pairs_hook=_remembering_object, parse_int=_finite_int, parse_float=_finite_float, parse_constant=_no_constant
)
