"""Requests per second behind uvicorn, under the load of wrk: a report, without a limit that must be kept.

Server and load generator have one core each, so a second machine would give other figures; the figure to read is the
share of the bare application. A served request depends on the kernel, the loop and the other core: rounds differ by a
tenth or more.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random

from benchmarks.case import UnexpectedOutcomeError
from benchmarks.contestants import Absent
from benchmarks.corpus import serve_corpus
from benchmarks.frameworks import MAIN, PATH
from benchmarks.measure import show_progress
from benchmarks.run import Extent, Run

TITLE = "Served by uvicorn (uvloop, httptools), one worker on one core, wrk on another"
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 32
# Group, setting, who: as the suite `frameworks` calls them. The first of a group is its bare application.
SERVED = (
    ("Starlette", "bare", "Starlette"),
    ("Starlette", "no-op", "ASGI middleware"),
    ("Starlette", "no-op", "BaseHTTPMiddleware"),
    ("Starlette", "warm", "aveverify.asgi"),
    ("Starlette", "cold", "aveverify.asgi"),
    ("Starlette", "cold", "PyJWT in BaseHTTPMiddleware"),
    ("FastAPI", "bare", "FastAPI"),
    ("FastAPI", "warm", "aveverify.asgi"),
    ("FastAPI", "cold", "aveverify.asgi"),
    ("FastAPI", "cold", "PyJWT in a dependency"),
)
CORES_NEEDED = 2


def measure(run: Run, extent: Extent) -> None:
    """Load every application in every round, and add the table to a run."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    wrk = shutil.which("wrk")
    if wrk is None or len(cores) < CORES_NEEDED:
        reason = "wrk is not installed (Debian's package wrk)" if wrk is None else "it needs two cores to pin to"
        run.absent.append(Absent("served", f"not measured: {reason}"))
        return
    rounds = 1 if extent.is_smoke else ROUNDS
    with tempfile.TemporaryDirectory() as folder, serve_corpus(1, (MAIN,)) as corpus, ExitStack() as stack:
        path = Path(folder) / "corpus.json"
        corpus.write(path)
        ports = [start(stack, path, names, cores[0]) for names in SERVED]
        header = f"Authorization: Bearer {corpus.tokens[MAIN][0]}"
        readings: list[list[float]] = [[] for _ in SERVED]
        # What this process starts from here on inherits its core.
        os.sched_setaffinity(0, {cores[1]})
        stack.callback(os.sched_setaffinity, 0, cores)
        for turn in range(rounds):
            show_progress(turn, rounds)
            for place in Random(turn).sample(range(len(SERVED)), len(SERVED)):
                readings[place].append(load(wrk, ports[place], header))
        show_progress(rounds, rounds)
    run.curves[TITLE] = {"columns": ["framework", "setting", "who", "req/s", "µs per request", "share of bare"],
                         "rows": rows(readings)}  # fmt: skip


def start(stack: ExitStack, corpus: Path, names: tuple[str, str, str], core: int) -> int:
    """Start one server, which ends with the stack, and return its port."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.frameworks.serve",
        str(corpus),
        *names,
        "--core",
        str(core),
    ]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    if process.stdin is None or process.stdout is None:
        message = "the server was started without pipes"
        raise RuntimeError(message)
    stack.callback(process.stdin.close)
    return int(process.stdout.readline())


def load(wrk: str, port: int, header: str) -> float:
    """Send requests as fast as they are answered, for some seconds; return how many in each."""
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-H", header, f"http://127.0.0.1:{port}{PATH}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said:
        raise UnexpectedOutcomeError(f"port {port}", "200 for every request", said)
    return float(found[1])


def rows(readings: list[list[float]]) -> list[list[object]]:
    """The table: medians of the rounds, and of the shares within each round."""
    found: list[list[object]] = []
    bare: list[float] = []
    for (group, setting, who), own in zip(SERVED, readings, strict=True):
        bare = own if setting == "bare" else bare
        rate = statistics.median(own)
        share = statistics.median(mine / other for mine, other in zip(own, bare, strict=True))
        found.append([group, setting, who, round(rate), 1e6 / rate, share])
    return found
