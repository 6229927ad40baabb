"""The document store as one key source uses it: looked at before the issuer is asked, filled when nobody waits.

A store may raise anything, answer late or never: it costs a direct fetch, a line in the log, and for each key source at
most one thread that reads and one that writes (NET-026).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from time import sleep
from typing import TYPE_CHECKING, Final, TypeVar

from aveverify._core.jose.document_error import DocumentFault
from aveverify._core.key_cache import http_response
from aveverify._jwks.document import Document, Instant
from aveverify.document_store import StoredDocument

if TYPE_CHECKING:
    from aveverify._core.key_cache.decisions import Flight
    from aveverify._core.key_cache.http_response import Headers
    from aveverify.cache_policy import CachePolicy
    from aveverify.document_store import DocumentStore

log = logging.getLogger("aveverify")

T = TypeVar("T")

# How long one worker fetches for all, and the others look whether it has; a fetch takes a tenth of that.
_LEASE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
# A second and a half; the rest of the flight's time is for asking the issuer.
_MAX_LOOKS: Final = 30
# Of the flight's remaining time: what a store may take. It is asked nothing more after half of the flight's time.
_PATIENCE: Final = 0.6
# Clocks of workers differ; what comes from further in the future was not written by one of ours.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0


@dataclass(slots=True)
class SharedDocumentCache:
    """Looks for documents in the store, and puts them there.

    Attributes:
        store: Where workers share http_response.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    store: DocumentStore
    policy: CachePolicy
    read_clocks: Callable[[], tuple[float, float]]
    _is_down: bool = False
    _is_closed: bool = False
    # Held by the one thread that looks, and by the one that puts.
    _looking: Lock = field(default_factory=Lock)
    _putting: Lock = field(default_factory=Lock)

    def renew_after_fork(self) -> None:
        """Forget the threads of the parent that look and put."""
        self._looking = Lock()
        self._putting = Lock()

    def close(self) -> None:
        """Look no more: the verifier is closed."""
        self._is_closed = True

    def look(  # noqa: PLR0913 - what to look for, and what is known of it
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        *,
        lifetime_seconds: Callable[[Document], float],
        kept: Document | None,
        forced: bool,
    ) -> tuple[T, Document] | None:
        """Look for a newer document; wait a little for it where another worker is fetching it.

        Runs on a thread of its own, for which the flight waits a part of its remaining time. A store that does not come
        back keeps that thread, and is passed over until it does.

        Args:
            url: The address.
            flight: For which it is needed.
            read: Turns headers and body into a value, or raises `DocumentFault`.
            lifetime_seconds: How old a document may be, to be fresh.
            kept: The document at hand, where there is one.
            forced: Whether only a body that was fetched after that of `kept` will do.

        Returns:
            The value and the document, fresh, or stale and within the cap; None where there is none, or none in time.
        """

        def load(known: Document | None) -> Document | None:
            return self._load(url, flight, lifetime_seconds, known, in_full=forced)

        looking = self._looking
        if not looking.acquire(blocking=False):
            return None
        landed: Future[tuple[T, Document] | None] = Future()

        def run() -> None:
            found: tuple[T, Document] | None = None
            try:
                found = self._look(url, flight, read, load, kept)
            except BaseException as error:  # noqa: BLE001 - a store may hand out anything; it is not needed
                self._note_failure(error)
            looking.release()
            landed.set_result(found)

        try:
            Thread(target=run, name="aveverify-look", daemon=True).start()
        except RuntimeError:
            # No thread can be started: the flight asks the issuer without one.
            looking.release()
            return None
        try:
            return landed.result(max(_PATIENCE * self._rest_seconds(flight), 0.0))
        except TimeoutError:
            log.warning("the document store does not answer; it is passed over until it does")
            return None

    def _look(
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        load: Callable[[Document | None], Document | None],
        kept: Document | None,
    ) -> tuple[T, Document] | None:
        found: tuple[T, Document] | None = None
        for _ in range(_MAX_LOOKS):
            if self._is_closed:
                break
            stored = load(kept if found is None else found[1])
            if stored is not None:
                try:
                    found = read(stored.headers, stored.body), stored
                except DocumentFault:
                    return found
                if not stored.is_stale:
                    return found
            # The lease is asked for at each look: that of an earlier fetch may end while all wait for nobody.
            if self._is_down or self._is_late(flight) or self._lease(url):
                break
            sleep(_LOOK_SECONDS)
        return found

    def put_all(self, fetched: Iterable[tuple[str, Document]]) -> bool:
        """Put documents into the store, one after the other.

        Args:
            fetched: Addresses and http_response.

        Returns:
            False where an earlier call has not come back: a store that hangs holds one thread, not one of each flight.
        """
        putting = self._putting
        if self._looking.locked() or not putting.acquire(blocking=False):
            return False
        try:
            self._is_down = False
            keep_seconds = self.policy.max_fresh_seconds + self.policy.stale_if_error_seconds
            for url, document in fetched:
                if not self._is_down:
                    self._consult(partial(self.store.put, _to_store(url, document), keep_seconds), None)
            # A failed put says nothing of the next flight.
            self._is_down = False
        finally:
            putting.release()
        return True

    def _load(
        self,
        url: str,
        flight: Flight,
        lifetime_seconds: Callable[[Document], float],
        known: Document | None,
        *,
        in_full: bool,
    ) -> Document | None:
        if self._is_down:
            return None
        stored = self._consult(partial(self.store.get, url), None)
        if stored is None or len(stored.body) > self.policy.max_document_bytes:
            return None
        document = Document(
            http_response.keep_headers(http_response.fold_headers(stored.headers)),
            stored.body,
            received=_instant_of(stored.fetched_at, flight),
            confirmed=_instant_of(stored.current_at, flight),
            is_shared=True,
            flight_number=flight.number,
        )
        age_seconds = flight.began_now - stored.current_at
        # Whatever is not a number is in no range.
        if not (document.has_come_after(known, in_full=in_full) and age_seconds >= -_MAX_CLOCK_SKEW_SECONDS):
            return None
        rest_seconds = lifetime_seconds(document) - age_seconds
        if not rest_seconds > -self.policy.stale_if_error_seconds:
            return None
        return document._replace(is_stale=rest_seconds <= 0)

    def _rest_seconds(self, flight: Flight) -> float:
        _, at = self.read_clocks()
        return flight.began_at + self.policy.flight_deadline_seconds - at

    def _is_late(self, flight: Flight) -> bool:
        """A store that answers late must leave time to ask the issuer."""
        return self._rest_seconds(flight) < self.policy.flight_deadline_seconds / 2

    def _lease(self, url: str) -> bool:
        """Become the worker that fetches for all; also where the store cannot say who is."""
        return self._consult(partial(self.store.lease, url, _LEASE_SECONDS), otherwise=True)

    def _consult(self, call: Callable[[], T], otherwise: T) -> T:
        """Ask the store, which may raise anything and is not needed; after a failure not again on this flight."""
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - a store may raise anything; it is not needed
            self._note_failure(error)
            return otherwise

    def _note_failure(self, error: BaseException) -> None:
        log.warning("the document store failed: %s", type(error).__name__)
        self._is_down = True


def _instant_of(now: float, flight: Flight) -> Instant:
    """Place an instant of another worker, known by the wall clock alone, on the clocks of this one."""
    return Instant(now, flight.began_at - (flight.began_now - now))


def _to_store(url: str, document: Document) -> StoredDocument:
    return StoredDocument(
        url=url,
        fetched_at=document.received.now,
        confirmed_at=document.confirmed.now,
        headers=document.headers,
        body=document.body,
    )
