"""Rate-limits log records of refused requests."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Final

from aveverify._fork import renew_after_fork
from aveverify.clock import monotonic

log = logging.getLogger("aveverify.http")

# A mistake of the application of which the client sees nothing.
ESCAPED_REFUSAL: Final = "an exception handler raised the refusal that it was to answer; the default response is sent"
MAX_RECORDS_PER_WINDOW: Final = 100
WINDOW_SECONDS: Final = 10.0


class LimitedLog:
    """Writes 100 records in a window of 10 seconds, and then how many it has left out.

    The first records of a flood say what it is; the rest would fill a disk, and bury what else happens.
    """

    __slots__ = ("__weakref__", "_left_out", "_lock", "_records", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._records = 0
        self._left_out = 0
        self._lock = Lock()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = Lock()

    def info(self, text: str, argument: object, at: float | None = None) -> None:
        """Write a record, if the window has room for it.

        Args:
            text: The record, with one `%s`.
            argument: What stands there.
            at: Monotonic seconds; now by default.
        """
        self._write(logging.INFO, text, (argument,), at)

    def warning(self, text: str, at: float | None = None) -> None:
        """Write a warning, if the window has room for it; see `info`.

        Args:
            text: The record.
            at: As there.
        """
        self._write(logging.WARNING, text, (), at)

    def _write(self, level: int, text: str, arguments: tuple[object, ...], at: float | None) -> None:
        if not log.isEnabledFor(level):
            return
        at = monotonic() if at is None else at
        with self._lock:
            left_out = 0
            if at >= self._until:
                self._until, self._records = at + WINDOW_SECONDS, 0
                left_out, self._left_out = self._left_out, 0
            self._records += 1
            has_room = self._records <= MAX_RECORDS_PER_WINDOW
            self._left_out += not has_room
        if left_out:
            log.warning("%d records of refused requests were left out", left_out)
        if has_room:
            log.log(level, text, *arguments)
