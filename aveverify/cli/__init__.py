"""The `aveverify` command.

Exit codes: 0 accepted or as expected, 1 refused or not as expected, 2 usage or configuration, 3 keys unavailable.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aveverify import __version__
from aveverify.cli import verify
from aveverify.cli.demo import command as demo_command
from aveverify.cli.serve import command as serve_command
from aveverify.cli.terminal import ExitCode, UsageError, hide_tokens
from aveverify.errors import ConfigurationError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the name of the command; those of the process by default.

    Returns:
        The exit code.

    Raises:
        SystemExit: The arguments are wrong (code 2), or help was requested (code 0).
    """
    for stream in (sys.stdout, sys.stderr):
        # Print an escape for a character that the terminal cannot show, instead of raising.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = _make_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except (ConfigurationError, UsageError) as error:
        print(f"aveverify: {hide_tokens(str(error))}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed it (`| head`). Discard the rest, so that the exit prints no traceback.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(hide_tokens(message))


def _make_parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="aveverify", description="Verify JSON Web Tokens exactly as a Convex backend does."
    )
    parser.add_argument("--version", action="version", version=f"aveverify {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    verify.add_command(commands)
    demo_command.add_command(commands)
    serve_command.add_command(commands)
    return parser
