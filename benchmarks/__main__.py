"""The command line: `python -m benchmarks [verification|frameworks|served|scale|start|profile] [--smoke|--full]`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.lanes import STANDARD, find_lanes
from benchmarks.machine import describe_python
from benchmarks.report import as_text
from benchmarks.run import FULL, SHORT, SMOKE, Extent, Run, run_suite


def verification(run: Run, extent: Extent) -> None:
    """One token, by us in every lane and by every peer."""
    lanes, absent = find_lanes()
    run.absent += absent
    run_suite(run, "verification", lanes, extent)


def frameworks(run: Run, extent: Extent) -> None:
    """One request, in process."""
    run_suite(run, "frameworks", [STANDARD], extent)


def later(module: str) -> Callable[[Run, Extent], None]:
    """A measurement that is imported when it is chosen."""

    def measure(run: Run, extent: Extent) -> None:
        import_module(module).measure(run, extent)

    return measure


MEASUREMENTS: dict[str, Callable[[Run, Extent], None]] = {
    "verification": verification,
    "frameworks": frameworks,
    "served": later("benchmarks.frameworks.served"),
    "scale": later("benchmarks.scale.suite"),
    "start": later("benchmarks.start"),
    "profile": later("benchmarks.profile"),
}


def main() -> None:
    """Parse the command line, measure, and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"Measure these: {', '.join(MEASUREMENTS)}. The default is verification.",
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--smoke",
        action="store_true",
        help="Only check that every case does what its name says; the figures mean nothing.",
    )
    extent.add_argument("--full", action="store_true", help="Measure many more rounds.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write all results to this file.")
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="Also write results, tables and charts to this folder."
    )
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="source", help="Measure nothing, and read the results from this file."
    )
    arguments = parser.parse_args()
    unknown = set(arguments.what) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # A measurement has many verifiers and uses up budgets on purpose, of which the package warns.
    logging.getLogger("aveverify").setLevel(logging.ERROR)
    run = Run.read(arguments.source) if arguments.source else Run()
    if not arguments.source:
        chosen = SMOKE if arguments.smoke else FULL if arguments.full else SHORT
        for what in arguments.what or ["verification"]:
            MEASUREMENTS[what](run, chosen)
        # Without a lane in a process of its own, this process did the work.
        run.lanes = run.lanes or {"this process": describe_python()}
    print(as_text(run))
    if arguments.smoke:
        print("\nEvery case did what it says. The figures of so short a run mean nothing.")
    if arguments.json is not None:
        run.write(arguments.json)
    if arguments.publish is not None:
        import_module("benchmarks.publish").publish(run, arguments.publish)


if __name__ == "__main__":
    main()
