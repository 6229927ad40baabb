"""Which event loop runs the calling code: asyncio's, or trio's.

Never imports one: what the program has not loaded does not run, and `import aveverify` stays cheap.
"""

from __future__ import annotations

import sys
from typing import Literal

Library = Literal["asyncio", "trio"]


def find_event_loop() -> Library | None:
    """Return the library whose event loop runs the calling code; None outside of both.

    Each can run within the other: trio-asyncio runs tasks of asyncio in one of trio's, and callbacks of asyncio's loop
    run a guest run of trio. So a task of asyncio decides first, then one of trio, then asyncio's loop alone.
    """
    in_asyncio, in_task = _look_at_asyncio()
    return "asyncio" if in_task else "trio" if _is_in_trio() else "asyncio" if in_asyncio else None


def _look_at_asyncio() -> tuple[bool, bool]:
    """Tell whether a loop of asyncio runs in this thread, and whether one of its tasks does."""
    if "asyncio" not in sys.modules:
        return False, False
    import asyncio  # noqa: PLC0415 - the program has imported it already

    try:
        return True, asyncio.current_task() is not None
    except RuntimeError:
        return False, False


def _is_in_trio() -> bool:
    if "trio" not in sys.modules:
        return False
    import trio  # noqa: PLC0415 - the program has imported it already

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
