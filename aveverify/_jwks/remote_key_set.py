"""One JWK Set: the keys as they are now, and the one refresh that may replace them.

The state is immutable and replaced as a whole, so readers need no lock. One refresh runs at a time, on a thread of its
own; threads and coroutines of all event loops wait for the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import SystemRandom
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.decisions import Action, Decision, Question, decide_action
from aveverify._core.key_cache.state import (
    EMPTY,
    CacheState,
    FailedLoad,
    FetchFailure,
    Instant,
    LoadResult,
    Refresh,
    RefreshReason,
    Snapshot,
)
from aveverify._core.key_cache.transitions import with_refresh_failed, with_refresh_started, with_refresh_succeeded
from aveverify._jwks.completion import DONE, Completion
from aveverify._jwks.event_publisher import list_events_of_failure, list_events_of_success
from aveverify._jwks.exhausted_budgets import ExhaustedBudgets
from aveverify._jwks.inline_key_set import read_inline_key_set
from aveverify.errors import ConfigurationError, InvalidTokenError, Problem
from aveverify.events import ServedStale

if TYPE_CHECKING:
    from aveverify._jwks.loader import KeySetLoader
    from aveverify.cache_policy import CachePolicy
    from aveverify.events import Event

# NET-007: threads that hang in a name look-up or a custom fetcher must not pile up. One refresh is running; the others
# were given up at their deadline and have not returned.
_MAX_RUNNING_REFRESHES: Final = 3
_REFUSED: Final = Decision(Action.REFUSE)
# Jitter spreads the load of many workers; it guards nothing.
_random: Final = SystemRandom()


class RemoteKeySet:
    """The keys of one JWK Set, and the one refresh that may replace them.

    Args:
        loader: Loads the keys.
        policy: Durations and budgets.
        read_monotonic: Reads the monotonic clock.
        publish: Called with each event.

    Attributes:
        state: The state of the key cache. Replaced as a whole under the lock, read without it.
        budgets: The budgets of forced refreshes that are exhausted.
    """

    def __init__(
        self,
        loader: KeySetLoader,
        policy: CachePolicy,
        read_monotonic: Callable[[], float],
        publish: Callable[[Event], None],
    ) -> None:
        self.state: CacheState = read_inline_key_set(loader.location.key_set_url) or EMPTY
        self.issuers = loader.issuers
        self.budgets = ExhaustedBudgets(loader.issuers)
        self._loader = loader
        self._policy = policy
        self._read_monotonic = read_monotonic
        self._publish = publish
        self._lock = Lock()
        # Of the running refresh, or of the last one.
        self._completion = Completion()
        # Refreshes whose thread has not returned, given up or not, and the thread of the last one.
        self._running_refreshes = 0
        self._thread: Thread | None = None
        self._is_closed = False
        # Whether the stale keys of this outage were reported.
        self._reported_stale = False

    def lookup(self, now: float, monotonic: float, *, may_wait: bool) -> Snapshot | None:
        """Return the keys if they are usable at this instant; None if they must be loaded first.

        The one function that decides whether keys are usable. `TokenCache.get_if_fresh` repeats its first comparison.

        Args:
            now: Wall clock, in seconds since the epoch.
            monotonic: Monotonic clock, in seconds.
            may_wait: Whether the verification may wait for a refresh; if not, it uses stale keys sooner.

        Returns:
            The keys. If they are past their refresh time, a refresh is running, or the cool-down after a failure is not
            over.

        Raises:
            ConfigurationError: `CLOSED`.

        Source: ROT-001; ROT-006; ROT-014; SEC-15.
        """
        state = self.state
        snapshot = state.snapshot
        # Fresh keys, as nearly always: no lock, no thread, no object, no call.
        if snapshot is not None and monotonic < snapshot.refresh_at_monotonic and now < snapshot.refresh_at_wall:
            return snapshot
        instant, question = Instant(now, monotonic), Question(RefreshReason.KEYS, may_wait=may_wait)
        action = decide_action(state, self._policy, question, instant).action
        if snapshot is None or action not in (Action.USE, Action.USE_AND_REFRESH):
            return None
        if not snapshot.is_fresh(instant):
            self._report_stale(snapshot, instant)
        if action is Action.USE_AND_REFRESH:
            self.decide_and_refresh(question, instant)
        return snapshot

    def decide_and_refresh(
        self, question: Question, instant: Instant, snapshot_seen: Snapshot | None = None
    ) -> tuple[Decision, Completion]:
        """Decide under the lock; start any refresh after releasing it.

        Args:
            question: What the verification asks.
            instant: The instant of the verification.
            snapshot_seen: The keys that refused the token; None if no keys were usable.

        Returns:
            The decision, and what to wait for if it says WAIT: done already if other keys arrived meanwhile.

        Raises:
            ConfigurationError: `CLOSED`.
        """
        refresh: Refresh | None = None
        events: list[Event] = []
        reason = question.reason
        with self._lock:
            if self._is_closed:
                raise ConfigurationError(Problem.CLOSED, "the verifier")
            if question.may_wait:
                if snapshot_seen is not None and self.state.snapshot is not snapshot_seen:
                    # Other keys arrived since: the missing key may be among them, and looking again costs nothing.
                    return Decision(Action.WAIT), DONE
                if self.budgets.refuse_again(reason, self.state, instant):
                    return _REFUSED, DONE
            events += self._give_up_overdue(instant)
            decision = decide_action(self.state, self._policy, question, instant)
            # ROT-012: one refresh runs at a time, however many verifications ask.
            if decision.action in (Action.WAIT, Action.USE_AND_REFRESH) and self.state.refresh is None:
                self.state = with_refresh_started(self.state, self._policy, reason, instant, _random.uniform(-1, 1))
                refresh = self.state.refresh
                self._completion = Completion()
                self._running_refreshes += 1
            elif decision.action is Action.REFUSE and decision.retry_after_seconds:
                events += self.budgets.refuse(reason, self.state, instant, decision.retry_after_seconds)
            completion = self._completion
        self._publish_all(events)
        if refresh is not None:
            self._start(refresh, completion)
        return decision, completion

    def renew_after_fork(self) -> None:
        """Keep the keys, and forget the refresh and its thread, which exist only in the parent process."""
        self._lock = Lock()
        self._completion = Completion()
        self._running_refreshes = 0
        self._thread = None
        self._loader.renew_after_fork()
        self.state = replace(self.state, refresh=None)

    def finish(self, timeout_seconds: float) -> None:
        """Wait a little for the last refresh, so that what it fetched is published before the process ends.

        Args:
            timeout_seconds: How long to wait at most.
        """
        thread = self._thread
        # `on_event` may close the verifier on that very thread.
        if thread is not None and thread is not current_thread():
            thread.join(timeout_seconds)

    def close(self) -> None:
        """Forget the keys, wake every waiter, and fetch no more. Idempotent.

        Source: CON-014.
        """
        with self._lock:
            self._is_closed = True
            if self.state.refresh is not None:
                # It will publish nothing, so `finish` does not wait for it.
                self._thread = None
            # Without keys no token is accepted, and a refresh of another state changes nothing.
            self.state = EMPTY
            completion = self._completion
        self._loader.close()
        completion.set_done()

    def _report_stale(self, snapshot: Snapshot, instant: Instant) -> None:
        """Report, once for each outage, that keys past their freshness are used."""
        if self._reported_stale:
            return
        with self._lock:
            was_reported, self._reported_stale = self._reported_stale, True
        if not was_reported:
            age_seconds = snapshot.age_seconds(instant)
            usable_seconds = snapshot.usable_seconds - age_seconds
            self._publish(ServedStale(issuers=self.issuers, age_seconds=age_seconds, usable_seconds=usable_seconds))

    def _give_up_overdue(self, instant: Instant) -> Sequence[Event]:
        """End a refresh that is past its deadline: whatever its thread still does, its response comes too late."""
        refresh = self.state.refresh
        if refresh is None or refresh.remaining_seconds(self._policy, instant.monotonic) > 0:
            return ()
        events = self._end(refresh, FailedLoad(FetchFailure("the deadline passed")), instant)
        self._completion.set_done()
        return events

    def _start(self, refresh: Refresh, completion: Completion) -> None:
        if self._running_refreshes > _MAX_RUNNING_REFRESHES:
            self._finish_refresh(refresh, completion, _failed("earlier fetches have not come back"))
            return
        thread = Thread(target=self._run, args=(refresh, completion), name="aveverify-keys", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # A failure like any other, so that no caller waits in vain.
            self._finish_refresh(refresh, completion, _failed("no thread could be started"))
            return
        # Only a thread that was started can be joined.
        self._thread = thread

    def _run(self, refresh: Refresh, completion: Completion) -> None:
        result: LoadResult
        try:
            result = self._loader.load(refresh)
        except Exception as error:  # noqa: BLE001 - a custom fetcher may raise anything; it counts as a failed fetch
            result = _failed(f"the fetcher raised {type(error).__name__}")
        if self._finish_refresh(refresh, completion, result):
            # No request waits any more, so a slow store delays none.
            self._loader.publish()

    def _finish_refresh(self, refresh: Refresh, completion: Completion, result: LoadResult) -> bool:
        """Note how a refresh ended, and wake its waiters; False if the verifier was closed before."""
        try:
            ended = refresh.instant_at(self._read_monotonic())
        except InvalidTokenError:
            # A clock that fails must not leave waiters behind; each of them meets the failure itself.
            ended = refresh.started
        with self._lock:
            self._running_refreshes -= 1
            events = self._end(refresh, result, ended)
            is_open = not self._is_closed
        # The state is replaced before any waiter wakes.
        completion.set_done()
        self._publish_all(events)
        return is_open

    def _end(self, refresh: Refresh, result: LoadResult, ended: Instant) -> list[Event]:
        before = self.state
        if isinstance(result, FailedLoad):
            self.state = with_refresh_failed(before, self._policy, refresh, result, ended)
            return list_events_of_failure(self.issuers, before, self.state, ended)
        self.state = with_refresh_succeeded(before, self._policy, refresh, result)
        self._reported_stale = self._reported_stale and self.state is before
        return list_events_of_success(self.issuers, before, self.state)

    def _publish_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._publish(event)


def _failed(cause: str) -> FailedLoad:
    return FailedLoad(FetchFailure(cause))
