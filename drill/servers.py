"""The two servers of the drill, and their workers as the system lists them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_KIBIBYTE: Final = 1024


@dataclass(slots=True)
class Server:
    """A server process and the processes below it.

    Attributes:
        name: Its name in the table.
        port: The port that it listens on.
        process: The parent of the workers.
        peak_bytes: The largest resident set of any worker, in bytes.
        workers: The process id of every worker that was seen alive.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    peak_bytes: int = 0
    workers: set[int] = field(default_factory=set)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the parent of the workers."""
        self.process.send_signal(number)

    def sample(self) -> None:
        """Record the living workers and their peak memory."""
        with suppress(OSError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for child in map(int, children.split()):
                self._sample(child)

    def _sample(self, pid: int) -> None:
        # A worker may have ended meanwhile.
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"resource_tracker" in command:
                return
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.workers.add(pid)
                    self.peak_bytes = max(self.peak_bytes, int(line.split()[1]) * _KIBIBYTE)


@contextmanager
def serve_asgi(environ: dict[str, str], log: Path) -> Iterator[Server]:
    """Run uvicorn with two workers, each spawned and cold."""
    port = _free_port()
    command = ["uvicorn", "drill.asgi_app:application", "--workers", "2", "--host", "127.0.0.1", "--port", str(port)]
    with _run("uvicorn, 2 workers", port, [*command, "--lifespan", "off", "--no-access-log"], environ, log) as server:
        yield server


@contextmanager
def serve_wsgi(environ: dict[str, str], log: Path) -> Iterator[Server]:
    """Run gunicorn with three workers, forked from a parent that has loaded the application; they are recycled."""
    port = _free_port()
    command = ["gunicorn", "drill.wsgi_app:application", "--workers", "3", "--threads", "6", "--preload"]
    recycling = ["--max-requests", "500", "--max-requests-jitter", "100", "--graceful-timeout", "15"]
    bind = ["--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    with _run("gunicorn, 3 workers", port, [*command, *recycling, *bind], environ, log) as server:
        yield server


@contextmanager
def _run(name: str, port: int, command: Sequence[str], environ: dict[str, str], log: Path) -> Iterator[Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        server = Server(name, port, process)
        try:
            _wait_until_it_answers(server, log)
            yield server
        finally:
            _stop(process)


def _wait_until_it_answers(server: Server, log: Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at and server.process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_START_SECONDS)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.1)
    message = f"{server.name} does not start:\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
