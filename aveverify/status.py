"""What a verifier says of itself: plain frozen data for a readiness endpoint, a dashboard or a log line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from aveverify.errors import ProviderKind

State = Literal["unused", "fresh", "stale", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """The keys of one provider, as they are now.

    Attributes:
        issuer: The configured issuer.
        kind: The kind of provider.
        state: `unused` (never fetched), `fresh`, `stale` (past their freshness, still used) or `unavailable`.
        kids: The key ids of the set.
        thumbprint: One text for the whole content of the set; equal on every worker that holds the same keys.
        age_seconds: How old the keys are; None without keys.
        fresh_until: Until when they are fresh, in seconds since the epoch; None without keys.
        usable_until: Until when they are used, in seconds since the epoch; None without keys.
        last_success_at: When the fetch that brought them began, in seconds since the epoch; None without keys.
        last_error: What the last attempt failed of; None after a success.
        failures: How many attempts have failed in a row.
        retry_after_seconds: How long no new attempt is made; 0 where one may be made.
        is_fetching: Whether a fetch is under way.
        unknown_key_refusals: How many tokens were refused because that budget was spent.
        bad_signature_refusals: How many tokens were refused because that budget was spent.
    """

    issuer: str
    kind: ProviderKind
    state: State
    kids: tuple[str, ...]
    thumbprint: str | None
    age_seconds: float | None
    fresh_until: float | None
    usable_until: float | None
    last_success_at: float | None
    last_error: str | None
    failures: int
    retry_after_seconds: float
    is_fetching: bool
    unknown_key_refusals: int
    bad_signature_refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierStatus:
    """A verifier, as it is now.

    Attributes:
        providers: One entry for each provider, in written order.
        cached_tokens: How many accepted tokens are remembered.
    """

    providers: tuple[ProviderStatus, ...]
    cached_tokens: int

    @property
    def is_ready(self) -> bool:
        """Whether there are providers, and usable keys of every one of them."""
        return bool(self.providers) and all(provider.state in ("fresh", "stale") for provider in self.providers)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as dictionaries and lists, ready for JSON."""
        return {"is_ready": self.is_ready, **asdict(self)}
