"""The end of a flight, for which threads and coroutines of any event loop can wait.

Nobody can cancel it: a waiter that gives up only stops waiting (ROT-013).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Final


class Completion:
    """One event that happens once."""

    __slots__ = ("_event", "_lock", "_wakers")

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._wakers: list[Callable[[], None]] = []

    @property
    def has_landed(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def land(self) -> None:
        """Let it happen, and wake everybody who waits."""
        with self._lock:
            self._event.set()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def wait(self, timeout_seconds: float) -> bool:
        """Block this thread until it happens.

        Args:
            timeout_seconds: How long at most.

        Returns:
            Whether it has happened.
        """
        # Of what has happened no lock is taken: one that another thread holds at a fork stays held in the child.
        return self.has_landed or self._event.wait(timeout_seconds)

    async def wait_async(self, timeout_seconds: float) -> bool:
        """Suspend this coroutine until it happens; its event loop goes on turning.

        Args:
            timeout_seconds: How long at most.

        Returns:
            Whether it has happened.
        """
        if self.has_landed:
            return True
        import asyncio  # noqa: PLC0415 - only asyncio programs come here, and they have it already

        loop = asyncio.get_running_loop()
        landed = loop.create_future()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(landed.set_result, None)
            except RuntimeError:
                # The waiter's event loop is closed: nobody waits there any more (CON-004).
                return

        with self._lock:
            if self.has_landed:
                return True
            self._wakers.append(wake)
        try:
            # Not wait_for, which before Python 3.12 swallows a cancellation that comes with the result (CON-003).
            await asyncio.wait([landed], timeout=timeout_seconds)
        finally:
            # A waiter that is cancelled or gives up leaves nothing behind.
            with self._lock:
                if wake in self._wakers:
                    self._wakers.remove(wake)
        return self.has_landed


LANDED: Final = Completion()
LANDED.land()
