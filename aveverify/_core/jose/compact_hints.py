"""Why a text is not a compact token: the mistake that most likely led to it, for the developer who reads the log."""

from __future__ import annotations

from typing import Final

from aveverify.errors import Hint

# RFC 7516 §7.1: an encrypted token has five segments.
_ENCRYPTED_DOTS: Final = 4
_HINT_OF_DOTS: Final = {0: Hint.OPAQUE_TOKEN, _ENCRYPTED_DOTS: Hint.ENCRYPTED}
_WRAPPING: Final = b"\"' \t\r\n"


def hint_at_form(token: bytes, second_dot: int) -> Hint | None:
    """Guess why a text is not a compact token.

    Args:
        token: Bytes that could not be read.
        second_dot: Where its second dot is; -1 where there is none.

    Returns:
        The most likely mistake, if it can be told.
    """
    # The beginning of every header and of no mistake but these two: refusing a flood of them must cost little.
    if token[:2] == b"ey" and token[-1] not in _WRAPPING:
        has_three_segments = token.rfind(b".") == second_dot > 0
        return None if has_three_segments else _HINT_OF_DOTS.get(token.count(b"."))
    start = token[:64].lstrip()
    if start[:7].lower() in (b"bearer ", b"bearer:"):
        return Hint.BEARER_PREFIX
    if start.startswith(b"{"):
        return Hint.JSON_SERIALIZATION
    if token.strip(_WRAPPING) != token:
        return Hint.QUOTED
    if token.count(b".") == _ENCRYPTED_DOTS:
        return Hint.ENCRYPTED
    return Hint.OPAQUE_TOKEN if token and b"." not in token else None
