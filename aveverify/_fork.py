"""After a fork the child gets new locks, new connections and no flights; what was learnt stays.

A server that loads the application before it forks its workers copies locks that nobody in the child will ever
release, and connections that parent and children would share. `os.register_at_fork` mends that in each child. What
cannot be mended is an import that another thread had begun: the child's copy of the module is never finished, and its
lock is held for ever. So a fork waits for those.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Final, Protocol
from weakref import WeakSet

# `logging` takes its lock at a fork, and is imported here so that we wait before it does: an import may need that lock.
log = logging.getLogger("aveverify")

# An import takes a fraction of a second. A program must be able to fork, whatever hangs in one.
_PATIENCE_SECONDS: Final = 5.0


class Renewable(Protocol):
    """Something that holds a lock, a connection or a thread."""

    def renew_after_fork(self) -> None:
        """Replace what must not be shared with the parent. Only the forking thread exists."""


_renewables: Final[WeakSet[Renewable]] = WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Have an object renewed in every child process, as long as it lives.

    Args:
        renewable: The object; only a weak reference to it is kept.
    """
    _renewables.add(renewable)


class _Imports:
    """The lock that whoever imports holds, and whoever forks takes; a child has a new one."""

    def __init__(self) -> None:
        self.lock = RLock()

    def wait(self) -> None:
        if not self.lock.acquire(timeout=_PATIENCE_SECONDS):
            log.warning("forked in the middle of an import; fetches of the child may hang")

    def go_on(self) -> None:
        # Not ours, where waiting was in vain.
        with suppress(RuntimeError):
            self.lock.release()


_imports: Final = _Imports()


@contextmanager
def keep_from_forking() -> Iterator[None]:
    """Let forks of other threads wait for the length of a `with` block, which imports modules (CON-005)."""
    with _imports.lock:
        yield


def _renew_all() -> None:
    _imports.lock = RLock()
    for renewable in list(_renewables):
        renewable.renew_after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - every system that can fork has it
    os.register_at_fork(before=_imports.wait, after_in_parent=_imports.go_on, after_in_child=_renew_all)
