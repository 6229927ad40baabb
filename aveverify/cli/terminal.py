"""What all commands share: exit codes, colours on a terminal, aligned rows, and no token in any message."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Final

_NAME_WIDTH: Final = len("explanation")
# Every JOSE header begins with `{"`, which base64url encodes as `eyJ`.
_TOKEN: Final = re.compile(r"eyJ[\w.=-]+")


class ExitCode(IntEnum):
    """The exit code of a command."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    UNAVAILABLE = 3
    # 128 + SIGINT, as shells count it.
    INTERRUPTED = 130
    # 128 + SIGPIPE.
    BROKEN_PIPE = 141


class UsageError(Exception):
    """The command cannot run with these arguments; the text says what to change."""


class Colour(StrEnum):
    """Select Graphic Rendition codes of ECMA-48."""

    BOLD = "1"
    FAINT = "2"
    RED = "31"
    GREEN = "32"


def paint(text: str, colour: Colour) -> str:
    """Colour a text, if standard output is a terminal and NO_COLOR is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def print_rows(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns, without the rows whose value is None."""
    margin = "\n" + " " * (_NAME_WIDTH + 4)
    for name, value in rows:
        if value is not None:
            column = str(value).replace("\n", margin)
            print(f"  {paint(name.ljust(_NAME_WIDTH), Colour.FAINT)}  {column}")


def hide_tokens(text: str) -> str:
    """Replace what looks like a token: a user may give one where the command expects something else."""
    return _TOKEN.sub("<token>", text)
