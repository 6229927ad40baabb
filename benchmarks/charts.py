"""The pictures: bars for one verification, curves for what scales. Needs matplotlib, and reads nothing but a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.measure import Result
from benchmarks.run import Run

# A backend that needs no screen.
plt.switch_backend("Agg")
mpl.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "aveverify", "axes.axisbelow": True})

_TIMES = "\N{MULTIPLICATION SIGN}"
OURS, WARM, PEER, LIMIT = "#0b6e99", "#63b3d1", "#b4b8bd", "#c0392b"
Axes = Any


def save(figure: Any, stem: Path) -> None:
    """Write one picture twice: for the page, and for where SVG is not shown."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    # Without a date in the file, the same figures give the same bytes.
    figure.savefig(stem.with_suffix(".svg"), bbox_inches="tight", metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"), bbox_inches="tight", dpi=160)
    plt.close(figure)


def draw_verification(run: Run, stem: Path, wanted: tuple[str, ...]) -> None:
    """Bars: what one verification costs as a multiple of the bare signature check, for each algorithm.

    Args:
        run: What was measured.
        stem: The path of the picture, without its suffix.
        wanted: Which keys, each in a panel of its own.
    """
    settings = [it for it in wanted if any((r.group, r.setting) == ("cold", it) for r in run.results)]
    if not settings:
        return
    chosen = {setting: bars_of(run, setting) for setting in settings}
    heights = [len(bars) for bars in chosen.values()]
    figure, plots = plt.subplots(
        len(settings), 1, figsize=(8, 0.27 * sum(heights) + 1.6), squeeze=False, height_ratios=heights, sharex=True
    )
    widest = max(ratio_of(bar) for bars in chosen.values() for bar in bars)
    for (setting, bars), axes in zip(chosen.items(), plots[:, 0], strict=True):
        draw_bars(axes, setting, bars, widest)
    plots[-1, 0].set_xlabel("time of one verification, as a multiple of the bare signature check (red line)")
    about = f"{run.machine['machine']} · {next(iter(run.lanes.values()))['Python']} · {run.machine['date']}"
    figure.suptitle(f"Verifying a token: signature, iss, aud, exp\n{about}", fontsize=10)
    figure.tight_layout()
    save(figure, stem)


def bars_of(run: Run, setting: str) -> list[Result]:
    """The cold verification of every contestant and our warm one, the fastest first."""
    own = ("aveverify",)
    chosen = [
        it
        for it in run.results
        if (it.group, it.setting) == ("cold", setting)
        and not (it.contestant in own and it.lane not in ("standard", "fast"))
    ]
    chosen += [it for it in run.results if (it.group, it.setting, it.lane) == ("warm", setting, "standard")]
    return sorted(chosen, key=ratio_of)


def ratio_of(result: Result) -> float:
    """Its multiple of the bare check."""
    return result.ratios["raw"]


def label_of(result: Result) -> str:
    """The text beside its bar."""
    if result.contestant != "aveverify":
        suffix = "" if result.lane == "standard" else f" ({result.lane})"
        return result.contestant + suffix
    if result.group == "warm":
        return "aveverify, token seen before"
    return "aveverify" if result.lane == "standard" else "aveverify[fast]"


def draw_bars(axes: Axes, setting: str, bars: list[Result], widest: float) -> None:
    """One panel."""
    colours = [(WARM if bar.group == "warm" else OURS) if bar.contestant == "aveverify" else PEER for bar in bars]
    ratios = [ratio_of(bar) for bar in bars]
    places = range(len(bars))
    axes.barh(places, ratios, color=colours, height=0.72)
    axes.set_yticks(places, [label_of(bar) for bar in bars])
    axes.invert_yaxis()
    axes.axvline(1, color=LIMIT, linewidth=1, zorder=0.5)
    axes.set_xlim(0, widest * 1.22)
    for place, bar, ratio in zip(places, bars, ratios, strict=True):
        text = f"{ratio:.2f} {_TIMES} ({bar.quartiles_us[1]:.3g} µs)"
        box = {"color": "white", "pad": 0.6, "linewidth": 0}
        axes.text(ratio + widest * 0.012, place, text, va="center", fontsize=8, bbox=box)
    axes.set_title(setting, loc="left", fontsize=10, fontweight="bold")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)


def draw_scale(run: Run, stem: Path) -> None:
    """Curves: whatever of the measurements of scale the run holds, one panel for each."""
    found = [
        (title, curve, draw) for title, curve in run.curves.items() for mark, draw in PANELS.items() if mark in title
    ]
    if not found:
        return
    lines = (len(found) + 1) // 2
    figure, plots = plt.subplots(lines, 2, figsize=(11, 3.6 * lines), squeeze=False)
    for axes in plots.flat[len(found) :]:
        axes.set_visible(False)
    for (title, curve, draw), axes in zip(found, plots.flat, strict=False):
        axes.set_title(title.partition(", ")[0], loc="left", fontsize=10)
        draw(axes, curve["columns"], curve["rows"])
        axes.grid(visible=True, which="major", color="#e4e6e8", linewidth=0.6)
        axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    save(figure, stem)


def draw_lines(axes: Axes, rows: list[list[Any]], x: int, y: int, name: int) -> None:
    """One line for each value of a column."""
    for label in dict.fromkeys(row[name] for row in rows):
        own = [row for row in rows if row[name] == label]
        axes.plot([row[x] for row in own], [row[y] for row in own], marker="o", markersize=3, label=str(label))


def parallel(axes: Axes, columns: list[str], rows: list[list[Any]]) -> None:
    """Throughput against workers, as a multiple of one; what is only computed is left out."""
    measured = [row for row in rows if row[-1] != "extrapolated"]
    draw_lines(axes, measured, 1, 3, 0)
    numbers = sorted({row[1] for row in measured})
    axes.plot(numbers, numbers, color=PEER, linestyle=":", label="linear")
    axes.set(xlabel=columns[1], ylabel="throughput, as a multiple of one", ylim=(0, None), xticks=numbers)


def reuse(axes: Axes, columns: list[str], rows: list[list[Any]]) -> None:
    """Hit rate against users."""
    draw_lines(axes, rows, 1, 4, 0)
    axes.set(xlabel=columns[1], ylabel="hit rate", xscale="log", ylim=(0, 1.05))


def by_number(axes: Axes, columns: list[str], rows: list[list[Any]]) -> None:
    """Microseconds against a number of something, one line for each further column."""
    for place, column in enumerate(columns[1:], start=1):
        axes.plot([row[0] for row in rows], [row[place] for row in rows], marker="o", markersize=3, label=column)
    axes.set(xlabel=columns[0], ylabel="µs", xscale="log")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)


def by_size(axes: Axes, columns: list[str], rows: list[list[Any]]) -> None:
    """Microseconds against bytes."""
    smallest, others = rows[0], rows[1:]
    draw_lines(axes, [[label, *smallest[1:]] for label in dict.fromkeys(row[0] for row in others)] + others, 1, 2, 0)
    axes.set(xlabel=columns[1], ylabel="µs", xlim=(0, None), ylim=(0, None))


def shapes(axes: Axes, columns: list[str], rows: list[list[Any]]) -> None:
    """Microseconds against size; only the most expensive shapes, or the lines cannot be told apart."""
    places = [place for place, column in enumerate(columns) if column.startswith("µs at ")]
    sizes = [int(columns[place].split()[2]) for place in places]
    for row in sorted(rows, key=lambda row: -float(row[places[-1]]))[:8]:
        axes.plot(sizes, [row[place] for place in places], marker="o", markersize=3, label=row[0])
    axes.set(xlabel="KiB", ylabel="µs", xlim=(0, None), ylim=(0, None))


# A panel for each table whose title holds these words.
PANELS: dict[str, Callable[[Axes, list[str], list[list[Any]]], None]] = {
    "against processes": parallel,
    "against threads": parallel,
    "Token cache of": reuse,
    "by the number of providers": by_number,
    "by the number of keys": by_number,
    "by the size of the token": by_size,
    "Shapes made to be expensive": shapes,
}
