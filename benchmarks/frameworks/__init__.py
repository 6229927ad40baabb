"""Applications to measure: one file for each framework, each with one route, bare and behind something."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aveverify import Verifier
from benchmarks.contestants import Verify
from benchmarks.contestants.ours import make_verifier, oidc
from benchmarks.contestants.pyjwt import make_with_key
from benchmarks.corpus import Corpus

MAIN = "RS256-2048"
BODY = "ok"
PATH = "/me"
Application = Any


@dataclass(frozen=True, slots=True)
class Kit:
    """What the applications verify with, made once for each process.

    Attributes:
        warm: A verifier that remembers tokens.
        cold: One that remembers none.
        pyjwt: PyJWT, with a loaded key and the same checks.
    """

    warm: Verifier
    cold: Verifier
    pyjwt: Verify


@dataclass(frozen=True, slots=True)
class Variant:
    """One application.

    Attributes:
        setting: `bare`, `no-op`, `warm` or `cold`.
        who: The middleware or dependency in front of the route.
        application: ASGI or WSGI.
        refuses: Whether a wrong token gets 401.
    """

    setting: str
    who: str
    application: Application
    refuses: bool = True


def make_kit(corpus: Corpus) -> Kit:
    """Verifiers whose keys are loaded, for the same tokens."""
    return Kit(
        warm=make_verifier(oidc(corpus), token_cache_size=100_000),
        cold=make_verifier(oidc(corpus)),
        pyjwt=make_with_key(corpus, MAIN),
    )


def bearer(value: str | bytes | None) -> str:
    """The token of an Authorization header, as examples of PyJWT take it; the empty text where there is none."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value or ""
    scheme, _, token = text.partition(" ")
    return token if scheme.lower() == "bearer" else ""


class NoOpASGI:
    """An ASGI middleware that does nothing: what any middleware costs."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application unchanged."""
        await self._app(scope, receive, send)


class NoOpWSGI:
    """A WSGI middleware that does nothing."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Call the application unchanged."""
        return self._app(environ, start_response)


AsyncCall = Callable[[str], Coroutine[Any, Any, int]]
SyncCall = Callable[[str], int]


def asgi_call(application: Application) -> AsyncCall:
    """Return what sends one request with a header to an ASGI application, and gives the status."""
    headers = [(b"host", b"127.0.0.1"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")]
    base = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "",
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8_000),
    }  # fmt: skip

    async def call(authorization: str) -> int:
        status = 0
        was_asked = False

        async def receive() -> dict[str, Any]:
            nonlocal was_asked
            if was_asked:
                # A client that stays connected and sends nothing more.
                await asyncio.Event().wait()
            was_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {**base, "headers": [*headers, (b"authorization", authorization.encode())], "state": {}}
        await application(scope, receive, send)
        return status

    return call


def wsgi_call(application: Application) -> SyncCall:
    """Return what sends one request with a header to a WSGI application, and gives the status."""
    base = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": PATH, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:8000", "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }  # fmt: skip

    def call(authorization: str) -> int:
        answered = ""

        def start_response(status: str, _headers: Any, _exc_info: Any = None) -> None:
            nonlocal answered
            answered = status

        environ = {**base, "HTTP_AUTHORIZATION": authorization, "wsgi.input": io.BytesIO()}
        chunks = application(environ, start_response)
        for _ in chunks:
            pass
        if hasattr(chunks, "close"):
            chunks.close()
        return int(answered[:3])

    return call
