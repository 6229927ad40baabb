"""One WSGI environ, or Django's `META`, as the authentication flow reads it: token, path, preflight. PEP 3333."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from aveverify._core.bearer import parse_authorization
from aveverify._http.auth_record import record_identity
from aveverify._http.preflight import is_preflight, overrides_method
from aveverify.sources import DEFAULT_SOURCES, RequestHead, TokenSource, read_token

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from aveverify._core.identity import Identity
    from aveverify._http.exempt_paths import ExemptPaths
    from aveverify._http.policy import CachedIdentity


class WsgiRequest:
    """One request, as the authentication flow reads it (`IncomingRequest`).

    Args:
        environ: The request.
        path: Its decoded path, as the router sees it (HTP-026); by default that of the environ.
    """

    __slots__ = ("_environ", "_path")

    # WSGI has none.
    is_websocket = False

    def __init__(self, environ: WSGIEnvironment, path: str | None = None) -> None:
        self._environ = environ
        self._path = path

    def is_at(self, paths: ExemptPaths) -> bool:
        """Tell whether the path is one of these."""
        return bool(paths) and (route_path(self._environ) if self._path is None else self._path) in paths

    def hide_token(self, sources: Sequence[TokenSource]) -> None:
        """Leave the query as it is: a parameter carries a token for WebSockets only."""

    def read_token(self, sources: Sequence[TokenSource]) -> bytes | None:
        """Return the one token of the request; None where there is none.

        Raises:
            InvalidRequestError: A token is malformed, or there are several.
        """
        if sources is DEFAULT_SOURCES:
            # Servers join repeated headers by a comma, which no token contains (HTP-002).
            return parse_authorization(self._environ.get("HTTP_AUTHORIZATION"))
        return read_token(_read_head(self._environ), sources)

    def note_identity(self, identity: Identity) -> None:
        """Note whose token it is, for what stands in front."""
        record_identity(self._environ, identity)

    def is_preflight(self) -> bool:
        """Tell whether the request is a CORS preflight."""
        environ = self._environ
        if environ["REQUEST_METHOD"] != "OPTIONS":
            return False
        head = _read_head(environ)
        length = (b"content-length", _encode(environ.get("CONTENT_LENGTH", "")))
        return is_preflight(head.method, [*head.headers, length], head.query_string)

    def overrides_method(self) -> bool:
        """Tell whether something behind the middleware could turn the request into one of another method (HTP-027)."""
        head = _read_head(self._environ)
        return overrides_method(head.headers, head.query_string)

    def drop_body(self) -> None:
        """Give the application an empty body.

        Source: HTP-027: HTTP/2 allows a preflight a body without a length, and some servers let an application read it
        to its end.
        """
        self._environ["wsgi.input"] = BytesIO()


def find_cached_identity(cached_identity: CachedIdentity | None, environ: WSGIEnvironment) -> Identity | None:
    """Look whether a request carries a token that was accepted before, where nothing else counts.

    The hot path, before `authenticate`: it decides for most requests, without parsing the header. A token that was
    accepted before is equal byte for byte, so a malformed one is never found.

    Args:
        cached_identity: That of the policy.
        environ: The request.

    Returns:
        The identity; None leaves the request to `authenticate`.
    """
    if cached_identity is None:
        return None
    value: str = environ.get("HTTP_AUTHORIZATION", "")
    return cached_identity(value[7:].encode()) if value[:7] == "Bearer " and value.isascii() else None


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
    """Return the decoded path that the router of the application compares.

    Source: HTP-026: without SCRIPT_NAME, which a client may choose: gunicorn takes it from a header.
    """
    # PEP 3333: empty is the root of the application.
    path: str = environ.get("PATH_INFO") or "/"
    # The bytes of the path, each as one character. What is no UTF-8 becomes U+FFFD, which is never exempt.
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
