"""The script that builds the environments: what it installs, what it tries again, and what it says if pip fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tool_scripts import TOOLS, load_tool

ROOT = Path(__file__).parents[1]
SCRIPT = TOOLS / "environment.py"


script = load_tool("environment")


class Pip:
    """Stands in for pip: notes each command, and fails for the locks that it is told."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.failing: dict[str, str] = {}

    def __call__(self, command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command[command.index("--python") + 2 :])
        for lock, output in self.failing.items():
            if lock in command:
                return subprocess.CompletedProcess(command, 1, stdout=output)
        return subprocess.CompletedProcess(command, 0, stdout="")

    def installed(self) -> list[str]:
        """The locks that were asked for since the last call, in order."""
        locks = [command[-1] for command in self.commands if "--require-hashes" in command]
        self.commands.clear()
        return locks


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(script.subprocess, "run", pip)
    # The environment of the tests has no pip of its own.
    monkeypatch.setattr(script, "problem_with_this_python", str)
    return pip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two locks; the script runs in its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "one"\n')
    (tmp_path / "dev.txt").write_text("a==1\n")
    (tmp_path / "more.txt").write_text("b==1\n")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["environment.py", *arguments])
    return int(script.main())


DEV = ("env", "dev.txt")
WITH_MORE = (*DEV, "--optional", "more.txt")


@pytest.mark.usefixtures("project")
def test_an_environment_is_built_once(monkeypatch: pytest.MonkeyPatch, pip: Pip) -> None:
    assert run(monkeypatch, *WITH_MORE) == 0
    assert [command[0] for command in pip.commands] == ["install", "install", "check", "install"]
    assert pip.installed() == ["dev.txt", "more.txt"]

    assert run(monkeypatch, *WITH_MORE) == 0
    assert pip.commands == []


def change_lock(project: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "dev.txt").write_text("a==2\n")


def change_project(project: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "two"\n')


def change_script(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = project / "environment.py"
    copy.write_text(SCRIPT.read_text(encoding="utf-8") + "# changed\n")
    monkeypatch.setattr(script, "__file__", str(copy))


@pytest.mark.parametrize("change", [change_lock, change_project, change_script])
def test_an_environment_is_built_again_after_a_change(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    pip: Pip,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    run(monkeypatch, *DEV)
    pip.installed()
    change(project, monkeypatch)

    assert run(monkeypatch, *DEV) == 0
    assert pip.installed() == ["dev.txt"]


def test_a_moved_environment_is_built_again(project: Path, monkeypatch: pytest.MonkeyPatch, pip: Pip) -> None:
    """Its commands name the folder in which it was built."""
    run(monkeypatch, *DEV)
    pip.installed()
    (project / "env").rename(project / "moved")

    assert run(monkeypatch, "moved", "dev.txt") == 0
    assert pip.installed() == ["dev.txt"]


@pytest.mark.usefixtures("project")
def test_only_an_optional_lock_that_failed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    pip.failing = {"more.txt": "no wheel"}
    assert run(monkeypatch, *WITH_MORE) == 0
    assert "NOT INSTALLED: pip could not install more.txt." in capsys.readouterr().out
    pip.installed()

    assert run(monkeypatch, *WITH_MORE) == 0
    assert pip.installed() == ["more.txt"]

    pip.failing = {}
    assert run(monkeypatch, *WITH_MORE) == 0
    assert pip.installed() == ["more.txt"]
    assert run(monkeypatch, *WITH_MORE) == 0
    assert pip.commands == []


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        pytest.param(
            "ERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)",
            "its index refused the request or did not answer",
            id="403 or 404",
        ),
        pytest.param(
            "WARNING: 401 Error, Credentials not correct for https://index.example/simple/a/",
            "its index refused the request or did not answer",
            id="401",
        ),
        pytest.param(
            "WARNING: Retrying after connection broken by 'NewConnectionError'",
            "its index refused the request or did not answer",
            id="no network",
        ),
        pytest.param(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "differs from its hash in dev.txt; it was not installed.",
            id="another file",
        ),
        pytest.param("ERROR: disk full", "pip could not install dev.txt.", id="anything else"),
    ],
)
def test_a_failed_installation_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, pip: Pip, capsys: pytest.CaptureFixture[str], output: str, sentence: str
) -> None:
    pip.failing = {"dev.txt": output + "\n"}

    assert run(monkeypatch, *DEV) == 1
    *printed_by_pip, last = capsys.readouterr().err.splitlines()
    assert printed_by_pip == [output]
    assert sentence in last
    # Not half an environment that passes for a whole one.
    assert run(monkeypatch, *DEV) == 1


def test_a_second_make_waits_for_the_first(project: Path, monkeypatch: pytest.MonkeyPatch, pip: Pip) -> None:
    """Two builds of one folder at once would empty it under each other's hands."""
    monkeypatch.setattr(sys, "argv", ["environment.py", *DEV])
    with script.only_one(Path("env")):
        second = threading.Thread(target=script.main)
        second.start()
        time.sleep(0.2)
        assert pip.commands == []
        assert not (project / "env").exists()
    second.join(10)

    assert pip.installed() == ["dev.txt"]


def test_an_old_python_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script.sys, "version_info", (3, 9, 1))

    assert run(monkeypatch, *DEV) == 1
    assert "aveverify needs Python 3.11 or newer" in capsys.readouterr().err


def pins(name: str) -> set[str]:
    """The versions and hashes of a lock, without its markers."""
    words = (ROOT / "requirements" / name).read_text(encoding="utf-8").split()
    return {word for word in words if "==" in word or word.startswith("--hash=")}


def test_the_demo_runs_on_packages_that_the_tests_run_on() -> None:
    found = pins("demo.txt")

    assert found <= pins("dev.txt")
    assert len([pin for pin in found if "==" in pin]) < 20
