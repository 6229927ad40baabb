"""What the key engine tells an operator: typed, frozen, free of anything that came from a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFetched:
    """A fetch brought keys.

    Attributes:
        issuers: The configured issuers whose keys these are.
        kids: The key ids of the set, in the order of the document.
        changed: Whether the content differs from what was known.
        fresh_seconds: For how long the keys are fresh.
    """

    issuers: tuple[str, ...]
    kids: tuple[str, ...]
    changed: bool
    fresh_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed:
    """A fetch failed; the keys at hand stay.

    Attributes:
        issuers: The configured issuers whose keys these would have been.
        cause: What it failed of, in our own words.
        failures: How many attempts have failed in a row.
        retry_after_seconds: How long no new attempt is made.
    """

    issuers: tuple[str, ...]
    cause: str
    failures: int
    retry_after_seconds: float


Event = KeysFetched | FetchFailed
OnEvent = Callable[[Event], None]
