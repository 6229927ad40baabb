"""The application of `aveverify serve`: forward auth for the proxy, health and metrics for the operator, by port."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aveverify.cli.terminal import UsageError
from aveverify.cli.verifier_options import make_verifier
from aveverify.errors import AveVerifyError
from aveverify.forward_auth import is_auth_path, make_admin_app, make_app
from aveverify.identity_header import IdentitySigner, encode_identity
from aveverify.redis import RedisDocumentStore

if TYPE_CHECKING:
    from aveverify.asgi import ASGIApp, Receive, Scope, Send
    from aveverify.cli.serve.settings import Settings
    from aveverify.forward_auth import Write
    from aveverify.prometheus import ForwardAuthMetrics
    from aveverify.verifier import Verifier

log = logging.getLogger("aveverify.serve")


def open_verifier(settings: Settings) -> Verifier:
    """Make the verifier that the settings describe.

    Args:
        settings: Those of the command.

    Returns:
        The verifier. Close it, or use it with `with`.

    Raises:
        UsageError: The extra `redis` is missing, or the Redis URL is malformed.
        ConfigurationError: A setting is wrong.
    """
    if settings.redis_url is None:
        return make_verifier(settings.verifier_options)
    if find_spec("redis") is None:
        raise UsageError('--redis-url needs redis-py: pip install "aveverify[redis]"')
    if settings.redis_hmac_key is None:
        log.warning("no --redis-hmac-key: a client that can write to the Redis server can sign in as any user")
    try:
        store = RedisDocumentStore.from_url(settings.redis_url, hmac_key=settings.redis_hmac_key)
    except ValueError as error:
        # Without the text of redis-py, which may contain a password.
        if isinstance(error, AveVerifyError):
            raise
        raise UsageError("--redis-url cannot be read; it begins with redis://, rediss:// or unix://") from None
    return make_verifier(settings.verifier_options, store)


def make_service(settings: Settings, verifier: Verifier) -> ASGIApp:
    """Make the one application that serves both ports.

    Args:
        settings: Those of the command, with the actual port numbers.
        verifier: Verifies the tokens. The application closes it at the end.

    Returns:
        The application.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    metrics = _make_metrics(verifier)
    count = metrics.count if metrics is not None else None

    def record_outcome(outcome: str, status: int) -> None:
        if count is not None:
            count(outcome, status)
        if settings.access_log:
            log.info("%d %s", status, outcome)

    auth = make_app(
        verifier,
        required=settings.required,
        scopes=settings.scopes,
        any_scopes=settings.any_scopes,
        scope_claims=settings.scope_claims,
        realm=settings.realm,
        resource_metadata=settings.resource_metadata,
        write_identity=_make_writer(settings),
        on_outcome=record_outcome,
    )
    admin = make_admin_app(verifier, metrics.render if metrics is not None else None)

    def is_for_admin(scope: Scope) -> bool:
        if settings.admin_port == "same":
            return not is_auth_path(scope["path"])
        # The port of the socket: a client chooses the port in the Host header.
        return bool(scope["server"][1] == settings.admin_port)

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _run_lifespan(settings, verifier, receive, send)
        else:
            await (admin if is_for_admin(scope) else auth)(scope, receive, send)

    return service


async def _run_lifespan(settings: Settings, verifier: Verifier, receive: Receive, send: Send) -> None:
    await receive()
    if settings.warm_up:
        await verifier.warm_up_async()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    verifier.close()
    await send({"type": "lifespan.shutdown.complete"})


def _make_writer(settings: Settings) -> Write | None:
    if settings.sign_key is not None:
        return IdentitySigner(settings.sign_key, audience=settings.sign_audience)
    return encode_identity if settings.writes_identity else None


def _make_metrics(verifier: Verifier) -> ForwardAuthMetrics | None:
    if find_spec("prometheus_client") is None:
        log.warning('/metrics is off: pip install "aveverify[prometheus]"')
        return None
    from aveverify.prometheus import ForwardAuthMetrics

    return ForwardAuthMetrics(verifier)
