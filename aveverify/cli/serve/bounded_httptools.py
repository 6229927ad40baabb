"""uvicorn's protocol for httptools, with a limit on the size of a request head.

httptools keeps a head in memory however long it is, and uvicorn's own limit applies to h11 alone. Imported only where
httptools is installed.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aveverify.cli.serve.settings import MAX_HEAD_BYTES

_TOO_LONG: Final = "Request head too long."


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """Closes a connection that sends more than `MAX_HEAD_BYTES` without completing a head or a part of a body.

    Trailers and the extensions of chunks, which follow a body, count too.

    Source: HTP-047; RFC 9110 §5.4.
    """

    # Bytes since the last complete head or part of a body, and bytes of the current read.
    _waiting_bytes = _read_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Count the received bytes, and close the connection over the limit."""
        self._read_bytes = len(data)
        self._waiting_bytes += self._read_bytes
        super().data_received(data)
        if self._waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Refuse a complete head that is too long: one that came in a single read was not counted before."""
        may_be_long = max(self._waiting_bytes, self._read_bytes) > MAX_HEAD_BYTES
        self._waiting_bytes = 0
        if may_be_long and _length_of(self.url, self.headers) > MAX_HEAD_BYTES:
            # httptools turns this exception into a parser error, to which uvicorn responds with 400.
            raise ValueError(_TOO_LONG)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Reset the count at each part of a body."""
        self._waiting_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Reset the count at the end of a request."""
        self._waiting_bytes = 0
        super().on_message_complete()


def _length_of(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)
