"""The threads of refreshes. They publish events after their waiters have returned, so a test waits for them, too."""

from __future__ import annotations

import threading


def refresh_threads() -> list[threading.Thread]:
    """The threads that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "aveverify-keys"]


def join_refreshes() -> None:
    """Wait for all of them, also for those for which no verification waits; not for one that hangs for ever."""
    for thread in refresh_threads():
        thread.join(5)
