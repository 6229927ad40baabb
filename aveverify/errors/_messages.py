"""How an error becomes text: quoting of hostile values, and the one form of a sentence.

No message holds a token, a signature or a claim, except `iss`, `kid` and `alg`, which pass through `quote`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aveverify.errors._hints import Hint
from aveverify.errors._reasons import Reason, Step

# Long enough for an issuer or a thumbprint, short enough that a hostile kid cannot fill a log.
_MAX_QUOTED_CHARACTERS: Final = 96
# The search for credentials stops here: a hostile kid of a megabyte must not cost a megabyte of searching.
_MAX_READ_CHARACTERS: Final = 4_096
_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")


def quote(text: str) -> str:
    """Escape and shorten untrusted text for a log or a message.

    Args:
        text: Any text, for instance a `kid` from a token or a configured issuer.

    Returns:
        ASCII on one line, in quotes: at most 96 characters of the text, and `...` if it was longer. The user name and
        password of a URL are replaced by `...`.

    Example::

        >>> quote("https://user:password@idp.example")
        "'https://...@idp.example'"

    Source: DSC-009; ERR-002; ERR-003.
    """
    shown = text[:_MAX_READ_CHARACTERS]
    if "@" in shown:
        # DSC-009: credentials in a URL never reach a log.
        shown = _CREDENTIALS.sub("//...@", shown)
    if len(shown) <= _MAX_QUOTED_CHARACTERS and len(text) <= _MAX_READ_CHARACTERS:
        return ascii(shown)
    return ascii(shown[:_MAX_QUOTED_CHARACTERS]) + "..."


def reason_sentence(
    reason: Reason, rule: str, *, step: Step | None = None, facts: Iterable[str] = (), hint: Hint | None = None
) -> str:
    """Return `REASON (rule, step N): explanation; facts. Hint: hint`, without the parts that are missing."""
    where = rule if step is None else f"{rule}, step {step.value}"
    detail = ", ".join(facts)
    return "".join(
        (
            f"{reason.value} ({where}): {reason.explanation}",
            f"; {detail}" if detail else "",
            f". Hint: {hint.value}" if hint else "",
        )
    )
