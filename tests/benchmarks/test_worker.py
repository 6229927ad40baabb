"""The process of a lane, over its pipe: its cases, what it refuses to time, and its end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.corpus import Corpus, serve_corpus
from benchmarks.lanes import STANDARD, Lane
from benchmarks.pool import run_workers
from benchmarks.run import Extent, Run, run_suite

AT_ONCE = Extent(rounds=2, tokens=2, slice_ns=1, is_smoke=True)
NAMES = ("RS256-2048", "EdDSA")


@pytest.fixture
def corpus() -> Iterator[Corpus]:
    with serve_corpus(2, NAMES) as made:
        yield made


def test_a_lane_times_its_cases_and_ends_with_its_input(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    corpus.write(path)
    with run_workers("verification", [Lane("standard", peers=("pyjwt", "no_such_peer"))], path) as (worker,):
        assert worker.time(worker.keys.index("cold | RS256-2048 | PyJWT"), 2) > 0
        assert worker.time(worker.keys.index("entrance | verify_async | aveverify"), 2) > 0
        assert worker.description["strictness"]["aveverify"]["second spelling"] is True
        absent = {row["name"] for row in worker.description["absent"]}
        # The other backend is no dependency of the tests.
        assert absent - {"limit | RS256-2048 | AWS-LC"} == {"no_such_peer"}
    assert worker.process.returncode == 0


def test_a_lane_of_one_group_offers_nothing_else(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    corpus.write(path)
    with run_workers("verification", [Lane("peers", groups=("limit",))], path) as (worker,):
        assert {case["group"] for case in worker.description["cases"]} == {"limit"}


def test_a_token_that_does_not_do_what_its_case_says_stops_the_run(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    corpus.refused["expired"] = corpus.tokens["RS256-2048"]
    corpus.write(path)
    with (
        pytest.raises(RuntimeError, match="ended with code 1"),
        run_workers("verification", [Lane("standard")], path),
    ):
        pytest.fail("it was offered for timing")


def test_every_framework_lets_a_good_token_in_and_keeps_a_wrong_one_out() -> None:
    run = Run()
    run_suite(run, "frameworks", [STANDARD], AT_ONCE)
    groups = {result.group for result in run.results}
    assert groups == {"Starlette", "FastAPI", "Flask", "Django, WSGI", "Django, ASGI"}
    assert all(result.ratios["bare"] > 0 for result in run.results)


def test_a_nameless_suite_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises((RuntimeError, subprocess.SubprocessError), match="ended with code 2"),
        run_workers("no such suite", [Lane("standard")], tmp_path),
    ):
        pytest.fail("it was offered for timing")
