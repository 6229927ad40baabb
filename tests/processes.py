"""Programs that a test starts: on ports of this machine alone, ended by the process that was started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 30
_GRACE_SECONDS = 10
_PAUSE_SECONDS = 0.02


def free_port() -> int:
    """Find a port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Program:
    """A program that runs, and what it has written to its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_port(self, port: int) -> None:
        """Wait until it listens."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS).close()
            except ConnectionError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return
        raise AssertionError(f"it does not listen: {self.output}")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, self.output
            assert self.process.poll() is None, self.output
            time.sleep(_PAUSE_SECONDS)

    def wait_for_text(self, text: str, times: int = 1) -> None:
        """Wait until it has printed a text, so many times."""
        self.wait_until(lambda: self.output.count(text) >= times)


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program for the length of a `with` block; its output goes into a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            # A group of its own, so that nothing that it started outlives it.
            start_new_session=True,
        )
    try:
        yield Program(process, log)
    finally:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def python(*arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", *arguments]
