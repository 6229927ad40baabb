"""The settings of `aveverify serve`: options as typed, checked and parsed into plain data."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from aveverify._core.secret_key import check_secret_key
from aveverify._http.scopes import DEFAULT_SCOPE_CLAIMS
from aveverify.cli.terminal import UsageError
from aveverify.cli.verifier_options import check_not_blank
from aveverify.errors import ConfigurationError, Problem
from aveverify.identity_header import DEFAULT_AUDIENCE

DEFAULT_BIND: Final = "127.0.0.1:4180"
DEFAULT_ADMIN_PORT: Final = 4181
_MAX_PORT: Final = 65535
# For both parsers, h11 and httptools: room for a token of 16 KiB, cookies, and the headers that proxies add (HTP-047).
MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_WORKERS: Final = 256
_TEXTS: Final = (
    "realm", "resource_metadata", "sign_key", "sign_audience", "bind", "admin_port", "workers", "redis_url",
    "redis_hmac_key",
)  # fmt: skip

# The options that can be repeated; a variable holds their values with blanks in between.
REPEATED: Final = ("scope", "any_scope", "scope_claim")

AdminPort = int | Literal["same", "off"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a worker needs to serve; plain data, so that it can be sent to another process.

    Attributes:
        verifier_options: The options that configure the verifier.
        host: The address to listen on.
        port: The port of forward auth; 0 chooses a free one.
        admin_port: The port of health and metrics; 0 chooses a free one, `same` is that of forward auth.
        workers: The number of processes that serve, 1 to 256.
        required: Whether credentials are required.
        scopes: The scopes that every token must have.
        any_scopes: Scopes of which every token must have one.
        scope_claims: The claims that hold scopes.
        realm: The `realm` of challenges.
        resource_metadata: The `resource_metadata` URL of challenges (RFC 9728).
        writes_identity: Whether `X-Ave-Identity` contains plain JSON.
        sign_key: The key of the JWS in `X-Ave-Identity`; None signs nothing.
        sign_audience: The `aud` of that JWS.
        warm_up: Whether keys are fetched before the first request.
        fail_closed: Whether the service starts only with keys.
        redis_url: The Redis server that shares documents; None shares none.
        redis_hmac_key: The key that authenticates shared documents.
        access_log: Whether the outcome of every request is logged.
    """

    verifier_options: argparse.Namespace = field(repr=False)
    host: str
    port: int
    admin_port: AdminPort
    workers: int
    required: bool
    scopes: tuple[str, ...]
    any_scopes: tuple[str, ...]
    scope_claims: tuple[str, ...]
    realm: str | None
    resource_metadata: str | None
    writes_identity: bool
    sign_key: bytes | None = field(repr=False)
    sign_audience: str
    warm_up: bool
    fail_closed: bool
    redis_url: str | None = field(repr=False)
    redis_hmac_key: bytes | None = field(repr=False)
    access_log: bool


def parse_settings(arguments: argparse.Namespace) -> Settings:
    """Parse the options of the command, and check that they fit together.

    Args:
        arguments: As the command declares them, completed from the environment.

    Returns:
        The settings.

    Raises:
        UsageError: An option is malformed, or options contradict each other.
        ConfigurationError: A setting or the file of a key is empty (CFG-013), or a key can be guessed (CFG-015).
    """
    for name in _TEXTS:
        check_not_blank(f"--{name.replace('_', '-')}", getattr(arguments, name))
    for name in REPEATED:
        for value in getattr(arguments, name) or ():
            check_not_blank(f"--{name.replace('_', '-')}", value)
    if arguments.identity and arguments.sign_key:
        raise UsageError("--identity and --sign-key fill the same header; give one of them")
    if arguments.sign_audience is not None and arguments.sign_key is None:
        raise UsageError("--sign-audience goes with --sign-key")
    if arguments.redis_hmac_key is not None and arguments.redis_url is None:
        raise UsageError("--redis-hmac-key goes with --redis-url")
    host, _, port = (arguments.bind or DEFAULT_BIND).rpartition(":")
    admin_port = arguments.admin_port or DEFAULT_ADMIN_PORT
    if admin_port not in ("same", "off"):
        admin_port = _parse_number("--admin-port", admin_port, 0, _MAX_PORT)
    return Settings(
        verifier_options=arguments,
        host=host.strip("[]") or "127.0.0.1",
        port=_parse_number("--bind", port, 0, _MAX_PORT, needed="HOST:PORT with a port"),
        admin_port=admin_port,
        workers=_parse_number("--workers", arguments.workers or 1, 1, _MAX_WORKERS),
        required=not arguments.optional,
        scopes=tuple(arguments.scope or ()),
        any_scopes=tuple(arguments.any_scope or ()),
        scope_claims=tuple(arguments.scope_claim or DEFAULT_SCOPE_CLAIMS),
        realm=arguments.realm,
        resource_metadata=arguments.resource_metadata,
        writes_identity=arguments.identity,
        sign_key=_read_key("--sign-key", arguments.sign_key),
        sign_audience=arguments.sign_audience or DEFAULT_AUDIENCE,
        warm_up=arguments.warm_up or arguments.fail_closed,
        fail_closed=arguments.fail_closed,
        redis_url=arguments.redis_url,
        redis_hmac_key=_read_key("--redis-hmac-key", arguments.redis_hmac_key),
        access_log=arguments.access_log,
    )


def _parse_number(option: str, text: str | int, low: int, high: int, *, needed: str = "a number") -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(f"{option} needs {needed} from {low} to {high}")
    return number


def _read_key(option: str, path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        # Editors and `openssl rand -base64 48 >` end a file with a line break.
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise UsageError(f"the file of {option} cannot be read: {error.strerror}") from None
    if not key:
        raise ConfigurationError(Problem.EMPTY, f"the file of {option}")
    # Checked here, where the option is known, because two options name a key file.
    check_secret_key(f"the key of {option}", key)
    return key
