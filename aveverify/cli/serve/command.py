"""`aveverify serve`: a forward-auth service, for a proxy that asks before it passes a request on."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from typing import Final

from aveverify.cli.serve.settings import read_settings
from aveverify.cli.terminal import ExitCode, UsageError
from aveverify.cli.verifier_options import add_trust_options
from aveverify.errors import ConfigurationError, KeysUnavailableError, Problem
from aveverify.errors._unknown_options import refuse_misspelt

_DESCRIPTION: Final = """\
Serve the verdicts of a verifier to a proxy: nginx auth_request, Traefik ForwardAuth, Caddy forward_auth or Envoy HTTP
ext_authz. The proxy asks at /auth; 200 comes with X-Ave-Subject, X-Ave-Token-Identifier and X-Ave-Identity. Ready
configurations are in deploy/.
"""
_EPILOG: Final = """\
Every option can be given by the environment: --bind by AVEVERIFY_BIND, --sign-key by AVEVERIFY_SIGN_KEY, --optional by
AVEVERIFY_OPTIONAL=1; whom to trust by AVEVERIFY_AUTH_CONFIG, or AVEVERIFY_ISSUER and AVEVERIFY_APPLICATION_ID. A
variable or an option without a value is refused, and so is a misspelt variable.

A second port has /healthz, /readyz and /metrics (extra `prometheus`); no proxy should show it to the world.

exit codes: 0 stopped by a signal, 2 usage or configuration, or the extra `serve` is missing, 3 --fail-closed, and the
issuer's keys cannot be had
"""
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_PREFIX: Final = "AVEVERIFY_"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="a forward-auth service behind a proxy",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_trust_options(parser)
    answers = parser.add_argument_group("what is answered")
    _add_switch(answers, "--optional", "let requests without credentials pass, with empty identity headers")
    _add(answers, "--scope", "a scope that every token must carry; several by repeating", "SCOPE", action="append")
    _add(answers, "--realm", "the realm that challenges name", "TEXT")
    _add(answers, "--resource-metadata", "the URL that challenges name (RFC 9728)", "URL")
    _add_switch(answers, "--identity", "fill X-Ave-Identity with base64url JSON")
    _add(answers, "--sign-key", "fill it with a JWS signed (HS256) with the key in this file", "FILE")
    _add(answers, "--sign-audience", "the audience of that JWS; upstream by default", "NAME")
    place = parser.add_argument_group("where and how")
    _add(place, "--bind", "where the proxy asks; 127.0.0.1:4180 by default", "HOST:PORT")
    _add(place, "--admin-port", "4181 by default; same: on the port of --bind; off: nowhere", "PORT")
    _add(place, "--workers", "how many processes serve; 1 by default", "N")
    _add_switch(place, "--warm-up", "fetch the keys before the first request")
    _add_switch(place, "--fail-closed", "do not start (code 3) where they cannot be had")
    _add(place, "--redis-url", "share the issuers' documents through Redis (extra `redis`)", "URL")
    _add(place, "--redis-hmac-key", "the key in this file seals what is shared", "FILE")
    _add_switch(place, "--access-log", "log the outcome of every request; nothing of the request itself")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal says stop.

    Args:
        arguments: As `add_command` declares them.

    Returns:
        The exit code.

    Raises:
        UsageError: An option cannot be read, a file or a port cannot be had, or an extra is missing.
        ConfigurationError: The issuer is missing or wrong, or a setting is empty.
    """
    if find_spec("uvicorn") is None:
        raise UsageError('serving needs uvicorn: pip install "aveverify[serve]"')
    _read_environment(arguments)
    from aveverify.cli.serve.server import perform

    try:
        perform(read_settings(arguments))
    except KeysUnavailableError as error:
        print(f"aveverify: {error}", file=sys.stderr)
        return ExitCode.UNAVAILABLE
    return ExitCode.GOOD


def _read_environment(arguments: argparse.Namespace) -> None:
    """Fill in from the environment what was not said by an option.

    Raises:
        UsageError: A switch is neither on nor off.
        ConfigurationError: A variable is empty, or misspelt.

    Source: CFG-013, HTP-043.
    """
    refuse_misspelt(os.environ, [f"{_PREFIX}{name.upper()}" for name in (*_SETTINGS, *_TRUST)])
    for name in _SETTINGS:
        variable = f"{_PREFIX}{name.upper()}"
        value = os.environ.get(variable)
        if value is None or getattr(arguments, name) not in (None, False):
            continue
        if not value.strip():
            if name in _PLACES:
                continue
            # CFG-013: a scope, a key or a switch that a deployment lost must not count as never wanted.
            raise ConfigurationError(Problem.EMPTY, variable)
        if name in _SWITCHES:
            if value.lower() not in _TRUE | _FALSE:
                raise UsageError(f"{variable} is 1 or 0")
            setattr(arguments, name, value.lower() in _TRUE)
        else:
            setattr(arguments, name, value.split() if name == "scope" else value)


_SWITCHES: Final = frozenset({"optional", "identity", "warm_up", "fail_closed", "access_log"})
# Where to listen: without a value they say nothing, as ever, and decide nothing about who comes in.
_PLACES: Final = frozenset({"bind", "admin_port", "workers"})
_TRUST: Final = ("auth_config", "issuer", "application_id")
_SETTINGS: Final = (
    "scope", "realm", "resource_metadata", "sign_key", "sign_audience", "bind", "admin_port", "workers", "redis_url",
    "redis_hmac_key", *sorted(_SWITCHES),
)  # fmt: skip


def _add(group: argparse._ArgumentGroup, name: str, text: str, metavar: str, action: str = "store") -> None:
    group.add_argument(name, metavar=metavar, help=text, action=action)


def _add_switch(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(name, action="store_true", help=text)
