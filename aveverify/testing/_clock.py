"""`FakeClock`: the wall clock and the monotonic clock of a machine, until the test moves them."""

from __future__ import annotations

from threading import Lock
from typing import Final

from aveverify.clock import SystemClock

# Far from the wall clock, so that a test fails where code mixes the two up.
_BOOTED_SECONDS: Final = 1_000.0


class FakeClock:
    """A `Clock` that the test moves. Safe to share between threads.

    Args:
        now: The reading of the wall clock, in seconds since the epoch; the clock stands still there until it is moved.
            Without it, the clock shows the real time, or what freezegun or time-machine have made of it; from the first
            `tick` or `set_now` on it stands still as well.
    """

    def __init__(self, now: float | None = None) -> None:
        self._real = SystemClock()
        self._started = self._real.monotonic()
        # The readings, once the clock stands still.
        self._readings: tuple[float, float] | None = None if now is None else (now, _BOOTED_SECONDS)
        self._lock = Lock()

    def now(self) -> float:
        """Return the reading of the wall clock, in seconds since the epoch."""
        return self._real.now() if self._readings is None else self._readings[0]

    def monotonic(self) -> float:
        """Return the reading of the monotonic clock, in seconds since an arbitrary start."""
        if self._readings is None:
            return self._real.monotonic() - self._started + _BOOTED_SECONDS
        return self._readings[1]

    def tick(self, *, seconds: float) -> None:
        """Let time pass on both clocks.

        Args:
            seconds: How many seconds pass, zero or more; zero stops the time.

        Raises:
            ValueError: The seconds are negative; `set_now` sets a wall clock back.
        """
        if seconds < 0:
            message = "time does not run backwards; use set_now() to put the wall clock back"
            raise ValueError(message)
        with self._lock:
            self._readings = self.now() + seconds, self.monotonic() + seconds

    def set_now(self, now: float) -> None:
        """Set the wall clock alone, as a time server or an operator does.

        Args:
            now: The new reading, in seconds since the epoch; the monotonic clock stays.
        """
        with self._lock:
            self._readings = now, self.monotonic()

    def __repr__(self) -> str:
        """Show both readings."""
        return f"<FakeClock now={self.now()} monotonic={self.monotonic()}>"
