"""CONTRIBUTING.md shows the house as it is: its tree equals the files, and every file that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.package_tree import PACKAGE, first_sentence, paths_in, tree

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHOWN = re.search(r"<!-- tree of aveverify -->\n```text\n(.*?)```", PAGE, re.DOTALL)
FOLDERS = "aveverify|benchmarks|deploy|docs|drill|examples|tests|tools"
# NAME stands for the name of a framework.
NAMED = sorted({path for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", PAGE) if "NAME" not in path})


def test_the_tree_names_every_module_once_and_nothing_else() -> None:
    assert SHOWN is not None
    shown = paths_in(SHOWN[1])
    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    packages = {f"{path.parent.relative_to(PACKAGE)}/" for path in PACKAGE.glob("*/**/__init__.py")}

    assert sorted(shown) == sorted(files | packages), "run `make snippets`"


def test_the_tree_has_the_first_sentence_of_every_docstring() -> None:
    assert SHOWN is not None
    assert SHOWN[1] == tree(), "run `make snippets`"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_first_sentence_of_a_module_fits_on_one_line(file: Path) -> None:
    sentence = first_sentence(file)

    assert sentence, f"{file} has no docstring"
    assert len(sentence) <= 120, sentence


@pytest.mark.parametrize("path", NAMED)
def test_a_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists(), f"CONTRIBUTING.md names {path}, which does not exist"


def test_the_paths_of_a_tree_are_read_from_its_indentation() -> None:
    text = "house/      top\n  door.py   one\n  attic/    two\n    box.py  three\n  cellar/   four\n    a.py    five\n"

    assert paths_in(text) == ["door.py", "attic/", "attic/box.py", "cellar/", "cellar/a.py"]
