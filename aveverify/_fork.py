"""What a forked child replaces: locks, connections and running refreshes. Cached keys and tokens stay.

A server that loads the application before it forks its workers copies locks that no thread of the child will ever
release, and connections that parent and children would share. `os.register_at_fork` replaces them in each child. An
import that another thread has started cannot be replaced: in the child the module is never complete, and its lock is
held for ever. So a fork waits until such imports have ended (CON-005).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Final, Protocol
from weakref import WeakSet

# `logging` takes its lock at a fork. It is imported first, so that this module waits before that: an import may log.
log = logging.getLogger("aveverify")

# An import takes a fraction of a second. A program must be able to fork even while one hangs.
_MAX_WAIT_SECONDS: Final = 5.0


class Renewable(Protocol):
    """An object with a lock, a connection or a thread."""

    def renew_after_fork(self) -> None:
        """Replace what the child must not share with its parent. Only the forking thread exists."""


_renewables: Final[WeakSet[Renewable]] = WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Renew an object in every child process, as long as it lives.

    Args:
        renewable: The object; only a weak reference to it is kept.
    """
    _renewables.add(renewable)


class _Imports:
    """A lock that a thread holds while it imports, and while it forks; a child has a new one."""

    def __init__(self) -> None:
        self.lock = RLock()

    def wait(self) -> None:
        if not self.lock.acquire(timeout=_MAX_WAIT_SECONDS):
            log.warning("forked in the middle of an import; fetches of the child may hang")

    def go_on(self) -> None:
        # If the wait timed out, another thread holds the lock.
        with suppress(RuntimeError):
            self.lock.release()


_imports: Final = _Imports()


@contextmanager
def keep_from_forking() -> Iterator[None]:
    """Delay forks of other threads until the end of a `with` block, which imports modules (CON-005)."""
    with _imports.lock:
        yield


def _renew_all() -> None:
    _imports.lock = RLock()
    for renewable in list(_renewables):
        renewable.renew_after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - every system that can fork has it
    os.register_at_fork(before=_imports.wait, after_in_parent=_imports.go_on, after_in_child=_renew_all)
