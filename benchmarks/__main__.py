"""Measure, and print the ratios with the machine beside them."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl.backend import backend

from benchmarks.cases import make_cases
from benchmarks.measure import SLICE_NS, Result, measure

PACKAGES = ("aveverify", "cryptography", "PyJWT")


def surroundings() -> dict[str, str]:
    """The machine and the versions that the figures belong to."""
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL": backend.openssl_version_text(),
        **{name: version(name) for name in PACKAGES},
        "machine": f"{processor()}, {os.cpu_count()} logical cores, {platform.system()}",
    }


def processor() -> str:
    """The name of the processor, as well as this system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def table(results: list[Result]) -> str:
    """The results as lines of text."""
    lines = [f"{'':24}{'q1':>10}{'median':>10}{'q3':>10}   {'ratio':>7}  {'limit':>6}  to"]
    for it in results:
        figures = "".join(f"{value:8.2f}µs" for value in it.quartiles_us)
        limit = "" if it.limit is None else f"{it.limit:.2f}"
        over = "  over its limit" if it.limit is not None and it.ratio > it.limit else ""
        lines.append(f"{it.name:24}{figures}   {it.ratio:7.3f}  {limit:>6}  {it.baseline}{over}")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--smoke", action="store_true", help="only see that everything runs; the figures mean nothing")
    extent.add_argument("--full", action="store_true", help="many more rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    arguments = parser.parse_args()
    if arguments.smoke:
        results = measure(make_cases(tokens=4), rounds=2, slice_ns=SLICE_NS // 100)
    else:
        results = measure(make_cases(tokens=256), rounds=301 if arguments.full else 41)
    about = surroundings()
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"\n{table(results)}")
    if arguments.json is not None:
        content = {"surroundings": about, "results": [asdict(it) for it in results]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
