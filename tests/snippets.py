"""Keep the code in Markdown pages equal to the tested files that it comes from.

    python -m tests.snippets [--check]

`<!-- from FILE: REGION -->` stands above a fenced block; the region lies in the file between `# region REGION` and
`# endregion`. Without a region it is the whole file. `<!-- tree of aveverify -->` stands above the tree of the package.
Rewrites the blocks; with --check only names the stale ones.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.package_tree import tree

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(
    r"^(?P<head><!-- from (?P<file>\S+?)(?:: (?P<region>\w+))? -->\n```\w*\n)(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

TREE = re.compile(r"^(?P<head><!-- tree of aveverify -->\n```text\n).*?^```$", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    """Every Markdown page of the project."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("docs", "examples"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def source_of(file: str, region: str | None) -> str:
    """The code that a marker names.

    Raises:
        ValueError: There is no such file or region, or the region is there twice.
    """
    path = ROOT / file
    if not path.is_file():
        message = f"{file} does not exist"
        raise ValueError(message)
    text = path.read_text(encoding="utf-8")
    if region is None:
        # The markers of a region are not part of the program.
        return re.sub(r"^ *# (?:region \w+|endregion)\n\n*", "", text, flags=re.MULTILINE)
    found = re.findall(rf"^ *# region {region}\n(.*?)^ *# endregion$", text, re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        message = f"{file} has {len(found)} regions {region!r}, not one"
        raise ValueError(message)
    return textwrap.dedent(found[0]).strip("\n") + "\n"


def renewed(text: str) -> str:
    """The page with every marked block replaced by its source."""
    text = TREE.sub(lambda block: block["head"] + tree() + "```", text)
    return MARKED.sub(lambda block: block["head"] + source_of(block["file"], block["region"]) + "```", text)


def main(arguments: list[str]) -> int:
    """Write or check all pages."""
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if renewed(text) != text:
            stale.append(str(page.relative_to(ROOT)))
            if "--check" not in arguments:
                page.write_text(renewed(text), encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{name}: {'stale; run make snippets' if '--check' in arguments else 'written'}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
