"""`FakeClock`: the wall clock and the monotonic clock of a machine; only the test moves them."""

from __future__ import annotations

from threading import Lock
from typing import Final

DEFAULT_NOW: Final = 1_700_000_000.0
# Far from the wall clock, so that a test fails where code mixes the two up.
_BOOTED_SECONDS: Final = 1_000.0


class FakeClock:
    """A `Clock` that the test moves. Safe to share between threads.

    Args:
        now: The reading of the wall clock, in seconds since the epoch.
    """

    def __init__(self, now: float = DEFAULT_NOW) -> None:
        self._now = now
        self._monotonic = _BOOTED_SECONDS
        self._lock = Lock()

    def now(self) -> float:
        """Return the reading of the wall clock, in seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the reading of the monotonic clock, in seconds since an arbitrary start."""
        return self._monotonic

    def tick(self, *, seconds: float) -> None:
        """Let time pass on both clocks.

        Args:
            seconds: How many seconds pass, zero or more.

        Raises:
            ValueError: The seconds are negative; `set_now` sets a wall clock back.
        """
        if seconds < 0:
            message = "time does not run backwards; use set_now() to put the wall clock back"
            raise ValueError(message)
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def set_now(self, now: float) -> None:
        """Set the wall clock alone, as a time server or an operator does.

        Args:
            now: The new reading, in seconds since the epoch; the monotonic clock stays.
        """
        with self._lock:
            self._now = now

    def __repr__(self) -> str:
        """Show both readings."""
        return f"<FakeClock now={self._now} monotonic={self._monotonic}>"
