"""A Python environment with the built wheel and its dependencies, and nothing else of this project."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """Starts processes in that environment.

    Attributes:
        python: The interpreter of the environment.
        environ: Environment variables, without those that add to the path of imports.
    """

    python: Path
    environ: Mapping[str, str]

    def start(self, *arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
        """Start Python, with both output streams in one pipe.

        Args:
            arguments: The arguments of Python.
            folder: The working directory.
            variables: Additional environment variables.

        Returns:
            The process, which the caller must end.
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
        """Run Python and wait until it ends.

        Args:
            arguments: The arguments of Python.
            folder: The working directory.
            variables: Additional environment variables.

        Returns:
            The exit code and the output.
        """
        with self.start(*arguments, folder=folder, **variables) as process:
            try:
                output, _ = process.communicate(timeout=50)
            finally:
                process.kill()
        return process.returncode, output
