"""The bounded map of plain `verify()`: what it keeps, what it evicts, and what a forked child finds."""

from __future__ import annotations

from aveverify._lru_map import RecentlyUsed


def counted(entries: RecentlyUsed[str, int], key: str) -> int:
    return entries.update(key, lambda before: (before or 0) + 1)


def test_a_new_map_is_empty_also_after_a_fork() -> None:
    entries = RecentlyUsed[str, int](2)
    entries.renew_after_fork()

    assert len(entries) == 0
    assert entries.take_all() == []


def test_the_least_recently_used_entry_is_evicted() -> None:
    entries = RecentlyUsed[str, int](2)

    assert [counted(entries, key) for key in ("a", "b", "a", "c", "b", "c")] == [1, 1, 2, 1, 1, 2]
    assert len(entries) == 2


def test_a_forked_child_keeps_the_entries_and_their_limit() -> None:
    entries = RecentlyUsed[str, int](2)
    counted(entries, "a")
    counted(entries, "b")
    entries.renew_after_fork()

    assert counted(entries, "a") == 2
    counted(entries, "c")
    assert len(entries) == 2


def test_an_emptied_map_gives_what_was_in_it_and_can_be_used_again() -> None:
    entries = RecentlyUsed[str, int](2)
    counted(entries, "a")

    assert entries.take_all() == [1]
    assert len(entries) == 0
    assert counted(entries, "a") == 1
