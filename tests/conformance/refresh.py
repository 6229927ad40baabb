"""Copies the vectors from their source folder: `make vectors` with AVEVERIFY_VECTORS set."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

from tests.conformance.collection import FOLDERS, HERE, SUFFIX, committed


def source_folder() -> Path | None:
    """The folder that AVEVERIFY_VECTORS names, if it is set."""
    named = os.environ.get("AVEVERIFY_VECTORS")
    return Path(named) if named else None


def source_files(source: Path) -> dict[Path, Path]:
    """Every source file, under the place of its copy."""
    originals = [path for folder in FOLDERS for path in sorted((source / folder).glob("*.jsonl"))]
    return {copy_of(path.relative_to(source)): path for path in [*originals, source / "rfc.json"]}


def copy_of(relative: Path) -> Path:
    """Where the copy of a source file stands."""
    return HERE / relative.parent / (relative.name + SUFFIX)


def main() -> int:
    """Write what is new or has changed, remove what is gone, and say so."""
    source = source_folder()
    if source is None:
        sys.stderr.write("Set AVEVERIFY_VECTORS to the folder that holds convex/, attacks/ and rfc.json.\n")
        return 2
    files = source_files(source)
    for copy in set(committed()) - set(files):
        copy.unlink(missing_ok=True)
        sys.stdout.write(f"removed {copy.relative_to(HERE)}\n")
    for copy, original in files.items():
        content = original.read_bytes()
        if copy.exists() and gzip.decompress(copy.read_bytes()) == content:
            continue
        copy.parent.mkdir(exist_ok=True)
        # Neither a time nor a name goes into the file: the same content gives the same bytes.
        copy.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
        sys.stdout.write(f"wrote {copy.relative_to(HERE)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
