"""Worker processes that serve the same sockets, and their parent, which starts, replaces and stops them.

Not uvicorn's `Multiprocess` (0.54.0): it loads an application by its import path alone, waits without limit for a
worker that ignores SIGTERM (still waiting after 20 s), and leaves its workers running when SIGKILL ends the parent.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread
from typing import Any, Final

log = logging.getLogger("aveverify.serve")

Serve = Callable[[list[socket.socket]], None]

# A worker that fails at its start must not be started a thousand times a second.
RESTART_PAUSE_SECONDS: Final = 1.0
# Longer than a server waits for its open requests.
_STOP_SECONDS: Final = 15.0
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def expect_stop_signals() -> Iterator[None]:
    """End a `with` block at a stop signal, without a traceback.

    uvicorn stops at the signals by itself, and raises them again when it has stopped.
    """
    previous = {number: signal.signal(number, signal.default_int_handler) for number in _STOP_SIGNALS}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        _restore(previous)


@contextmanager
def catch_stop_signals() -> Iterator[Connection]:
    """Catch the stop signals for the length of a `with` block.

    Yields:
        A connection to wait for: readable once a signal has come.
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
    """Serve with several processes until a stop signal comes.

    Args:
        serve: What each worker runs; it returns after SIGTERM. Must be picklable.
        sockets: The sockets that all workers listen on.
        count: The number of workers.
        stopped: From `catch_stop_signals`.
    """
    # Spawned, not forked: a worker inherits no thread and no lock of its parent.
    context = multiprocessing.get_context("spawn")
    workers: list[SpawnProcess] = []
    # The parent alone has the writing end, so its death closes the pipe.
    parent, writing_end = context.Pipe(duplex=False)
    try:
        while True:
            while len(workers) < count:
                worker = context.Process(target=run_worker, args=(serve, list(sockets), parent))
                worker.start()
                workers.append(worker)
            ready = wait([stopped, *(worker.sentinel for worker in workers)])
            if stopped in ready:
                return
            for worker in [worker for worker in workers if not worker.is_alive()]:
                log.error("a worker ended unexpectedly (code %s) and is replaced", worker.exitcode)
                workers.remove(worker)
            # A stop signal ends the pause.
            stopped.poll(RESTART_PAUSE_SECONDS)
    finally:
        _stop(workers)
        writing_end.close()
        parent.close()


def run_worker(serve: Serve, sockets: list[socket.socket], parent: Connection) -> None:
    """Serve in a worker process until SIGTERM, which the worker sends itself when its parent has died.

    Args:
        serve: What the worker runs.
        sockets: The sockets that it listens on.
        parent: A pipe that the parent's death closes.
    """
    Thread(target=_stop_without_parent, args=(parent,), name="aveverify-parent-watch", daemon=True).start()
    serve(sockets)


def _stop_without_parent(parent: Connection) -> None:
    wait([parent])
    log.error("the parent process has died; this worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(workers: Sequence[SpawnProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_STOP_SECONDS)
        if worker.is_alive():  # pragma: no cover - a test would wait 15 s for a worker that ignores SIGTERM
            worker.kill()
            worker.join()
