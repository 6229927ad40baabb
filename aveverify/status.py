"""The status of a verifier: plain frozen data for a readiness endpoint, a dashboard or a log line."""

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
        thumbprint: A digest of all key ids and keys; equal on every worker with the same keys.
        age_seconds: How old the keys are; None without keys.
        fresh_until: When their freshness ends, in seconds since the epoch; None without keys and for a `data:` URL.
        usable_until: When they are no longer used, in seconds since the epoch; None without keys and for a `data:` URL.
        last_success_at: The instant of the status minus their age, in seconds since the epoch: about when their oldest
            part was fetched, by this worker or another one, also in a refresh that failed afterwards. None without keys
            and for a `data:` URL.
        last_error: Why the last refresh failed; None after a success.
        failures: How many refreshes failed in a row.
        retry_after_seconds: How many seconds until the next attempt; 0 if one may start now.
        is_fetching: Whether a refresh is running.
        unknown_key_refusals: How many tokens were refused because the budget for unknown keys was exhausted.
        bad_signature_refusals: How many tokens were refused because the budget for bad signatures was exhausted.
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
        providers: One entry for each provider, in configured order.
        cached_tokens: How many accepted tokens are cached.
    """

    providers: tuple[ProviderStatus, ...]
    cached_tokens: int

    @property
    def is_ready(self) -> bool:
        """Whether there is a provider, and every provider has usable keys."""
        return bool(self.providers) and all(provider.state in ("fresh", "stale") for provider in self.providers)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as dictionaries and lists, ready for JSON."""
        return {"is_ready": self.is_ready, **asdict(self)}
