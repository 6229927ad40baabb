"""Build one virtual environment from a lock, with nothing but Python and pip.

Called by the Makefile at every target; does nothing where the environment is as it should be. Every package is checked
against its hash in the lock; then the project itself is linked in.
The text of this file parses under any Python 3, so that an old interpreter gets a sentence instead of a traceback.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)
THIS = sys.version.split()[0]


def problem_with_this_python() -> str:
    """Say in one sentence why this interpreter cannot be used; the empty text where it can."""
    if sys.version_info < OLDEST:
        return f"aveverify needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and {sys.executable} is {THIS}."
    if importlib.util.find_spec("pip") is None:
        return f"{sys.executable} has no pip; install it, or name an interpreter that has it."
    return ""


def fingerprint(locks: "list[Path]") -> str:
    """Describe the environment that is asked for: this Python, what the locks name, and the project's own metadata."""
    import tomllib  # noqa: PLC0415 - an older Python has none, and is to get as far as its sentence

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return hashlib.sha256(repr((sys.version, [lock.read_bytes() for lock in locks], project)).encode()).hexdigest()


def build(folder: Path, locks: "list[Path]", *, tools_only: bool) -> None:
    """Make the folder anew, install what the locks name, and link the project. Only the first lock is indispensable."""
    venv.create(str(folder), clear=True, with_pip=False)
    # This interpreter's pip fills the new environment: it needs no copy of pip, and no ensurepip to get one.
    install = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-input"]
    # The lock names everything, so nothing is to be resolved: a resolver asked for `coverage[toml]` takes whatever is
    # newest on the day, finds no hash for it, and fails. Whether the lock is whole is checked afterwards.
    for lock in locks:
        locked = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)]
        ended = subprocess.run([*install, *locked], check=lock == locks[0])
        if ended.returncode != 0:
            print(f"SKIPPED: {lock} cannot be installed here; the tests that need it will be skipped", flush=True)
    if not tools_only:
        subprocess.run([*install, "--no-deps", "--no-build-isolation", "--editable", "."], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", str(folder), "check"], check=True)


def main() -> int:
    """Read the command line, refuse an unfit interpreter, build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--optional", action="append", default=[], type=Path, help="a lock that may fail to install")
    parser.add_argument("--tools-only", action="store_true", help="leave the project itself out")
    arguments = parser.parse_args()
    problem = problem_with_this_python()
    if problem:
        print(problem + " Name another interpreter, for example: make test PYTHON=python3.13", file=sys.stderr)
        return 1
    # Left behind by a finished build; names what was built.
    mark = arguments.folder / ".ready"
    locks = [arguments.lock, *arguments.optional]
    asked_for = fingerprint(locks)
    if mark.exists() and mark.read_text() == asked_for:
        return 0
    print(f"building {arguments.folder} with Python {THIS}", flush=True)
    try:
        build(arguments.folder, locks, tools_only=arguments.tools_only)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    mark.write_text(asked_for)
    return 0


if __name__ == "__main__":
    sys.exit(main())
