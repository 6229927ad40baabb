"""The script that finds another Python, and fails where a required one is missing."""

from __future__ import annotations

import sys

import pytest

from tests.tool_scripts import load_tool

script = load_tool("find_python")
HERE = f"3.{sys.version_info[1]}"
NEXT, AFTER_NEXT = (f"3.{sys.version_info[1] + step}" for step in (1, 2))


class Machine:
    """A machine with certain versions: `ask` returns the exit code and what the script prints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def ask(self, arguments: str, *, installed: str, required: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["find_python.py", *arguments.split()])
        self._monkeypatch.setattr(script, "find", lambda version: f"/{version}" if version in installed else None)
        self._monkeypatch.setenv("AVEVERIFY_REQUIRE", required)
        code: int = script.main()
        out, err = self._capsys.readouterr()
        return code, out.strip(), err.strip()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Machine:
    return Machine(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "installed", "required", "expected"),
    [
        pytest.param("--own", "", "", (0, HERE, ""), id="its own version"),
        pytest.param(NEXT, NEXT, "", (0, f"/{NEXT}", ""), id="found"),
        pytest.param(NEXT, "", "redis", (1, "", f"NOT RUN: py{NEXT}"), id="missing"),
        pytest.param(
            NEXT, "", f"redis, py{NEXT}", (2, "", f"NOT RUN: py{NEXT}; AVEVERIFY_REQUIRE requires it"), id="required"
        ),
        pytest.param(f"--newest {HERE} {NEXT} {AFTER_NEXT}", f"{HERE} {NEXT}", "", (0, NEXT, ""), id="the newest"),
        pytest.param(
            f"--newest {AFTER_NEXT} {NEXT}", f"{NEXT} {AFTER_NEXT}", "", (0, AFTER_NEXT, ""), id="in another order"
        ),
        pytest.param(
            f"--newest {HERE} {NEXT}", HERE, "", (1, "", f"NOT RUN: a Python newer than {HERE}"), id="none is newer"
        ),
        pytest.param(
            f"--newest {NEXT} {AFTER_NEXT}",
            NEXT,
            f"py{AFTER_NEXT}",
            (2, "", f"NOT RUN: py{AFTER_NEXT}; AVEVERIFY_REQUIRE requires it"),
            id="the required one is missing",
        ),
    ],
)
def test_it_answers(
    machine: Machine, arguments: str, installed: str, required: str, expected: tuple[int, str, str]
) -> None:
    assert machine.ask(arguments, installed=installed, required=required) == expected
