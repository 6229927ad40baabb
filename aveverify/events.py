"""What the key engine tells an operator: typed, frozen, free of anything that came from a token.

Each event names the configured issuers whose keys it is about. Pass a callable as `on_event=`; it runs on the thread
where the event happens, must not block, and whatever it raises is logged and harms nobody.
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
    """A fetch brought keys.

    Attributes:
        kids: The key ids of the set, in the order of the document.
        changed: Whether the content differs from what was known.
        fresh_seconds: For how long the keys are fresh.
    """

    kids: tuple[str, ...]
    changed: bool
    fresh_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRotated(Event):
    """The content of a key set changed.

    Attributes:
        added: Key ids that are new.
        removed: Key ids that are gone.
        shares_no_key: Whether no key of the last set is left: a hard rotation, or somebody else's keys.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    shares_no_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReplaced(Event):
    """Other key material stands under a key id that was known. Some issuers rotate so; it is worth a look.

    Attributes:
        kids: The key ids.
    """

    kids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed(Event):
    """A fetch failed; the keys at hand stay.

    Attributes:
        cause: What it failed of, in our own words.
        failures: How many attempts have failed in a row.
        retry_after_seconds: How long no new attempt is made.
    """

    cause: str
    failures: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDown(Event):
    """The first attempt in a row failed.

    Attributes:
        has_keys: Whether good keys are at hand.
    """

    has_keys: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUp(Event):
    """An attempt succeeded after failures.

    Attributes:
        failures: How many attempts had failed in a row.
    """

    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedStale(Event):
    """Keys past their freshness are used, because they could not be renewed. Told once for each outage.

    Attributes:
        age_seconds: How old the keys are.
        usable_seconds: For how much longer they will be used.
    """

    age_seconds: float
    usable_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetExhausted(Event):
    """Tokens are refused without another look at the issuer, because forced refetches have a budget.

    Told once for each window. Random key ids or forged signatures look like this, and so does an issuer that signs
    with keys that it does not publish.

    Attributes:
        budget: Which budget.
        retry_after_seconds: When the next forced refetch may be made.
    """

    budget: Literal["unknown_key", "bad_signature"]
    retry_after_seconds: float


OnEvent = Callable[[Event], None]
