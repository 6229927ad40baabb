"""The process of one lane: makes its suite, then times cases on demand: `python -m benchmarks.worker`.

Reads and writes JSON lines. First it writes a description of its cases; then for each line `[case, repetitions]` the
nanoseconds of one call. For an empty list it collects garbage between rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TextIO

from benchmarks.case import Case
from benchmarks.cases import Suite
from benchmarks.corpus import Corpus
from benchmarks.machine import describe_python

# The first calls after another case find cold caches; they are not what is measured.
WARM_UP_CALLS = 3
SUITES = {"verification": "benchmarks.cases.verification", "frameworks": "benchmarks.cases.frameworks"}


def main() -> None:
    """Make the suite, describe it, and carry out orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--core", type=int)
    parser.add_argument("--peers", default="")
    parser.add_argument("--groups", default="")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    # Standard output belongs to the protocol; the output of libraries goes to standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Some cases use up a budget on purpose.
    logging.getLogger("aveverify").setLevel(logging.ERROR)
    # Before a peer loads the same accelerators.
    about = describe_python()
    suite: Suite = import_module(SUITES[arguments.suite]).make_suite(
        Corpus.read(arguments.corpus), tuple(filter(None, arguments.peers.split(",")))
    )
    if arguments.groups:
        suite.cases = [case for case in suite.cases if case.group in arguments.groups.split(",")]
    write_message(replies, describe(suite, about))
    # All objects so far live as long as the process: no collection has to visit them again.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=make_loop) as runner:
        for line in sys.stdin:
            order = json.loads(line)
            write_message(replies, run_order(suite.cases, order, runner) if order else gc.collect())


def describe(suite: Suite, about: dict[str, str]) -> dict[str, Any]:
    """What the parent has to know about this process."""
    cases = [
        {"group": it.group, "setting": it.setting, "contestant": it.contestant, "baselines": dict(it.baselines)}
        for it in suite.cases
    ]
    return {
        "about": about,
        "cases": cases,
        "absent": [asdict(row) for row in suite.absent],
        "strictness": suite.strictness,
        "notes": suite.notes,
    }


def run_order(cases: list[Case], order: list[int], runner: asyncio.Runner) -> int:
    """Time one case."""
    case, repetitions = cases[order[0]], order[1]
    return time_case(case, repetitions, runner)


def time_case(case: Case, repetitions: int, runner: asyncio.Runner) -> int:
    """The time of one call in nanoseconds, over so many calls with one argument after the other."""
    count = len(case.arguments)
    warm_up = [case.arguments[-number % count] for number in range(min(WARM_UP_CALLS, repetitions))]
    arguments = [case.arguments[number % count] for number in range(repetitions)]
    gc.disable()
    try:
        if case.is_async:
            return max(1, runner.run(time_awaits(case, warm_up, arguments)) // repetitions)
        return max(1, time_calls(case, warm_up, arguments) // repetitions)
    finally:
        gc.enable()


def time_calls(case: Case, warm_up: list[Any], arguments: list[Any]) -> int:
    """Nanoseconds for all calls together."""
    call = case.call
    for argument in warm_up:
        call(argument)
    begun = perf_counter_ns()
    for argument in arguments:
        call(argument)
    return perf_counter_ns() - begun


async def time_awaits(case: Case, warm_up: list[Any], arguments: list[Any]) -> int:
    """Nanoseconds for all calls together, each awaited."""
    call = case.call
    for argument in warm_up:
        await call(argument)
    begun = perf_counter_ns()
    for argument in arguments:
        await call(argument)
    return perf_counter_ns() - begun


def make_loop() -> asyncio.AbstractEventLoop:
    """The loop that servers use: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def write_message(replies: TextIO, message: object) -> None:
    """Write one line."""
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
