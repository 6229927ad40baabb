"""From changes of state to events, and from events to log records and whoever listens.

No record needs a limit of its own: each event happens at most once for each attempt, window or outage.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.decisions import CacheState, Snapshot
from aveverify._core.key_cache.key_set_diff import compare_key_sets
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

# What an operator has to know of; everything else is for those who look.
_WARNINGS: Final = (FetchFailed, KeyReplaced, ProviderDown, ServedStale, BudgetExhausted)


class EventPublisher:
    """Logs events and hands them on.

    Args:
        on_event: Whom to tell.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event

    def tell(self, event: Event) -> None:
        """Log an event under the logger `aveverify`, and hand it on; whatever the listener raises is logged too."""
        level = logging.WARNING if isinstance(event, _WARNINGS) else logging.INFO
        log.log(level, "%s: %s", ", ".join(map(quote, event.issuers)), describe(event))
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("on_event raised")


def describe(event: Event) -> str:  # noqa: PLR0911 - one sentence for each event
    """Say in one sentence what happened; key ids are the only words that are not ours."""
    match event:
        case KeysFetched(changed=changed):
            return f"keys fetched, {'changed' if changed else 'unchanged'}"
        case KeysRotated(added=added, removed=removed):
            return f"keys rotated, new {_list(added)}, gone {_list(removed)}"
        case KeyReplaced(kids=kids):
            return f"another key stands under a known kid: {_list(kids)}"
        case FetchFailed(cause=cause, failures=failures, retry_after_seconds=rest):
            return f"keys not fetched: {cause} (failure {failures}, next attempt in {rest:.0f} s)"
        case ProviderDown(has_keys=has_keys):
            return f"issuer unreachable, {'good keys are at hand' if has_keys else 'no keys are at hand'}"
        case ProviderUp(failures=failures):
            return f"issuer back after {failures} failures"
        case ServedStale(age_seconds=age, usable_seconds=rest):
            return f"stale keys of {age:.0f} s are used, for {rest:.0f} s more at most"
        case BudgetExhausted(budget=budget, retry_after_seconds=rest):
            return f"tokens are refused without a refetch, the budget {budget} is spent for {rest:.0f} s"
        case _:
            return type(event).__name__


def _list(kids: tuple[str, ...]) -> str:
    shown = ", ".join(map(quote, kids[:_MAX_SHOWN_KIDS])) or "none"
    return shown if len(kids) <= _MAX_SHOWN_KIDS else f"{shown}, ..."


_MAX_SHOWN_KIDS: Final = 5


def tell_of_success(issuers: tuple[str, ...], before: CacheState, after: CacheState) -> list[Event]:
    """List what happened when a flight brought keys.

    Args:
        issuers: Whose keys.
        before: The state before.
        after: The state now; the same object where the flight had been given up, and nothing happened.

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
    return events + _tell_of_rotation(issuers, old, new)


def _tell_of_rotation(issuers: tuple[str, ...], old: Snapshot | None, new: Snapshot | None) -> list[Event]:
    if old is None or new is None or old.generation == new.generation:
        return []
    changes = compare_key_sets(old.key_set, new.key_set)
    events: list[Event] = [
        KeysRotated(issuers=issuers, added=changes.added, removed=changes.removed, shares_no_key=changes.shares_no_key)
    ]
    if changes.replaced:
        events.append(KeyReplaced(issuers=issuers, kids=changes.replaced))
    return events


def tell_of_failure(issuers: tuple[str, ...], before: CacheState, after: CacheState, at: float) -> list[Event]:
    """List what happened when a flight failed.

    Args:
        issuers: Whose keys.
        before: The state before.
        after: The state now; the same object where the flight had been given up, and nothing happened.
        at: Monotonic clock.

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
            retry_after_seconds=max(after.cool_until - at, 0.0),
        )
    ]
    if after.failures == 1:
        events.append(ProviderDown(issuers=issuers, has_keys=after.snapshot is not None))
    # An outage of the discovery document alone hides no rotation at the last address.
    return events + _tell_of_rotation(issuers, before.snapshot, after.snapshot)
