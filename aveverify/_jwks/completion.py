"""The end of one refresh, for which threads and coroutines of any event loop can wait.

No waiter can cancel it: one that gives up only stops waiting (ROT-013). A `concurrent.futures.Future` cannot take its
place: a waiter that times out or is cancelled cannot remove its callback from one (CON-003), and even `done()` takes a
lock, which a fork can leave held in the child (CON-005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock
from typing import Final

from aveverify._event_loops import find_event_loop
from aveverify.clock import monotonic

# Trio's clocks of tests jump to the end of a wait that has hardly begun. No real clock differs from another by so much.
_JUMP_SECONDS: Final = 0.1


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

        Raises:
            RuntimeError: The coroutine runs under no event loop of asyncio or trio.
        """
        if self.is_done:
            return True
        event_loop = find_event_loop()
        if event_loop is None:
            message = "asynchronous calls wait for keys under asyncio or trio only; elsewhere call verify() in a thread"
            raise RuntimeError(message)
        await (self._wait_in_trio if event_loop == "trio" else self._wait_in_asyncio)(timeout_seconds)
        return self.is_done

    async def _wait_in_asyncio(self, timeout_seconds: float) -> None:
        import asyncio  # noqa: PLC0415 - its loop is running; without it `import aveverify` stays cheap

        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def wake() -> None:
            # The waiter's event loop is closed, so no coroutine waits there any more (CON-004).
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set_result, None)

        with self._calling(wake):
            # Not wait_for, which before Python 3.12 swallows a cancellation that comes with the result (CON-003).
            await asyncio.wait([done], timeout=timeout_seconds)

    async def _wait_in_trio(self, timeout_seconds: float) -> None:
        import trio  # noqa: PLC0415 - it is running

        token, done = trio.lowlevel.current_trio_token(), trio.Event()

        def wake() -> None:
            # The waiter's run is over, as above (CON-004).
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        with self._calling(wake):
            started = monotonic()
            with trio.move_on_after(timeout_seconds):
                await done.wait()
            rest_seconds = timeout_seconds - (monotonic() - started)
            if rest_seconds > _JUMP_SECONDS and not self.is_done:
                # The keys come in real time, which no task can wait for under such a clock.
                await trio.to_thread.run_sync(self.wait, rest_seconds, abandon_on_cancel=True)

    @contextmanager
    def _calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call back when it is done, if that is within the block: a waiter that gives up leaves nothing behind."""
        with self._lock:
            is_late = self.is_done
            if not is_late:
                self._callbacks.append(callback)
        if is_late:
            callback()
        try:
            yield
        finally:
            with self._lock, suppress(ValueError):
                self._callbacks.remove(callback)


DONE: Final = Completion()
DONE.set_done()
