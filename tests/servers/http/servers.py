"""The servers, and the command that starts each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.processes import Program, free_port, python, running

_MODULE = "tests.servers.http.apps"
_ASGI, _WSGI, _WEBSOCKET = (f"{_MODULE}:{name}_application" for name in ("asgi", "wsgi", "websocket"))
_UVICORN = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--timeout-graceful-shutdown", "1")
_HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}", "--access-logfile", "-")
# Later versions open a control socket by default; 23 does not know the option.
_NO_SOCKET = () if version("gunicorn").startswith("23.") else ("--no-control-socket",)
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", *_NO_SOCKET, "--worker-class")


class Server(NamedTuple):
    """A server.

    Attributes:
        command: Its module and arguments.
        reads_body_first: Whether it reads a whole body before it calls the application.
    """

    command: tuple[str, ...]
    reads_body_first: bool = False


HTTP_SERVERS = {
    "uvicorn-h11": Server((*_UVICORN, "--http", "h11", _ASGI)),
    "uvicorn-httptools": Server((*_UVICORN, "--http", "httptools", _ASGI)),
    "hypercorn": Server((*_HYPERCORN, _ASGI)),
    "hypercorn-trio": Server((*_HYPERCORN, "--worker-class", "trio", _ASGI)),
    "granian": Server(("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", _ASGI)),
    "gunicorn-sync": Server((*_GUNICORN, "sync", _WSGI)),
    "gunicorn-gthread": Server((*_GUNICORN, "gthread", "--threads", "4", _WSGI)),
    "gunicorn-gevent": Server((*_GUNICORN, "gevent", _WSGI)),
    "waitress": Server(("waitress", "--listen", "127.0.0.1:{port}", _WSGI), reads_body_first=True),
}
# Servers with a configured prefix: uvicorn puts it before every path, hypercorn expects it there or removed.
PREFIX = "/api"
PREFIXED_SERVERS = {
    "uvicorn-root-path": Server((*_UVICORN, "--root-path", PREFIX, _ASGI)),
    "uvicorn-root-path-slash": Server((*_UVICORN, "--root-path", f"{PREFIX}/", _ASGI)),
    "hypercorn-root-path": Server((*_HYPERCORN, "--root-path", PREFIX, _ASGI)),
}
# Earlier versions of uvicorn do not have it.
_SANSIO = (
    {"uvicorn-sansio": Server((*_UVICORN, "--ws", "websockets-sansio", _WEBSOCKET))}
    if find_spec("uvicorn.protocols.websockets.websockets_sansio_impl")
    else {}
)
WEBSOCKET_SERVERS = {
    "uvicorn-websockets": Server((*_UVICORN, "--ws", "websockets", _WEBSOCKET)),
    **_SANSIO,
    "uvicorn-wsproto": Server((*_UVICORN, "--ws", "wsproto", _WEBSOCKET)),
    "hypercorn": Server((*_HYPERCORN, _WEBSOCKET)),
    "hypercorn-trio": Server((*_HYPERCORN, "--worker-class", "trio", _WEBSOCKET)),
}

_ASGI_STREAM, _WSGI_STREAM = (f"{_MODULE}:{name}_stream_application" for name in ("asgi", "wsgi"))
STREAM_SERVERS = {
    name: server._replace(
        command=tuple({_ASGI: _ASGI_STREAM, _WSGI: _WSGI_STREAM}.get(word, word) for word in server.command)
    )
    for name, server in HTTP_SERVERS.items()
}


class Running(NamedTuple):
    """A running server."""

    name: str
    port: int
    program: Program
    server: Server


@contextmanager
def run_server(name: str, server: Server, issuer: str, folder: Path) -> Iterator[Running]:
    """Run a server for the length of a `with` block."""
    port = free_port()
    command = python(*(word.format(port=port) for word in server.command))
    environment = {"TEST_ISSUER": issuer, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default"}
    with running(command, folder / "log", environment) as program:
        program.wait_for_port(port)
        yield Running(name, port, program, server)
