"""`aveverify serve` at work: sockets, uvicorn, workers, and an orderly end."""

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
from aveverify.cli.serve.workers import run_workers, stopping_quietly, until_stopped
from aveverify.cli.terminal import UsageError

if TYPE_CHECKING:
    import asyncio

    from aveverify.asgi import ASGIApp
    from aveverify.cli.serve.settings import Settings

# prometheus_client's own name for the folder in which several processes count together.
_SHARED_COUNTS: Final = "PROMETHEUS_MULTIPROC_DIR"
_BACKLOG: Final = 2048
# For h11; `aveverify.cli.serve.bounded_httptools` has the same.
_MAX_HEAD_BYTES: Final = 64 * 1024
_GRACE_SECONDS: Final = 10


def perform(settings: Settings) -> None:
    """Listen, and serve until a signal says stop.

    Args:
        settings: From `read_settings`.

    Raises:
        UsageError: A port cannot be had, or an extra is missing.
        ConfigurationError: A setting is wrong.
        KeysUnavailableError: With `fail_closed`, where there are no keys.
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
        # Also where workers make their own: what is wrong with the settings shows here, once.
        app = make_service(settings, verifier)
        print(_announcement(settings), flush=True)
        if settings.workers == 1:
            _serve(app, sockets)
        else:
            stopped = stack.enter_context(until_stopped())
            stack.enter_context(_counting_together())
            run_workers(partial(serve_as_worker, settings), sockets, settings.workers, stopped)


def serve_as_worker(settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve in a process of its own, with a verifier of its own.

    Args:
        settings: Those of the command.
        sockets: What all workers listen on.
    """
    _configure_log()
    with open_verifier(settings) as verifier:
        _serve(make_service(settings, verifier), sockets)


def _serve(app: ASGIApp, sockets: list[socket.socket]) -> None:
    # No log of its own that holds addresses; no trust in X-Forwarded-For.
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
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with stopping_quietly():
        uvicorn.Server(config).run(sockets=sockets)


def _choose_protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    """Return what reads requests: httptools if it is installed, which is twice as fast. Both are bounded (HTP-047)."""
    try:
        from aveverify.cli.serve.bounded_httptools import BoundedHttpToolsProtocol
    except ImportError:
        return "h11"
    return BoundedHttpToolsProtocol


def _announcement(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    places = [f"auth at http://{host}:{settings.port}/auth"]
    if settings.admin_port != "off":
        port = settings.port if settings.admin_port == "same" else settings.admin_port
        places.append(f"health at http://{host}:{port}/healthz")
    return f"aveverify serves {', '.join(places)}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror}") from None


def _configure_log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Each fetch as a line of its own says nothing that our events do not.
    logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def _counting_together() -> Iterator[None]:
    """Give the workers a folder in which they sum up their counts, unless the operator has given one."""
    if os.environ.get(_SHARED_COUNTS):
        yield
        return
    with TemporaryDirectory(prefix="aveverify-") as folder:
        os.environ[_SHARED_COUNTS] = folder
        try:
            yield
        finally:
            del os.environ[_SHARED_COUNTS]
