"""The tables: the same cells on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.goals import goal_of, lead_of
from benchmarks.measure import Result
from benchmarks.run import Run

Row = Sequence[str]
# From here on `.3g` would print an exponent.
_EXPONENT_FROM = 1000
# In the order of the tables; a group without results has no table.
GROUPS = {
    "limit": "The limits: what everything is divided by",
    "cold": "Cold: every token is new, its key is known",
    "policy": "Cold, under other configurations",
    "entrance": "Cold, through the other entrances",
    "warm": "Warm: the token was seen before",
    "refused": "Refused",
    "Starlette": "One request to Starlette, in process",
    "FastAPI": "One request to FastAPI, in process",
    "Flask": "One request to Flask, in process",
    "Django, WSGI": "One request to Django's WSGI handler, in process",
    "Django, ASGI": "One request to Django's ASGI handler, in process",
}
# Fewer show that the cases run, and are no measurement of anything.
MEANINGFUL_ROUNDS = 10
# The case that summaries are about: by far the most common key.
MAIN = "RS256-2048"
COLUMNS = {"raw": "to raw", "sha256": "to sha256", "aveverify": "to aveverify", "bare": "to bare"}


def tables(run: Run) -> list[tuple[str, list[Row]]]:
    """Every table of a run: a title, and rows of which the first is the head."""
    found = []
    for group, title in GROUPS.items():
        results = [it for it in run.results if it.group == group]
        if results:
            found.append((title, measured(results, with_goals=run.rounds >= MEANINGFUL_ROUNDS)))
    if run.strictness:
        found.append(("Do they do the same work? What each refuses", strictness(run)))
    for name, curve in run.curves.items():
        found.append((name, [curve["columns"], *([cell(value) for value in row] for row in curve["rows"])]))
    if run.absent:
        # One row for each reason: several lanes may give the same.
        rows = dict.fromkeys((it.name, it.reason) for it in run.absent)
        found.append(("Without a figure", [("what", "why"), *rows]))
    if run.notes:
        found.append(("Notes", [("contestant", "to be known"), *sorted(run.notes.items())]))
    return found


def measured(results: Sequence[Result], *, with_goals: bool) -> list[Row]:
    """The rows of one group, the settings together, the fastest of each first."""
    columns = [it for it in COLUMNS if any(it in result.ratios for result in results)]
    has_goals = with_goals and any(goals(result) for result in results)
    head = ("setting", "who", "environment", "q1 µs", "median µs", "q3 µs")
    rows: list[Row] = [(*head, *(COLUMNS[it] for it in columns), *(["goal"] if has_goals else []))]
    order = list(dict.fromkeys(result.setting for result in results))
    for result in sorted(results, key=lambda it: (order.index(it.setting), it.quartiles_us[1])):
        ratios = [cell(result.ratios.get(column)) for column in columns]
        names = (result.setting, result.contestant, result.lane)
        rows.append((*names, *map(cell, result.quartiles_us), *ratios, *([goals(result)] if has_goals else [])))
    return rows


def goals(result: Result) -> str:
    """What the ratios of a case are meant to be, and which of them are not."""
    words = []
    for column, ratio in result.ratios.items():
        limit = goal_of(result, column)
        if limit is not None:
            words.append(f"{'≤' if ratio <= limit else 'OVER'} {limit:g} {column}")
    lead = lead_of(result)
    if lead is not None:
        words.append(f"{'≥' if result.ratios['aveverify'] >= lead else 'UNDER'} {lead:g} aveverify")
    return ", ".join(words)


def strictness(run: Run) -> list[Row]:
    """The wrong tokens that each contestant refuses."""
    flaws = list(next(iter(run.strictness.values())))
    rows: list[Row] = [("contestant", *flaws)]
    rows += [
        (name, *("yes" if refused[flaw] else "accepts" for flaw in flaws)) for name, refused in run.strictness.items()
    ]
    return rows


def cell(value: object) -> str:
    """A value as it is printed: a run reproduces three significant digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < _EXPONENT_FROM else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def surroundings(run: Run) -> list[Row]:
    """The machine, and what differs between the lanes."""
    rows: list[Row] = [("", *run.lanes)]
    rows += [(name, value, *([""] * (len(run.lanes) - 1))) for name, value in run.machine.items()]
    rows.append(("rounds", str(run.rounds), *([""] * (len(run.lanes) - 1))))
    names = dict.fromkeys(name for about in run.lanes.values() for name in about)
    rows += [(name, *(about.get(name, "") for about in run.lanes.values())) for name in names]
    return rows


def as_text(run: Run) -> str:
    """All tables for a terminal."""
    parts = []
    for title, rows in [("Measured on", surroundings(run)), *tables(run)]:
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([title, *(f"  {line}" for line in lines)]))
    return "\n\n".join(parts)


def as_markdown(run: Run) -> str:
    """All tables for a page."""
    parts = []
    for title, rows in [*tables(run), ("Measured on", surroundings(run))]:
        head, *body = rows
        lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in body]
        parts.append("\n".join([f"### {title}", "", *lines]))
    return "\n\n".join(parts) + "\n"


def as_summary(run: Run) -> str:
    """The table of the cold and warm RS256-2048 cases, with one line about the machine, for the page on performance."""
    chosen = [it for it in run.results if (it.group, it.setting) in (("cold", MAIN), ("warm", MAIN))]
    rows = [("who", "environment", "token", "median µs", "to raw")]
    rows += [
        (it.contestant, it.lane, it.group, cell(it.quartiles_us[1]), cell(it.ratios.get("raw")))
        for it in sorted(chosen, key=lambda it: it.quartiles_us[1])
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "| --- | --- | --- | ---: | ---: |")
    python = next(iter(run.lanes.values())).get("Python", "")
    about = f"RS256-2048, {run.rounds} rounds, {run.machine['date']}, {run.machine['machine']}, {python}."
    return "\n".join([about, "", *lines]) + "\n"
