"""The service behind a proxy, which records what it receives."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

# RFC 6455 §1.3
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Upstream:
    """The requests that have arrived.

    Attributes:
        port: The port that it listens on.
        received: The header pairs of each request.
        targets: The method and target of each request.
    """

    port: int = 0
    received: list[list[tuple[str, str]]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Forget all requests."""
        self.received.clear()
        self.targets.clear()


@contextmanager
def serve_upstream() -> Iterator[Upstream]:
    """Serve for the length of a `with` block."""
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            pairs = list(self.headers.items())
            upstream.received.append(pairs)
            upstream.targets.append(f"{self.command} {self.path}")
            if self.headers.get("Upgrade", "").lower() == "websocket":
                self._upgrade()
                return
            length = int(self.headers.get("Content-Length", 0))
            content = {"headers": pairs, "body": self.rfile.read(length).decode(), "path": self.path}
            body = json.dumps(content).encode()
            status = 500 if self.path == "/broken" else 200
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        # The names that the base class calls.
        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - as http.server calls them

        def _upgrade(self) -> None:
            key = self.headers["Sec-WebSocket-Key"] + _GUID
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - RFC 6455 says so
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accept)
            if "Sec-WebSocket-Protocol" in self.headers:
                self.send_header("Sec-WebSocket-Protocol", "bearer")
            self.end_headers()
            text = f"hello {self.headers.get('X-Ave-Subject')}".encode()
            # One text frame, then the end: RFC 6455 §5.2.
            self.wfile.write(b"\x81" + bytes([len(text)]) + text + b"\x88\x02\x03\xe8")
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def server_bind(self) -> None:
            # Not that of the base class, which asks the name service for its own name.
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()

    with Server(("127.0.0.1", 0), Handler) as server:
        upstream.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()
