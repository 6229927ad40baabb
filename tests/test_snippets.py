"""The pages show the code that is tested: `make snippets` copies it into them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.snippets import MARKED, pages, renewed, source_of

ROOT = Path(__file__).parents[1]
RECIPES = [
    f"<!-- from tests/examples/test_{name}_recipe.py: recipe -->"
    for name in ("starlette", "fastapi", "litestar", "flask", "django", "drf")
]


def test_no_page_is_stale() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "tests.snippets", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_changed_block_is_rewritten() -> None:
    page = (ROOT / "examples" / "same_user" / "README.md").read_text(encoding="utf-8")
    changed = page.replace("ON CONFLICT", "ON ACCIDENT")
    assert changed != page
    assert renewed(changed) == page


@pytest.mark.parametrize(
    ("file", "region"), [("examples/nowhere.py", None), ("examples/flask_app.py", "nowhere")], ids=["file", "region"]
)
def test_a_marker_without_a_source_is_an_error(file: str, region: str | None) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        source_of(file, region)


def test_every_marker_stands_above_a_block() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- from ") == len(MARKED.findall(text)), page


@pytest.mark.parametrize("marker", RECIPES)
def test_the_page_on_testing_shows_every_framework_in_few_lines(marker: str) -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    block = page.split(marker, 1)[1].split("```")[1]
    lines = [line for line in block.splitlines()[1:] if line.strip()]
    assert 0 < len(lines) < 15, lines
