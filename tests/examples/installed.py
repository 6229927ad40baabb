"""A Python that has the built wheel and what it needs, and nothing else of this project."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """Starts processes of that Python.

    Attributes:
        python: The interpreter of an environment of its own.
        environ: The variables of the environment, without those that add to what Python finds.
    """

    python: Path
    environ: Mapping[str, str]

    def start(self, *arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
        """Start Python; what it says comes out of one pipe.

        Args:
            arguments: Those of Python.
            folder: Where it runs.
            variables: Further variables of the environment.

        Returns:
            The process; whoever asked ends it.
        """
        return subprocess.Popen(
            [str(self.python), *arguments],
            cwd=folder,
            env={**self.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, folder: Path, **variables: str) -> tuple[int, str]:
        """Run Python to its end.

        Args:
            arguments: Those of Python.
            folder: Where it runs.
            variables: Further variables of the environment.

        Returns:
            The exit code, and everything that it said.
        """
        with self.start(*arguments, folder=folder, **variables) as process:
            try:
                said, _ = process.communicate(timeout=50)
            finally:
                process.kill()
        return process.returncode, said
