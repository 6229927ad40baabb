"""Find another Python on this machine: `find_python.py 3.12` prints the path of one, or answers 1.

Looks on PATH and among pyenv's versions. An interpreter counts only if it starts, is the version that was asked for
and has pip (a shim may stand on PATH for a version that is not switched on).
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


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
    """Whether the interpreter starts, is of that version and has pip."""
    question = "import pip, sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def main() -> int:
    """Print a path for the version on the command line; `--own` prints the version that runs this script."""
    version = sys.argv[1]
    if version == "--own":
        print("{}.{}".format(*sys.version_info))
        return 0
    found = next((path for path in candidates(version) if fits(path, version)), None)
    if found is None:
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
