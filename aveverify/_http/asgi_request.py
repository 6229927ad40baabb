"""One ASGI connection as the authentication flow reads it: headers, token, exempt path, preflight.

Knows scopes, no application and no framework. ASGI 3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aveverify._core.bearer import parse_authorization
from aveverify._http.auth_record import record_identity
from aveverify._http.preflight import is_preflight
from aveverify.sources import DEFAULT_SOURCES, QueryParameter, RequestHead, TokenSource, read_token, single

if TYPE_CHECKING:
    from aveverify._core.identity import Identity
    from aveverify._http.asgi_types import Scope
    from aveverify._http.exempt_paths import ExemptPaths
    from aveverify._http.policy import CachedIdentity

OFFERED_PROTOCOLS: Final = b"sec-websocket-protocol"
# Where the copied scope of a WebSocket leads to the scope that it was copied from.
OUTER_KEY: Final = "aveverify.outer"
_AUTHORIZATION: Final = b"authorization"
_NAME_BYTES: Final = len(_AUTHORIZATION)


class AsgiRequest:
    """One connection, as the authentication flow reads it (`IncomingRequest`).

    Args:
        scope: The connection; its headers become a list, and a token in the query of a WebSocket is taken out.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def is_websocket(self) -> bool:
        """Whether the connection is a WebSocket."""
        return self._scope["type"] != "http"  # type: ignore[no-any-return] # a text by ASGI

    def is_at(self, paths: ExemptPaths) -> bool:
        """Tell whether the path is one of these."""
        return bool(paths) and paths.covers(self._scope["path"], self._scope.get("root_path"))

    def hide_token(self, sources: Sequence[TokenSource]) -> None:
        """Take a token out of the query, unread."""
        keep_headers(self._scope)
        redact_query(sources, self._scope)

    def read_token(self, sources: Sequence[TokenSource]) -> bytes | None:
        """Return the one token of the connection; None where there is none.

        Raises:
            InvalidRequestError: A token is malformed, or there are several.
        """
        scope = self._scope
        headers = keep_headers(scope)
        kind = scope["type"]
        if kind == "http" and sources is DEFAULT_SOURCES:
            # Servers send lower-case names; a test client or a gateway may not.
            return parse_authorization(single([value for name, value in headers if name.lower() == _AUTHORIZATION]))
        if kind == "websocket":
            headers = handshake_headers(scope)
        head = RequestHead(kind, scope.get("method", "GET"), headers, scope["query_string"])
        try:
            return read_token(head, sources)
        finally:
            redact_query(sources, scope)

    def note_identity(self, identity: Identity) -> None:
        """Note whose token it is, for what stands in front."""
        record_identity(self._scope, identity)

    def is_preflight(self) -> bool:
        """Tell whether the request is a CORS preflight; a WebSocket never is."""
        scope = self._scope
        return scope["type"] == "http" and is_preflight(scope["method"], scope["headers"], scope["query_string"])


def find_cached_identity(cached_identity: CachedIdentity | None, scope: Scope) -> Identity | None:
    """Look whether an HTTP request carries a token that was accepted before, where nothing else counts.

    The hot path, before `authenticate_async`: it decides for most requests, without waiting and without parsing the
    header. A token that was accepted before is equal byte for byte, so a malformed one is never found.

    Args:
        cached_identity: That of the policy.
        scope: The connection.

    Returns:
        The identity; None leaves the connection to `authenticate_async`.
    """
    if cached_identity is None or scope["type"] != "http":
        return None
    headers = scope["headers"]
    if type(headers) is not list:
        headers = keep_headers(scope)
    authorization: bytes | None = None
    try:
        for name, value in headers:
            if len(name) == _NAME_BYTES and name.lower() == _AUTHORIZATION:
                if authorization is not None:
                    # HTP-001
                    return None
                authorization = value
    except (AttributeError, TypeError):
        # HTP-045: names that are not bytes, or no pairs. `keep_headers` makes bytes of them, or fails.
        return None
    if type(authorization) is not bytes or authorization[:7] != b"Bearer ":
        return None
    return cached_identity(authorization[7:])


def keep_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Read the headers once, and leave them in the scope as a list of pairs of bytes.

    Args:
        scope: The connection, with headers as any iterable of pairs of anything like bytes (ASGI 3.0). An iterable that
            can be read only once is read here, for the application, too.

    Returns:
        The headers.

    Raises:
        TypeError: A name or value is not like bytes: ignored, it could hide a token.

    Source: HTP-045.
    """
    headers = scope["headers"]
    if type(headers) is list:
        for name, value in headers:
            if type(name) is not bytes or type(value) is not bytes:
                break
        else:
            return headers
    headers = scope["headers"] = [(bytes(name), bytes(value)) for name, value in headers]
    return headers


class OuterScope:
    """The scope that a middleware has copied; it holds the token that the copy hides, and can only be redacted."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def redact(self, sources: Sequence[TokenSource]) -> None:
        """Take the token out of the query; see `redact_query`."""
        redact_query(sources, self._scope)


def redact_query(sources: Sequence[TokenSource], scope: Scope) -> None:
    """Take the token out of the query of a WebSocket, and out of all that the scope was copied from.

    The server's own scope is what its log reads.

    Args:
        sources: Where tokens are read; those of the query are its parameters.
        scope: The connection.
    """
    if scope["type"] != "websocket":
        return
    raw_path = scope.get("raw_path")
    for source in sources:
        if isinstance(source, QueryParameter):
            scope["query_string"] = source.redact(scope["query_string"])
            if isinstance(raw_path, bytes) and b"?" in raw_path:
                # Not of ASGI 3.0, but of some servers and test clients.
                path, _, query = raw_path.partition(b"?")
                raw_path = scope["raw_path"] = b"?".join(filter(None, (path, source.redact(query))))
    outer = scope.get(OUTER_KEY)
    if isinstance(outer, OuterScope):
        outer.redact(sources)


def handshake_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of a WebSocket with the offer of protocols, which wsproto shows only in `subprotocols`."""
    headers = list(scope["headers"])
    offered = scope.get("subprotocols")
    if offered is not None:
        # HTP-045: any iterable, too.
        offered = scope["subprotocols"] = list(offered)
    if offered and not any(name.lower() == OFFERED_PROTOCOLS for name, _ in headers):
        headers.append((OFFERED_PROTOCOLS, ", ".join(offered).encode("latin-1", "replace")))
    return headers
