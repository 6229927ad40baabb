"""`FakeClock`: the real time, until a test moves it."""

from __future__ import annotations

import time

import pytest

from aveverify import Clock
from aveverify.testing import FakeClock


def test_with_a_time_it_stands_still_until_it_is_moved() -> None:
    clock: Clock = FakeClock(now=1000.5)
    assert clock.now() == clock.now() == 1000.5
    assert clock.monotonic() == clock.monotonic()


def test_without_one_it_shows_what_the_real_clocks_show(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    clock = FakeClock()
    assert before <= clock.now() <= time.time()
    monkeypatch.setattr(time, "time", lambda: 7.0)
    at = clock.monotonic()
    assert clock.now() == 7.0
    # It moves by itself, and not back.
    while clock.monotonic() == at:
        pass
    assert clock.monotonic() > at


def test_from_the_first_move_on_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 7.0)
    stopped, ticked, moved = FakeClock(), FakeClock(), FakeClock()
    stopped.tick(seconds=0)
    ticked.tick(seconds=1.5)
    moved.set_now(5)
    monkeypatch.setattr(time, "time", lambda: 100.0)
    assert [clock.now() for clock in (stopped, ticked, moved)] == [7.0, 8.5, 5]
    assert all(clock.monotonic() == clock.monotonic() for clock in (stopped, ticked, moved))


def test_time_passes_on_both_clocks_alike() -> None:
    clock = FakeClock(now=1000)
    now, at = clock.now(), clock.monotonic()
    clock.tick(seconds=1.5)
    assert (clock.now() - now, clock.monotonic() - at) == (1.5, 1.5)


def test_the_wall_clock_can_be_set_alone() -> None:
    clock = FakeClock(now=1000)
    at = clock.monotonic()
    clock.set_now(5)
    assert (clock.now(), clock.monotonic()) == (5, at)


def test_time_does_not_run_backwards() -> None:
    clock = FakeClock(now=1000)
    with pytest.raises(ValueError, match="set_now"):
        clock.tick(seconds=-1)
    assert clock.now() == 1000


def test_its_repr_shows_both_readings() -> None:
    assert repr(FakeClock(now=7)) == f"<FakeClock now=7 monotonic={FakeClock(now=7).monotonic()}>"
