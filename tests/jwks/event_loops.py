"""Both event loops, so that one test states a behaviour for asyncio and for trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import anyio
from anyio.lowlevel import checkpoint

T = TypeVar("T")


class EventLoop(NamedTuple):
    """One library.

    Attributes:
        name: As anyio calls it.
    """

    name: str

    def run(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Run an asynchronous function in a new event loop."""
        call: Callable[..., Any] = anyio.run
        found: T = call(function, *arguments, backend=self.name)
        return found


EVENT_LOOPS = [EventLoop("asyncio"), EventLoop("trio")]


async def turns(count: int = 10) -> None:
    """Let every other task go on for a while."""
    for _ in range(count):
        await checkpoint()
