"""Find another Python on this machine.

    find_python.py 3.12                  prints the path of a Python 3.12
    find_python.py --newest 3.12 3.13    prints the highest of these versions that is here and newer than this Python
    find_python.py --own                 prints the version that runs this script

Exit code 1: there is none. Exit code 2: one is missing that `AVEVERIFY_REQUIRE` names (`py3.12`).
Looks on PATH and among pyenv's versions. An interpreter counts only if it starts, has that version, and has pip (pyenv
puts a shim on PATH for every version, also for one that is not switched on).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

OWN = "{}.{}".format(*sys.version_info)


def candidates(version: str) -> Iterator[str]:
    """Paths that may be a Python of this version, the likeliest first."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        for folder in sorted(Path(root, "versions").glob(f"{version}.*"), reverse=True):
            yield str(folder / "bin" / "python")


def fits(path: str, version: str) -> bool:
    """Whether the interpreter starts, has that version and has pip."""
    question = "import pip, sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def find(version: str) -> str | None:
    """The path of a Python of this version."""
    return next((path for path in candidates(version) if fits(path, version)), None)


def newest(versions: Sequence[str]) -> str | None:
    """The highest of these versions that is here and newer than this Python."""
    numbers = sorted(tuple(map(int, version.split("."))) for version in versions)
    newer = ("{}.{}".format(*number) for number in reversed(numbers) if number > sys.version_info[:2])
    return next((version for version in newer if find(version)), None)


def is_required(version: str) -> bool:
    """Whether a run without this version has to fail."""
    return f"py{version}" in map(str.strip, os.environ.get("AVEVERIFY_REQUIRE", "").split(","))


def report_missing(name: str, *, required: bool) -> int:
    """Say on standard error what is not here, and return the exit code."""
    print(f"NOT RUN: {name}" + ("; AVEVERIFY_REQUIRE requires it" if required else ""), file=sys.stderr)
    return 2 if required else 1


def main() -> int:
    """Answer the question on the command line."""
    question, *versions = sys.argv[1:]
    if question == "--own":
        print(OWN)
        return 0
    for version in filter(is_required, versions or [question]):
        if find(version) is None:
            return report_missing(f"py{version}", required=True)
    found = newest(versions) if question == "--newest" else find(question)
    if found is None:
        name = f"a Python newer than {OWN}" if question == "--newest" else f"py{question}"
        return report_missing(name, required=False)
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
