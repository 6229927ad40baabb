"""The running service of `aveverify serve`: sockets, uvicorn, workers, and a graceful end."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Literal

import uvicorn

from aveverify.cli.serve.application import make_service, open_verifier
from aveverify.cli.serve.settings import MAX_HEAD_BYTES
from aveverify.cli.serve.workers import catch_stop_signals, expect_stop_signals, run_workers
from aveverify.cli.terminal import UsageError

if TYPE_CHECKING:
    import asyncio

    from aveverify.asgi import ASGIApp
    from aveverify.cli.serve.settings import Settings

# prometheus_client's own name for the folder in which several processes keep their counters.
_METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_BACKLOG: Final = 2048
# How long a stopping server waits for its open requests.
_GRACE_SECONDS: Final = 10


def run_server(settings: Settings) -> None:
    """Listen, and serve until a stop signal comes.

    Args:
        settings: From `parse_settings`.

    Raises:
        UsageError: A port is not available, or an extra is missing.
        ConfigurationError: A setting is wrong.
        KeysUnavailableError: With `fail_closed`, no keys could be fetched.
    """
    _configure_log()
    with ExitStack() as stack:
        verifier = stack.enter_context(open_verifier(settings))
        if settings.warm_up:
            verifier.warm_up(fail_closed=settings.fail_closed)
        sockets = [stack.enter_context(_listen(settings.host, settings.port))]
        settings = replace(settings, port=sockets[0].getsockname()[1])
        if not isinstance(settings.admin_port, str):
            sockets.append(stack.enter_context(_listen(settings.host, settings.admin_port)))
            settings = replace(settings, admin_port=sockets[1].getsockname()[1])
        # Also where each worker makes its own: wrong settings are reported here, once.
        app = make_service(settings, verifier)
        print(_describe_addresses(settings), flush=True)
        if settings.workers == 1:
            _serve(app, sockets)
        else:
            stopped = stack.enter_context(catch_stop_signals())
            stack.enter_context(_share_counters())
            run_workers(partial(serve_as_worker, settings), sockets, settings.workers, stopped)


def serve_as_worker(settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve in a worker process, with a verifier of its own.

    Args:
        settings: Those of the command.
        sockets: The sockets that all workers listen on.
    """
    _configure_log()
    with open_verifier(settings) as verifier:
        _serve(make_service(settings, verifier), sockets)


def _serve(app: ASGIApp, sockets: list[socket.socket]) -> None:
    # uvicorn's access log would contain addresses, and X-Forwarded-For is not trusted.
    config = uvicorn.Config(
        app,
        http=_choose_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with expect_stop_signals():
        uvicorn.Server(config).run(sockets=sockets)


def _choose_protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    """Choose httptools if it is installed, which is twice as fast as h11. Both limit the head (HTP-047)."""
    try:
        from aveverify.cli.serve.bounded_httptools import BoundedHttpToolsProtocol
    except ImportError:
        return "h11"
    return BoundedHttpToolsProtocol


def _describe_addresses(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    addresses = [f"auth at http://{host}:{settings.port}/auth"]
    if settings.admin_port != "off":
        port = settings.port if settings.admin_port == "same" else settings.admin_port
        addresses.append(f"health at http://{host}:{port}/healthz")
    return f"aveverify serves {', '.join(addresses)}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror}") from None


def _configure_log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # httpx logs each fetch; the events of the key cache say more.
    logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def _share_counters() -> Iterator[None]:
    """Give the workers a folder for their counters, unless the operator has set one."""
    if os.environ.get(_METRICS_FOLDER):
        yield
        return
    with TemporaryDirectory(prefix="aveverify-") as folder:
        os.environ[_METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_METRICS_FOLDER]
