"""Where keys come from: what is known of one place now, and the one flight that may renew it.

The state is immutable and replaced as a whole, so readers take it without a lock. A fetch is a flight: one at a time,
on a thread of its own, for everybody who waits, from whichever thread or event loop.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Final, Literal

from aveverify._core.jose.jwk_set import parse_key_set
from aveverify._core.key_cache.decisions import (
    EMPTY,
    Action,
    CacheState,
    Decision,
    Flight,
    LoadedKeys,
    RefreshReason,
    Snapshot,
    began,
    decide,
    failed,
    succeeded,
)
from aveverify._core.key_cache.urls import decode_data_url, is_data_url
from aveverify._jwks.completion import LANDED, Completion
from aveverify._jwks.document import RefreshError
from aveverify._jwks.event_publisher import tell_of_failure, tell_of_success
from aveverify.errors import ConfigurationError, InvalidTokenError, Problem
from aveverify.events import BudgetExhausted, ServedStale

if TYPE_CHECKING:
    from aveverify._jwks.loader import KeySetLoader
    from aveverify.cache_policy import CachePolicy
    from aveverify.events import Event

_FOREVER: Final = float("inf")
# Threads of flights: the one under way, and those that were given up and have not come back.
_MAX_ALOFT: Final = 3
_REFUSED: Final = Decision(Action.REFUSE)


class RemoteKeySet:
    """The keys of one place, as they are now, and the one flight that may renew them.

    Args:
        harvester: Who fetches them.
        policy: Durations and budgets.
        tell: Whom to tell what happens.
    """

    def __init__(self, harvester: KeySetLoader, policy: CachePolicy, tell: Callable[[Event], None]) -> None:
        self.state: CacheState = EMPTY
        # How many tokens were refused because a budget was spent.
        self.refusals = {RefreshReason.UNKNOWN_KEY: 0, RefreshReason.BAD_SIGNATURE: 0}
        self._harvester = harvester
        self._policy = policy
        self._tell = tell
        self._lock = Lock()
        # Of the flight under way, or of the last one.
        self._landing = Completion()
        # Flights whose thread has not come back, given up or not, and the thread of the last one.
        self._running_refreshes = 0
        self._thread: Thread | None = None
        self._is_closed = False
        # Until when an operator knows that a budget is spent, and whether one knows that the keys are stale.
        self._told_until = dict.fromkeys(self.refusals, 0.0)
        # In which state a budget was last found spent.
        self._spent_in: dict[RefreshReason, CacheState] = {}
        self._told_stale = False
        key_set_url = harvester.address.key_set_url
        if key_set_url is not None and is_data_url(key_set_url):
            self.state = CacheState(snapshot=_read_data_url(key_set_url))

    @property
    def issuers(self) -> tuple[str, ...]:
        """The configured issuers that share these keys."""
        return self._harvester.issuers

    def renew_after_fork(self) -> None:
        """Keep the keys, and forget the flight and its thread, which exist only in the parent."""
        self._lock = Lock()
        self._landing = Completion()
        self._running_refreshes = 0
        self._thread = None
        self._harvester.courier.renew_after_fork()
        self.state = replace(self.state, flight=None)

    def finish(self, timeout_seconds: float) -> None:
        """Wait a little for the last flight, so that what it fetched is shared before the process ends.

        Args:
            timeout_seconds: How long at most.
        """
        thread = self._thread
        # A listener of its events may close the verifier on that very thread.
        if thread is not None and thread is not current_thread():
            thread.join(timeout_seconds)

    def close(self) -> None:
        """Forget the keys, wake everything that waits for them, and fetch no more. Idempotent.

        Source: CON-014.
        """
        with self._lock:
            self._is_closed = True
            if self.state.flight is not None:
                # It will share nothing, so there is nothing to finish.
                self._thread = None
            # Without keys nothing can be accepted, and a flight that is not this state's own changes nothing.
            self.state = EMPTY
            landing = self._landing
        self._harvester.courier.close()
        landing.land()

    def settle(  # noqa: PLR0913 - the question and the two instants
        self, need: RefreshReason, refreshes_seen: int, seen: Snapshot | None, *, now: float, at: float, patient: bool
    ) -> tuple[Decision, Completion]:
        """Decide under the lock, and begin a flight outside it where one is due.

        Args:
            need: What the verification found out.
            refreshes_seen: How many flights had begun when it began.
            seen: The keys in which it found that out.
            now: Wall clock.
            at: Monotonic clock.
            patient: Whether the verification may still wait.

        Returns:
            The decision, and the flight to wait for where it says WAIT.

        Raises:
            ConfigurationError: `CLOSED`.
        """
        begun: Flight | None = None
        with self._lock:
            if self._is_closed:
                raise ConfigurationError(Problem.CLOSED, "the verifier")
            if patient and self.state.snapshot is not seen:
                # A flight has landed since: what was missing may be there, and another look costs nothing.
                return Decision(Action.WAIT), LANDED
            if patient and at < self._told_until.get(need, 0.0) and self._spent_in.get(need) is self.state:
                # Nothing has changed since: a flood of bad tokens must cost little.
                self.refusals[need] += 1
                return _REFUSED, LANDED
            events = self._expire(at)
            decision = decide(
                self.state, self._policy, need, refreshes_seen=refreshes_seen, now=now, at=at, patient=patient
            )
            if decision.action in (Action.WAIT, Action.USE_AND_REFRESH) and self.state.flight is None:
                self.state = began(self.state, self._policy, need, now=now, at=at)
                begun = self.state.flight
                self._landing = Completion()
                self._running_refreshes += 1
            elif decision.action is Action.REFUSE and decision.retry_after_seconds:
                events += self._count_refusal(need, decision.retry_after_seconds, at)
                if self.state.flight is None:
                    self._spent_in[need] = self.state
            landing = self._landing
        for event in events:
            self._tell(event)
        if begun is not None:
            self._start(begun, landing)
        return decision, landing

    def note_stale(self, snapshot: Snapshot, now: float, at: float) -> None:
        """Tell, once for each outage, that keys past their freshness are used."""
        if self._told_stale:
            return
        with self._lock:
            was_told, self._told_stale = self._told_stale, True
        if not was_told:
            age_seconds = snapshot.age_seconds(now, at)
            cap_seconds = snapshot.fresh_seconds + self._policy.stale_if_error_seconds
            self._tell(
                ServedStale(issuers=self.issuers, age_seconds=age_seconds, usable_seconds=cap_seconds - age_seconds)
            )

    def _count_refusal(self, need: RefreshReason, rest_seconds: float, at: float) -> list[Event]:
        self.refusals[need] += 1
        if at < self._told_until[need]:
            return []
        self._told_until[need] = at + rest_seconds
        budget: Literal["unknown_key", "bad_signature"]
        budget = "unknown_key" if need is RefreshReason.UNKNOWN_KEY else "bad_signature"
        return [BudgetExhausted(issuers=self.issuers, budget=budget, retry_after_seconds=rest_seconds)]

    def _expire(self, at: float) -> list[Event]:
        """Give up a flight that is past its deadline, whatever its thread is still doing: its answer comes too late."""
        flight = self.state.flight
        if flight is None or at - flight.began_at < self._policy.flight_deadline_seconds:
            return []
        events = self._note(flight, RefreshError("the deadline passed"), at)
        self._landing.land()
        return events

    def _start(self, flight: Flight, landing: Completion) -> None:
        if self._running_refreshes > _MAX_ALOFT:
            # NET-007: threads that hang in a name look-up or a custom fetcher must not pile up.
            self._land(flight, landing, RefreshError("earlier fetches have not come back"))
            return
        thread = Thread(target=self._fly, args=(flight, landing), name="aveverify-keys", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads to be had: a failure like any other, so that nobody waits for nothing.
            self._land(flight, landing, RefreshError("no thread could be started"))
            return
        # Once it runs: only then can it be waited for.
        self._thread = thread

    def _fly(self, flight: Flight, landing: Completion) -> None:
        result: LoadedKeys | RefreshError
        try:
            result = self._harvester.fetch_keys(flight)
        except RefreshError as fault:
            result = fault
        except Exception as error:  # noqa: BLE001 - a custom fetcher may raise anything; it counts as a failed fetch
            result = RefreshError(f"the fetcher raised {type(error).__name__}")
        if self._land(flight, landing, result):
            # No request waits any more: a slow store delays none.
            self._harvester.courier.share()

    def _land(self, flight: Flight, landing: Completion, result: LoadedKeys | RefreshError) -> bool:
        """Note how a flight ended, and wake all that wait for it; False if the verifier was closed before."""
        try:
            _, at = self._harvester.courier.read_clocks()
        except InvalidTokenError:
            # A clock that fails must not leave waiters behind; they meet it themselves.
            at = flight.began_at
        with self._lock:
            self._running_refreshes -= 1
            events = self._note(flight, result, at)
            counts = not self._is_closed
        # The state is published before anybody is woken.
        landing.land()
        for event in events:
            self._tell(event)
        return counts

    def _note(self, flight: Flight, result: LoadedKeys | RefreshError, at: float) -> list[Event]:
        before = self.state
        jitter = random.uniform(-1, 1)  # noqa: S311 - spreads load, guards nothing
        if isinstance(result, RefreshError):
            self.state = failed(
                before,
                self._policy,
                flight,
                cause=result.cause,
                retry_after_seconds=result.retry_after_seconds,
                at=at,
                jitter=jitter,
                last_good=result.last_good,
            )
            return tell_of_failure(self.issuers, before, self.state, at)
        self.state = succeeded(before, self._policy, flight, result, jitter=jitter)
        self._told_stale = self._told_stale and self.state is before
        return tell_of_success(self.issuers, before, self.state)


def _read_data_url(url: str) -> Snapshot:
    # No age and no refetch: newer than any question, because asking again would answer the same (JWKS-01).
    return Snapshot(
        key_set=parse_key_set(decode_data_url(url) or b"", "customJwt"),
        document_issuer=None,
        content=b"",
        flight_number=1,
        began_at=0.0,
        began_now=0.0,
        refresh_seconds=_FOREVER,
        fresh_seconds=_FOREVER,
        generation=0,
    )
