"""A bounded map that forgets the entry that was used least recently. Safe between threads and across forks."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from aveverify._fork import renew_after_fork

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class RecentlyUsed(Generic[KeyT, ValueT]):
    """Values by key, at most so many of them.

    Args:
        max_entries: How many, at least 1.

    Source: CON-005; CON-013.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[KeyT, ValueT] = {}
        self._lock = Lock()
        renew_after_fork(self)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def update(self, key: KeyT, change: Callable[[ValueT | None], ValueT]) -> ValueT:
        """Replace the value of a key, as one step for all threads.

        Args:
            key: The key; from now on the one that was used last.
            change: Returns the new value, given the old one, or None where there is none. Must not use this map.

        Returns:
            The new value.
        """
        with self._lock:
            value = change(self._entries.get(key))
            # Each line is one operation of a dict: a fork that comes between two of them finds a whole map.
            self._entries.pop(key, None)
            self._entries[key] = value
            while len(self._entries) > self._max_entries:
                del self._entries[next(iter(self._entries))]
            return value

    def take_all(self) -> list[ValueT]:
        """Empty the map, and return what was in it."""
        with self._lock:
            entries, self._entries = self._entries, {}
            return list(entries.values())

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = Lock()
