"""An issuer whose documents are files behind a real file server, Python's own with its `If-Modified-Since`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from aveverify import FetchRequest
from aveverify.testing import FakeClock, FakeIssuer

DISCOVERY = "/.well-known/openid-configuration"


class FileServer:
    """Serves the documents of an issuer from a folder of this machine.

    Attributes:
        issuer: The issuer, under the address of the server.
        conditional: For each request, in order, its path and its conditional headers.
        sends_etags: Whether files are served with an entity tag of their content, and dates are left alone.
    """

    def __init__(self, folder: Path, clock: FakeClock, *, sends_etags: bool) -> None:
        self.conditional: list[tuple[str, dict[str, str]]] = []
        self.sends_etags = sends_etags
        self._folder = folder
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(folder)))
        self.issuer = FakeIssuer(f"http://127.0.0.1:{self._server.server_port}", clock=clock)

    def publish(self, modified: float) -> None:
        """Write both documents as they are now, with this date."""
        for url in (self.issuer.issuer + DISCOVERY, self.issuer.jwks_uri):
            request = FetchRequest(url=url, headers={}, deadline_seconds=1, max_body_bytes=10**6)
            path = self._folder / url.removeprefix(self.issuer.issuer).lstrip("/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self.issuer.fetch(request).body)
            os.utime(path, (modified, modified))

    def asked_for(self, url: str) -> list[dict[str, str]]:
        """Return the conditional headers of every request for an address."""
        return [headers for path, headers in self.conditional if url.endswith(path)]

    @contextmanager
    def run(self) -> Iterator[None]:
        """Serve for the length of a `with` block."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, server: FileServer, *arguments: Any, **options: Any) -> None:
        self._files = server
        self._etag = ""
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        asked = {name: self.headers[name] for name in ("If-None-Match", "If-Modified-Since") if name in self.headers}
        self._files.conditional.append((self.path, asked))
        if self._files.sends_etags:
            del self.headers["If-Modified-Since"]
            self._etag = f'"{sha256(Path(self.translate_path(self.path)).read_bytes()).hexdigest()}"'
            if asked.get("If-None-Match") == self._etag:
                self.send_response(304)
                self.end_headers()
                return
        super().do_GET()

    def end_headers(self) -> None:
        if self._etag:
            self.send_header("ETag", self._etag)
        super().end_headers()

    def guess_type(self, path: str | os.PathLike[str]) -> str:  # noqa: ARG002 - all files are documents
        return "application/json"

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
