"""One document of an issuer: the request for it, the document, and the result of the request. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from aveverify._core.key_cache.http_headers import Headers
from aveverify._core.key_cache.state import FetchFailure, Instant, Refresh

T = TypeVar("T")


class Document(NamedTuple):
    """A document that its issuer sent with status 200.

    Attributes:
        headers: The headers that are read.
        body: The bytes.
        received: When the fetch started that transferred the body.
        confirmed: When the fetch started that last found it current; later than `received` after a 304.
        is_shared: Whether another worker fetched it.
        refresh_number: The refresh that fetched it, or read it from the store.
    """

    headers: Headers
    body: bytes
    received: Instant
    confirmed: Instant
    is_shared: bool
    refresh_number: int

    @property
    def confirmed_seconds(self) -> float:
        """How long 304 responses have kept this body current."""
        return self.confirmed.seconds_since(self.received)

    def is_newer_than(self, other: Document | None, *, in_full: bool) -> bool:
        """Tell whether this is the newer document: a later body, or a later 304 for the same one.

        Args:
            other: Another document of the same URL, or None.
            in_full: Whether only a later body counts: a 304 to another worker answers no forced refresh (NET-027).

        Returns:
            Whether it is newer.
        """
        if other is None or self.received.wall > other.received.wall:
            return True
        return not in_full and self.received.wall == other.received.wall and self.confirmed.wall > other.confirmed.wall


@dataclass(frozen=True, slots=True)
class DocumentRequest(Generic[T]):
    """Which document a refresh needs, and by which rules.

    Attributes:
        url: From the configuration or a discovery document; never from a token.
        refresh: The refresh, whose deadline holds for all of its documents together.
        parse: Turns headers and body into a value, or raises `DocumentError`.
        is_forced: Whether the issuer itself must send the body: the request is unconditional, and caches between are
            told to bypass what they stored (NET-027).
        fresh_seconds: How old a document of the store may be to be used without a request to the issuer. If the
            issuer fails, it may be older by `stale_if_error_seconds`.
        reserved_fraction: The part of the remaining time, 0 to 1, that a silent issuer leaves for what follows this
            request.
        has_fallback: Whether anything follows, even without a document in the store.
    """

    url: str
    refresh: Refresh
    parse: Callable[[Headers, bytes], T]
    is_forced: bool
    fresh_seconds: Callable[[Document], float]
    reserved_fraction: float
    has_fallback: bool = False


class Fetched(NamedTuple, Generic[T]):
    """A good document.

    Attributes:
        value: What `DocumentRequest.parse` made of it.
        document: The document.
        is_stale: Whether a document of the store is past its freshness lifetime.
        error: Why there is no fresher one, if the issuer failed.
    """

    value: T
    document: Document
    is_stale: bool = False
    error: FetchFailure | None = None
