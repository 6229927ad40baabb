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
    """A measurement that is imported when it is asked for."""

    def measure(run: Run, extent: Extent) -> None:
        import_module(module).measure(run, extent)

    return measure


MEASUREMENTS: dict[str, Callable[[Run, Extent], None]] = {
    "verification": verification,
    "frameworks": frameworks,
    "served": later("benchmarks.frameworks.served"),
    "scale": later("benchmarks.scale"),
    "start": later("benchmarks.start"),
    "profile": later("benchmarks.profile"),
}


def main() -> None:
    """Read the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what", nargs="*", metavar="WHAT", help=f"of {', '.join(MEASUREMENTS)}; verification by default"
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--smoke", action="store_true", help="see that every case does what it says; no figure counts")
    extent.add_argument("--full", action="store_true", help="many more rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write results, tables and charts there as well")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source", help="measure nothing; take these results")
    arguments = parser.parse_args()
    unknown = set(arguments.what) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"nothing is called {', '.join(sorted(unknown))}")
    # Many verifiers side by side are what a measurement needs; the package warns of them, and of spent budgets.
    logging.getLogger("aveverify").setLevel(logging.ERROR)
    run = Run.read(arguments.source) if arguments.source else Run()
    if not arguments.source:
        chosen = SMOKE if arguments.smoke else FULL if arguments.full else SHORT
        for what in arguments.what or ["verification"]:
            MEASUREMENTS[what](run, chosen)
        # Where no lane had a process of its own, this one did the work.
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
