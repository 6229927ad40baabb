"""Several processes that serve the same sockets, and one that starts them, replaces the dead and ends them all."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

log = logging.getLogger("aveverify.serve")

Serve = Callable[[list[socket.socket]], None]

# A worker that cannot even start must not be started a thousand times a second.
_PAUSE_SECONDS: Final = 1.0
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# Beyond the time that a server gives its open requests.
_PATIENCE_SECONDS: Final = 15.0


@contextmanager
def stopping_quietly() -> Iterator[None]:
    """Take the signals that stop a service as its expected end, for the length of a `with` block.

    uvicorn stops at them by itself, and raises them again when it has stopped.
    """
    previous = {number: signal.signal(number, signal.default_int_handler) for number in _STOP_SIGNALS}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        _restore(previous)


@contextmanager
def until_stopped() -> Iterator[Connection]:
    """Note the signals that stop a service, for the length of a `with` block.

    Yields:
        Something to wait for: readable once a signal has come.
    """
    stopped, stop = multiprocessing.Pipe(duplex=False)
    previous = {number: signal.signal(number, lambda *_: stop.send(None)) for number in _STOP_SIGNALS}
    try:
        yield stopped
    finally:
        _restore(previous)
        stop.close()
        stopped.close()


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def run_workers(serve: Serve, sockets: Sequence[socket.socket], count: int, stopped: Connection) -> None:
    """Serve with so many processes until a signal says stop.

    Args:
        serve: What each of them does; it returns after SIGTERM. Must be picklable.
        sockets: What all of them listen on.
        count: How many.
        stopped: From `until_stopped`.
    """
    # Spawned, not forked: whatever threads and locks the parent has, a worker begins clean.
    context = multiprocessing.get_context("spawn")
    workers: list[SpawnProcess] = []
    try:
        while True:
            while len(workers) < count:
                worker = context.Process(target=serve, args=(list(sockets),))
                worker.start()
                workers.append(worker)
            ready = wait([stopped, *(worker.sentinel for worker in workers)])
            if stopped in ready:
                return
            for worker in [worker for worker in workers if not worker.is_alive()]:
                log.error("a worker ended by itself (code %s) and is replaced", worker.exitcode)
                workers.remove(worker)
            # A pause that a signal ends.
            stopped.poll(_PAUSE_SECONDS)
    finally:
        _end(workers)


def _end(workers: Sequence[SpawnProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_PATIENCE_SECONDS)
        if worker.is_alive():  # pragma: no cover - a server that does not stop cannot be had without waiting for it
            worker.kill()
            worker.join()
