"""Interleaved rounds: every round times every case, so that whatever slows the machine slows them all alike."""

from __future__ import annotations

import gc
import statistics
from dataclasses import dataclass
from random import Random
from time import perf_counter_ns

from benchmarks.cases import Case

# Long enough that reading the clock does not count, short enough for many rounds.
SLICE_NS = 5_000_000
# The first calls of anything cost more; they are neither measured nor a measure of how many fit into a slice.
WARM_UP_CALLS = 20


@dataclass(frozen=True, slots=True)
class Result:
    """What one case cost.

    Attributes:
        name: The case.
        baseline: The case of the ratio.
        quartiles_us: First quartile, median and third quartile of the rounds, in microseconds for one call.
        ratio: The median of the rounds' ratios to the baseline of the same round.
        limit: What the ratio is meant to stay under.
    """

    name: str
    baseline: str
    quartiles_us: tuple[float, float, float]
    ratio: float
    limit: float | None


def measure(cases: list[Case], rounds: int, slice_ns: int = SLICE_NS) -> list[Result]:
    """Time every case in every round.

    Args:
        cases: What to time; baselines are among them.
        rounds: How often, at least 2.
        slice_ns: About how long one case takes in one round.
    """
    for case in cases:
        time_one(case, WARM_UP_CALLS)
    repetitions = {case.name: max(1, slice_ns // time_one(case, WARM_UP_CALLS)) for case in cases}
    readings: dict[str, list[float]] = {case.name: [] for case in cases}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            # Another order each time, so that no case always runs in what the same neighbour left in the caches.
            for case in Random(number).sample(cases, len(cases)):  # noqa: S311 - an order, not a secret
                readings[case.name].append(time_one(case, repetitions[case.name]))
            gc.collect()
    finally:
        gc.enable()
    return [result(case, readings) for case in cases]


def time_one(case: Case, repetitions: int) -> int:
    """The time of one call in nanoseconds, over so many calls."""
    call, count = case.call, len(case.arguments)
    arguments = [case.arguments[number % count] for number in range(repetitions)]
    begun = perf_counter_ns()
    for argument in arguments:
        call(argument)
    return max(1, (perf_counter_ns() - begun) // repetitions)


def result(case: Case, readings: dict[str, list[float]]) -> Result:
    """Sum up the rounds of one case."""
    first, median, third = (value / 1000 for value in statistics.quantiles(readings[case.name], n=4))
    pairs = zip(readings[case.name], readings[case.baseline], strict=True)
    ratio = statistics.median(own / baseline for own, baseline in pairs)
    return Result(case.name, case.baseline, (first, median, third), ratio, case.limit)
