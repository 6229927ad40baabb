"""The applications of the servers, which respond with the user and the path. The servers load them by name."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import anyio

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    Identity,
    Provider,
    Verifier,
    asgi,
    current_identity,
    get_user_identity,
    wsgi,
)
from aveverify.sources import AuthorizationHeader, QueryParameter, WebSocketProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Below it credentials are optional.
OPTIONAL = "/optional"
EXEMPT = ("/public", "/open/*")
# The path that bypasses the middleware.
OUTSIDE = "/outside"

_verifier = Verifier(Provider(issuer=os.environ["TEST_ISSUER"], application_id="app_test"))


def _greet(identity: Identity | None, path: str) -> bytes:
    return f"hello {identity and identity.subject} at {path}\n".encode("utf-8", "backslashreplace")


def _read_current_identity() -> bytes:
    try:
        return f"a user: {current_identity.get()}".encode()
    except ConfigurationError:
        return b"no user"


async def _asgi(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    if scope["path"] == OUTSIDE:
        body = _read_current_identity()
    else:
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        body = _greet(get_user_identity(scope), scope["path"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


_asgi_required = asgi.AveAuthMiddleware(_asgi, _verifier, required=True, exempt=EXEMPT)
_asgi_optional = asgi.AveAuthMiddleware(_asgi, _verifier, required=False)


async def asgi_application(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Serve HTTP."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    behind = _asgi_optional if scope["path"].startswith(OPTIONAL) else _asgi_required
    app: asgi.ASGIApp = _asgi if scope["path"] == OUTSIDE else behind
    await app(scope, receive, send)


async def _live(receive: asgi.Receive, send: asgi.Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == OUTSIDE:
        body = _read_current_identity()
    else:
        if environ["REQUEST_METHOD"] == "POST":
            # A chunked body has no length.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = _greet(get_user_identity(environ), environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


_wsgi_required = wsgi.AveAuthMiddleware(_wsgi, _verifier, required=True, exempt=EXEMPT)
_wsgi_optional = wsgi.AveAuthMiddleware(_wsgi, _verifier, required=False)


def wsgi_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve HTTP."""
    behind = _wsgi_optional if environ["PATH_INFO"].startswith(OPTIONAL) else _wsgi_required
    app: WSGIApplication = _wsgi if environ["PATH_INFO"] == OUTSIDE else behind
    return app(environ, start_response)


# --- streams that end with their token --------------------------------------------------------------------------------

# Every tenth of a second there is a chunk, for far longer than a token of the tests lives.
_CHUNK = b"data: news\n\n"
_CHUNKS = 300


def _stream_headers(path: str) -> list[tuple[str, str]]:
    length = [("content-length", str(_CHUNKS * len(_CHUNK)))] if path == "/download" else []
    return [("content-type", "text/event-stream"), *length]


async def _stream(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in _stream_headers(scope["path"])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(_CHUNKS):
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
        if scope["path"] == "/idle":
            # Goes on after `exp`, and ends before the server is told to stop.
            await anyio.sleep(8)
            return
        await anyio.sleep(0.1)


_asgi_stream = asgi.AveAuthMiddleware(_stream, _verifier, required=True, end_expired_streams=True)


async def asgi_stream_application(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Serve streams over ASGI."""
    await (_live(receive, send) if scope["type"] == "lifespan" else _asgi_stream(scope, receive, send))


def _wsgi_stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", _stream_headers(environ["PATH_INFO"]))
    for _ in range(_CHUNKS):
        yield _CHUNK
        time.sleep(0.1)


wsgi_stream_application = wsgi.AveAuthMiddleware(_wsgi_stream, _verifier, required=True, end_expired_streams=True)


# --- WebSockets -----------------------------------------------------------------------------------------------------


async def _talk(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Send the user and the visible parts of the handshake; then treat every message as a new token."""
    connection = asgi.get_live_connection(scope)
    await receive()
    await send({"type": "websocket.accept"})
    offered = [value.decode() for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    seen = [*offered, *scope.get("subprotocols", ()), scope["query_string"].decode()]
    subject = connection.identity and connection.identity.subject
    await send({"type": "websocket.send", "text": f"hello {subject}, seen {','.join(filter(None, seen))}"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": await _renew(connection, message)})


async def _renew(connection: asgi.LiveConnection, message: Any) -> str:
    try:
        identity = await connection.reauthenticate(message["text"])
    except AveVerifyError as error:
        return f"refused {error.reason}"
    return f"hello {identity.subject}"


_websocket = asgi.AveAuthMiddleware(
    _talk,
    _verifier,
    required=True,
    token_sources=[AuthorizationHeader(), WebSocketProtocol(), QueryParameter("access_token")],
)


async def _obey(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Obey every message, and print its user and whether the token had expired; never close the connection."""
    identity = get_user_identity(scope)
    assert identity is not None
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "ready"})
    while (message := await receive())["type"] == "websocket.receive":
        known = get_user_identity(scope)
        is_late = time.time() >= identity.expires_at
        print(f"{scope['path']} obeyed {known and known.subject}{' late' * is_late}", flush=True)
        if scope["path"].startswith("/slow"):
            await anyio.sleep(0.02)
    again = await receive()
    print(f"{scope['path']} ended {message['code']} {again['code']} {get_user_identity(scope)}", flush=True)


_obeying = asgi.AveAuthMiddleware(_obey, _verifier, required=True)


class Disconnect(Exception):  # noqa: N818 - as frameworks name it
    """What frameworks raise when they receive a disconnect."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def _trust(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Treat every message as a new token, and catch nothing."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "ready"})
    while (message := await receive())["type"] == "websocket.receive":
        await asgi.get_live_connection(scope).reauthenticate(message["text"])
    raise Disconnect(message["code"])


_trusting = asgi.AveAuthMiddleware(_trust, _verifier, required=True)


async def websocket_application(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Serve WebSockets."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        app = {"/live": _websocket, "/trusting": _trusting}.get(scope["path"], _obeying)
        await app(scope, receive, send)
