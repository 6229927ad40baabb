"""The start of a process: import, the first verification with loaded keys, and the first one that has to fetch them.

Every reading is a fresh interpreter, and the contestants take turns. All of them find their bytecode, as after an
ordinary installation: what runs from a work tree would be compiled at every start otherwise. The times are those of
this machine's disk cache and loopback; the figures to read are the differences between contestants.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.contestants import Absent
from benchmarks.corpus import SIGNERS, serve_corpus
from benchmarks.measure import show_progress
from benchmarks.run import Extent, Run

MAIN = next(iter(SIGNERS))
RUNS = 20
# What a program imports to verify a token, by the file of the contestant.
IMPORTS = {
    "ours": "aveverify",
    "pyjwt": "jwt",
    "joserfc": "joserfc.jwt",
    "authlib": "authlib.jose",
    "python_jose": "jose.jwt",
    "jwcrypto": "jwcrypto.jwt",
    "google_auth": "google.auth.jwt",
    "jwtoxide": "jwtoxide",
}
# Those that fetch keys by themselves.
FETCHING = ("ours", "pyjwt")
TITLE = f"Start of a process, medians of {RUNS} fresh interpreters, RS256-2048, keys over loopback HTTP"


def measure(run: Run, extent: Extent) -> None:
    """Start interpreters in turns, and add the table to a run."""
    runs = 1 if extent.is_smoke else RUNS
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    walls: dict[str, list[float]] = {name: [] for name in IMPORTS}
    known: dict[str, list[float]] = {name: [] for name in IMPORTS}
    fetched: dict[str, list[float]] = {name: [] for name in FETCHING}
    with tempfile.TemporaryDirectory() as folder, serve_corpus(2, (MAIN,)) as corpus:
        path = Path(folder) / "corpus.json"
        corpus.write(path)
        for turn in range(runs):
            show_progress(turn, runs)
            nothing = start_ms("pass")
            for name, module in IMPORTS.items():
                walls[name].append(start_ms(f"import {module}") - nothing)
                imports[name].append(import_ms(module))
                known[name].append(first_ms(path, name, "known"))
            for name in FETCHING:
                fetched[name].append(first_ms(path, name, "fetched"))
        show_progress(runs, runs)
    rows = [
        [IMPORTS[name], *(statistics.median(own) for own in (walls[name], imports[name], known[name])),
         statistics.median(fetched[name]) if name in fetched else None]
        for name in IMPORTS
    ]  # fmt: skip
    columns = [
        "import",
        "import, ms",
        "as -X importtime says, ms",
        "first verification, key at hand, ms",
        "first verification with fetch, ms",
    ]
    run.curves[TITLE] = {"columns": columns, "rows": rows}
    run.absent.append(Absent("first verification with fetch", "only measured for those that fetch keys by themselves"))


def start_ms(program: str) -> float:
    """How long an interpreter runs that does this and ends."""
    begun = perf_counter()
    run_python("-c", program)
    return (perf_counter() - begun) * 1000


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter that keeps its bytecode, whatever the environment of this process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


def import_ms(module: str) -> float:
    """The time of an import by the interpreter's own count, everything that it imports included."""
    said = run_python("-X", "importtime", "-c", f"import {module}").stderr
    # Only imports that nothing else asked for stand without indent: the package, and its submodule after it.
    found = re.findall(rf"\|\s+(\d+) \| (?:{re.escape(module.partition('.')[0])})(?:\.\S+)?$", said, re.MULTILINE)
    if not found:
        message = f"the interpreter does not report how long {module} took"
        raise RuntimeError(message)
    return sum(map(int, found)) / 1000


def first_ms(corpus: Path, name: str, kind: str) -> float:
    """The first verification of a fresh process."""
    return float(json.loads(run_python("-m", "benchmarks.first", str(corpus), name, kind).stdout))
