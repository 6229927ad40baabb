"""`aveverify demo`: a local issuer, a protected app, and a tour of what is accepted and what is refused."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Final

from aveverify.cli.terminal import Colour, ExitCode, UsageError, paint, print_rows

if TYPE_CHECKING:
    from aveverify.cli.demo.servers import World

_DESCRIPTION: Final = """\
Start a local OpenID Connect issuer and a Starlette app behind our middleware, send it good and bad tokens, and check
that every answer is the expected one. Nothing leaves this machine; both stop at the end.
"""
# What the extra `demo` brings.
_NEEDED: Final = ("starlette", "uvicorn")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="a tour over real HTTP on this machine",
        description=_DESCRIPTION,
        epilog="exit codes: 0 every answer was the expected one, 1 one was not, 2 the extra `demo` is missing",
    )
    parser.add_argument("--serve", action="store_true", help="keep issuer and app running, and print curl lines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Perform the tour.

    Args:
        arguments: As `add_command` declares them.

    Returns:
        The exit code.

    Raises:
        UsageError: A package of the extra `demo` is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f'the demo needs {" and ".join(missing)}: pip install "aveverify[demo]"')
    from aveverify.cli.demo.servers import open_world
    from aveverify.cli.demo.tour import perform

    with open_world() as world:
        mismatches = perform(world)
        if arguments.serve:
            _keep_serving(world)
    return ExitCode.BAD if mismatches else ExitCode.GOOD


def _keep_serving(world: World) -> None:
    """Leave issuer and app running until Ctrl-C, and print what the middleware logs."""
    log = logging.getLogger("aveverify.http")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("  log  %(message)s"))
    log.addHandler(handler)
    try:
        print(f"\n{paint('Try it yourself', Colour.BOLD)}; the clock stands still now, so this token stays good.\n")
        print_rows(
            (
                ("accepted", f"curl -i -H 'Authorization: Bearer {world.issuer.token(plan='pro')}' {world.app_url}/me"),
                ("refused", f"curl -i -H 'Authorization: Bearer {world.issuer.forge('expired')}' {world.app_url}/me"),
                ("no token", f"curl -i {world.app_url}/me"),
                ("issuer", f"curl {world.issuer.issuer}/.well-known/openid-configuration"),
            )
        )
        print("\nCtrl-C stops both.", flush=True)
        Event().wait()
    except KeyboardInterrupt:
        print("\nstopped")
    finally:
        log.removeHandler(handler)
