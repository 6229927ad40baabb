"""What a crash report would find in an error: the local variables of every frame that can be reached from it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import FrameType


def errors_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from or during."""
    if error is not None:
        yield error
        yield from errors_of(error.__cause__)
        yield from errors_of(error.__context__)


def frames_of(error: BaseException) -> list[FrameType]:
    """The frames of all tracebacks of an error."""
    return [frame for one in errors_of(error) for frame, _ in traceback.walk_tb(one.__traceback__)]


def functions_with(text: str, error: BaseException) -> list[str]:
    """The functions of those frames that hold a text, as a local variable or within one."""
    return [
        frame.f_code.co_name
        for frame in frames_of(error)
        if any(text in repr(value) for value in frame.f_locals.values())
    ]
