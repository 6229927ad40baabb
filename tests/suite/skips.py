"""Prints at the end of a run what did not run: one line for each missing thing, and one for each other reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pytest

# What `skip_missing` writes.
_MISSING = re.compile(r"NOT RUN: (\S+)")


def count_skips(reasons: Iterable[str]) -> list[str]:
    """One line for each missing thing with its number of tests, then one for each other reason."""
    missing: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for reason in reasons:
        text = reason.removeprefix("Skipped: ")
        found = _MISSING.match(text)
        if found:
            missing[found[1]] += 1
        else:
            others[text] += 1
    return [
        *(f"NOT RUN: {name} {count}" for name, count in sorted(missing.items())),
        *(f"SKIPPED: {reason} ({count})" for reason, count in sorted(others.items())),
    ]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # For a skipped test or file: its path, its line, and the reason.
    return report.longrepr[2] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = count_skips(map(_reason, terminalreporter.stats.get("skipped", [])))
    if lines:
        terminalreporter.section("not run")
        for line in lines:
            terminalreporter.line(line)
