"""What edges read out of a WSGI environ: the credentials, and the path. PEP 3333."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from aveverify._core.bearer import parse_authorization
from aveverify._http.preflight import is_preflight
from aveverify.sources import DEFAULT_SOURCES, RequestHead, TokenSource, read_token

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from aveverify._core.identity import Identity
    from aveverify._http.policy import CachedIdentity


def find_cached_identity(cached_identity: CachedIdentity | None, environ: WSGIEnvironment) -> Identity | None:
    """Look whether a request carries a token that was accepted before, where nothing else counts.

    The hot path: it decides for most requests, without taking the header apart. What was accepted before is one
    token, to the byte, so a malformed one is never among it.

    Args:
        cached_identity: That of the gate.
        environ: The request.

    Returns:
        The identity; None leaves the request to the full look.
    """
    if cached_identity is None:
        return None
    value: str = environ.get("HTTP_AUTHORIZATION", "")
    return cached_identity(value[7:].encode()) if value[:7] == "Bearer " and value.isascii() else None


def read_environ(environ: WSGIEnvironment, sources: Sequence[TokenSource]) -> bytes | None:
    """Return the token of a request.

    Args:
        environ: The request.
        sources: Where to look.

    Returns:
        The token; None where there is none.

    Raises:
        InvalidRequestError: It is malformed, or there are several.
    """
    if sources == DEFAULT_SOURCES:
        # Servers join repeated headers by a comma, which no token contains (HTP-002).
        return parse_authorization(environ.get("HTTP_AUTHORIZATION"))
    return read_token(_read_head(environ), sources)


def _read_head(environ: WSGIEnvironment) -> RequestHead:
    headers = [
        (_encode(name[5:].replace("_", "-").lower()), _encode(value))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    return RequestHead("http", environ["REQUEST_METHOD"], headers, _encode(environ.get("QUERY_STRING", "")))


def _encode(text: str) -> bytes:
    # PEP 3333: bytes, each as one character; Django decodes the query of an ASGI scope by itself, as UTF-8.
    return text.encode("latin-1", "replace")


def route_path(environ: WSGIEnvironment) -> str:
    """Return the decoded path that the router of the application judges.

    Source: HTP-026: without SCRIPT_NAME, which a client may choose: gunicorn takes it from a header.
    """
    # PEP 3333: empty is the root of the application.
    path: str = environ.get("PATH_INFO") or "/"
    # The bytes of the path, each as one character. What is no UTF-8 becomes U+FFFD, which is never exempt.
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def pass_preflight(environ: WSGIEnvironment) -> bool:
    """Tell whether a request passes without a token because it is a CORS preflight.

    Args:
        environ: The request; if it passes, its body is replaced by an empty one.

    Returns:
        Whether it passes.

    Source: HTP-027.
    """
    if environ["REQUEST_METHOD"] != "OPTIONS":
        return False
    head = _read_head(environ)
    length = (b"content-length", _encode(environ.get("CONTENT_LENGTH", "")))
    if not is_preflight(head.method, [*head.headers, length], head.query_string):
        return False
    # HTTP/2 allows a body without a length, and some servers let an application read it to its end.
    environ["wsgi.input"] = BytesIO()
    return True
