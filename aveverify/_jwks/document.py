"""What a flight brings, and what it fails of. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aveverify._core.key_cache.decisions import LoadedKeys
    from aveverify._core.key_cache.http_response import Headers


class RefreshError(Exception):
    """A flight failed.

    Args:
        cause: Why, in our own words.
        status: The HTTP status, where there was one.
        retry_after_seconds: How long the issuer asks to be left alone.
        worth_a_retry: Whether asking again at once may help.

    Attributes:
        last_good: Keys that may be used up to the cap although the flight failed.
    """

    last_good: LoadedKeys | None = None

    def __init__(
        self, cause: str, *, status: int = 0, retry_after_seconds: float = 0.0, retryable: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.retryable = retryable


class Instant(NamedTuple):
    """A moment by both clocks.

    Attributes:
        now: Wall clock, in seconds since the epoch.
        at: Monotonic clock, in seconds.
    """

    now: float
    at: float

    def seconds_since(self, earlier: Instant) -> float:
        """Return the larger of the two elapsed times, never below zero: a suspended machine ages too (ROT-019)."""
        return max(self.now - earlier.now, self.at - earlier.at, 0.0)


class Document(NamedTuple):
    """A good document.

    Attributes:
        headers: The headers that are read.
        body: The bytes.
        received: When the fetch began that brought the body in full.
        confirmed: When the fetch began that last found it current; later than `received` where that was a 304.
        is_shared: Whether another worker fetched it.
        flight_number: Which flight brought it here.
        is_stale: Whether it is past its freshness.
        failure: Why there is no fresher one, where the issuer was asked in vain.
    """

    headers: Headers
    body: bytes
    received: Instant
    confirmed: Instant
    is_shared: bool
    flight_number: int
    is_stale: bool = False
    failure: RefreshError | None = None

    @property
    def confirmed_seconds(self) -> float:
        """How long 304s have kept this body current."""
        return self.confirmed.seconds_since(self.received)

    def has_come_after(self, other: Document | None, *, in_full: bool) -> bool:
        """Tell whether this is the newer one: a later body, or a later 304 for the same one.

        Args:
            other: Another document of the same address; None where there is none.
            in_full: Whether only a later body counts: a 304 of another worker answers no forced refetch (NET-027).

        Returns:
            Whether it is.
        """
        if other is None or self.received.now > other.received.now:
            return True
        return not in_full and self.received.now == other.received.now and self.confirmed.now > other.confirmed.now
