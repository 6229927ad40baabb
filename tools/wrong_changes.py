"""Prove that the tests notice a fixed list of wrong changes, each of which would lose a rule that matters.

    wrong_changes.py [--jobs N] [WORD...]

Reads `tests/wrong_changes/*.toml`. Applies each change to a copy of the project, runs the tests that the change names,
and demands that each of them fails by an assertion: a timeout, or a test that cannot be collected, proves nothing.
Before that all of them must pass without any change. With words, only changes whose name, file or list holds one
of them are applied. Prints one line for each change; exit code 1 if a change survives or cannot be applied.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LISTS: Final = ROOT / "tests" / "wrong_changes"
# The slowest of the named tests need some seconds; a wrong change may make one wait for ever.
TIMEOUT_SECONDS: Final = 120
# All named tests together, without any change.
BASELINE_TIMEOUT_SECONDS: Final = 900
TEST_TIMEOUT_SECONDS: Final = 30
# Neither sources nor read by any test.
_NOT_COPIED: Final = (
    ".git", ".venv*", ".*_cache", ".hypothesis", ".coverage*", ".real-issuer", "__pycache__", "dist", "build"
)  # fmt: skip
# pytest: all passed; some failed.
_PASSED, _FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Change:
    """One wrong change.

    Attributes:
        name: One sentence: what the change breaks.
        file: The file that it changes, below the project's folder.
        old: The text that it replaces, which stands there exactly once.
        new: The wrong text.
        tests: The ids of the tests that must fail.
        listed_in: The list that holds the change.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    listed_in: str


class ChangeError(Exception):
    """A change cannot be applied; the text says why."""


def read_changes(folder: Path = LISTS) -> list[Change]:
    """Read every list of a folder, in the order of the file names."""
    return [
        Change(**{**entry, "tests": tuple(entry["tests"])}, listed_in=path.name)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("change", [])
    ]


def apply(change: Change, root: Path) -> str:
    """Return the text of the changed file with the change in it.

    Raises:
        ChangeError: The file is not there, the old text does not stand in it exactly once, or nothing changes.
    """
    path = root / change.file
    if not path.is_file():
        message = f"{change.file} does not exist"
        raise ChangeError(message)
    text = path.read_text(encoding="utf-8")
    occurrences = text.count(change.old)
    if occurrences != 1:
        message = f"the old text stands {occurrences} times in {change.file}, not once"
        raise ChangeError(message)
    if change.old == change.new:
        message = "the new text is the old one"
        raise ChangeError(message)
    return text.replace(change.old, change.new)


class Copy:
    """A copy of the project in which one change at a time is tried."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        self._folder = folder
        # Python takes compiled code for current if the source has the same size and second; so every version of a file
        # gets a second of its own.
        self._seconds = count(1_000_000_000)

    def survives(self, change: Change) -> str:
        """Try a change: the empty text if the tests notice it, else a sentence."""
        path = self._folder / change.file
        original = path.read_text(encoding="utf-8")
        try:
            self._write(path, apply(change, self._folder))
            return problem_of(change, *self.run(change.tests))
        except ChangeError as error:
            return str(error)
        finally:
            self._write(path, original)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        second = next(self._seconds)
        os.utime(path, (second, second))

    def run(
        self, tests: Sequence[str], *options: str, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> tuple[int | None, str]:
        """Run tests on the copy.

        Returns:
            pytest's exit code, None after the timeout, and what it printed.
        """
        command = [
            sys.executable, "-m", "pytest", "--quiet", "--tb=no", "-rfE", "-p", "no:randomly", "-p", "no:cacheprovider",
            f"--timeout={TEST_TIMEOUT_SECONDS}", *options, *tests,
        ]  # fmt: skip
        # Programs that a test starts in another folder import the copy, too. A wide line holds the whole reason.
        environment = os.environ | {"PYTHONPATH": str(self._folder), "COLUMNS": "1000", "AVEVERIFY_EXAMPLES": "all"}
        try:
            ended = subprocess.run(
                command,
                cwd=self._folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return ended.returncode, ended.stdout


def problem_of(change: Change, code: int | None, output: str) -> str:
    """Say in one sentence what is wrong with the outcome of a change's tests; the empty text if all of them failed."""
    if code is None:
        return f"the tests did not end within {TIMEOUT_SECONDS} seconds"
    if code == _PASSED:
        return "the tests pass"
    lines = output.splitlines()
    if code != _FAILED or any(line.startswith("ERROR ") for line in lines):
        return f"the tests cannot be run (exit code {code}): {' '.join(lines[-3:])}"
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    if any("Timeout (>" in line for line in failed):
        return f"a test did not end within {TEST_TIMEOUT_SECONDS} seconds"
    passing = [test for test in change.tests if not any(_is_case_of(line, test) for line in failed)]
    return f"these tests pass: {', '.join(passing)}" if passing else ""


def _is_case_of(line: str, test: str) -> bool:
    # The id of the test, of one of its cases, or of one in a class or file; then perhaps the reason.
    return line == test or line.startswith((f"{test}[", f"{test} - ", f"{test}::"))


def problem_without_changes(copy: Copy, changes: Sequence[Change]) -> str:
    """Say what is wrong if a named test fails without any change; the empty text if all of them pass."""
    tests = list(dict.fromkeys(test for change in changes for test in change.tests))
    print(f"first all {len(tests)} named tests without any change", flush=True)
    code, output = copy.run(tests, "--numprocesses=2", timeout_seconds=BASELINE_TIMEOUT_SECONDS)
    if code is None:
        return f"without any change the named tests did not end within {BASELINE_TIMEOUT_SECONDS} seconds"
    return "" if code == _PASSED else f"without any change the tests fail (exit code {code}):\n{output}"


def try_all(copies: Sequence[Copy], changes: Sequence[Change]) -> Iterator[tuple[Change, str]]:
    """Try every change, side by side in as many copies as there are; yields each with its problem."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def run(change: Change) -> tuple[Change, str]:
        copy = free.get()
        try:
            return change, copy.survives(change)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(run, changes)


def main() -> int:
    """Read the command line and try the changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many changes are tried at once, 2 by default")
    parser.add_argument("words", nargs="*", help="try only changes whose name, file or list holds one of these")
    arguments = parser.parse_args()
    changes = [
        change
        for change in read_changes()
        if not arguments.words
        or any(word in f"{change.name} {change.file} {change.listed_in}" for word in arguments.words)
    ]
    if not changes:
        print("no wrong change was found", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="wrong-changes-") as folder:
        copies = [Copy(Path(folder, str(number))) for number in range(min(arguments.jobs, len(changes)))]
        problem = problem_without_changes(copies[0], changes)
        if problem:
            print(problem)
            return 1
        survivors = 0
        for change, problem in try_all(copies, changes):
            survivors += bool(problem)
            print(f"{'SURVIVED' if problem else 'noticed '}  {change.listed_in}: {change.name}", flush=True)
            if problem:
                print(f"          {problem}", flush=True)
    print(f"{len(changes) - survivors} of {len(changes)} wrong changes noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
