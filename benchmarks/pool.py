"""`Worker`: the process of one lane, and the pipe to it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.case import make_key
from benchmarks.lanes import Lane
from benchmarks.machine import last_core


@dataclass(slots=True)
class Worker:
    """A running lane.

    Attributes:
        lane: Which one.
        process: Its process.
        description: Its description of itself: cases, absent rows, strictness, versions.
    """

    lane: Lane
    process: subprocess.Popen[str]
    description: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        """The keys of its cases."""
        return [make_key(it["group"], it["setting"], it["contestant"]) for it in self.description["cases"]]

    def time(self, case: int, repetitions: int) -> int:
        """Nanoseconds of one call of a case, over this many repetitions."""
        return int(send_order(self.process, [case, repetitions]))

    def collect_garbage(self) -> None:
        """Collect garbage, so that no case inherits that of another."""
        send_order(self.process, [])


@contextmanager
def run_workers(suite: str, lanes: list[Lane], corpus: Path) -> Iterator[list[Worker]]:
    """Start the process of every lane, pinned to one core, for the length of a `with` block.

    Args:
        suite: What they make their cases of.
        lanes: Which.
        corpus: The file with keys and tokens.

    Yields:
        The workers, ready to time.
    """
    core = last_core()
    pin = [] if core is None else ["--core", str(core)]
    with ExitStack() as stack:
        workers = []
        for lane in lanes:
            chosen = ["--peers", ",".join(lane.peers), "--groups", ",".join(lane.groups)]
            command = [lane.python, "-W", "ignore", "-m", "benchmarks.worker", suite, str(corpus), *pin, *chosen]
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env={**os.environ, **lane.environment},
                )
            )  # fmt: skip
            # The end of its input ends the process.
            stack.callback(close, process)
            workers.append(Worker(lane, process, read_message(process)))
        yield workers


def send_order(process: subprocess.Popen[str], order: list[int]) -> Any:
    """Send one order, and wait for its reply."""
    if process.stdin is None:
        message = "the worker was started without a pipe"
        raise RuntimeError(message)
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return read_message(process)


def read_message(process: subprocess.Popen[str]) -> Any:
    """Read one message."""
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        message = f"a worker ended with code {process.wait()}; its output is above"
        raise RuntimeError(message)
    return json.loads(line)


def close(process: subprocess.Popen[str]) -> None:
    """Close its input, which ends it."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
