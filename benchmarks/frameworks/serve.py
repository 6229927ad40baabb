"""One application behind uvicorn, with uvloop and httptools: `python -m benchmarks.frameworks.serve`.

Prints its port on one line, and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from threading import Thread

import uvicorn

from benchmarks.cases.frameworks import FRAMEWORKS, all_variants
from benchmarks.corpus import Corpus
from benchmarks.frameworks import make_kit


def main() -> None:
    """Serve the application that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("group", choices=FRAMEWORKS)
    parser.add_argument("setting")
    parser.add_argument("who")
    parser.add_argument("--core", type=int, required=True)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    (application,) = (
        it.application
        for it in all_variants(arguments.group, make_kit(Corpus.read(arguments.corpus)))
        if (it.setting, it.who) == (arguments.setting, arguments.who)
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        server = uvicorn.Server(
            uvicorn.Config(application, loop="uvloop", http="httptools", lifespan="off", access_log=False,
                           log_level="warning")
        )  # fmt: skip
        Thread(target=stop_at_end_of_input, args=(server,), daemon=True).start()
        print(listening.getsockname()[1], flush=True)
        server.run(sockets=[listening])


def stop_at_end_of_input(server: uvicorn.Server) -> None:
    """Wait until the parent closes the pipe, or has ended."""
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
