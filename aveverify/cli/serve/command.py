"""`aveverify serve`: a forward-auth service, which a proxy asks before it passes a request on."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from typing import Final

from aveverify.cli.serve.settings import DEFAULT_ADMIN_PORT, DEFAULT_BIND, REPEATED, parse_settings
from aveverify.cli.terminal import ExitCode, UsageError
from aveverify.cli.verifier_options import add_verifier_options
from aveverify.errors import ConfigurationError, KeysUnavailableError, Problem
from aveverify.errors._unknown_options import refuse_misspelt

_DESCRIPTION: Final = """\
Verify the tokens of a proxy's requests: nginx auth_request, Traefik ForwardAuth, Caddy forward_auth or Envoy HTTP
ext_authz. The proxy sends a request to /auth; a 200 has the headers X-Ave-Subject, X-Ave-Token-Identifier and
X-Ave-Identity. Complete configurations are in deploy/.
"""
_EPILOG: Final = """\
Every option can be set in the environment: --bind by AVEVERIFY_BIND, --sign-key by AVEVERIFY_SIGN_KEY, --optional by
AVEVERIFY_OPTIONAL=1, and the verifier by AVEVERIFY_AUTH_CONFIG, or AVEVERIFY_ISSUER and AVEVERIFY_APPLICATION_ID. The
command refuses a variable or an option without a value, and a misspelt variable.

A second port has /healthz, /readyz and /metrics (extra `prometheus`). Do not let a proxy publish it.

exit codes: 0 stopped by a signal, 2 usage or configuration, or the extra `serve` is missing, 3 --fail-closed, and the
issuer's keys are unavailable
"""
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_PREFIX: Final = "AVEVERIFY_"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="Run a forward-auth service behind a proxy.",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_verifier_options(parser)
    auth = parser.add_argument_group("authentication", "Options that decide how /auth responds.")
    _add_switch(auth, "--optional", "Accept requests without credentials, and send empty identity headers.")
    _add(auth, "--scope", "Require this scope of every token. Repeat the option for more.", "SCOPE", action="append")
    _add(auth, "--any-scope", "Require one of these scopes. Repeat the option.", "SCOPE", action="append")
    _add(auth, "--scope-claim", "Read scopes from this claim, not from `scope`. Repeat it.", "CLAIM", action="append")
    _add(auth, "--realm", "Set the realm of challenges.", "TEXT")
    _add(auth, "--resource-metadata", "Set the resource_metadata URL of challenges (RFC 9728).", "URL")
    _add_switch(auth, "--identity", "Send the identity in X-Ave-Identity, as base64url JSON.")
    _add(auth, "--sign-key", "Send the identity as a JWS, signed (HS256) with the key in this file.", "FILE")
    _add(auth, "--sign-audience", 'Set the audience of that JWS. The default is "upstream".', "NAME")
    service = parser.add_argument_group("service", "Options that configure the service.")
    _add(service, "--bind", f"Listen for the proxy here. The default is {DEFAULT_BIND}.", "HOST:PORT")
    _add(
        service,
        "--admin-port",
        f"Serve health and metrics on this port; same: on that of --bind; off: not at all. The default is "
        f"{DEFAULT_ADMIN_PORT}.",
        "PORT",
    )
    _add(service, "--workers", "Serve with this many processes. The default is 1.", "N")
    _add_switch(service, "--warm-up", "Fetch the keys before the first request.")
    _add_switch(service, "--fail-closed", "Do not start without keys (exit code 3). Includes --warm-up.")
    _add(service, "--redis-url", "Share the issuers' documents through Redis (extra `redis`).", "URL")
    _add(service, "--redis-hmac-key", "Authenticate shared documents with the key in this file.", "FILE")
    _add_switch(service, "--access-log", "Log the outcome of every request, and nothing of the request itself.")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a stop signal comes.

    Args:
        arguments: As `add_command` declares them.

    Returns:
        The exit code.

    Raises:
        UsageError: An option is malformed, a file or a port is not available, or an extra is missing.
        ConfigurationError: The issuer is missing or wrong, or a setting is empty.
    """
    if find_spec("uvicorn") is None:
        raise UsageError('serving needs uvicorn: pip install "aveverify[serve]"')
    _read_environment(arguments)
    from aveverify.cli.serve.server import run_server

    try:
        run_server(parse_settings(arguments))
    except KeysUnavailableError as error:
        print(f"aveverify: {error}", file=sys.stderr)
        return ExitCode.UNAVAILABLE
    return ExitCode.SUCCESS


def _read_environment(arguments: argparse.Namespace) -> None:
    """Complete the options from the environment; an option takes precedence.

    Raises:
        UsageError: A switch has another value than the words for on and off.
        ConfigurationError: A variable is empty or misspelt.

    Source: CFG-013, HTP-043.
    """
    refuse_misspelt(os.environ, [f"{_PREFIX}{name.upper()}" for name in (*_SETTINGS, *_VERIFIER)])
    for name in _SETTINGS:
        variable = f"{_PREFIX}{name.upper()}"
        value = os.environ.get(variable)
        if value is None or getattr(arguments, name) not in (None, False):
            continue
        if not value.strip():
            if name in _ADDRESSES:
                continue
            # CFG-013: a scope, a key or a switch that a deployment lost must not count as absent.
            raise ConfigurationError(Problem.EMPTY, variable)
        if name in _SWITCHES:
            if value.lower() not in _TRUE | _FALSE:
                raise UsageError(f"{variable} must be 1 or 0")
            setattr(arguments, name, value.lower() in _TRUE)
        else:
            setattr(arguments, name, value.split() if name in REPEATED else value)


_SWITCHES: Final = frozenset({"optional", "identity", "warm_up", "fail_closed", "access_log"})
# Empty, these count as absent: they decide where the service listens, not which requests it accepts.
_ADDRESSES: Final = frozenset({"bind", "admin_port", "workers"})
_VERIFIER: Final = ("auth_config", "issuer", "application_id")
_SETTINGS: Final = (
    *REPEATED, "realm", "resource_metadata", "sign_key", "sign_audience", "bind", "admin_port", "workers", "redis_url",
    "redis_hmac_key", *sorted(_SWITCHES),
)  # fmt: skip


def _add(group: argparse._ArgumentGroup, name: str, text: str, metavar: str, action: str = "store") -> None:
    group.add_argument(name, metavar=metavar, help=text, action=action)


def _add_switch(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(name, action="store_true", help=text)
