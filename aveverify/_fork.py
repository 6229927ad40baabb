"""After a fork the child gets new locks, new connections and no flights; what was learnt stays.

A server that loads the application before it forks its workers copies locks that nobody in the child will ever
release, and connections that parent and children would share. `os.register_at_fork` mends that in each child.
"""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


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


def _renew_all() -> None:
    for renewable in list(_renewables):
        renewable.renew_after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - every system that can fork has it
    os.register_at_fork(after_in_child=_renew_all)
