"""The list of wrong changes fits the code, and the script that applies them calls only an assertion a success."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tool_scripts import load_tool

ROOT = Path(__file__).parents[1]
script = load_tool("wrong_changes")
# The dataclass of a script that is no package.
Change = Any
CHANGES: list[Change] = script.read_changes()


def described(change: Change) -> str:
    return f"{change.listed_in}: {change.name}"


every_change = pytest.mark.parametrize("change", CHANGES, ids=described)


@cache
def functions_of(file: str) -> frozenset[str]:
    """The tests of a file, those of a class with its name before them, and its classes; the empty name is the file."""
    found = {""}
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}::{below.name}" for below in node.body if isinstance(below, ast.FunctionDef)}
    return frozenset(found)


@every_change
def test_a_change_can_be_applied(change: Change) -> None:
    script.apply(change, ROOT)


@every_change
def test_every_test_of_a_change_exists(change: Change, request: pytest.FixtureRequest) -> None:
    collected = {item.nodeid for item in request.session.items}
    files = {nodeid.partition("::")[0] for nodeid in collected}
    for test in change.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in functions_of(file), test
        # In a run of the whole suite the id of a case can be looked up, too.
        assert "[" not in name or file not in files or test in collected, test
    assert change.tests


def test_no_two_changes_have_one_name() -> None:
    names = [described(change) for change in CHANGES]

    assert sorted(set(names)) == sorted(names)


GOOD = script.Change("It breaks.", "file.py", "a = 1", "a = 2", ("tests/t.py::test_one", "tests/t.py::test_two"), "l")


@pytest.mark.parametrize(
    ("text", "new", "problem"),
    [
        pytest.param("b = 1\n", "a = 2", "stands 0 times", id="gone"),
        pytest.param("a = 1\na = 1\n", "a = 2", "stands 2 times", id="twice"),
        pytest.param("a = 1\n", "a = 1", "the new text is the old one", id="no change"),
        pytest.param(None, "a = 2", "does not exist", id="no file"),
    ],
)
def test_a_change_that_does_not_fit_is_an_error(tmp_path: Path, text: str | None, new: str, problem: str) -> None:
    if text is not None:
        (tmp_path / "file.py").write_text(text)
    change = script.Change(GOOD.name, GOOD.file, GOOD.old, new, GOOD.tests, GOOD.listed_in)

    with pytest.raises(script.ChangeError, match=problem):
        script.apply(change, tmp_path)


def test_a_change_replaces_the_old_text(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("x\na = 1\ny\n")

    assert script.apply(GOOD, tmp_path) == "x\na = 2\ny\n"


@pytest.mark.parametrize(
    ("code", "output", "problem"),
    [
        pytest.param(1, "FAILED tests/t.py::test_one[x] - assert\nFAILED tests/t.py::test_two\n", "", id="all fail"),
        pytest.param(0, "2 passed", "the tests pass", id="none fails"),
        pytest.param(1, "FAILED tests/t.py::test_one - assert\n", "these tests pass: tests/t.py::test_two", id="one"),
        pytest.param(
            1,
            "FAILED tests/t.py::test_one\nFAILED tests/t.py::test_two_more\n",
            "these tests pass: tests/t.py::test_two",
            id="a longer name",
        ),
        pytest.param(1, "ERROR tests/t.py::test_one - x\nFAILED tests/t.py::test_two\n", "cannot be run", id="fixture"),
        pytest.param(2, "ERROR tests/t.py\n", "cannot be run (exit code 2)", id="collection"),
        pytest.param(4, "ERROR: not found: tests/t.py::test_one\n", "cannot be run (exit code 4)", id="no such test"),
        pytest.param(
            1,
            "FAILED tests/t.py::test_one - Failed: Timeout (>30.0s) from pytest.\nFAILED tests/t.py::test_two\n",
            "did not end within 30 seconds",
            id="a test waits for ever",
        ),
        pytest.param(None, "", "did not end within 120 seconds", id="the run waits for ever"),
    ],
)
def test_only_assertions_notice_a_change(code: int | None, output: str, problem: str) -> None:
    found = script.problem_of(GOOD, code, output)

    assert problem in found
    assert bool(found) is bool(problem)
