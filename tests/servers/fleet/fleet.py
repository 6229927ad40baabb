"""Many workers, each a process of its own, to which a test sends commands at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

from aveverify.testing import FakeIssuer
from tests.hmac_keys import KEY
from tests.servers.fleet.worker import serve

HMAC_KEY = KEY
# Its server imports what a worker needs once, and each worker is a fork of it.
_processes = get_context("forkserver")
_processes.set_forkserver_preload([serve.__module__])


class Worker:
    """One process; see `tests.servers.fleet.worker`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._connection, its_end = _processes.Pipe()
        self._process = _processes.Process(target=serve, args=(its_end, settings), daemon=True)
        self._process.start()
        its_end.close()

    def say(self, command: str, argument: object) -> None:
        self._connection.send((command, argument))

    def hear(self) -> str:
        try:
            return str(self._connection.recv())
        except EOFError:
            message = "a worker died"
            raise AssertionError(message) from None

    def verify(self, token: str) -> str:
        self.say("verify", token)
        return self.hear()

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


class Fleet:
    """All workers: each of them has received a command before the first answer is read."""

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
def run_fleet(  # noqa: PLR0913 - settings of a worker, each by keyword
    issuer: FakeIssuer,
    store: str,
    *,
    size: int = 3,
    hmac_key: bytes | None = HMAC_KEY,
    timeout_seconds: float = 30.0,
    time_stands_still: bool = True,
) -> Iterator[Fleet]:
    """Run workers during a `with` block.

    Args:
        issuer: The issuer of the tokens that they accept.
        store: The URL of their store.
        size: How many there are.
        hmac_key: Their secret.
        timeout_seconds: How long they wait for the store; by default long enough for a busy machine.
        time_stands_still: Whether their clocks are those of `FakeClock`, or this machine's.

    Yields:
        The workers, all of them ready.
    """
    settings = {
        "issuer": issuer.issuer,
        "application_id": issuer.application_id,
        "store": store,
        "hmac_key": hmac_key,
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
