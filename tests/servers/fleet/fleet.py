"""Many workers, each a process of its own, that a test lets act at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aveverify.testing import FakeIssuer
from tests.hmac_keys import KEY

ROOT = Path(__file__).parents[3]
HMAC_KEY = KEY


class Worker:
    """One process; see `tests.servers.fleet.worker`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.fleet.worker", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def say(self, command: str, argument: object) -> None:
        assert self._process.stdin is not None
        print(json.dumps([command, argument]), file=self._process.stdin, flush=True)

    def hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "a worker died"
        return str(json.loads(line))

    def verify(self, token: str) -> str:
        self.say("verify", token)
        return self.hear()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


class Fleet:
    """All workers; what one is told, every one is told before the first is heard."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers

    def say(self, command: str, argument: object) -> None:
        for worker in self.workers:
            worker.say(command, argument)

    def hear(self) -> set[str]:
        return {worker.hear() for worker in self.workers}

    def verify(self, token: str) -> set[str]:
        self.say("verify", token)
        return self.hear()

    def tick(self, seconds: float) -> None:
        self.say("tick", seconds)
        self.hear()


@contextmanager
def run_fleet(  # noqa: PLR0913 - settings, all by keyword
    issuer: FakeIssuer,
    store: str,
    *,
    size: int = 3,
    hmac_key: bytes | None = HMAC_KEY,
    timeout_seconds: float = 30.0,
    time_stands_still: bool = True,
) -> Iterator[Fleet]:
    """Run workers for the length of a `with` block.

    Args:
        issuer: Whose tokens they take.
        store: The URL of their store.
        size: How many there are.
        hmac_key: Their secret.
        timeout_seconds: How long they wait for the store; by default so long that only a dead one is given up.
        time_stands_still: Whether their clocks are those of `FakeClock`, or this machine's.

    Yields:
        The workers, all of them ready.
    """
    settings = {
        "issuer": issuer.issuer,
        "application_id": issuer.application_id,
        "store": store,
        "hmac_key": None if hmac_key is None else hmac_key.hex(),
        "timeout_seconds": timeout_seconds,
        "time_stands_still": time_stands_still,
    }
    with ExitStack() as stack:
        workers = []
        for _ in range(size):
            workers.append(Worker(settings))
            stack.callback(workers[-1].stop)
        fleet = Fleet(workers)
        fleet.hear()
        yield fleet
