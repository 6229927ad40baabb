"""`Run`: all results of one measurement, and the driver that produces them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.case import UnexpectedOutcomeError
from benchmarks.contestants import Absent
from benchmarks.corpus import serve_corpus
from benchmarks.lanes import FAST, Lane
from benchmarks.machine import RUNS_ON, STANDARD_LIBRARY, describe_machine
from benchmarks.measure import SLICE_NS, Result, sum_up, time_rounds
from benchmarks.pool import Worker, run_workers


@dataclass(slots=True)
class Run:
    """The outcome of one command.

    Attributes:
        machine: Processor, system, day.
        lanes: For each lane its interpreter and versions.
        rounds: How many.
        results: What the cases cost.
        absent: Rows without a figure, and why.
        strictness: For each contestant, the wrong tokens that it refuses.
        notes: Remarks on a contestant.
        curves: What the measurements of scale and of the start found, by name.
    """

    machine: dict[str, str] = field(default_factory=describe_machine)
    lanes: dict[str, dict[str, str]] = field(default_factory=dict)
    rounds: int = 0
    results: list[Result] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    strictness: dict[str, dict[str, bool]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        members = json.loads(path.read_text(encoding="utf-8"))
        results = [Result(**it) for it in members.pop("results")]
        absent = [Absent(**it) for it in members.pop("absent")]
        return cls(results=results, absent=absent, **members)


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a measurement takes.

    Attributes:
        rounds: How many rounds.
        tokens: How many distinct tokens of each kind.
        slice_ns: About how long one case takes in one round.
        is_smoke: Whether its figures mean nothing.
    """

    rounds: int
    tokens: int
    slice_ns: int = SLICE_NS
    is_smoke: bool = False


SMOKE = Extent(rounds=2, tokens=4, slice_ns=200_000, is_smoke=True)
SHORT = Extent(rounds=151, tokens=256)
FULL = Extent(rounds=601, tokens=512)


def run_suite(run: Run, suite: str, lanes: list[Lane], extent: Extent) -> None:
    """Measure one suite in every lane, and add the results to a run.

    Args:
        run: Where the results go.
        suite: Which.
        lanes: In which processes.
        extent: How long.
    """
    with tempfile.TemporaryDirectory() as folder, serve_corpus(extent.tokens) as corpus:
        path = Path(folder) / "corpus.json"
        corpus.write(path)
        with run_workers(suite, lanes, path) as workers:
            readings = time_rounds(workers, extent.rounds, extent.slice_ns)
            for worker, own in zip(workers, readings, strict=True):
                add_lane(run, worker, own)
    run.rounds = extent.rounds


def add_lane(run: Run, worker: Worker, readings: list[list[int]]) -> None:
    """Add the description and the results of one process."""
    said = worker.description
    uses_extra = said["about"][RUNS_ON] != STANDARD_LIBRARY
    if uses_extra and worker.lane.name != FAST.name:
        raise UnexpectedOutcomeError(f"lane {worker.lane.name}", STANDARD_LIBRARY, said["about"][RUNS_ON])
    if worker.lane.name == FAST.name and not uses_extra:
        run.absent.append(
            Absent("environment fast", "measured, but this package makes no use of the extra: see its figures")
        )
    run.lanes[worker.lane.name] = said["about"]
    cases = [{part: it[part] for part in ("group", "setting", "contestant")} for it in said["cases"]]
    run.results += sum_up(worker.lane.name, cases, [it["baselines"] for it in said["cases"]], readings)
    run.absent += [Absent(**it) for it in said["absent"]]
    for contestant, refused in said["strictness"].items():
        known = run.strictness.get(contestant, refused)
        run.strictness[contestant] = {flaw: known[flaw] and refused[flaw] for flaw in refused}
    run.notes |= said["notes"]
