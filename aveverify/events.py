"""The events of the key cache: typed, frozen, without anything from a token.

Each event names the configured issuers that share the keys. Pass a callable as `on_event=`; it runs on the thread where
the event happens and must not block. An exception that it raises is logged and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to the keys of some issuers.

    Attributes:
        issuers: The configured issuers that share the keys.
    """

    issuers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFetched(Event):
    """A refresh loaded keys.

    Attributes:
        kids: The key ids of the set, in the order of the document.
        changed: Whether the content differs from that of the last keys.
        fresh_seconds: How long the keys are fresh.
    """

    kids: tuple[str, ...]
    changed: bool
    fresh_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRotated(Event):
    """The content of a key set changed.

    Attributes:
        added: Key ids that are new.
        removed: Key ids that are no longer published.
        shares_no_key: Whether no key of the last set is left: a hard rotation, or the keys of another issuer.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    shares_no_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReplaced(Event):
    """Other key material is published under a known key id. Some issuers rotate so; an operator should check it.

    Attributes:
        kids: The key ids.
    """

    kids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed(Event):
    """A refresh failed; the cached keys remain in use.

    Attributes:
        cause: Why it failed; no part of a response.
        failures: How many refreshes failed in a row.
        retry_after_seconds: How many seconds until the next attempt.
    """

    cause: str
    failures: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDown(Event):
    """The first refresh failed after a success.

    Attributes:
        has_keys: Whether good keys are cached.
    """

    has_keys: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUp(Event):
    """A refresh succeeded after failures.

    Attributes:
        failures: How many refreshes had failed in a row.
    """

    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedStale(Event):
    """Keys past their freshness are used, because refreshing them failed. Reported once for each outage.

    Attributes:
        age_seconds: How old the keys are.
        usable_seconds: How much longer they may be used.
    """

    age_seconds: float
    usable_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetExhausted(Event):
    """Tokens are refused without another fetch, because the budget of forced refreshes is exhausted.

    Reported once for each window. The reason is random key ids, forged signatures, or an issuer that signs with keys
    that it does not publish.

    Attributes:
        budget: Which budget.
        retry_after_seconds: How many seconds until the next forced refresh may start.
    """

    budget: Literal["unknown_key", "bad_signature"]
    retry_after_seconds: float


OnEvent = Callable[[Event], None]
