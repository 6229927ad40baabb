"""A bounded map that evicts the least recently used entry. Safe between threads and across forks."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from aveverify._fork import keep_from_forking, renew_after_fork

if TYPE_CHECKING:
    from cachetools import LRUCache

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class RecentlyUsed(Generic[KeyT, ValueT]):
    """An `LRUCache`, which has no lock of its own, behind one.

    Args:
        max_entries: How many values are kept, at least 1.

    Source: CON-005; CON-013.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        # None until the first update: `import aveverify` needs no cachetools.
        self._entries: LRUCache[KeyT, ValueT] | None = None
        self._lock = Lock()
        renew_after_fork(self)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return 0 if self._entries is None else len(self._entries)

    def update(self, key: KeyT, change: Callable[[ValueT | None], ValueT]) -> ValueT:
        """Replace the value of a key, atomically for all threads.

        Args:
            key: The key; from now on the most recently used one.
            change: Takes the old value, or None where there is none, and returns the new one. Must not use this map.

        Returns:
            The new value.
        """
        with self._lock:
            if self._entries is None:
                self._entries = self._make_cache()
            value = change(self._entries.get(key))
            self._entries[key] = value
            return value

    def take_all(self) -> list[ValueT]:
        """Empty the map, and return what was in it."""
        with self._lock:
            entries, self._entries = self._entries, None
            return [] if entries is None else list(entries.values())

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held, and the cache, which it may have left torn.

        The entries stay, except one that was being removed.
        """
        if self._entries is not None:
            entries, self._entries = self._entries, self._make_cache()
            self._entries.update(entries.items())
        self._lock = Lock()

    def _make_cache(self) -> LRUCache[KeyT, ValueT]:
        # A fork in the middle of an import would leave its lock held in the child.
        with keep_from_forking():
            from cachetools import LRUCache  # noqa: PLC0415 - only programs that verify need it

        return LRUCache(self._max_entries)
