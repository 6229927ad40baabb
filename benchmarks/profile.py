"""Where the time goes: a sampling profile of each lane, by function of the package.

Nothing is inserted into the code that is measured. A timer interrupts it, and the function in which it stood gets the
sample, what it had called in C included; nanoseconds are its share of the time that was measured without the timer.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.corpus import serve_corpus
from benchmarks.lanes import FAST, STANDARD, find_lanes
from benchmarks.run import Extent, Run

SECONDS = 20.0
TITLE = "Where the time goes"


def measure(run: Run, extent: Extent) -> None:
    """Profile a process of each lane, and add its tables to a run."""
    seconds = 0.3 if extent.is_smoke else SECONDS
    lanes, absent = find_lanes()
    run.absent += absent
    with tempfile.TemporaryDirectory() as folder, serve_corpus(64, ("RS256-2048",)) as corpus:
        path = Path(folder) / "corpus.json"
        corpus.write(path)
        for lane in lanes:
            if lane.name not in (STANDARD.name, FAST.name):
                continue
            command = [lane.python, "-m", "benchmarks.sampling", str(path), str(seconds)]
            said = subprocess.run(
                command, env={**os.environ, **lane.environment}, stdout=subprocess.PIPE, text=True, check=True
            )
            for kind, found in json.loads(said.stdout).items():
                title = f"{TITLE}: {kind}, environment {lane.name}, {found['ns']:,} ns, {found['samples']:,} samples"
                run.curves[title] = {"columns": ["function", "ns", "share"], "rows": found["rows"]}
