"""Texts use the field's words: none of those that name persons in the place of things, or things of another field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each with what to write in its place.
BANNED = {
    r"whoever|somebody|nobody|anybody": "the thing that acts: the client, the caller, the issuer",
    r"cannot be had": "is unavailable",
    r"\bat hand\b": "cached, present",
    r"whom\b": "which function, which service",
    r"to blame": "the token was not judged",
    r"has the say": "decides",
    r"(?:does|do) no harm": "is idempotent, has no effect",
    r"second thought": "another check",
    r"vouch|speaks? for\b": "verify, belong to",
    r"\bheed": "check",
    r"\b(?:courier|desk|harvest|herald|shelf)": "document client, key lookup, load, publisher, shared cache",
    r"\bflights?\b|\blanded\b|\blandings?\b": "refresh, ended",
    r"\bvisits?\b": "request",
    r"\bedges?\b": "middleware, integration",
    r"\bgates?\b": "policy",
    r"\bsettle[sd]?\b": "decide",
    r"(?<!not )\bjudg(?:e|es|ed|ing)\b": "verify, decide",
}
# The words of placeholders, which no HMAC key may be made of; and what is generated.
LEFT_OUT = {"aveverify/_core/secret_key.py", "docs/performance/table.md"}
FILES = sorted(
    path
    for pattern in (
        "aveverify/**/*.py",
        "*.md",
        "docs/**/*.md",
        "examples/**/*.py",
        "deploy/**/*.md",
        "pytest_aveverify.py",
    )
    for path in ROOT.glob(pattern)
    if path.relative_to(ROOT).as_posix() not in LEFT_OUT
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_uses_the_words_of_the_field(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}; write: {instead}"
        for pattern, instead in BANNED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]

    assert found == []


def test_there_are_texts_to_read() -> None:
    assert len(FILES) > 150
