"""Tables and goals show what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contestants import Absent
from benchmarks.goals import goal_of, lead_of
from benchmarks.measure import Result
from benchmarks.report import as_markdown, as_summary, as_text
from benchmarks.run import Run


def result(contestant: str, ratio: float, *, lane: str = "standard", group: str = "cold") -> Result:
    return Result(lane, group, "RS256-2048", contestant, (1.0, 2.0, 3.0), {"raw": ratio, "aveverify": ratio})


@pytest.fixture
def run() -> Run:
    return Run(
        lanes={"standard": {"Python": "CPython"}},
        rounds=100,
        results=[result("aveverify", 1.4), result("PyJWT", 4.0), result("joserfc", 1.5)],
        absent=[Absent("ryjwt", "not measured: needs Python 3.12")],
        strictness={"PyJWT": {"no exp": True, "padded signature": False}},
        curves={"Threads": {"columns": ["threads", "to one"], "rows": [[1, 1.0], [2, 0.68]]}},
    )


@pytest.mark.parametrize("as_words", [as_text, as_markdown], ids=["text", "markdown"])
def test_whatever_was_not_measured_is_shown_with_its_reason(run: Run, as_words: object) -> None:
    assert callable(as_words)
    assert "needs Python 3.12" in as_words(run)


def test_a_check_that_a_peer_does_not_make_is_named_neutrally(run: Run) -> None:
    assert "| PyJWT | yes | accepts |" in as_markdown(run)


def test_a_goal_that_is_missed_says_so(run: Run) -> None:
    text = as_text(run)
    assert "≤ 1.45 raw" in text
    assert "≥ 2.7 aveverify" in text
    assert "UNDER 1.6 aveverify" in text


def test_a_run_of_a_few_rounds_misses_no_goal(run: Run) -> None:
    run.rounds = 2
    assert "1.45 raw" not in as_text(run)


def test_the_lanes_have_goals_of_their_own() -> None:
    assert goal_of(result("aveverify", 1.0), "raw") == 1.45
    assert goal_of(result("aveverify", 1.0, lane="fast"), "raw") == 1.25
    assert goal_of(result("aveverify", 1.0, lane="Python 3.12"), "raw") is None
    assert goal_of(result("PyJWT", 1.0), "raw") is None


def test_a_lead_is_asked_for_only_where_it_was_set() -> None:
    assert lead_of(result("PyJWT", 4.0)) == 2.7
    assert lead_of(result("PyJWT", 4.0, group="refused")) is None


def test_a_run_comes_back_from_its_file_with_the_same_tables(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "results.json")
    assert as_markdown(Run.read(tmp_path / "results.json")) == as_markdown(run)


def test_the_summary_puts_the_fastest_first(run: Run) -> None:
    run.results = [result("slow", 4.0), Result("fast", "cold", "RS256-2048", "quick", (0.1, 0.2, 0.3), {"raw": 0.1})]
    summary = as_summary(run)
    assert summary.index("quick") < summary.index("slow")
