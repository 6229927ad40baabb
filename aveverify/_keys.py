"""The engine: it owns the clock, the lock and the network, and runs the state machine of `_core.key_cache`.

One `KeySource` per place where keys come from; providers that agree in it share it. Each keeps one immutable state
that readers take without a lock. A fetch is a flight: one at a time, on a thread of its own, for everybody who waits,
from whichever thread or event loop.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from aveverify._core.addresses import decode_data_url, is_data_url
from aveverify._core.jwk import parse_key_set
from aveverify._core.key_cache import (
    EMPTY,
    Action,
    CacheState,
    Decision,
    Flight,
    Harvest,
    Need,
    Snapshot,
    began,
    decide,
    failed,
    succeeded,
)
from aveverify._flight import Landing
from aveverify._harvest import FlightFault, Harvester, SourceAddress
from aveverify.errors import InvalidTokenError, Reason, quote
from aveverify.events import FetchFailed, KeysFetched

if TYPE_CHECKING:
    from aveverify._core.selection import ProviderTable
    from aveverify.cache_policy import CachePolicy
    from aveverify.clock import Clock
    from aveverify.events import Event, OnEvent
    from aveverify.fetcher import Fetcher
    from aveverify.provider import Provider

log = logging.getLogger("aveverify")

_FOREVER: Final = float("inf")


class KeySource:
    """The keys of one place, as they are now, and the one flight that may renew them.

    Args:
        harvester: Who fetches them.
        policy: Durations and budgets.
        tell: Whom to tell what became of a flight.
    """

    def __init__(self, harvester: Harvester, policy: CachePolicy, tell: Callable[[Event], None]) -> None:
        self.state: CacheState = EMPTY
        self._harvester = harvester
        self._policy = policy
        self._tell = tell
        self._lock = Lock()
        # Of the flight under way, or of the last one.
        self._landing = Landing()
        key_set_url = harvester.address.key_set_url
        if key_set_url is not None and is_data_url(key_set_url):
            self.state = CacheState(snapshot=_read_data_url(key_set_url))

    def settle(self, need: Need, asked_after: int, *, now: float, at: float, patient: bool) -> tuple[Decision, Landing]:
        """Decide under the lock, and begin a flight outside it where one is due.

        Args:
            need: What the verification found out.
            asked_after: How many flights had begun when it began.
            now: Wall clock.
            at: Monotonic clock.
            patient: Whether the verification may still wait.

        Returns:
            The decision, and the flight to wait for where it says WAIT.
        """
        begun: Flight | None = None
        with self._lock:
            overdue = self._expire(at)
            decision = decide(self.state, self._policy, need, asked_after=asked_after, now=now, at=at, patient=patient)
            if decision.action in (Action.WAIT, Action.USE_AND_REFRESH) and self.state.flight is None:
                self.state = began(self.state, self._policy, need, now=now, at=at)
                begun = self.state.flight
                self._landing = Landing()
            landing = self._landing
        if overdue is not None:
            self._tell(overdue)
        if begun is not None:
            self._start(begun, landing)
        return decision, landing

    def _expire(self, at: float) -> Event | None:
        """Give up a flight that is past its deadline, whatever its thread is still doing: its answer comes too late."""
        flight = self.state.flight
        if flight is None or at - flight.began_at < self._policy.flight_deadline_seconds:
            return None
        event = self._note(flight, FlightFault("the deadline passed"), at)
        self._landing.land()
        return event

    def _start(self, flight: Flight, landing: Landing) -> None:
        thread = Thread(target=self._fly, args=(flight, landing), name="aveverify-keys", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads to be had: a failure like any other, so that nobody waits for nothing.
            self._land(flight, landing, FlightFault("no thread could be started"))

    def _fly(self, flight: Flight, landing: Landing) -> None:
        result: Harvest | FlightFault
        try:
            result = self._harvester.fetch_keys(flight)
        except FlightFault as fault:
            result = fault
        except Exception as error:  # noqa: BLE001 - a custom fetcher may raise anything; it counts as a failed fetch
            result = FlightFault(f"the fetcher raised {type(error).__name__}")
        self._land(flight, landing, result)

    def _land(self, flight: Flight, landing: Landing, result: Harvest | FlightFault) -> None:
        try:
            _, at = self._harvester.read_clocks()
        except InvalidTokenError:
            # A clock that fails must not leave waiters behind; they meet it themselves.
            at = flight.began_at
        with self._lock:
            event = self._note(flight, result, at)
        # The state is published before anybody is woken.
        landing.land()
        if event is not None:
            self._tell(event)

    def _note(self, flight: Flight, result: Harvest | FlightFault, at: float) -> Event | None:
        before = self.state
        jitter = random.uniform(-1, 1)  # noqa: S311 - spreads load, guards nothing
        if isinstance(result, FlightFault):
            self.state = after = failed(
                before,
                self._policy,
                flight,
                cause=result.cause,
                retry_after_seconds=result.retry_after_seconds,
                at=at,
                jitter=jitter,
            )
        else:
            self.state = after = succeeded(before, self._policy, flight, result, jitter=jitter)
        if after is before:
            # Given up meanwhile: it changes nothing, and nobody is told.
            return None
        issuers = self._harvester.issuers
        if isinstance(result, FlightFault):
            pause_seconds = after.cool_until - at
            return FetchFailed(
                issuers=issuers, cause=result.cause, failures=after.failures, retry_after_seconds=pause_seconds
            )
        changed = before.snapshot is None or before.snapshot.content != result.content
        return KeysFetched(
            issuers=issuers, kids=result.key_set.kids, changed=changed, fresh_seconds=result.fresh_seconds
        )


def _read_data_url(url: str) -> Snapshot:
    # No age and no refetch: newer than any question, because asking again would answer the same (JWKS-01).
    return Snapshot(
        key_set=parse_key_set(decode_data_url(url) or b"", "customJwt"),
        document_issuer=None,
        content=b"",
        flight_number=1,
        began_at=0.0,
        began_now=0.0,
        due_seconds=_FOREVER,
        fresh_seconds=_FOREVER,
        generation=0,
    )


class KeyEngine:
    """The key sources of one verifier, with their clock, fetcher and policy.

    Args:
        providers: The providers in written order.
        table: Which provider a token belongs to.
        clock: Where time comes from.
        fetcher: Where documents come from.
        policy: Durations, budgets and limits.
        on_event: Whom to tell.
    """

    def __init__(  # noqa: PLR0913 - the parts of an engine
        self,
        providers: Sequence[Provider],
        table: ProviderTable,
        *,
        clock: Clock,
        fetcher: Fetcher,
        policy: CachePolicy,
        on_event: OnEvent | None,
    ) -> None:
        self.table = table
        self.policy = policy
        self._clock = clock
        self._fetcher = fetcher
        self._on_event = on_event
        issuers: dict[SourceAddress, dict[str, None]] = {}
        for provider in providers:
            issuers.setdefault(_address_of(provider), {})[provider.issuer] = None
        sources = {address: self._make_source(address, tuple(shared)) for address, shared in issuers.items()}
        self.sources = tuple(sources.values())
        self.providers = tuple((provider, sources[_address_of(provider)]) for provider in providers)

    def _make_source(self, address: SourceAddress, issuers: tuple[str, ...]) -> KeySource:
        harvester = Harvester(address, issuers, self._fetcher, self.policy, self.read_clocks)
        return KeySource(harvester, self.policy, self._tell)

    def read_clocks(self) -> tuple[float, float]:
        """Read the wall clock and the monotonic clock.

        Returns:
            Seconds since the epoch; seconds from an arbitrary beginning.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`, where one of them is negative, not a number or raises (CLK-003).
        """
        try:
            now, at = self._clock.now(), self._clock.monotonic()
            usable = 0 <= now < _FOREVER and 0 <= at < _FOREVER
        except Exception:  # noqa: BLE001 - a clock that raises, whatever it raises, must lead to a refusal
            usable = False
        if not usable:
            raise InvalidTokenError(Reason.CLOCK_UNUSABLE, rule="CLK-003")
        return now, at

    def _tell(self, event: Event) -> None:
        if isinstance(event, FetchFailed):
            log.warning("keys of %s not fetched: %s", ", ".join(map(quote, event.issuers)), event.cause)
        else:
            log.info("keys of %s fetched", ", ".join(map(quote, event.issuers)))
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("on_event raised")

    def close(self) -> None:
        """Release the connections of the fetcher, where it has any."""
        close = getattr(self._fetcher, "close", None)
        if close is not None:
            close()


def _address_of(provider: Provider) -> SourceAddress:
    return SourceAddress(provider.kind, provider.metadata_url, provider.key_set_url, provider.insecure_http)
