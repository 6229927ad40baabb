"""From changes of the key cache to events, and from events to log records and `on_event`.

No record is rate-limited: each event happens at most once for each refresh, window or outage.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.key_set_diff import compare_key_sets
from aveverify._core.key_cache.state import CacheState, Instant, Snapshot
from aveverify.errors import quote
from aveverify.events import (
    BudgetExhausted,
    Event,
    FetchFailed,
    KeyReplaced,
    KeysFetched,
    KeysRotated,
    ProviderDown,
    ProviderUp,
    ServedStale,
)

if TYPE_CHECKING:
    from aveverify.events import OnEvent

log = logging.getLogger("aveverify")

# What an operator has to act on or to know; all other events are informational.
_WARNINGS: Final = (FetchFailed, KeyReplaced, ProviderDown, ServedStale, BudgetExhausted)
_MAX_SHOWN_KIDS: Final = 5


class EventPublisher:
    """Logs events, and passes them to `on_event`.

    Args:
        on_event: Called with each key-cache event.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event

    def publish(self, event: Event) -> None:
        """Log an event under the logger `aveverify`, and call `on_event`; an exception of that is logged too."""
        level = logging.WARNING if isinstance(event, _WARNINGS) else logging.INFO
        log.log(level, "%s: %s", ", ".join(map(quote, event.issuers)), describe(event))
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("on_event raised")


def describe(event: Event) -> str:
    """Say in one sentence what happened; the key ids are the only words that an issuer chose."""
    match event:
        case KeysFetched(changed=changed):
            sentence = f"keys fetched, {'changed' if changed else 'unchanged'}"
        case KeysRotated(added=added, removed=removed):
            sentence = f"keys rotated, new {_list(added)}, removed {_list(removed)}"
        case KeyReplaced(kids=kids):
            sentence = f"another key is published under a known kid: {_list(kids)}"
        case FetchFailed(cause=cause, failures=failures, retry_after_seconds=seconds):
            sentence = f"keys not fetched: {cause} (failure {failures}, next attempt in {seconds:.0f} s)"
        case ProviderDown(has_keys=has_keys):
            sentence = f"issuer unreachable, {'good keys are cached' if has_keys else 'no keys are cached'}"
        case ProviderUp(failures=failures):
            sentence = f"issuer back after {failures} failures"
        case ServedStale(age_seconds=age, usable_seconds=seconds):
            sentence = f"stale keys of {age:.0f} s are used, for {seconds:.0f} s more at most"
        case BudgetExhausted(budget=budget, retry_after_seconds=seconds):
            sentence = f"tokens are refused without a refresh, the budget {budget} is exhausted for {seconds:.0f} s"
        case _:
            sentence = type(event).__name__
    return sentence


def _list(kids: tuple[str, ...]) -> str:
    shown = ", ".join(map(quote, kids[:_MAX_SHOWN_KIDS])) or "none"
    return shown if len(kids) <= _MAX_SHOWN_KIDS else f"{shown}, ..."


def list_events_of_success(issuers: tuple[str, ...], before: CacheState, after: CacheState) -> list[Event]:
    """List the events of a refresh that loaded keys.

    Args:
        issuers: The issuers that share the keys.
        before: The state before.
        after: The state now; the same object if the refresh had been given up, and nothing happened.

    Returns:
        The events, in the order of their importance to a reader of the log.
    """
    old, new = before.snapshot, after.snapshot
    if after is before or new is None:
        return []
    changed = old is None or old.generation != new.generation
    events: list[Event] = []
    if before.failures:
        events.append(ProviderUp(issuers=issuers, failures=before.failures))
    events.append(KeysFetched(issuers=issuers, kids=new.key_set.kids, changed=changed, fresh_seconds=new.fresh_seconds))
    return events + _list_events_of_rotation(issuers, old, new)


def list_events_of_failure(
    issuers: tuple[str, ...], before: CacheState, after: CacheState, instant: Instant
) -> list[Event]:
    """List the events of a refresh that failed.

    Args:
        issuers: The issuers that share the keys.
        before: The state before.
        after: The state now; the same object if the refresh had been given up, and nothing happened.
        instant: When it ended.

    Returns:
        The events.
    """
    if after is before:
        return []
    events: list[Event] = [
        FetchFailed(
            issuers=issuers,
            cause=after.last_cause or "",
            failures=after.failures,
            retry_after_seconds=after.cool_down_seconds(instant),
        )
    ]
    if after.failures == 1:
        events.append(ProviderDown(issuers=issuers, has_keys=after.snapshot is not None))
    # While only the discovery document is unavailable, keys may still rotate at the last address.
    return events + _list_events_of_rotation(issuers, before.snapshot, after.snapshot)


def _list_events_of_rotation(issuers: tuple[str, ...], old: Snapshot | None, new: Snapshot | None) -> list[Event]:
    if old is None or new is None or old.generation == new.generation:
        return []
    changes = compare_key_sets(old.key_set, new.key_set)
    events: list[Event] = [
        KeysRotated(issuers=issuers, added=changes.added, removed=changes.removed, shares_no_key=changes.shares_no_key)
    ]
    if changes.replaced:
        events.append(KeyReplaced(issuers=issuers, kids=changes.replaced))
    return events
