"""The threads that fetch keys: what they tell comes after those who wait are served, so a test waits for them, too."""

from __future__ import annotations

import threading


def flights() -> list[threading.Thread]:
    """The threads under way."""
    return [thread for thread in threading.enumerate() if thread.name == "aveverify-keys"]


def join_flights() -> None:
    """Wait for all of them, also for those that nobody else waits for."""
    for thread in flights():
        thread.join(30)
