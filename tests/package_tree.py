"""The tree of the package as CONTRIBUTING.md shows it: every module once, with the first sentence of its docstring.

`make snippets` writes it anew. To change a line, change the docstring.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "aveverify"
# From the bottom of the house to its top; a package that is not named here follows.
ORDER = ("errors", "_core", "_jwks", "_http", "fastapi", "litestar", "flask", "django", "drf", "testing", "cli")
INDENT = "  "


def tree() -> str:
    """Return the tree as text, one line per module or package, names in one column."""
    lines = [(f"{PACKAGE.name}/", first_sentence(PACKAGE / "__init__.py")), *_below(PACKAGE, INDENT)]
    width = max(len(name) for name, _ in lines) + 2
    return "".join(f"{name:<{width}}{sentence}\n" for name, sentence in lines)


def _below(folder: Path, indent: str) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("*.py"), key=lambda file: (not file.name.startswith("_"), file.name)):
        if file.name != "__init__.py":
            yield f"{indent}{file.name}", first_sentence(file)
    packages = [path.parent for path in folder.glob("*/__init__.py")]
    for package in sorted(packages, key=lambda path: (_rank(path.name), path.name)):
        yield f"{indent}{package.name}/", first_sentence(package / "__init__.py")
        yield from _below(package, indent + INDENT)


def _rank(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def first_sentence(file: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<!e\.g)\.(?: |$)", paragraph)[0]


def paths_in(text: str) -> list[str]:
    """Return the paths of a tree's lines below the package; those of packages end with a slash."""
    folders: list[str] = []
    found = []
    for line in text.splitlines()[1:]:
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // len(INDENT) - 1
        del folders[depth:]
        found.append("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
    return found
