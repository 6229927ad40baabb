"""The stage of the demo: an issuer and a protected app, each behind a port of this machine, and one shared clock."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from aveverify import AveVerifyError, Verifier, get_user_identity
from aveverify.asgi import ASGIApp, AveAuthMiddleware
from aveverify.testing import FakeClock, FakeIssuer

if TYPE_CHECKING:
    from starlette.requests import Request

# A request on loopback takes milliseconds; whoever waits this long waits for nothing.
_PATIENCE_SECONDS: Final = 10


class LogBook(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def errors(self) -> list[AveVerifyError]:
        """Return what the middleware refused."""
        return [
            argument
            for record in self.records
            if record.name == "aveverify.http" and isinstance(record.args, tuple)
            for argument in record.args
            if isinstance(argument, AveVerifyError)
        ]


@dataclass(frozen=True)
class World:
    """Everything that a scene may touch.

    Attributes:
        issuer: Issues tokens and serves keys over HTTP.
        clock: The clock of issuer and verifier.
        app_url: Where the protected app is.
        client: A client of the app.
        log_book: What the package logs.
    """

    issuer: FakeIssuer
    clock: FakeClock
    app_url: str
    client: httpx.Client
    log_book: LogBook


@contextmanager
def open_world() -> Iterator[World]:
    """Start issuer and app, and stop them at the end of a `with` block.

    Yields:
        Both, and what goes with them.
    """
    clock = FakeClock(now=float(int(time.time())))
    issuer = FakeIssuer(application_id="app_demo", clock=clock)
    with ExitStack() as stack:
        log_book = stack.enter_context(_listening())
        stack.enter_context(issuer.serve())
        verifier = stack.enter_context(Verifier(issuer.provider, clock=clock))
        app_url = stack.enter_context(_serving(make_app(verifier)))
        client = stack.enter_context(httpx.Client(base_url=app_url, trust_env=False, timeout=_PATIENCE_SECONDS))
        yield World(issuer, clock, app_url, client, log_book)


def make_app(verifier: Verifier) -> ASGIApp:
    """Make an application with one view, which tells who asks, behind the middleware.

    Args:
        verifier: Decides about tokens.

    Returns:
        The application.
    """

    async def me(request: Request) -> JSONResponse:
        identity = get_user_identity(request)
        return JSONResponse(identity and identity.to_convex())

    return AveAuthMiddleware(Starlette(routes=[Route("/me", me)]), verifier, required=True)


@contextmanager
def _serving(app: ASGIApp) -> Iterator[str]:
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, log_level="error"
    )
    server = uvicorn.Server(config)
    # The socket listens before the server runs, so no request comes too early.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],), name="aveverify-demo-app", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_SECONDS)


@contextmanager
def _listening() -> Iterator[LogBook]:
    log = logging.getLogger("aveverify")
    log_book, level = LogBook(), log.level
    log.addHandler(log_book)
    log.setLevel(logging.INFO)
    try:
        yield log_book
    finally:
        log.setLevel(level)
        log.removeHandler(log_book)
