"""Where a request may carry its token: the sources that a middleware reads, and the rule for several tokens.

A source takes the token out of the head of a request and verifies nothing. Every source but the Authorization header
is for the application to choose. RFC 6750 §2; RFC 6455 §11.3.4; HTP-029; HTP-031; HTP-033.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple, Protocol
from urllib.parse import unquote_plus

from aveverify._core.bearer import parse_authorization
from aveverify.errors import ConfigurationError, InvalidRequestError, Problem, Reason

__all__ = ["AuthorizationHeader", "Cookie", "QueryParameter", "RequestHead", "TokenSource", "WebSocketProtocol"]

# RFC 9110 §9.2.1: methods that change nothing.
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class RequestHead(NamedTuple):
    """The head of a request, as a source reads it.

    Attributes:
        kind: What kind of request it is.
        method: The HTTP method; of a WebSocket, GET.
        headers: Names in any case and values, as bytes.
        query_string: What stands behind the question mark, as it was sent.
    """

    kind: Literal["http", "websocket"]
    method: str
    headers: Iterable[tuple[bytes, bytes]]
    query_string: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header.

        Args:
            name: Its name, in lower case.

        Returns:
            One value for each occurrence.
        """
        # Servers send lower-case names; a test client or a gateway may not.
        return [value for key, value in self.headers if key.lower() == name]


class TokenSource(Protocol):
    """One place where a request may carry its token.

    A source may also say which headers of an HTTP request it reads, as `request_headers`: what `Vary` names, so that no
    cache gives the response for one token to another. Without it, `Vary: *` keeps responses out of all caches
    (HTP-050).
    """

    @property
    def is_ambient(self) -> bool:
        """Whether browsers send it by themselves, so that it counts only where no other source has a token."""

    def read(self, head: RequestHead) -> bytes | None:
        """Read the token of a request.

        Args:
            head: The head of the request.

        Returns:
            The token; None where there is none.

        Raises:
            InvalidRequestError: There is one, and it is malformed or doubled.
        """


class AuthorizationHeader:
    """`Authorization: Bearer <token>` (RFC 6750 §2.1)."""

    is_ambient = False
    request_headers = ("Authorization",)

    def read(self, head: RequestHead) -> bytes | None:
        """Read the token of the one header; see `TokenSource`.

        Args:
            head: The head of the request.

        Returns:
            The token; None where there is none.
        """
        return parse_authorization(single(head.values(b"authorization")))


class WebSocketProtocol:
    """`Sec-WebSocket-Protocol: bearer, <token>`: what a browser can send with a WebSocket.

    Other protocols may stand around these two. `bearer` counts in any case, as the name of a scheme does. The
    application sees neither, and where it chooses no protocol, the response names `bearer` as the client has spelt it:
    a browser gives up if none of its protocols is chosen.
    """

    is_ambient = False
    # Only a WebSocket carries this token, and no cache stores its handshake.
    request_headers = ()

    def read(self, head: RequestHead) -> bytes | None:
        """Read what follows `bearer` among the protocols of a WebSocket; see `TokenSource`.

        Args:
            head: The head of the request.

        Returns:
            The token; None where there is none.

        Raises:
            InvalidRequestError: `bearer` is the last protocol, or occurs twice.
        """
        if head.kind != "websocket":
            return None
        offered = split_protocols(head.values(b"sec-websocket-protocol"))
        places = find_bearer(offered)
        if not places:
            return None
        if len(places) > 1 or places[0] == len(offered) - 1:
            raise InvalidRequestError
        return _parse_credentials(offered[places[0] + 1])


class Cookie:
    """A cookie, for browsers on origins that are named.

    Browsers send cookies with requests that other sites cause. So the cookie counts only where the browser says that
    an allowed origin asks: by `Origin`, or, for a GET or HEAD over HTTP without one, by `Sec-Fetch-Site: same-origin`.
    It never counts where another source has a token. Set it with `Secure`, `HttpOnly` and `SameSite`.

    Args:
        name: The name of the cookie.
        allowed_origins: Origins as browsers write them, for example `https://app.example`.

    Raises:
        ConfigurationError: The name is empty, or there are no origins.
    """

    is_ambient = True
    request_headers = ("Cookie", "Origin", "Sec-Fetch-Site")

    def __init__(self, name: str, *, allowed_origins: Collection[str]) -> None:
        if not name:
            raise ConfigurationError(Problem.EMPTY, "name")
        if isinstance(allowed_origins, str) or not allowed_origins or not all(map(_is_origin, allowed_origins)):
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, "allowed_origins", "a list of origins such as 'https://app.example'"
            )
        self._name = name.encode()
        self._allowed = frozenset(origin.encode() for origin in allowed_origins)

    def read(self, head: RequestHead) -> bytes | None:
        """Read the value of the cookie if the origin of the request is allowed; see `TokenSource`.

        Args:
            head: The head of the request.

        Returns:
            The token; None where there is none.
        """
        if not self._may_read(head):
            return None
        # RFC 6265 §4.2.1. Pair by pair: a dictionary would hide that one name occurs twice.
        pairs = [pair.strip(b" \t").partition(b"=") for text in head.values(b"cookie") for pair in text.split(b";")]
        value = single([value for name, _, value in pairs if name == self._name])
        return None if value is None else _parse_credentials(value)

    def _may_read(self, head: RequestHead) -> bool:
        # HTP-031: a request with two origins is not known to be allowed.
        origins = head.values(b"origin")
        if origins:
            return len(origins) == 1 and origins[0] in self._allowed
        safe = head.kind == "http" and head.method in _SAFE_METHODS
        return safe and head.values(b"sec-fetch-site") == [b"same-origin"]


class QueryParameter:
    """A parameter in the query of a WebSocket's address. A last resort: addresses are logged and remembered.

    The parameter is taken out of what the application sees and, in the scope of the server, out of what most servers
    log. A proxy in front of the server still sees it, and a server still logs it where other middleware that copies
    the scope stands in front: install this middleware outermost. It never counts for HTTP requests
    (RFC 9700 §4.3.2).

    Args:
        name: The name of the parameter.

    Raises:
        ConfigurationError: The name is empty.
    """

    is_ambient = False
    request_headers = ()

    def __init__(self, name: str = "access_token") -> None:
        if not name:
            raise ConfigurationError(Problem.EMPTY, "name")
        self._name = name

    def read(self, head: RequestHead) -> bytes | None:
        """Read the value of the parameter of a WebSocket; see `TokenSource`.

        Args:
            head: The head of the request.

        Returns:
            The token; None where there is none.
        """
        if head.kind != "websocket":
            return None
        values = [value for name, value in map(_split_pair, head.query_string.split(b"&")) if name == self._name]
        value = single(values)
        return None if value is None else _parse_credentials(unquote_plus(value.decode("latin-1")).encode())

    def redact(self, query_string: bytes) -> bytes:
        """Remove the parameter from a query.

        Args:
            query_string: The query, without `?`.

        Returns:
            The query without the parameter.
        """
        return b"&".join(pair for pair in query_string.split(b"&") if _split_pair(pair)[0] != self._name)


_BEARER_PROTOCOL: Final = b"bearer"
# RFC 6454 §6.2: scheme, host and port, nothing behind. `null` is many origins at once.
_ORIGIN: Final = re.compile(r"[^/]*://[^/]*")
_OURS: Final = (AuthorizationHeader, WebSocketProtocol, Cookie, QueryParameter)
DEFAULT_SOURCES: Final[tuple[TokenSource, ...]] = (AuthorizationHeader(), WebSocketProtocol())


def is_same_source(one: TokenSource, other: TokenSource) -> bool:
    """Tell whether two sources find the same token: every request that carries one would carry it twice."""
    if one is other:
        return True
    # A cookie or a parameter is one by its name, whatever else is said of it.
    return (
        type(one) is type(other) and type(one) in _OURS and getattr(one, "_name", None) == getattr(other, "_name", None)
    )


def read_token(head: RequestHead, sources: Sequence[TokenSource]) -> bytes | None:
    """Return the one token of a request.

    Args:
        head: The request.
        sources: Where to look.

    Returns:
        The token; None where no source has one.

    Raises:
        InvalidRequestError: A token is malformed, or there are several, by several ways.

    Source: RFC 6750 §2: not more than one method in each request.
    """
    tokens = [token for source in sources if not source.is_ambient and (token := source.read(head)) is not None]
    if not tokens:
        tokens = [token for source in sources if source.is_ambient and (token := source.read(head)) is not None]
    return single(tokens)


def single(values: Sequence[bytes]) -> bytes | None:
    """Return the only value; None where there is none.

    Raises:
        InvalidRequestError: There are several (HTP-001): a proxy in front may have decided by another one.
    """
    if len(values) > 1:
        raise InvalidRequestError(Reason.REPEATED_AUTHORIZATION)
    return values[0] if values else None


def split_protocols(values: Iterable[bytes]) -> list[bytes]:
    """Return the protocols that a client offers, from the values of its `Sec-WebSocket-Protocol` headers."""
    return [text.strip(b" \t") for value in values for text in value.split(b",")]


def find_bearer(offered: Sequence[bytes]) -> list[int]:
    """Return where `bearer` stands among the protocols that a client offers, in any case; a token follows each."""
    return [place for place, protocol in enumerate(offered) if protocol.lower() == _BEARER_PROTOCOL]


def _parse_credentials(token: bytes) -> bytes | None:
    return parse_authorization(b"Bearer " + token)


def _split_pair(pair: bytes) -> tuple[str, bytes]:
    name, _, value = pair.partition(b"=")
    return unquote_plus(name.decode("latin-1")), value


def _is_origin(origin: object) -> bool:
    return isinstance(origin, str) and origin.isascii() and _ORIGIN.fullmatch(origin) is not None
