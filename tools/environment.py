"""Build one virtual environment from a lock, with nothing but Python and pip.

The Makefile calls it for every target; it returns at once if the environment is already the one that is asked for.
Every package is checked against its hash in the lock; then the project itself is linked in.
This file parses under any Python 3, so that an old interpreter reports one sentence instead of a traceback.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OLDEST = (3, 11)
THIS = sys.version.split()[0]

# pip prints one of these when its index refuses, fails or does not answer. "from versions: none" is all that it prints
# when the index answers 403 or 404.
_INDEX_FAILED = re.compile(
    r"from versions: none|HTTP error|HTTPSConnectionPool|Connection (?:refused|reset|broken)|connection broken"
    r"|Credentials not correct|Temporary failure in name resolution|timed out",
    re.IGNORECASE,
)
_HASH_DIFFERS = "DO NOT MATCH THE HASHES"


class InstallError(Exception):
    """pip could not install a lock; the text says why, in one sentence."""


def problem_with_this_python() -> str:
    """Say in one sentence why this interpreter cannot be used; the empty text if it can."""
    if sys.version_info < OLDEST:
        return f"aveverify needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and {sys.executable} is {THIS}."
    if importlib.util.find_spec("pip") is None:
        return f"{sys.executable} has no pip; install it, or name an interpreter that has it."
    return ""


def fingerprint(folder: Path, locks: "list[Path]", *, tools_only: bool) -> str:
    """Describe the environment that is asked for.

    It depends on this Python, the locks, the project's metadata, this script, and the folder: the commands in an
    environment hold its absolute path, so a moved one must be built again.
    """
    import tomllib  # noqa: PLC0415 - an older Python lacks it, and must first report that it is too old

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = Path(__file__).read_bytes()
    asked_for = (
        sys.version,
        str(folder.absolute()),
        tools_only,
        script,
        [lock.read_bytes() for lock in locks],
        project,
    )
    return hashlib.sha256(repr(asked_for).encode()).hexdigest()


def explain(lock: Path, output: str) -> str:
    """Say in one sentence why pip could not install a lock."""
    if _HASH_DIFFERS in output:
        return f"A package that the index returned differs from its hash in {lock}; it was not installed."
    if _INDEX_FAILED.search(output):
        return (
            f"pip could not get the packages of {lock}: its index refused the request or did not answer. "
            "`python -m pip config list` prints the index that pip uses."
        )
    return f"pip could not install {lock}."


def install_lock(folder: Path, lock: Path) -> None:
    """Install what a lock names.

    Raises:
        InstallError: pip failed; what it printed is on standard error.
    """
    # The lock names everything, so pip must not resolve: a resolver that meets `coverage[toml]` takes the newest
    # version of the day, finds no hash for it, and fails. `pip check` shows afterwards whether the lock is complete.
    _pip(
        folder,
        lock,
        "install",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "-r",
        str(lock),
    )


def _pip(folder: Path, lock: Path, *arguments: str) -> None:
    # The pip of this interpreter fills the new environment, which therefore needs neither pip nor ensurepip.
    command = [sys.executable, "-m", "pip", "--python", str(folder), *arguments]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode != 0:
        sys.stderr.write(ended.stdout)
        raise InstallError(explain(lock, ended.stdout))


def build(folder: Path, lock: Path, *, tools_only: bool) -> None:
    """Make the folder anew, install what the lock names, and link the project."""
    venv.create(str(folder), clear=True, with_pip=False)
    install_lock(folder, lock)
    if not tools_only:
        _pip(folder, lock, "install", "--quiet", "--no-input", "--no-deps", "--no-build-isolation", "--editable", ".")
    _pip(folder, lock, "check")


def install_optional(folder: Path, locks: "list[Path]") -> "list[Path]":
    """Install the locks that may fail, and return those that did."""
    missing = []
    for lock in locks:
        try:
            install_lock(folder, lock)
        except InstallError as error:
            missing.append(lock)
            print(f"NOT INSTALLED: {error} The tests that need it do not run; the next make tries again.", flush=True)
    return missing


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Make a second make wait until the first has built the folder.

    The lock is a file beside the folder, because a build empties the folder. The system releases it when this process
    ends, however it ends.
    """
    with Path(f"{folder}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(folder: Path, lock: Path, optional: "list[Path]", *, tools_only: bool) -> None:
    """Build the environment unless it is already there.

    `.ready` is left by a finished build: the fingerprint, then a line for each optional lock that is not installed.

    Raises:
        InstallError: The lock could not be installed.
    """
    mark = folder / ".ready"
    asked_for = fingerprint(folder, [lock, *optional], tools_only=tools_only)
    built, *missing = mark.read_text(encoding="utf-8").splitlines() if mark.exists() else [""]
    if built != asked_for:
        print(f"building {folder} with Python {THIS}", flush=True)
        build(folder, lock, tools_only=tools_only)
        missing = [str(path) for path in optional]
    elif not missing:
        return
    failed = install_optional(folder, [Path(path) for path in missing])
    mark.write_text("\n".join([asked_for, *map(str, failed)]) + "\n", encoding="utf-8")


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
    try:
        with only_one(arguments.folder):
            ensure(arguments.folder, arguments.lock, arguments.optional, tools_only=arguments.tools_only)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
