"""Programs that a test starts, on ports of 127.0.0.1, and ends with everything that they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TIMEOUT_SECONDS = 30
_GRACE_SECONDS = 10
_PAUSE_SECONDS = 0.02
_FIRST_PORT = 20_000
_RANGE_PORTS = 750
_PORT_RANGES = 16


def _own_ports() -> Iterator[int]:
    """Go round the ports of this process: each worker of pytest-xdist has a range of its own.

    All of them lie below the range from which Linux takes a port for port 0 and for a client.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PORT_RANGES
    first = _FIRST_PORT + worker * _RANGE_PORTS
    # Two test runs at the same time begin at different ports.
    start = os.getpid() % _RANGE_PORTS
    return cycle([first + (start + number) % _RANGE_PORTS for number in range(_RANGE_PORTS)])


_PORTS = _own_ports()


def free_port() -> int:
    """Find a port of 127.0.0.1 on which no server listens, and which no other worker of this test run takes."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


class Program:
    """A running program, and its output."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        """Everything that the program has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_port(self, port: int) -> None:
        """Wait until a server listens on the port."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS).close()
            except ConnectionError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return
        raise AssertionError(f"no server listens on port {port}: {self.output}")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not holds():
            assert time.monotonic() < end, self.output
            assert self.process.poll() is None, self.output
            time.sleep(_PAUSE_SECONDS)

    def wait_for_text(self, text: str, times: int = 1) -> None:
        """Wait until the program has printed a text this many times."""
        self.wait_until(lambda: self.output.count(text) >= times)


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program for the length of a `with` block, and write its output into a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            # A process group of its own, so that nothing that the program started outlives the test.
            start_new_session=True,
        )
    try:
        yield Program(process, log)
    finally:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # What the program started and has not ended.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def python(*arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", *arguments]
