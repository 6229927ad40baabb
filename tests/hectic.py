"""Threads that take turns as often as they can, so that a race which is rare in life happens in a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def hectic_threads() -> Iterator[None]:
    """Let the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class LateLock:
    """A lock that something happens just before it is had."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def __enter__(self) -> None:
        self._happens()

    def __exit__(self, *_exception: object) -> None:
        pass
