"""Quick readings of what is certainly good base64url and JSON; `None` or `ValueError` at the slightest doubt.

The strict readers of `_core.jose.encoding` decide whatever is doubtful, and find the fault of what is bad: nothing
here refuses anything. Two ways to the same values: the standard library, and the decoders of the extra `fast`.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from itertools import accumulate
from math import isfinite
from typing import Any, Final

from aveverify._accelerators import Accelerators

JsonObject = dict[str, Any]
ReadObject = Callable[[bytes], JsonObject | None]
DecodeSegment = Callable[[bytes], bytes | None]

# `-` and `_` become the characters that binascii knows. The two it would take as well, and `=`, become a byte
# that it refuses: the standard alphabet and padding are not base64url.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_PADDING: Final = (b"", b"", b"==", b"=")
# Canonical: the unused low bits of the last character are zero (DV-02). One character over encodes nothing.
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
_URL_ALPHABET: Final = b"-_"
# As numbers, which `in` finds fastest.
_PLUS, _SLASH, _EQUALS, _BACKSLASH, _BRACKET = b"+/=\\["
_DIGITS: Final = b"0123456789"
# A double has at most 309 digits before the point. A longer run of digits is looked for from its first digit only.
_HUGE_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{309}")
# Such a run covers at least four of any bytes that stand so far apart.
_STRIDE: Final = 64
_MAX_CERTAIN_SAMPLES: Final = 3
# So few containers cannot nest too deeply, however they are arranged (PRE-02). More are left to the strict reader,
# which needs no call of Python for each.
_MAX_CERTAIN_CONTAINERS: Final = 100
# PRE-02. The outermost container counts. Convex's parser stops at the same depth.
MAX_NESTED_CONTAINERS: Final = 127
# What an opening and a closing bracket do to the depth, as signed bytes, and all that are neither.
_DEPTH_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))
_CONTAINERS: Final = (dict, list)


def decode_segment(text: bytes) -> bytes | None:
    """Decode canonical base64url without padding, with the standard library.

    Args:
        text: One segment of a token.

    Returns:
        The bytes; None where it is not that.

    Source: RFC 7515 §2; RFC 4648 §3.2, §3.5; PRE-01; DV-02.
    """
    over = len(text) & 3
    if over and text[-1] not in _LAST[over]:
        return None
    try:
        return binascii.a2b_base64(text.translate(_TO_STANDARD) + _PADDING[over], strict_mode=True)
    except ValueError:
        return None


def accelerated_base64(accelerators: Accelerators) -> DecodeSegment:
    """Make the like of `decode_segment` from an accelerator that takes the standard alphabet and padding as well."""
    decode = accelerators.decode_base64

    def decode_segment_fast(text: bytes) -> bytes | None:
        over = len(text) & 3
        if (over and text[-1] not in _LAST[over]) or _PLUS in text or _SLASH in text or _EQUALS in text:
            return None
        try:
            return decode(text + _PADDING[over], _URL_ALPHABET, True)  # noqa: FBT003 - strictly; it takes no names
        except ValueError:
            return None

    return decode_segment_fast


def read_object(data: bytes) -> JsonObject | None:
    """Read a JSON object with the scanner of the standard library.

    Args:
        data: The whole text.

    Returns:
        What the strict reader would return; None where that is not certain.
    """
    # Without a backslash every quote opens or closes a string.
    if _BACKSLASH in data:
        return None
    sample = data[::_STRIDE]
    if len(sample.translate(None, _DIGITS)) < len(sample) - _MAX_CERTAIN_SAMPLES and holds_huge_number(data):
        return None
    try:
        text = data.decode()
        # Deeper than C may go it raises, like everything that is not JSON.
        members, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if end != len(text) or type(members) is not dict:
        return None
    # A member that another of its name replaced took its name with it: fewer strings than the text has (DV-12).
    quotes = data.count(b'"')
    if quotes == 2 * (len(members) + [*map(type, members.values())].count(str)) and _BRACKET not in data:
        # All strings are accounted for, so an object within is empty, and there is no array: nothing nests.
        return members
    is_certain = _count_containers(data) <= _MAX_CERTAIN_CONTAINERS and quotes == 2 * _count_strings(members)
    return members if is_certain else None


def accelerated_json(accelerators: Accelerators) -> ReadObject:
    """Make the like of `read_object` from a decoder that is careless and an encoder that is exact."""
    decode, encode = accelerators.decode_json, accelerators.encode_json

    def read_object_fast(data: bytes) -> JsonObject | None:
        sample = data[::_STRIDE]
        if len(sample.translate(None, _DIGITS)) < len(sample) - _MAX_CERTAIN_SAMPLES and holds_huge_number(data):
            return None
        if (_BRACKET in data or data.find(b"{", 1) >= 0) and nests_too_deep(data):
            return None
        try:
            members = decode(data)
            # Written again to the last byte: no member was dropped, no number bent, no text mended.
            if type(members) is dict and encode(members) == data:
                return members
        except Exception:  # noqa: BLE001 - whatever it raises, the strict reader finds the fault
            return None
        # Blanks or escapes, perhaps.
        return read_object(data)

    return read_object_fast


def _count_strings(container: Any) -> int:  # noqa: ANN401 - an object or array of JSON
    is_object = type(container) is dict
    values = container.values() if is_object else container
    kinds = [*map(type, values)]
    count = kinds.count(str) + (len(container) if is_object else 0)
    if dict in kinds or list in kinds:
        count += sum(map(_count_strings, [value for value in values if type(value) in _CONTAINERS]))
    return count


def count_quotes(data: bytes) -> int:
    """Count the quotes that begin or end a string: two for each string of a JSON text."""
    return _without_escapes(data).count(b'"')


def holds_huge_number(data: bytes) -> bool:
    """Tell whether a run of digits is so long that the number may be beyond a double."""
    return _HUGE_NUMBER.search(data) is not None


def nests_too_deep(data: bytes) -> bool:
    """Tell whether containers of a JSON text nest more than 127 deep; of what is no JSON it may say either.

    Source: PRE-02; DV-08.
    """
    if _count_containers(data) <= MAX_NESTED_CONTAINERS:
        return False
    # What stands outside of the strings, for a quote in a string is escaped.
    outside = b"".join(_without_escapes(data).split(b'"')[::2])
    steps = memoryview(outside.translate(_DEPTH_STEPS, _NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > MAX_NESTED_CONTAINERS


def _count_containers(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def _without_escapes(data: bytes) -> bytes:
    # In this order: of an even number of backslashes none escapes the quote behind them.
    return data.replace(b"\\\\", b"").replace(b'\\"', b"") if _BACKSLASH in data else data


def _finite_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError
    return number


def _doubt(_text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError


_scan: Final = json.JSONDecoder(parse_float=_finite_float, parse_constant=_doubt).scan_once  # type: ignore[attr-defined]  # in every version, and what `raw_decode` calls
