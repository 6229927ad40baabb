"""What the key cache of one JWK Set remembers: immutable values, each replaced as a whole, never changed in place.

Two clocks measure every age and every pause. The monotonic clock stands still while a machine is suspended, and the
wall clock can be set back; the clock with the larger elapsed time counts (ROT-019). Deadlines are monotonic alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from aveverify._core.jose.jwk_set import KeySet
from aveverify.cache_policy import CachePolicy


class RefreshReason(Enum):
    """Why a verification needs other keys than those of the cache."""

    KEYS = "keys"
    UNKNOWN_KEY = "unknown key"
    BAD_SIGNATURE = "bad signature"

    # Members are compared by identity. Enum's own hash is a Python function, and every refused token would call it.
    __hash__ = object.__hash__


class Instant(NamedTuple):
    """One moment, read from both clocks.

    Attributes:
        wall: Wall clock, in seconds since the epoch.
        monotonic: Monotonic clock, in seconds from an arbitrary beginning.
    """

    wall: float
    monotonic: float

    def seconds_since(self, earlier: Instant) -> float:
        """Return the larger of the two elapsed times, never below zero: a suspended machine ages too (ROT-019)."""
        return max(self.monotonic - earlier.monotonic, self.wall - earlier.wall, 0.0)

    def seconds_until(self, later: Instant) -> float:
        """Return the smaller of the two remaining times, never below zero."""
        return max(min(later.monotonic - self.monotonic, later.wall - self.wall), 0.0)

    def plus(self, seconds: float) -> Instant:
        """Return the instant this many seconds later, or earlier if they are negative."""
        return Instant(self.wall + seconds, self.monotonic + seconds)


# No usable clock is negative.
LONG_AGO: Final = Instant(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys of one JWK Set, as one refresh found them.

    Attributes:
        key_set: The candidates.
        document_issuer: The `issuer` of the discovery document; None if there is no discovery document.
        content: A digest that differs when the content differs.
        refresh_number: The refresh that fetched the keys from the issuer; 0 if a part of them is older than it: another
            worker had fetched it, or the last discovery document named the JWK Set.
        started: When that refresh started.
        refresh_seconds: Age from which the keys are refreshed in the background.
        fresh_seconds: Age from which the keys are stale.
        usable_seconds: Age from which the keys are not used any more, whatever the issuer does: the cap.
        generation: Rises only when the content changes.
        refresh_at_wall: Instant of `refresh_seconds` by the wall clock.
        refresh_at_monotonic: Instant of `refresh_seconds` by the monotonic clock.
    """

    key_set: KeySet
    document_issuer: str | None
    content: bytes
    refresh_number: int
    started: Instant
    refresh_seconds: float
    fresh_seconds: float
    usable_seconds: float
    generation: int
    # Computed once: every verification compares its clocks with these two, and adds nothing.
    refresh_at_wall: float = field(init=False, repr=False, compare=False)
    refresh_at_monotonic: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "refresh_at_wall", self.started.wall + self.refresh_seconds)
        object.__setattr__(self, "refresh_at_monotonic", self.started.monotonic + self.refresh_seconds)

    def age_seconds(self, instant: Instant) -> float:
        """Return how old the keys are at this instant."""
        return instant.seconds_since(self.started)

    def is_fresh(self, instant: Instant) -> bool:
        """Tell whether the keys are within their freshness lifetime (RFC 9111 §4.2)."""
        return self.age_seconds(instant) < self.fresh_seconds

    def is_usable(self, instant: Instant) -> bool:
        """Tell whether the keys are below the cap, which no outage extends (SEC-15)."""
        return self.age_seconds(instant) < self.usable_seconds


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh that is running.

    Attributes:
        number: 1 for the first refresh of this JWK Set.
        started: When it started.
        is_forced: Whether a token caused it that the present keys refuse; caches between must then be bypassed.
        jitter: From -1 to 1; times `refresh_jitter`, the part by which the next refresh or the cool-down is moved.
    """

    number: int
    started: Instant
    is_forced: bool
    jitter: float = 0.0

    def remaining_seconds(self, policy: CachePolicy, monotonic: float) -> float:
        """Return how many seconds are left until the deadline; zero or less after it."""
        return self.started.monotonic + policy.flight_deadline_seconds - monotonic

    def instant_at(self, monotonic: float) -> Instant:
        """Return the instant of this reading of the monotonic clock, while the refresh runs.

        Its thread reads no wall clock: libraries that move the time of a test may show its thread another one.
        """
        return self.started.plus(monotonic - self.started.monotonic)


@dataclass(frozen=True, slots=True)
class CacheState:
    """Everything that the key cache of one JWK Set remembers. Bounded: nothing is stored per key id.

    Attributes:
        snapshot: The last good keys.
        refresh: The refresh that is running.
        refreshes_started: How many refreshes have started; the next one has the next number.
        failures: How many refreshes failed in a row.
        cool_until: When the cool-down after the last failure ends; long ago without failures.
        unknown_key_attempts: When forced refreshes for unknown keys started, within the window of their budget.
        bad_signature_attempts: When forced refreshes for bad signatures started, within the window of their budget.
        last_cause: Why the last refresh failed; None after a success.
    """

    snapshot: Snapshot | None = None
    refresh: Refresh | None = None
    refreshes_started: int = 0
    failures: int = 0
    cool_until: Instant = LONG_AGO
    unknown_key_attempts: tuple[Instant, ...] = ()
    bad_signature_attempts: tuple[Instant, ...] = ()
    last_cause: str | None = None

    def cool_down_seconds(self, instant: Instant) -> float:
        """Return how many seconds of the cool-down are left; 0 if a refresh may start."""
        return instant.seconds_until(self.cool_until)


EMPTY: Final = CacheState()


class LoadedKeys(NamedTuple):
    """The keys that a refresh loaded.

    Attributes:
        key_set: The candidates, at least one of them usable.
        document_issuer: The issuer of the discovery document; None if there is no discovery document.
        content: A digest that differs when the content differs.
        fresh_seconds: How long the keys are fresh, within the limits of the policy.
        predates_refresh: Whether a part is older than this refresh: another worker fetched it, or the last discovery
            document named the JWK Set because no newer one was available.
        age_seconds: How old that part was when the refresh started.
        is_latest: Whether this refresh fetched the JWK Set from the issuer, so that no known one is newer.
    """

    key_set: KeySet
    document_issuer: str | None
    content: bytes
    fresh_seconds: float
    predates_refresh: bool = False
    age_seconds: float = 0.0
    is_latest: bool = False


class FetchFailure(NamedTuple):
    """Why a refresh failed: a value that is returned, never raised.

    Attributes:
        cause: A sentence of this package; no part of a response or a token.
        status: The HTTP status; 0 if there was no response.
        retry_after_seconds: How long the issuer asked for no further request; 0 if it did not ask.
        retryable: Whether another attempt at once may succeed.
    """

    cause: str
    status: int = 0
    retry_after_seconds: float = 0.0
    retryable: bool = False


class FailedLoad(NamedTuple):
    """How a refresh failed.

    Attributes:
        error: Why.
        keys: Keys that may be used up to the cap although the refresh failed: those of the workers' store, or those at
            the address that the last discovery document named; None if it found none.
    """

    error: FetchFailure
    keys: LoadedKeys | None = None


LoadResult = LoadedKeys | FailedLoad
