"""A bounded map that evicts the least recently used entry. Safe between threads and across forks."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

from aveverify._fork import renew_after_fork

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class RecentlyUsed(Generic[KeyT, ValueT]):
    """An `LRUCache`, which has no lock of its own, behind one.

    Args:
        max_entries: How many values are kept, at least 1.

    Source: CON-005; CON-013.
    """

    def __init__(self, max_entries: int) -> None:
        self._entries: LRUCache[KeyT, ValueT] = LRUCache(max_entries)
        self._lock = Lock()
        renew_after_fork(self)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def update(self, key: KeyT, change: Callable[[ValueT | None], ValueT]) -> ValueT:
        """Replace the value of a key, atomically for all threads.

        Args:
            key: The key; from now on the most recently used one.
            change: Takes the old value, or None where there is none, and returns the new one. Must not use this map.

        Returns:
            The new value.
        """
        with self._lock:
            value = change(self._entries.get(key))
            self._entries[key] = value
            return value

    def take_all(self) -> list[ValueT]:
        """Empty the map, and return what was in it."""
        with self._lock:
            entries, self._entries = self._entries, LRUCache(int(self._entries.maxsize))
            return list(entries.values())

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held, and the cache, which it may have left torn.

        The entries stay, except one that was being removed.
        """
        entries, self._entries = self._entries, LRUCache(int(self._entries.maxsize))
        self._entries.update(entries.items())
        self._lock = Lock()
