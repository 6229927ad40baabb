"""The table of one run: what was counted, what was allowed, and whether every promise was kept."""

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

from drill.accounting import BROKEN, Ledger, Verdict, bound_fetches
from drill.issuer import Answer, Issuer
from drill.load import Sample
from drill.plan import Plan, Stretch
from drill.servers import Server

_PACKAGES = ("aveverify", "uvicorn", "gunicorn", "httpx", "cryptography")
_MEBIBYTE = 1024 * 1024


class Run(NamedTuple):
    """What happened.

    Attributes:
        samples: What came back to the users.
        stalls: When this machine was so slow that the drill itself did not get on.
    """

    samples: list[Sample]
    stalls: list[Stretch]


class Report(NamedTuple):
    """What came out.

    Attributes:
        columns: The servers.
        rows: A name, one figure for each server, and whether it has to be 0.
        broken: The promises that were not kept, in words.
        surroundings: Machine, versions and date.
    """

    columns: list[str]
    rows: list[tuple[str, list[str], bool]]
    broken: list[str]
    surroundings: str


def make_report(plan: Plan, issuer: Issuer, servers: Sequence[Server], run: Run) -> Report:
    """Judge a run."""
    samples = run.samples
    ledger = Ledger(plan.policy, issuer.answers, issuer.withdrawn_at, run.stalls)
    judged: dict[str, Counter[Verdict]] = {server.name: Counter() for server in servers}
    broken: list[str] = []
    for sample in samples:
        verdict = ledger.judge(sample)
        judged[sample.server][verdict] += 1
        if verdict in BROKEN and len(broken) < 20:
            broken.append(f"{sample.server}: {verdict.value}: {sample}")
    counted = [judged[server.name] for server in servers]
    rows = [("requests", [str(sum(counts.values())) for counts in counted], False)]
    rows += [(verdict.value, [str(counts[verdict]) for counts in counted], verdict in BROKEN) for verdict in Verdict]
    fetches, bounds = [], []
    for server in servers:
        made, allowed, beyond = count_fetches(plan, issuer, ledger, server)
        fetches.append(str(made))
        bounds.append(str(allowed))
        broken += [f"{server.name}: process {pid} fetched more often than the policy allows" for pid in beyond]
        broken += what_was_not_tried(server, issuer, judged[server.name])
    rows += [
        ("fetches at the issuer", fetches, False),
        ("fetches that the policy allows", bounds, False),
        ("worker processes", [str(len(server.workers)) for server in servers], False),
        ("peak memory of one worker", [f"{server.peak_bytes / _MEBIBYTE:.0f} MiB" for server in servers], False),
    ]
    return Report([server.name for server in servers], rows, broken, surroundings())


def count_fetches(plan: Plan, issuer: Issuer, ledger: Ledger, server: Server) -> tuple[int, int, list[int]]:
    """Count the requests of each process of a server, and what it was allowed in the time between them."""
    made = allowed = 0
    beyond = []
    for pid in {server.process.pid, *server.workers}:
        answers: list[Answer] = [answer for answer in issuer.answers if answer.worker == pid]
        if not answers:
            continue
        first, last = min(answer.began_at for answer in answers), max(answer.began_at for answer in answers)
        failing: list[Stretch] = [
            Stretch(max(outage.begins, first), min(outage.ends, last))
            for outage in (*issuer.outages, *ledger.stalls)
            if outage.begins <= last and first <= outage.ends
        ]
        bound = bound_fetches(plan.policy, last - first, failing)
        made, allowed = made + len(answers), allowed + bound
        if len(answers) > bound:
            beyond.append(pid)
    return made, allowed, beyond


def what_was_not_tried(server: Server, issuer: Issuer, counts: Counter[Verdict]) -> list[str]:
    """Say what a run did not meet: one that met nothing proves nothing."""
    pids = {server.process.pid, *server.workers}
    tried = {
        "nothing was accepted": counts[Verdict.ACCEPTED] > 0,
        "nothing was refused": counts[Verdict.REFUSED] > 0,
        "no worker was recycled": len(server.workers) > 3,
        "no fetch failed": any(answer.status == 503 and answer.worker in pids for answer in issuer.answers),
        "no fetch hung": any(answer.status == 0 and answer.worker in pids for answer in issuer.answers),
        "no rotation was seen": any(answer.forced and answer.worker in pids for answer in issuer.answers),
    }
    return [f"{server.name}: the drill proves nothing, {what}" for what, was_met in tried.items() if not was_met]


def surroundings() -> str:
    """Name machine, versions and date."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = f"{models[0] if models else platform.machine()}, {os.cpu_count()} logical cores, {platform.system()}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {python}, {packages}, {backend.openssl_version_text()}"


def describe(plan: Plan) -> str:
    """Say what was done to the servers, and under which policy."""
    policy = plan.policy
    outages = "; ".join(
        f"from {stretch.begins:.0f} to {stretch.ends:.0f} s it {fault}" for stretch, fault in plan.outages
    )
    storm, flood = plan.storm, plan.flood
    return (
        f"{plan.seconds:.0f} s of load; the issuer signs with a new key every {plan.rotation_seconds:.1f} s and "
        f"withdraws each after three such turns; {outages}; workers are recycled by signals from {storm.begins:.0f} "
        f"to {storm.ends:.0f} s, those of gunicorn also after 500 requests; random key ids from {flood.begins:.0f} to "
        f"{flood.ends:.0f} s, forged and expired tokens all the time. Policy: fresh {policy.fresh_seconds:.1f} s, "
        f"stale {policy.stale_if_error_seconds:.1f} s, {policy.unknown_key_refetches} refetches for unknown keys in "
        f"{policy.unknown_key_window_seconds:.1f} s, {policy.bad_signature_refetches} for a bad signature in "
        f"{policy.bad_signature_window_seconds:.1f} s, pauses {policy.min_backoff_seconds:.2f} to "
        f"{policy.max_backoff_seconds:.1f} s, deadline and waiter limit {policy.flight_deadline_seconds:.0f} s."
    )


def write_text(report: Report) -> str:
    """Write the table for a terminal."""
    width = max(len(name) for name, _, _ in report.rows) + 4
    lines = [" " * width + "".join(f"{column:>22}" for column in report.columns)]
    for name, figures, must_be_zero in report.rows:
        label = f"! {name}" if must_be_zero else f"  {name}"
        lines.append(f"{label:{width}}" + "".join(f"{figure:>22}" for figure in figures))
    return "\n".join([*lines, "", "  ! must be 0", f"  {report.surroundings}"])


def write_markdown(report: Report) -> str:
    """Write the table for the documentation."""
    head = " | ".join(["counted", *report.columns])
    lines = [f"| {head} |", f"| --- |{' ---: |' * len(report.columns)}"]
    for name, figures, must_be_zero in report.rows:
        label = f"**{name}** (must be 0)" if must_be_zero else name
        lines.append(f"| {' | '.join([label, *figures])} |")
    return "\n".join(lines)
