"""Django: a `StreamingHttpResponse` that ends with the token of its request (`END_EXPIRED_STREAMS`, HTP-042)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Final, cast

from aveverify._http.ending_chunks import EndingAsyncChunks, EndingChunks, StreamEnd
from aveverify._http.request_auth import RequestAuth
from aveverify._http.wsgi_streams import find_length

if TYPE_CHECKING:
    from django.http import StreamingHttpResponse

# The attribute that marks a response as one that ends.
_ENDS: Final = "_aveverify_ends"


def end_with_token(response: StreamingHttpResponse, request_auth: RequestAuth) -> None:
    """Let a response end with the token of its request, if that was verified. Idempotent.

    Args:
        response: The response. A file is read by Django from here on, because a server that sends it by itself cannot
            stop.
        request_auth: The authentication of its request.
    """
    identity = request_auth.known_identity
    if identity is None or hasattr(response, _ENDS):
        return
    setattr(response, _ENDS, True)
    end = StreamEnd(identity, request_auth.policy, find_length(response.headers.items()))
    chunks = response.streaming_content
    response.streaming_content = (
        EndingAsyncChunks(cast("AsyncIterable[bytes]", chunks), end)
        if response.is_async
        else EndingChunks(cast("Iterable[bytes]", chunks), end)
    )
