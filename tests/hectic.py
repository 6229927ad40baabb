"""Threads that switch as often as possible, so that a rare race happens in a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def hectic_threads() -> Iterator[None]:
    """Let the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class LateLock:
    """A lock that calls a function just before it is acquired."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def __enter__(self) -> None:
        self._happens()

    def __exit__(self, *_exception: object) -> None:
        pass
