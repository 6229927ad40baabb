"""uvicorn's protocol for httptools, with a bound on what it reads before a request begins.

httptools gathers a head in memory for as long as it comes, and uvicorn's own limit is for h11 alone. Imported only
where httptools is installed.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A token of 16 KiB, cookies and what proxies add.
MAX_HEAD_BYTES: Final = 64 * 1024
_TOO_LONG: Final = "Request head too long."


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """Closes a connection that sends more than `MAX_HEAD_BYTES` without completing a head or a part of a body.

    What comes after a body counts, too: trailers, and the extensions of chunks.

    Source: HTP-047; RFC 9110 §5.4.
    """

    # Since something was complete, and in the present read alone.
    _waiting_bytes = _read_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._read_bytes = len(data)
        self._waiting_bytes += self._read_bytes
        super().data_received(data)
        if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Take a whole head, unless it is too long: one that came at once was not counted while it came."""
        may_be_long = max(self._waiting_bytes, self._read_bytes) > MAX_HEAD_BYTES
        self._waiting_bytes = 0
        if may_be_long and _length_of(self.url, self.headers) > MAX_HEAD_BYTES:
            # httptools reports what is raised here as a fault of the request, and uvicorn answers 400.
            raise ValueError(_TOO_LONG)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._waiting_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._waiting_bytes = 0
        super().on_message_complete()


def _length_of(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)
