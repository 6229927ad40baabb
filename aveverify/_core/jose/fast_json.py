"""Fast readers of JSON objects: the value that the strict reader would return, or None where that is not certain.

The strict reader of `aveverify._core.jose.strict_json` reads what they leave, and finds the fault of what is bad. There
are two: one with the standard library, one with the decoders of the extra `fast`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import accumulate
from math import isfinite
from typing import Final

from aveverify._accelerators import Accelerators
from aveverify._core.jose.encoding import JsonObject, JsonValue

ReadObject = Callable[[bytes], JsonObject | None]

# As numbers, which `in` finds fastest.
_BACKSLASH, _BRACKET = b"\\["
# A double has at most 309 digits before the point. A longer run of digits is looked for from its first digit only.
_HUGE_INTEGER: Final = re.compile(rb"(?<![0-9])[0-9]{309}")
_NO_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))
# Any bytes that stand so far apart meet a run of 309 digits at least four times.
_STRIDE: Final = 64
_MAX_CERTAIN_DIGITS: Final = 3
# PRE-02. The outermost container counts. Convex's parser stops at the same depth.
MAX_NESTED_CONTAINERS: Final = 127
# So few containers are counted one by one; more are left to the strict reader, which needs no call of Python for each.
_MAX_COUNTED_CONTAINERS: Final = 100
# What an opening and a closing bracket do to the depth, as signed bytes, and all that are neither.
_DEPTH_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))
_CONTAINERS: Final = (dict, list)


def read_object(data: bytes) -> JsonObject | None:
    """Read a JSON object with the scanner of the standard library.

    Args:
        data: The whole text.

    Returns:
        What the strict reader would return; None where that is not certain.
    """
    # Without a backslash, every quote begins or ends a string: the counts below rest on that.
    if _BACKSLASH in data or not has_no_huge_integer(data):
        return None
    try:
        text = data.decode()
        # Raises where C would go too deep, as for everything that is not JSON.
        members, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if end != len(text) or type(members) is not dict:
        return None
    is_certain = _is_flat_without_repeated_names(data, members) or (
        _has_few_containers(data) and _has_no_repeated_name(data, members)
    )
    return members if is_certain else None


def accelerated_json(accelerators: Accelerators) -> ReadObject:
    """Make the like of `read_object` from a decoder that is careless and an encoder that is exact."""
    decode, encode = accelerators.decode_json, accelerators.encode_json

    def read_object_fast(data: bytes) -> JsonObject | None:
        if not has_no_huge_integer(data) or not _cannot_nest_too_deep(data):
            return None
        try:
            members = decode(data)
            # Written again to the last byte: no member was dropped, no number bent, no text mended.
            if type(members) is dict and encode(members) == data:
                return members
        except Exception:  # noqa: BLE001 - whatever it raises, the strict reader finds the fault
            return None
        # White space or escapes, perhaps.
        return read_object(data)

    return read_object_fast


def has_no_huge_integer(data: bytes) -> bool:
    """Tell whether no run of digits is so long that an integer may be beyond a double (JSN-009)."""
    # A sample of every 64th byte would hold at least four digits of such a run.
    return len(data[::_STRIDE].translate(None, _NO_DIGITS)) <= _MAX_CERTAIN_DIGITS or not _HUGE_INTEGER.search(data)


def _cannot_nest_too_deep(data: bytes) -> bool:
    # With one `{`, which opens the object itself, and no `[`, nothing nests.
    return (_BRACKET not in data and data.find(b"{", 1) < 0) or not nests_too_deep(data)


def _has_few_containers(data: bytes) -> bool:
    # Fewer containers than may nest cannot nest too deep, however they are arranged (PRE-02).
    return _count_containers(data) <= _MAX_COUNTED_CONTAINERS


def _is_flat_without_repeated_names(data: bytes, members: JsonObject) -> bool:
    # All strings of the text are a name or a text of this object: none is lost with a replaced member (DV-12), and none
    # is within another object, which is therefore empty. Without an array, nothing nests.
    strings = len(members) + [*map(type, members.values())].count(str)
    return data.count(b'"') == 2 * strings and _BRACKET not in data


def _has_no_repeated_name(data: bytes, members: JsonObject) -> bool:
    # A member that another of its name replaced took its name with it: fewer strings than the text has (DV-12).
    return data.count(b'"') == 2 * _count_strings(members)


def _count_strings(container: JsonValue) -> int:
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


def nests_too_deep(data: bytes) -> bool:
    """Tell whether containers of a JSON text nest more than 127 deep; of what is not JSON, either result is right.

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


def _refuse_constant(_text: str) -> JsonValue:
    raise ValueError


_scan: Final = json.JSONDecoder(parse_float=_finite_float, parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # in every version, and what `raw_decode` calls
