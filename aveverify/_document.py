"""What a flight brings, and what it fails of. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aveverify._core.documents import Headers
    from aveverify._core.key_cache import Harvest


class FlightFault(Exception):  # noqa: N818 - it says why a flight failed
    """A flight failed.

    Args:
        cause: Why, in our own words.
        status: The HTTP status, where there was one.
        retry_after_seconds: How long the issuer asks to be left alone.
        worth_a_retry: Whether asking again at once may help.

    Attributes:
        last_good: Keys past their freshness that another worker had fetched, newer than those at hand.
    """

    last_good: Harvest | None = None

    def __init__(
        self, cause: str, *, status: int = 0, retry_after_seconds: float = 0.0, worth_a_retry: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.worth_a_retry = worth_a_retry


class Document(NamedTuple):
    """A good document.

    Attributes:
        headers: Folded headers of the answer.
        body: The bytes.
        fetched_now: When the fetch began, by the wall clock.
        is_shared: Whether another worker fetched it.
        flight_number: Which flight brought it here.
        is_stale: Whether it is past its freshness.
        failure: Why there is no fresher one, where the issuer was asked in vain.
    """

    headers: Headers
    body: bytes
    fetched_now: float
    is_shared: bool
    flight_number: int
    is_stale: bool = False
    failure: FlightFault | None = None
