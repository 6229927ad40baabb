"""A real HTTP server on 127.0.0.1 for the documents of an issuer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Final

from aveverify.fetcher import FetchResponse

# The longest time between `shutdown()` and the end of the server.
_POLL_SECONDS: Final = 0.02
# A client that connects and sends nothing must not keep its thread.
_IDLE_SECONDS: Final = 5


class _Server(ThreadingTCPServer):
    # Not HTTPServer, which asks the name service for its own name.
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serve_documents(respond: Callable[[str], FetchResponse]) -> Iterator[str]:
    """Serve documents over HTTP on a free port of 127.0.0.1, on a thread of its own, for the length of a `with` block.

    Args:
        respond: Returns the response for a path.

    Yields:
        The URL of the server, without any path.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_SECONDS

        def do_GET(self) -> None:
            response = respond(self.path)
            self.send_response(response.status)
            pairs = response.headers.items() if isinstance(response.headers, Mapping) else response.headers
            for name, value in pairs:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, *_arguments: object) -> None:
            """Print nothing into the output of the tests."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="aveverify-fake-issuer", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
