"""`FakeClock`: two clocks that only a test moves."""

from __future__ import annotations

import pytest

from aveverify import Clock
from aveverify.testing import FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock: Clock = FakeClock(now=1000.5)
    assert clock.now() == clock.now() == 1000.5
    assert clock.monotonic() == clock.monotonic()


def test_time_passes_on_both_clocks_alike() -> None:
    clock = FakeClock()
    now, at = clock.now(), clock.monotonic()
    clock.tick(seconds=1.5)
    assert (clock.now() - now, clock.monotonic() - at) == (1.5, 1.5)


def test_the_wall_clock_can_be_set_alone() -> None:
    clock = FakeClock()
    at = clock.monotonic()
    clock.set_now(5)
    assert (clock.now(), clock.monotonic()) == (5, at)


def test_time_does_not_run_backwards() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="set_now"):
        clock.tick(seconds=-1)
    assert clock.now() == FakeClock().now()


def test_its_repr_shows_both_readings() -> None:
    assert repr(FakeClock(now=7)) == f"<FakeClock now=7 monotonic={FakeClock().monotonic()}>"
