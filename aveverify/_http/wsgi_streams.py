"""WSGI responses that end with the token of their request (`end_expired_streams`).

Knows PEP 3333 and no framework. HTP-042.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from aveverify._core.identity import Identity
from aveverify._http.ending_chunks import EndingChunks, StreamEnd
from aveverify._http.request_identity import IDENTITY_KEY

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from aveverify._http.policy import AuthPolicy


class StreamEndingApp:
    """An application behind a middleware, whose streamed responses end with the token of their request.

    A list of chunks is sent as it is; a file is read here, because a server that sends it by itself cannot stop.

    Args:
        app: The application.
        policy: The rules of the middleware.
    """

    def __init__(self, app: WSGIApplication, policy: AuthPolicy) -> None:
        self._app = app
        self._policy = policy

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request.

        Args:
            environ: The request, from the middleware.
            start_response: Takes status and headers.

        Returns:
            The chunks of the application, up to the end of the token.
        """
        identity = environ[IDENTITY_KEY]
        if not isinstance(identity, Identity):
            # Without a token nothing expires.
            return self._app(environ, start_response)
        end = StreamEnd(identity, self._policy)

        def watched_start_response(
            status: str,
            headers: list[tuple[str, str]],
            *exc_info: Any,  # noqa: ANN401 - as PEP 3333 passes it
        ) -> Callable[..., object]:
            end.length = find_length(headers)
            write = start_response(status, headers, *exc_info)

            def write_until_ended(data: bytes) -> object:
                if not end.admits(data):
                    raise ConnectionError("the token has expired")
                return write(data)

            return write_until_ended

        chunks = self._app(environ, watched_start_response)
        return chunks if isinstance(chunks, (list, tuple)) else EndingChunks(chunks, end)


def find_length(headers: Iterable[tuple[str, str]]) -> int | None:
    """Return what Content-Length says; None where a response has none, or one that is no number."""
    found = [value for name, value in headers if name.lower() == "content-length"]
    return int(found[0]) if found and found[0].isascii() and found[0].isdecimal() else None
