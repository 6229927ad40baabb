"""All measurements of scale, one after the other."""

from __future__ import annotations

from benchmarks.curve import add_curve
from benchmarks.run import Extent, Run
from benchmarks.scale import parallel, providers, sizes, tokens


def measure(run: Run, extent: Extent) -> None:
    """Measure everything that scales."""
    for curve in (*parallel.curves(extent), *tokens.curves(extent), *providers.curves(extent), *sizes.curves(extent)):
        add_curve(run, curve)
