"""The servers of the demo: an issuer and a protected app, each on a port of 127.0.0.1, and their clock."""

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

# A request on loopback takes milliseconds.
_TIMEOUT_SECONDS: Final = 10


class LogRecorder(logging.Handler):
    """Keeps all log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def errors(self) -> list[AveVerifyError]:
        """Return the errors with which the middleware refused requests."""
        return [
            argument
            for record in self.records
            if record.name == "aveverify.http" and isinstance(record.args, tuple)
            for argument in record.args
            if isinstance(argument, AveVerifyError)
        ]


@dataclass(frozen=True)
class DemoServers:
    """The two running servers, and how the tour reaches them.

    Attributes:
        issuer: Issues tokens and serves keys over HTTP.
        clock: The clock of the issuer and the verifier.
        app_url: The URL of the protected app.
        client: An HTTP client of the app.
        log: The log records of the package.
    """

    issuer: FakeIssuer
    clock: FakeClock
    app_url: str
    client: httpx.Client
    log: LogRecorder


@contextmanager
def open_servers() -> Iterator[DemoServers]:
    """Start the issuer and the app, and stop them at the end of a `with` block.

    Yields:
        The running servers.
    """
    clock = FakeClock(now=float(int(time.time())))
    issuer = FakeIssuer(application_id="app_demo", clock=clock)
    with ExitStack() as stack:
        log = stack.enter_context(_record_log())
        stack.enter_context(issuer.serve())
        verifier = stack.enter_context(Verifier(issuer.provider, clock=clock))
        app_url = stack.enter_context(_serve(make_app(verifier)))
        client = stack.enter_context(httpx.Client(base_url=app_url, trust_env=False, timeout=_TIMEOUT_SECONDS))
        yield DemoServers(issuer, clock, app_url, client, log)


def make_app(verifier: Verifier) -> ASGIApp:
    """Make an application with one view, which returns the identity of the request, behind the middleware.

    Args:
        verifier: Verifies the tokens of requests.

    Returns:
        The application.
    """

    async def me(request: Request) -> JSONResponse:
        identity = get_user_identity(request)
        return JSONResponse(identity and identity.to_convex())

    return AveAuthMiddleware(Starlette(routes=[Route("/me", me)]), verifier, required=True)


@contextmanager
def _serve(app: ASGIApp) -> Iterator[str]:
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, log_level="error"
    )
    server = uvicorn.Server(config)
    # The socket listens before the server runs, so that no request comes too early.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],), name="aveverify-demo-app", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_TIMEOUT_SECONDS)


@contextmanager
def _record_log() -> Iterator[LogRecorder]:
    log = logging.getLogger("aveverify")
    recorder, level = LogRecorder(), log.level
    log.addHandler(recorder)
    log.setLevel(logging.INFO)
    try:
        yield recorder
    finally:
        log.setLevel(level)
        log.removeHandler(recorder)
