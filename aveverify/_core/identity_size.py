"""How many bytes of memory an identity takes, at most: what the bound of the token cache counts (TOK-014, TOK-020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

# What an entry of the cache takes whose identity has read all standard attributes, without their texts.
_ENTRY_BYTES: Final = 1_600
# What shows a character that takes four bytes of a str, or two: how its UTF-8 begins, and how JSON escapes begin.
_FOUR_BYTES: Final = bytes(range(0xF0, 0xF5))
_TWO_BYTES: Final = bytes(range(0xC4, 0xF0))
_ESCAPE, _LATIN_ESCAPE, _SURROGATES = b"\\u", b"\\u00", (b"\\ud", b"\\uD")
# As a number, which `in` finds fastest.
_BACKSLASH: Final = 0x5C


def count_held_bytes(identity: Identity) -> int:
    """Count what an entry of the token cache takes, and at most the texts that its identity reads from the payload.

    Args:
        identity: The identity. Its subject and its attributes are parts of its payload.

    Returns:
        Bytes, never fewer than the interpreter takes.

    Source: TOK-020; PEP 393: one wide character makes every character of a text as wide.
    """
    payload = identity._payload  # noqa: SLF001 - the bytes that the identity keeps are what is counted
    length = len(payload)
    # Nearly every payload is plain ASCII: held twice, as bytes and as the texts that are read from it.
    if payload.isascii() and _BACKSLASH not in payload:
        return _ENTRY_BYTES + 2 * length
    if len(payload.translate(None, _FOUR_BYTES)) < length or any(half in payload for half in _SURROGATES):
        width = 4
    elif len(payload.translate(None, _TWO_BYTES)) < length or payload.count(_ESCAPE) > payload.count(_LATIN_ESCAPE):
        width = 2
    else:
        width = 1
    # A text that is not ASCII may keep its UTF-8 beside itself.
    return _ENTRY_BYTES + (2 + width) * length
