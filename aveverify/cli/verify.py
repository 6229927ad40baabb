"""`aveverify verify`: verify one token and print the result, as text or as JSON. Never prints the token."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from aveverify import Identity, InvalidTokenError, KeysUnavailableError
from aveverify.cli.terminal import Colour, ExitCode, UsageError, paint, print_rows
from aveverify.cli.verifier_options import add_verifier_options, make_verifier
from aveverify.errors import Step

_DESCRIPTION: Final = "Verify one token. Show the identity that getUserIdentity() returns, or why the token is refused."
_EPILOG: Final = """\
A token on the command line ends up in the shell's history and in the list of processes. Prefer standard input:

  pbpaste | aveverify verify --issuer https://aveid.net --application-id app_123

Without --issuer and --auth-config, the environment configures the verifier: AVEVERIFY_AUTH_CONFIG, or AVEVERIFY_ISSUER
and AVEVERIFY_APPLICATION_ID.

exit codes: 0 accepted, 1 refused, 2 usage or configuration, 3 the issuer's keys are unavailable
"""
# More than any token has. An endless input must not fill the memory.
_MAX_INPUT_BYTES: Final = 1024 * 1024
_STANDARD_INPUT: Final = "-"
_SILENT: Final = logging.NullHandler()


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="Verify one token.",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "token",
        nargs="?",
        default=_STANDARD_INPUT,
        metavar="TOKEN",
        help="Verify this token. Without it, or with -, read the token from standard input.",
    )
    token.add_argument("--file", type=Path, metavar="PATH", help="Read the token from a file.")
    add_verifier_options(parser)
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify one token.

    Args:
        arguments: As `add_command` declares them.

    Returns:
        The exit code.

    Raises:
        UsageError: The token's file cannot be read, or options contradict each other.
        ConfigurationError: No provider is configured, or a setting is wrong.
    """
    # The output says what the log would say.
    logging.getLogger("aveverify").addHandler(_SILENT)
    with make_verifier(arguments) as verifier:
        token = _read_token(arguments)
        try:
            identity = verifier.verify(token)
        except InvalidTokenError as error:
            _print_refusal("refused", error, as_json=arguments.json)
            return ExitCode.FAILURE
        except KeysUnavailableError as error:
            _print_refusal("unavailable", error, as_json=arguments.json)
            return ExitCode.UNAVAILABLE
    _print_identity(identity, as_json=arguments.json)
    return ExitCode.SUCCESS


def _read_token(arguments: argparse.Namespace) -> str | bytes:
    if arguments.file is None and arguments.token != _STANDARD_INPUT:
        return str(arguments.token)
    try:
        with _open_input(arguments.file) as stream:
            return stream.read(_MAX_INPUT_BYTES).strip()
    except OSError as error:
        cause = error.strerror
    raise UsageError(f"the token cannot be read: {cause}")


def _open_input(file: Path | None) -> AbstractContextManager[BinaryIO]:
    if file is not None:
        return file.open("rb")
    if sys.stdin is None:
        raise UsageError("standard input is closed; give the token with --file")
    if sys.stdin.isatty():
        print("Paste the token, then end the input (Ctrl-D on a line of its own).", file=sys.stderr)
    return nullcontext(sys.stdin.buffer)


def _print_identity(identity: Identity, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"verdict": "accepted", "identity": identity.to_convex()}))
        return
    print(f"{paint('accepted', Colour.GREEN)}: getUserIdentity() gives")
    print(json.dumps(identity.to_convex(), indent=2))


def _print_refusal(verdict: str, error: InvalidTokenError | KeysUnavailableError, *, as_json: bool) -> None:
    retry_after_seconds = error.retry_after_seconds if isinstance(error, KeysUnavailableError) else None
    if as_json:
        members: dict[str, object] = {
            "verdict": verdict,
            "reason": error.reason,
            "rule": error.rule,
            "step": error.step,
            "explanation": error.reason.explanation,
            "hint": error.hint,
            "convex_code": error.convex_code,
        }
        if retry_after_seconds is not None:
            members["retry_after_seconds"] = retry_after_seconds
        print(json.dumps(members))
        return
    print(f"{paint(verdict, Colour.RED)}: {error.reason}")
    print_rows(
        (
            ("explanation", error.reason.explanation),
            ("rule", error.rule),
            ("step", f"{error.step} of {len(Step)}, {error.step.name.lower()}" if error.step else None),
            ("hint", error.hint),
            ("convex code", error.convex_code),
            ("retry after", f"{retry_after_seconds} s" if retry_after_seconds else None),
            ("in a log", error),
        )
    )
