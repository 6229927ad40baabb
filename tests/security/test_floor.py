"""What holds for every test: warnings are errors, and the oldest dependencies that are allowed are run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def recipe_of(target: str) -> list[str]:
    """What the lines of a target run as a module of Python."""
    recipe = MAKEFILE.split(f"\n{target}:", 1)[1].split("\n\n", 1)[0]
    return [line.partition(" -m ")[2] for line in recipe.splitlines()[1:]]


def needs_of(target: str) -> list[str]:
    """The targets that a target runs first."""
    return MAKEFILE.split(f"\n{target}:", 1)[1].partition("##")[0].split()


def test_every_warning_is_an_error(pytestconfig: pytest.Config) -> None:
    """ERR-008: in all tests, and so on every path that a vector takes."""
    assert pytestconfig.getini("filterwarnings")[0] == "error"


def test_the_oldest_lane_runs_all_tests_on_the_floors_of_the_project() -> None:
    """ERR-009: the lock of the lane holds exactly the lowest versions that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = dict(re.findall(r"^([A-Za-z]+)>=([\d.]+)$", "\n".join(project["dependencies"]), re.MULTILINE))
    assert len(floors) == len(project["dependencies"])
    lock = (ROOT / "requirements" / "oldest.txt").read_text(encoding="utf-8").lower()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", lock, re.MULTILINE))
    assert {name: pinned[name.lower()] for name in floors} == floors
    # Before a release all but the proxies' files, on which no package of the lock has an effect; before each change the
    # core and the vectors.
    assert recipe_of("oldest") == ["pytest $(SIDE_BY_SIDE) --ignore tests/servers/proxies"]
    assert recipe_of("core-oldest") == ["pytest $(SIDE_BY_SIDE) $(CORE)"]
    assert re.search(r"^CORE := tests/core tests/conformance$", MAKEFILE, re.MULTILINE)
    assert "oldest" in needs_of("release-check")
    assert "core-oldest" in needs_of("check")
