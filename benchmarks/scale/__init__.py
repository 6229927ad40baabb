"""What happens when there is more of something: processes, threads, tokens, providers, keys, bytes.

Each file measures one kind of more, and gives a table; `benchmarks.charts` draws those that are curves.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.run import Extent, Run


@dataclass(frozen=True, slots=True)
class Curve:
    """One table of measurements.

    Attributes:
        title: What it shows, and under which conditions.
        columns: The names of its columns.
        rows: Its rows.
    """

    title: str
    columns: list[str]
    rows: list[list[object]]


def add_curve(run: Run, curve: Curve) -> None:
    """Add a table to a run."""
    run.curves[curve.title] = {"columns": curve.columns, "rows": curve.rows}


def measure(run: Run, extent: Extent) -> None:
    """Measure everything that scales."""
    from benchmarks.scale import parallel, providers, sizes, tokens

    for curve in (*parallel.curves(extent), *tokens.curves(extent), *providers.curves(extent), *sizes.curves(extent)):
        add_curve(run, curve)
