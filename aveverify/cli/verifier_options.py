"""Options that configure the verifier, shared by the commands. Without them, the environment configures it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aveverify import Provider, Verifier
from aveverify.cli.terminal import UsageError
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from aveverify.redis import RedisDocumentStore


def add_verifier_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that configure the verifier."""
    group = parser.add_argument_group("verifier", "Options that configure the verifier.")
    group.add_argument("--issuer", metavar="URL", help="Accept the tokens of this OIDC issuer.")
    group.add_argument("--application-id", metavar="ID", help="Require this client id in aud. Needs --issuer.")
    group.add_argument(
        "--leeway-seconds", type=float, metavar="N", help="Allow a clock skew of 0 to 300 seconds. Needs --issuer."
    )
    group.add_argument(
        "--insecure-http",
        action="store_true",
        help="Allow plain http to other hosts than this machine. Needs --issuer.",
    )
    group.add_argument(
        "--auth-config",
        metavar="CONFIG",
        help="Accept the providers of a Convex auth.config, given as JSON text or as the path of a file.",
    )


def make_verifier(arguments: argparse.Namespace, document_store: RedisDocumentStore | None = None) -> Verifier:
    """Make the verifier that the options or the environment describe.

    Args:
        arguments: As `add_verifier_options` declares them.
        document_store: The store that shares the documents of issuers between processes; None shares none.

    Returns:
        The verifier.

    Raises:
        UsageError: Options contradict each other.
        ConfigurationError: No provider is configured, or a setting is wrong.
    """
    issuer, application_id, config = arguments.issuer, arguments.application_id, arguments.auth_config
    for option, text in (("--issuer", issuer), ("--application-id", application_id), ("--auth-config", config)):
        check_not_blank(option, text)
    if config is not None and (issuer is not None or application_id is not None):
        raise UsageError("--auth-config names the providers; remove --issuer and --application-id")
    if (issuer is None) != (application_id is None):
        raise UsageError("--issuer and --application-id go together")
    if issuer is not None:
        provider = Provider(
            issuer=issuer,
            application_id=application_id,
            leeway_seconds=arguments.leeway_seconds,
            insecure_http=arguments.insecure_http,
        )
        return Verifier(provider, document_store=document_store)
    if arguments.leeway_seconds is not None or arguments.insecure_http:
        raise UsageError("--leeway-seconds and --insecure-http go with --issuer")
    if config is not None:
        # JSON is not the name of a file, and the name of a file may end in anything.
        is_json = config.lstrip().startswith("{")
        return Verifier.from_auth_config(config if is_json else Path(config), document_store=document_store)
    return Verifier.from_env(document_store=document_store)


def check_not_blank(option: str, text: str | None) -> None:
    """Refuse an option without a value, as `--scope "$SCOPE"` is where the variable is not set.

    Args:
        option: The option, with its dashes.
        text: Its value; None where it was not given.

    Raises:
        ConfigurationError: The value is empty or blank.

    Source: CFG-013.
    """
    if text is not None and not text.strip():
        raise ConfigurationError(Problem.EMPTY, option)
