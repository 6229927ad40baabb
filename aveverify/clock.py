"""Where the present comes from: the wall clock for claims, the monotonic clock for caches."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time. Tests pass their own; no verdict and no age comes from any other clock."""

    def now(self) -> float:
        """Return the wall clock, in seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary beginning."""


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
