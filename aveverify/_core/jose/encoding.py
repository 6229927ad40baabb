"""Strict base64url, and the types that all readers of this package share.

Canonical base64url without padding (RFC 7515 §2, RFC 4648 §3.5): one text for each sequence of bytes. Knows nothing
of tokens.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any, Final

from aveverify._accelerators import ACCELERATORS, Accelerators
from aveverify.errors import Fault

# Whatever JSON can hold. The types of members are checked where they are read.
JsonValue = Any
JsonObject = dict[str, Any]
DecodeSegment = Callable[[bytes], bytes | None]

# `-` and `_` become the characters that binascii knows. The two it would take as well, and `=`, become a byte
# that it refuses: the standard alphabet and padding are not base64url.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_PADDING: Final = (b"", b"", b"==", b"=")
# Canonical: the unused low bits of the last character are zero (DV-02). One character over encodes nothing.
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
_URL_ALPHABET: Final = b"-_"
# As numbers, which `in` finds fastest.
_PLUS, _SLASH, _EQUALS = b"+/="
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Unused low bits of the last character, by the remainder of the length over four.
_UNUSED_BITS: Final = (0, 0, 4, 2)


class EncodingError(ValueError):
    """A text is not what it has to be. Carries no part of the text.

    Args:
        fault: What is wrong with it.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def decode_segment_plainly(text: bytes) -> bytes | None:
    """Decode canonical base64url without padding, with the standard library.

    Args:
        text: One segment of a token.

    Returns:
        The bytes; None is a refusal.

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
    """Do the same with an accelerator that takes the standard alphabet and padding as well."""
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


# Decodes one segment; None is a refusal.
decode_segment: Final = decode_segment_plainly if ACCELERATORS is None else accelerated_base64(ACCELERATORS)


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
