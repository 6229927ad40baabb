"""`Curve`: one table of measurements that is neither a case nor a ratio."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.run import Run


@dataclass(frozen=True, slots=True)
class Curve:
    """One table of measurements.

    Attributes:
        title: What it measures, and under which conditions.
        columns: The names of its columns.
        rows: Its rows.
    """

    title: str
    columns: list[str]
    rows: list[list[object]]


def add_curve(run: Run, curve: Curve) -> None:
    """Add a table to a run."""
    run.curves[curve.title] = {"columns": curve.columns, "rows": curve.rows}
