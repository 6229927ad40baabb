"""Interleaved rounds: every round times every case of every lane once, in another order, on the same core.

Whatever slows the machine slows them all alike: the figures to trust are the medians of the ratios within a round.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from benchmarks.case import make_key

# Long enough that reading the clock does not count, short enough for many rounds.
SLICE_NS = 5_000_000
CALIBRATION_CALLS = 8


class Timer(Protocol):
    """Times cases: the process of a lane."""

    @property
    def keys(self) -> list[str]:
        """The keys of its cases."""

    def time(self, case: int, repetitions: int) -> int:
        """Nanoseconds of one call."""

    def collect_garbage(self) -> None:
        """Called between rounds."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one case cost in one lane.

    Attributes:
        lane: Which process.
        group: The table it belongs to.
        setting: What was done.
        contestant: Who did it.
        quartiles_us: First quartile, median and third quartile of the rounds, in microseconds for one call.
        ratios: By column, the median of the rounds' ratios to that baseline in the same round and lane.
    """

    lane: str
    group: str
    setting: str
    contestant: str
    quartiles_us: tuple[float, float, float]
    ratios: Mapping[str, float]

    @property
    def key(self) -> str:
        """The key of the case."""
        return make_key(self.group, self.setting, self.contestant)


def time_rounds(timers: Sequence[Timer], rounds: int, slice_ns: int = SLICE_NS) -> list[list[list[int]]]:
    """Time every case of every timer in every round.

    Args:
        timers: What times; only one of them works at any moment.
        rounds: How often, at least 2.
        slice_ns: About how long one case takes in one round.

    Returns:
        For each timer and case its readings, one for each round, in nanoseconds.
    """
    pairs = [(number, case) for number, timer in enumerate(timers) for case in range(len(timer.keys))]
    repetitions = {}
    for number, case in pairs:
        # Twice: the first calls of anything cost more, and are no measure of how many fit into a slice.
        timers[number].time(case, CALIBRATION_CALLS)
        repetitions[number, case] = max(1, slice_ns // timers[number].time(case, CALIBRATION_CALLS))
    readings: list[list[list[int]]] = [[[] for _ in timer.keys] for timer in timers]
    for turn in range(rounds):
        show_progress(turn, rounds)
        # Another order each time, so that no case always runs in what the same neighbour left in the caches.
        for number, case in Random(turn).sample(pairs, len(pairs)):
            readings[number][case].append(timers[number].time(case, repetitions[number, case]))
        for timer in timers:
            timer.collect_garbage()
    show_progress(rounds, rounds)
    return readings


def sum_up(
    lane: str,
    cases: Sequence[Mapping[str, str]],
    baselines: Sequence[Mapping[str, str]],
    readings: Sequence[Sequence[int]],
) -> list[Result]:
    """Sum up the rounds of one lane.

    Args:
        lane: Its name.
        cases: Group, setting and contestant of each case.
        baselines: For each case the keys of its baselines, by column; one that is not measured here gives no column.
        readings: For each case its readings.
    """
    by_key = {make_key(**case): own for case, own in zip(cases, readings, strict=True)}
    results = []
    for case, columns, own in zip(cases, baselines, readings, strict=True):
        ratios = {column: median_ratio(own, by_key[key]) for column, key in columns.items() if key in by_key}
        low, median, high = (value / 1000 for value in statistics.quantiles(own, n=4))
        results.append(Result(lane, **case, quartiles_us=(low, median, high), ratios=ratios))
    return results


def median_ratio(own: Sequence[int], baseline: Sequence[int]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(mine / other for mine, other in zip(own, baseline, strict=True))


def show_progress(done: int, rounds: int) -> None:
    """Print a line of progress, if the output is a terminal."""
    if sys.stderr.isatty():
        print(f"\rround {done} of {rounds}", end="\n" if done == rounds else "", file=sys.stderr, flush=True)
