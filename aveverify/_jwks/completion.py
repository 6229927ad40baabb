"""The end of one refresh, for which threads and coroutines of any event loop can wait.

No waiter can cancel it: one that gives up only stops waiting (ROT-013). A `concurrent.futures.Future` cannot take its
place: a waiter that times out or is cancelled cannot remove its callback from one (CON-003), and even `done()` takes a
lock, which a fork can leave held in the child (CON-005).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Final


class Completion:
    """Something that happens once."""

    __slots__ = ("_callbacks", "_event", "_lock")

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_done(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def set_done(self) -> None:
        """Mark it as done, and wake all waiters. Idempotent."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def wait(self, timeout_seconds: float) -> bool:
        """Block this thread until it is done.

        Args:
            timeout_seconds: How long to wait at most.

        Returns:
            Whether it is done.
        """
        # Once it is done no lock is taken: one that another thread holds during a fork stays held in the child.
        return self.is_done or self._event.wait(timeout_seconds)

    async def wait_async(self, timeout_seconds: float) -> bool:
        """Suspend this coroutine until it is done, without blocking its event loop.

        Args:
            timeout_seconds: How long to wait at most.

        Returns:
            Whether it is done.
        """
        if self.is_done:
            return True
        import asyncio  # noqa: PLC0415 - only asyncio programs come here; without it `import aveverify` stays cheap

        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def callback() -> None:
            try:
                loop.call_soon_threadsafe(done.set_result, None)
            except RuntimeError:
                # The waiter's event loop is closed, so no coroutine waits there any more (CON-004).
                return

        with self._lock:
            if self.is_done:
                return True
            self._callbacks.append(callback)
        try:
            # Not wait_for, which before Python 3.12 swallows a cancellation that comes with the result (CON-003).
            await asyncio.wait([done], timeout=timeout_seconds)
        finally:
            # A waiter that is cancelled or gives up leaves nothing behind.
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)
        return self.is_done


DONE: Final = Completion()
DONE.set_done()
