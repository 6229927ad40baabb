"""`KeyMetrics`: the events and the state of the key cache as OpenTelemetry metrics (extra `otel`).

Counts events, and reads `Verifier.status()` when metrics are collected; never fetches. Every label is part of the
configuration or of a closed list of words, never of a token (ERR-005).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from aveverify._fork import renew_after_fork
from aveverify.errors import AveVerifyError
from aveverify.events import (
    BudgetExhausted,
    Event,
    FetchFailed,
    KeyReplaced,
    KeysFetched,
    KeysRotated,
    ServedStale,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation

    from aveverify.status import ProviderStatus
    from aveverify.verifier import Verifier

__all__ = ["KeyMetrics"]

log = logging.getLogger("aveverify")

Attributes = dict[str, str]

_ISSUER: Final = "aveverify.issuer"
_KIND: Final = "aveverify.provider.kind"
_OUTCOME: Final = "aveverify.outcome"
_BUDGET: Final = "aveverify.budget"

_FETCHES: Final = "aveverify.key.fetches"
# Name, unit and description of each counter.
_COUNTERS: Final = (
    (_FETCHES, "{fetch}", "Fetches of key sets, by outcome"),
    ("aveverify.key.rotations", "{rotation}", "Changes of the content of a key set"),
    ("aveverify.key.replacements", "{key}", "Key ids whose key material has changed"),
    ("aveverify.key.stale_served", "{outage}", "Outages during which stale keys were used"),
    ("aveverify.key.budget_exhausted", "{window}", "Windows in which the budget of forced refetches was used up"),
)
# Name, unit, description and value of each gauge; a value of None is not observed.
_GAUGES: Final[tuple[tuple[str, str, str, Callable[[ProviderStatus, float], float | None]], ...]] = (
    ("aveverify.key.age", "s", "The age of the keys", lambda found, _now: found.age_seconds),
    (
        "aveverify.key.usable",
        "s",
        "How much longer the keys may be used if no fetch succeeds",
        lambda found, now: None if found.usable_until is None else max(found.usable_until - now, 0.0),
    ),
    ("aveverify.key.failures", "{fetch}", "Failed fetches since the last success", lambda found, _now: found.failures),
    (
        "aveverify.key.available",
        "1",
        "1 while keys may be used, else 0",
        lambda found, _now: int(found.state in ("fresh", "stale")),
    ),
)


class KeyMetrics:
    """Metrics of the key cache. Pass it to verifiers as `on_event=`, and each verifier to `observe`.

        metrics = KeyMetrics()
        verifier = Verifier(Provider.ave("app_123"), on_event=metrics)
        metrics.observe(verifier)

    Counters: `aveverify.key.fetches` (label `aveverify.outcome`: `changed`, `unchanged`, `failed`),
    `aveverify.key.rotations`, `aveverify.key.replacements`, `aveverify.key.stale_served` and
    `aveverify.key.budget_exhausted` (label `aveverify.budget`: `unknown_key`, `bad_signature`). Gauges, for observed
    verifiers: `aveverify.key.age`, `aveverify.key.usable`, `aveverify.key.failures`, `aveverify.key.available`, with
    the label `aveverify.provider.kind`. Every metric has the label `aveverify.issuer`, the configured issuer.

    Args:
        meter: The meter of the instruments; by default a meter `aveverify` of the global provider.

    Raises:
        ImportError: opentelemetry-api is not installed.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        try:
            from opentelemetry import metrics  # noqa: PLC0415 - an optional package
        except ImportError as error:
            message = "KeyMetrics needs opentelemetry-api; pip install aveverify[otel] does it"
            raise ImportError(message) from error
        if meter is None:
            meter = metrics.get_meter("aveverify")
        self._make_observation: Callable[[float, Attributes], Observation] = metrics.Observation
        self._verifiers: WeakSet[Verifier] = WeakSet()
        # A WeakSet must not grow while another thread iterates over it.
        self._lock = Lock()
        renew_after_fork(self)
        self._counters: dict[str, Counter] = {
            name: meter.create_counter(name, unit, description) for name, unit, description in _COUNTERS
        }
        for name, unit, description, read in _GAUGES:
            meter.create_observable_gauge(name, [self._make_callback(read)], unit, description)

    def __call__(self, event: Event) -> None:
        """Count an event, once for each issuer that shares the keys.

        Args:
            event: From a verifier's `on_event`.
        """
        for name, amount, more in _count(event):
            for issuer in event.issuers:
                self._counters[name].add(amount, {_ISSUER: issuer, **more})

    def observe(self, verifier: Verifier) -> None:
        """Read a verifier's status whenever metrics are collected, until it is closed or garbage-collected.

        Args:
            verifier: Only a weak reference to it is kept. Two verifiers with a provider in common need two
                `KeyMetrics` with two meters, or they report under the same labels.
        """
        with self._lock:
            self._verifiers.add(verifier)

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = Lock()

    def _make_callback(
        self, read: Callable[[ProviderStatus, float], float | None]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_options: CallbackOptions) -> Iterator[Observation]:
            with self._lock:
                verifiers = list(self._verifiers)
            for verifier in verifiers:
                for provider, now in self._read_status(verifier):
                    value = read(provider, now)
                    if value is not None:
                        yield self._make_observation(value, {_ISSUER: provider.issuer, _KIND: provider.kind})

        return callback

    def _read_status(self, verifier: Verifier) -> list[tuple[ProviderStatus, float]]:
        try:
            status = verifier.status()
        except AveVerifyError as error:
            # The verifier is closed, or its clock is unusable. Collecting must go on.
            log.debug("no metrics of %r: %s", verifier, error.reason.value)
            return []
        return [(provider, _now_of(provider)) for provider in status.providers]


def _now_of(provider: ProviderStatus) -> float:
    """The instant at which a status was read; 0 for a status without an age, which no gauge uses."""
    if provider.last_success_at is None or provider.age_seconds is None:
        return 0.0
    return provider.last_success_at + provider.age_seconds


def _count(event: Event) -> Iterator[tuple[str, int, Attributes]]:
    """Yield the counter that an event increases, by how much, and its labels beside the issuer."""
    match event:
        case KeysFetched(changed=changed):
            yield _FETCHES, 1, {_OUTCOME: "changed" if changed else "unchanged"}
        case FetchFailed():
            yield _FETCHES, 1, {_OUTCOME: "failed"}
        case KeysRotated():
            yield "aveverify.key.rotations", 1, {}
        case KeyReplaced(kids=kids):
            yield "aveverify.key.replacements", len(kids), {}
        case ServedStale():
            yield "aveverify.key.stale_served", 1, {}
        case BudgetExhausted(budget=budget):
            yield "aveverify.key.budget_exhausted", 1, {_BUDGET: budget}
