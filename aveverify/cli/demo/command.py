"""`aveverify demo`: a local issuer, a protected app, and a tour of accepted and refused requests."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Final

from aveverify.cli.terminal import Colour, ExitCode, UsageError, paint, print_rows

if TYPE_CHECKING:
    from aveverify.cli.demo.servers import DemoServers

_DESCRIPTION: Final = """\
Start a local OpenID Connect issuer and a Starlette app behind AveAuthMiddleware, send the app good and bad tokens, and
check every response. The demo connects to this machine alone, and stops both servers at the end.
"""
# The packages of the extra `demo`.
_PACKAGES: Final = ("starlette", "uvicorn")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="Run a tour over real HTTP on this machine.",
        description=_DESCRIPTION,
        epilog="exit codes: 0 every response is as expected, 1 a response is not, 2 the extra `demo` is missing",
    )
    parser.add_argument(
        "--serve", action="store_true", help="Keep the issuer and the app running, and print curl lines."
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the tour.

    Args:
        arguments: As `add_command` declares them.

    Returns:
        The exit code.

    Raises:
        UsageError: A package of the extra `demo` is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f'the demo needs {" and ".join(missing)}: pip install "aveverify[demo]"')
    from aveverify.cli.demo.servers import open_servers
    from aveverify.cli.demo.tour import run_tour

    with open_servers() as servers:
        mismatches = run_tour(servers)
        if arguments.serve:
            _keep_serving(servers)
    return ExitCode.FAILURE if mismatches else ExitCode.SUCCESS


def _keep_serving(servers: DemoServers) -> None:
    """Keep the issuer and the app running until Ctrl-C, and print the log of the middleware."""
    issuer, url = servers.issuer, f"{servers.app_url}/me"
    log = logging.getLogger("aveverify.http")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("  log  %(message)s"))
    log.addHandler(handler)
    try:
        print(f"\n{paint('Try it yourself', Colour.BOLD)}; the clock has stopped, so this token does not expire.\n")
        print_rows(
            (
                ("accepted", f"curl -i -H 'Authorization: Bearer {issuer.token(plan='pro')}' {url}"),
                ("refused", f"curl -i -H 'Authorization: Bearer {issuer.forge('expired')}' {url}"),
                ("no token", f"curl -i {url}"),
                ("issuer", f"curl {issuer.issuer}/.well-known/openid-configuration"),
            )
        )
        print("\nCtrl-C stops both.", flush=True)
        Event().wait()
    except KeyboardInterrupt:
        print("\nstopped")
    finally:
        log.removeHandler(handler)
