"""A loopback server that answers each connection with exactly the bytes a test wants, when it wants."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

Answer = Callable[[socket.socket, Event], None]


class ScriptedServer:
    """Listens on a free port of this machine; records requests and counts connections."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopped = Event()
        self._answer = answer
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        # A client that hangs up is what several tests are about.
        with suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                while request := self._read_request(connection):
                    self.requests.append(request)
                    self._answer(connection, self.stopped)

    def _read_request(self, connection: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(4096)
            if not data:
                return b""
            request += data
        return request


@contextmanager
def serve(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server for the length of a `with` block."""
    server = ScriptedServer(answer, context)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def whole(body: bytes, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> Answer:
    """Answer with a whole response of this body."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    data = "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def answer(connection: socket.socket, _stopped: Event) -> None:
        connection.sendall(data)

    return answer


def raw(data: bytes, *, then_close: bool = True) -> Answer:
    """Answer with exactly these bytes, then hang up or fall silent."""

    def answer(connection: socket.socket, stopped: Event) -> None:
        connection.sendall(data)
        if then_close:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            stopped.wait()

    return answer


def drip(beginning: bytes, piece: bytes) -> Answer:
    """Send a piece every few milliseconds for ever: no single read ever times out."""

    def answer(connection: socket.socket, stopped: Event) -> None:
        connection.sendall(beginning)
        while not stopped.wait(0.01):
            connection.sendall(piece)

    return answer
