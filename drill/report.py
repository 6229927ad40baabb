"""The table of one run: the counts, their bounds, and whether every promise was kept."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.backends.openssl.backend import backend

from drill.accounting import BROKEN, Outcome, RunRecord, bound_fetches
from drill.issuer import Issuer
from drill.load import Sample
from drill.plan import PUBLISHED_TURNS, Interval, Plan
from drill.servers import Server

_PACKAGES = ("aveverify", "uvicorn", "gunicorn", "httpx", "cryptography")
_MEBIBYTE = 1024 * 1024


class Run(NamedTuple):
    """The result of one run.

    Attributes:
        samples: The answers that users got.
        stalls: When this machine was so slow that the drill itself made no progress.
    """

    samples: list[Sample]
    stalls: list[Interval]


class Report(NamedTuple):
    """The report of one run.

    Attributes:
        columns: The names of the servers.
        rows: A name, one figure for each server, and whether it must be 0.
        broken: The broken promises, in words.
        environment: Machine, versions and date.
    """

    columns: list[str]
    rows: list[tuple[str, list[str], bool]]
    broken: list[str]
    environment: str


def make_report(plan: Plan, issuer: Issuer, servers: Sequence[Server], run: Run) -> Report:
    """Classify the answers of a run, and count."""
    samples = run.samples
    record = RunRecord(plan.policy, issuer.responses, issuer.withdrawn_at, run.stalls)
    outcomes: dict[str, Counter[Outcome]] = {server.name: Counter() for server in servers}
    broken: list[str] = []
    for sample in samples:
        outcome = record.classify(sample)
        outcomes[sample.server][outcome] += 1
        if outcome in BROKEN and len(broken) < 20:
            broken.append(f"{sample.server}: {outcome.value}: {sample}")
    counted = [outcomes[server.name] for server in servers]
    rows = [("requests", [str(sum(counts.values())) for counts in counted], False)]
    rows += [(outcome.value, [str(counts[outcome]) for counts in counted], outcome in BROKEN) for outcome in Outcome]
    fetches, bounds = [], []
    for server in servers:
        made, allowed, beyond = count_fetches(plan, issuer, record, server)
        fetches.append(str(made))
        bounds.append(str(allowed))
        broken += [f"{server.name}: process {pid} fetched more often than the policy allows" for pid in beyond]
        broken += list_unmet_faults(server, issuer, outcomes[server.name])
    rows += [
        ("fetches at the issuer", fetches, False),
        ("fetches that the policy allows", bounds, False),
        ("worker processes", [str(len(server.workers)) for server in servers], False),
        ("peak memory of one worker", [f"{server.peak_bytes / _MEBIBYTE:.0f} MiB" for server in servers], False),
    ]
    return Report([server.name for server in servers], rows, broken, environment())


def count_fetches(plan: Plan, issuer: Issuer, record: RunRecord, server: Server) -> tuple[int, int, list[int]]:
    """Count the fetches of each process of a server, and their bound for the time between the first and the last."""
    made = allowed = 0
    beyond = []
    for pid in {server.process.pid, *server.workers}:
        responses = [response for response in issuer.responses if response.worker == pid]
        if not responses:
            continue
        first = min(response.began_at for response in responses)
        last = max(response.began_at for response in responses)
        failing: list[Interval] = [
            Interval(max(outage.begins, first), min(outage.ends, last))
            for outage in (*issuer.outages, *record.stalls)
            if outage.begins <= last and first <= outage.ends
        ]
        bound = bound_fetches(plan.policy, last - first, failing)
        made, allowed = made + len(responses), allowed + bound
        if len(responses) > bound:
            beyond.append(pid)
    return made, allowed, beyond


def list_unmet_faults(server: Server, issuer: Issuer, counts: Counter[Outcome]) -> list[str]:
    """List what a run did not meet: a run that met no fault proves nothing."""
    pids = {server.process.pid, *server.workers}
    responses = [response for response in issuer.responses if response.worker in pids]
    met = {
        "nothing was accepted": counts[Outcome.ACCEPTED] > 0,
        "nothing was refused": counts[Outcome.REFUSED] > 0,
        "no worker was recycled": len(server.workers) > 3,
        "no fetch failed": any(response.status == 503 for response in responses),
        "no fetch hung": any(response.status == 0 for response in responses),
        "no rotation was seen": any(response.forced for response in responses),
    }
    return [f"{server.name}: the drill proves nothing, {what}" for what, was_met in met.items() if not was_met]


def environment() -> str:
    """Name machine, versions and date."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = f"{models[0] if models else platform.machine()}, {os.cpu_count()} logical cores, {platform.system()}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {python}, {packages}, {backend.openssl_version_text()}"


def describe(plan: Plan) -> str:
    """Describe the plan of the run in a table by second, and the policy of the workers."""
    policy = plan.policy
    always = (
        f"the issuer signs with a new key every {plan.rotation_seconds:.1f} s, and withdraws each key "
        f"{PUBLISHED_TURNS * plan.rotation_seconds:.1f} s after its first use; a part of the tokens is forged or "
        "expired; gunicorn replaces each worker after 500 to 600 requests"
    )
    rows = [
        (Interval(0, plan.seconds), always),
        *((interval, f"the issuer {fault}") for interval, fault in plan.outages),
        (plan.storm, "signals end workers, and the server replaces them"),
        (plan.flood, "a part of the tokens has random key ids"),
    ]
    lines = [f"| {interval.begins:.0f} to {interval.ends:.0f} | {what} |" for interval, what in sorted(rows)]
    policy_line = (
        f"Policy: fresh {policy.fresh_seconds:.1f} s, stale {policy.stale_if_error_seconds:.1f} s, "
        f"{policy.unknown_key_refetches} refetches for unknown keys in {policy.unknown_key_window_seconds:.1f} s, "
        f"{policy.bad_signature_refetches} for a bad signature in {policy.bad_signature_window_seconds:.1f} s, pauses "
        f"{policy.min_backoff_seconds:.2f} to {policy.max_backoff_seconds:.1f} s, deadline and waiter limit "
        f"{policy.flight_deadline_seconds:.0f} s."
    )
    return "\n".join(["| seconds | what happens |", "| --- | --- |", *lines, "", policy_line])


def write_text(report: Report) -> str:
    """Write the table for a terminal."""
    width = max(len(name) for name, _, _ in report.rows) + 4
    lines = [" " * width + "".join(f"{column:>22}" for column in report.columns)]
    for name, figures, must_be_zero in report.rows:
        label = f"! {name}" if must_be_zero else f"  {name}"
        lines.append(f"{label:{width}}" + "".join(f"{figure:>22}" for figure in figures))
    return "\n".join([*lines, "", "  ! must be 0", f"  {report.environment}"])


def write_markdown(report: Report) -> str:
    """Write the table for the documentation."""
    head = " | ".join(["counted", *report.columns])
    lines = [f"| {head} |", f"| --- |{' ---: |' * len(report.columns)}"]
    for name, figures, must_be_zero in report.rows:
        label = f"**{name}** (must be 0)" if must_be_zero else name
        lines.append(f"| {' | '.join([label, *figures])} |")
    return "\n".join(lines)
