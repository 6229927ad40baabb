"""Whom to trust: the options that commands with a verifier share. Without them, the environment says it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aveverify import Provider, Verifier
from aveverify.cli.terminal import UsageError
from aveverify.errors import ConfigurationError, Problem


def add_trust_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say whom to trust."""
    trust = parser.add_argument_group("whom to trust")
    trust.add_argument("--issuer", metavar="URL", help="the issuer of an OIDC provider")
    trust.add_argument("--application-id", metavar="ID", help="the client id that aud must name; with --issuer")
    trust.add_argument(
        "--leeway-seconds", type=float, metavar="N", help="clock skew to forgive, 0 to 300; with --issuer"
    )
    trust.add_argument(
        "--insecure-http", action="store_true", help="allow plain http beyond this machine; with --issuer"
    )
    trust.add_argument(
        "--auth-config", metavar="CONFIG", help="what a Convex auth.config exports: JSON text, or the path of a file"
    )


def make_verifier(arguments: argparse.Namespace, **options: Any) -> Verifier:  # noqa: ANN401 - those of `Verifier`
    """Make the verifier that the options or the environment describe.

    Args:
        arguments: As `add_trust_options` declares them.
        options: Keyword arguments of `Verifier`.

    Returns:
        The verifier.

    Raises:
        UsageError: Options contradict each other.
        ConfigurationError: Whom to trust is not said, or said wrongly.
    """
    issuer, application_id, config = arguments.issuer, arguments.application_id, arguments.auth_config
    for option, text in (("--issuer", issuer), ("--application-id", application_id), ("--auth-config", config)):
        refuse_blank(option, text)
    if config is not None and (issuer is not None or application_id is not None):
        raise UsageError("--auth-config says whom to trust; leave --issuer and --application-id out")
    if (issuer is None) != (application_id is None):
        raise UsageError("--issuer and --application-id go together")
    if issuer is not None:
        provider = Provider(
            issuer=issuer,
            application_id=application_id,
            leeway_seconds=arguments.leeway_seconds,
            insecure_http=arguments.insecure_http,
        )
        return Verifier(provider, **options)
    if arguments.leeway_seconds is not None or arguments.insecure_http:
        raise UsageError("--leeway-seconds and --insecure-http go with --issuer")
    if config is not None:
        # JSON is not the name of a file, and the name of a file may end in anything.
        return Verifier.from_auth_config(config if config.lstrip().startswith("{") else Path(config), **options)
    return Verifier.from_env(**options)


def refuse_blank(option: str, text: str | None) -> None:
    """Refuse an option without a value, as `--scope "$SCOPE"` is where the variable is not set.

    Args:
        option: How the option is written.
        text: Its value; None where it was not given.

    Raises:
        ConfigurationError: The value is empty or blank.

    Source: CFG-013.
    """
    if text is not None and not text.strip():
        raise ConfigurationError(Problem.EMPTY, option)
