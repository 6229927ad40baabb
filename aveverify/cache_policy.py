"""`CachePolicy`: every duration, budget and limit of the key cache."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from aveverify.errors import ConfigurationError, Problem

# Thirty years in seconds, or a gigabyte: a larger number is a mistake of units.
_MAX_VALUE: Final = 1_000_000_000
_MIN_REFRESH_AHEAD: Final = 0.5
_MAX_REFRESH_JITTER: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How long keys are trusted, and how often an issuer is asked for them.

    Every value is a number from 0 to 1,000,000,000; those marked "above 0" must not be 0.

    Attributes:
        fresh_seconds: Freshness lifetime without Cache-Control. It bounds how long a removed key is trusted while the
            issuer is healthy. Between `min_fresh_seconds` and `max_fresh_seconds`; 600 by default.
        min_fresh_seconds: Floor of a Cache-Control lifetime, against needless load on the issuer. Above 0; 60 by
            default.
        max_fresh_seconds: Ceiling of a Cache-Control lifetime, against a removed key that is trusted for a day. 3600 by
            default.
        refresh_ahead: The part of the freshness after which keys are refreshed in the background. 0.5 to 1; 0.8 by
            default.
        refresh_jitter: How much that moment varies between processes, as a part of it. 0 to 0.5; 0.1 by default.
        stale_if_error_seconds: How long keys are used after their freshness while the issuer is down; 0 fails closed.
            3600 by default.
        unknown_key_refetches: Forced refreshes for unknown keys, per window and key set. 2 by default.
        unknown_key_window_seconds: The window of that budget. Above 0; 30 by default.
        bad_signature_refetches: Forced refreshes for bad signatures under a known key, per window and key set. 1 by
            default.
        bad_signature_window_seconds: The window of that budget. Above 0; 60 by default.
        min_backoff_seconds: Cool-down after the first failure; it doubles with each further one. Above 0, at most
            `max_backoff_seconds`; 1 by default.
        max_backoff_seconds: The longest cool-down after failures. 30 by default.
        max_retry_after_seconds: How far an issuer's Retry-After may lengthen a cool-down. 300 by default.
        flight_deadline_seconds: Time for one refresh: both documents and the retry together. Above 0; 5 by default.
        waiter_seconds: How long one verification waits for keys, all its waits together. Above 0; 5 by default.
        max_document_bytes: The longest document that is read. Above 0; 524,288 (512 KiB) by default.
        discovery_seconds: How long the last discovery document is used while no newer one is available; the cap of the
            keys (freshness and `stale_if_error_seconds`, from its last renewal) may end that sooner. 86,400 by default.
    """

    fresh_seconds: float = 600.0
    min_fresh_seconds: float = 60.0
    max_fresh_seconds: float = 3600.0
    refresh_ahead: float = 0.8
    refresh_jitter: float = 0.1
    stale_if_error_seconds: float = 3600.0
    unknown_key_refetches: int = 2
    unknown_key_window_seconds: float = 30.0
    bad_signature_refetches: int = 1
    bad_signature_window_seconds: float = 60.0
    min_backoff_seconds: float = 1.0
    max_backoff_seconds: float = 30.0
    max_retry_after_seconds: float = 300.0
    flight_deadline_seconds: float = 5.0
    waiter_seconds: float = 5.0
    # A JWK Set is a few KiB; 16 RSA-4096 keys with certificates stay under 100 KiB. Stops a hostile or misrouted
    # response from filling memory (NET-001). Precedent: python-tuf caps root metadata at 512,000 bytes.
    max_document_bytes: int = 512 * 1024
    discovery_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse numbers that would switch a protection off.

        Raises:
            ConfigurationError: A number is negative, infinite, not a number, or contradicts another one.

        Source: CFG-009.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            # type(), not isinstance(): bool is an int. NaN is in no range.
            allowed: tuple[type, ...] = (int,) if type(field.default) is int else (int, float)
            if type(value) not in allowed or not 0 <= value <= _MAX_VALUE:
                raise ConfigurationError(Problem.OUT_OF_RANGE, f"CachePolicy.{field.name}")
        for name in ("flight_deadline_seconds", "waiter_seconds", "min_backoff_seconds",
                     "min_fresh_seconds", "max_document_bytes", "unknown_key_window_seconds",
                     "bad_signature_window_seconds"):  # fmt: skip
            if getattr(self, name) == 0:
                raise ConfigurationError(Problem.OUT_OF_RANGE, f"CachePolicy.{name}", "it must be above zero")
        if not _MIN_REFRESH_AHEAD <= self.refresh_ahead <= 1:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "CachePolicy.refresh_ahead", "0.5 to 1")
        if self.refresh_jitter > _MAX_REFRESH_JITTER:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "CachePolicy.refresh_jitter", "0 to 0.5")
        if not self.min_fresh_seconds <= self.fresh_seconds <= self.max_fresh_seconds:
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, "CachePolicy.fresh_seconds", "min_fresh_seconds to max_fresh_seconds"
            )
        if self.min_backoff_seconds > self.max_backoff_seconds:
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, "CachePolicy.min_backoff_seconds", "at most max_backoff_seconds"
            )

    def bound_confirmation_seconds(self, fresh_seconds: float) -> float:
        """Compute how long 304 responses alone may keep a document fresh, counted from its last body.

        Args:
            fresh_seconds: The lifetime of the document, within floor and ceiling.

        Returns:
            Seconds: `max_fresh_seconds`, and never beyond the cap.

        Source: NET-027.
        """
        return min(self.max_fresh_seconds, fresh_seconds + self.stale_if_error_seconds)

    def worst_case_trust_seconds(
        self, *, outage: bool = False, max_age_seconds: float | None = None, false_304: bool = False
    ) -> float:
        """Compute how long at most a key is trusted after its issuer has removed it.

        Counted from the moment when the issuer's own endpoints stop publishing the key: its JWK Set no longer contains
        it, or its discovery document names another JWK Set. Caches between them and this service add their own age,
        which is subtracted if they send it (`Age`).

        Args:
            outage: Whether an endpoint then fails for as long as it takes. It also fails if it answers later than
                `waiter_seconds`, or with a JWK Set without a usable key.
            max_age_seconds: The `max-age` of the JWK Set; None if it is sent without one.
            false_304: Whether an endpoint claims by 304, with the entity tag of the old document or without one, that
                nothing has changed. Such a claim looks like a true one. An unknown key or a bad signature ends it at
                once.

        Returns:
            Seconds. A cached token of the key is refused no later than a new one.

        Example:
            ```python
            CachePolicy().worst_case_trust_seconds()  # 600
            CachePolicy().worst_case_trust_seconds(outage=True)  # 4200
            ```

        Source: SEC-15; ROT-004; NET-027; NET-028; RFC 9111 §4.2.
        """
        fresh_seconds = self.fresh_seconds
        if max_age_seconds is not None:
            fresh_seconds = max(self.min_fresh_seconds, min(max_age_seconds, self.max_fresh_seconds))
        if false_304:
            fresh_seconds = self.bound_confirmation_seconds(fresh_seconds)
        return fresh_seconds + (self.stale_if_error_seconds if outage else 0.0)
