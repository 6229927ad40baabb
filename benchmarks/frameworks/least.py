"""The least that a request of a known user can cost with the same promises: one function, without any layer.

Find the header, look the token up, hash it whole, read both clocks, give the identity to the request and to its
context, and take it from there again. This is no middleware: it knows neither keys nor configuration. The time that our
middleware needs beyond this is the price of its layers; the time that this needs beyond the bare application is the
price of the promises.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from hashlib import sha256
from typing import Any

from starlette.responses import PlainTextResponse

from aveverify import AveVerifyError, Identity, Verifier
from benchmarks.frameworks import Application

_served: ContextVar[Any] = ContextVar("served")
_TAIL = 24
_NAME_BYTES = len(b"authorization")
# The digest of a token, its identity, and its end by either clock.
_Entry = tuple[bytes, Identity, float, float]


class Memory:
    """The tokens that were verified before.

    Args:
        verifier: Verifies a token that is not remembered.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.entries: dict[bytes, _Entry] = {}

    def learn(self, token: bytes) -> Identity:
        """Verify a token, and remember it for an hour."""
        identity = self._verifier.verify(token)
        digest = sha256(token).digest()
        self.entries[token[-_TAIL:]] = digest, identity, identity.expires_at, time.monotonic() + 3600
        return identity


class LeastASGI:
    """In front of an ASGI application."""

    def __init__(self, app: Application, verifier: Verifier) -> None:
        self._app = app
        self._memory = Memory(verifier)
        self._entries = self._memory.entries

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        found = b""
        for name, value in scope["headers"]:
            if len(name) == _NAME_BYTES and name.lower() == b"authorization":
                found = value
        token = found[7:]
        known = self._entries.get(token[-_TAIL:])
        if (
            known is not None
            and known[0] == sha256(token).digest()
            and time.time() < known[2]
            and time.monotonic() < known[3]
        ):
            identity = known[1]
        else:
            try:
                identity = self._memory.learn(token)
            except AveVerifyError:
                await PlainTextResponse("unauthorized", 401)(scope, receive, send)
                return
        inner, state = {**scope}, {**scope["state"]}
        inner["identity"] = state["identity"] = identity
        inner["state"] = state
        reset = _served.set(served := [inner])
        try:
            await self._app(inner, receive, send)
        finally:
            _served.reset(reset)
            served.clear()


class LeastWSGI:
    """In front of a WSGI application."""

    def __init__(self, app: Application, verifier: Verifier) -> None:
        self._app = app
        self._memory = Memory(verifier)
        self._entries = self._memory.entries

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Serve one request."""
        token = environ["HTTP_AUTHORIZATION"][7:].encode()
        known = self._entries.get(token[-_TAIL:])
        if (
            known is not None
            and known[0] == sha256(token).digest()
            and time.time() < known[2]
            and time.monotonic() < known[3]
        ):
            environ["identity"] = known[1]
        else:
            try:
                environ["identity"] = self._memory.learn(token)
            except AveVerifyError:
                start_response("401 Unauthorized", [])
                return []
        reset = _served.set(served := [environ])
        try:
            chunks = self._app(environ, start_response)
        finally:
            _served.reset(reset)
        return _Chunks(chunks, served)


class _Chunks:
    """The application's iterable, in the context of its request."""

    def __init__(self, given: Any, served: list[Any]) -> None:
        self._given = given
        self._served = served

    def __iter__(self) -> Any:
        reset = _served.set(self._served)
        try:
            chunks = list(self._given)
        finally:
            _served.reset(reset)
        yield from chunks

    def close(self) -> None:
        """End the request."""
        reset = _served.set(self._served)
        try:
            self._given.close()
        finally:
            _served.reset(reset)
            self._served.clear()
