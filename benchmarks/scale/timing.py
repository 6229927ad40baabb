"""The clock of the measurements of scale: interleaved, like everything here, but within one process."""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from time import perf_counter_ns

from benchmarks.machine import last_core
from benchmarks.measure import show_progress

Job = Callable[[], object]


@contextmanager
def pinned() -> Iterator[None]:
    """Stay on one core for the length of a `with` block."""
    core = last_core()
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def time_jobs(jobs: Sequence[Job], rounds: int, slice_ns: int) -> list[float]:
    """Time some jobs in interleaved rounds on one core.

    Args:
        jobs: What to time.
        rounds: How often, at least 1.
        slice_ns: About how long one job is repeated in one round.

    Returns:
        For each job the median of its rounds, in microseconds for one call.
    """
    readings: list[list[float]] = [[] for _ in jobs]
    with pinned():
        repetitions = [max(1, slice_ns // time_once(job, 2)) for job in jobs]
        for turn in range(rounds):
            show_progress(turn, rounds)
            for place in Random(turn).sample(range(len(jobs)), len(jobs)):
                readings[place].append(time_once(jobs[place], repetitions[place]) / 1000)
        show_progress(rounds, rounds)
    return [statistics.median(own) for own in readings]


def time_once(job: Job, repetitions: int) -> int:
    """Nanoseconds of one call, over so many repetitions."""
    job()
    gc.disable()
    try:
        begun = perf_counter_ns()
        for _ in range(repetitions):
            job()
        return max(1, (perf_counter_ns() - begun) // repetitions)
    finally:
        gc.enable()
