"""The clocks of a verifier: the wall clock for claims, both clocks for caches."""

from __future__ import annotations

import time
from importlib.machinery import BuiltinImporter, ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.abc import Loader

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two readings of time. Tests pass their own; every check and every age uses them, and no other clock."""

    def now(self) -> float:
        """Return the wall clock, in seconds since the epoch: finite, not negative."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary beginning that never go backwards: finite, not negative."""


def _find_monotonic() -> Callable[[], float]:
    """Return a monotonic clock that nothing in this process moves: `perf_counter` of a second instance of `time`.

    A deadline must pass although a test has stopped the time, perhaps before it imported this package. freezegun
    replaces the functions of the first instance, and shows some threads the stopped time and others the real one,
    decades apart. time-machine 2 moves `monotonic` of all instances.
    """
    # A loader is what has `create_module` and `exec_module`; here the class itself.
    loader = cast("Loader", BuiltinImporter)
    instance = module_from_spec(ModuleSpec("time", loader, origin="built-in"))
    loader.exec_module(instance)
    found: Callable[[], float] = instance.perf_counter
    return found


monotonic: Final = _find_monotonic()


def read_wall_clock() -> float:
    """Return the wall clock, by whatever stands in `time.time` at this moment: tests replace it there."""
    return time.time()


class SystemClock:
    """The clocks of this machine: `time.time`, which a test may move, and the monotonic clock."""

    __slots__ = ()

    now = staticmethod(read_wall_clock)
    monotonic = staticmethod(monotonic)
