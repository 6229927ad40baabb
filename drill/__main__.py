"""Run the fault drill, print its table, and fail if a promise was broken.

Two servers with five workers verify tokens of an HTTPS issuer that rotates its keys, fails and hangs, while workers are
recycled. All processes listen on 127.0.0.1 alone and end by themselves.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from drill.certificates import make_certificates
from drill.issuer import Issuer, Key
from drill.load import Load
from drill.plan import FULL_SECONDS, ROTATIONS, Interval, Plan, make_plan
from drill.report import Run, describe, make_report, write_markdown, write_text
from drill.servers import Server, serve_asgi, serve_wsgi
from drill.worker import SETTINGS

_MIN_SECONDS = 8.0
_MAX_SECONDS = 600.0
_SAMPLE_SECONDS = 0.1
# Ten samples that were missed: the machine stood still.
_STALL_SECONDS = 1.0
# The signals of the storm, in turn: gunicorn replaces all workers, adds one, removes one.
_STORM = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)
_STORM_STEPS = 12


def script(plan: Plan, issuer: Issuer, loads: list[Load]) -> Iterator[tuple[float, Callable[[], object]]]:
    """List the actions of a run, each with its time in seconds from the start."""
    uvicorn, gunicorn = (load.server for load in loads)
    for turn in range(1, ROTATIONS):
        yield turn * plan.rotation_seconds, partial(issuer.rotate, turn)
    for interval, fault in plan.outages:
        yield interval.begins, partial(issuer.fail, fault)
        yield interval.ends, issuer.recover
    step_seconds = (plan.storm.ends - plan.storm.begins) / _STORM_STEPS
    for step, number in zip(range(_STORM_STEPS), cycle(_STORM), strict=False):
        yield plan.storm.begins + step * step_seconds, partial(gunicorn.send, number)
    # Workers without keys, before the second outage and in it.
    for part in (0.0, 0.75):
        begins = plan.storm.begins + part * (plan.storm.ends - plan.storm.begins)
        yield begins, partial(uvicorn.send, signal.SIGHUP)
    for load in loads:
        yield plan.flood.begins, load.is_flood.set
        yield plan.flood.ends, load.is_flood.clear


def run(plan: Plan, issuer: Issuer, servers: list[Server]) -> Run:
    """Start the load, carry out the plan, and stop the load."""
    is_over = Event()
    stalls: list[Interval] = []

    def watch() -> None:
        sampled_at = time.monotonic()
        while not is_over.wait(_SAMPLE_SECONDS):
            for server in servers:
                server.sample()
            last, sampled_at = sampled_at, time.monotonic()
            if sampled_at - last > _STALL_SECONDS:
                stalls.append(Interval(last, sampled_at))

    watching = Thread(target=watch, daemon=True)
    watching.start()
    loads = [Load(server, issuer, plan.rotation_seconds / 2) for server in servers]
    began_at = time.monotonic()
    for load in loads:
        load.begin()
    for at, act in sorted(script(plan, issuer, loads), key=lambda entry: entry[0]):
        time.sleep(max(began_at + at - time.monotonic(), 0))
        act()
    time.sleep(max(began_at + plan.seconds - time.monotonic(), 0))
    for load in loads:
        load.end()
    is_over.set()
    watching.join()
    return Run([sample for load in loads for sample in load.samples], stalls)


def main() -> int:
    """Parse the command line, run the drill, and print the report.

    Returns:
        0 if every promise was kept, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=FULL_SECONDS,
        help="Set the length of the load, 8 to 600 seconds. The default is 60.",
    )
    parser.add_argument("--markdown", action="store_true", help="Print the table in Markdown.")
    arguments = parser.parse_args()
    if not _MIN_SECONDS <= arguments.seconds <= _MAX_SECONDS:
        parser.error(f"--seconds: {_MIN_SECONDS:.0f} to {_MAX_SECONDS:.0f}")
    plan = make_plan(arguments.seconds)
    issuer = Issuer([Key(f"key-{turn:02}") for turn in range(ROTATIONS)])
    issuer.rotate(0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="aveverify-drill-")))
        context, authority = make_certificates(folder)
        stack.enter_context(issuer.serve(context))
        settings = {"issuer": issuer.url, "authority": str(authority), "policy": asdict(plan.policy)}
        environ = {SETTINGS: json.dumps(settings)}
        servers = [
            stack.enter_context(serve_asgi(environ, folder / "uvicorn.log")),
            stack.enter_context(serve_wsgi(environ, folder / "gunicorn.log")),
        ]
        result = run(plan, issuer, servers)
    report = make_report(plan, issuer, servers, result)
    write = write_markdown if arguments.markdown else write_text
    print(f"{describe(plan)}\n\n{write(report)}")
    if arguments.markdown:
        print(f"\n{report.environment}")
    for promise in report.broken:
        print(f"BROKEN: {promise}", file=sys.stderr)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
