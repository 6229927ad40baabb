"""The clocks of a verifier: the wall clock for claims, both clocks for caches."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time. Tests pass their own; every check and every age uses them, and no other clock."""

    def now(self) -> float:
        """Return the wall clock, in seconds since the epoch: finite, not negative."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary beginning that never go backwards: finite, not negative."""


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
