"""The document store as one key source uses it: looked at before the issuer is asked, filled when nobody waits.

A store may raise anything, answer late or never: it costs a direct fetch, a line in the log and at most one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING, Final, TypeVar

from aveverify._core import documents
from aveverify._core.faults import DocumentFault
from aveverify._document import Document
from aveverify.document_store import StoredDocument

if TYPE_CHECKING:
    from aveverify._core.documents import Headers
    from aveverify._core.key_cache import Flight
    from aveverify.cache_policy import CachePolicy
    from aveverify.document_store import DocumentStore

log = logging.getLogger("aveverify")

T = TypeVar("T")

# How long one worker fetches for all, and the others look whether it has; a fetch takes a tenth of that.
_LEASE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
# A second and a half; the rest of the flight's time is for asking the issuer.
_MAX_LOOKS: Final = 30
# Clocks of workers differ; what comes from further in the future was not written by one of ours.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0


@dataclass(slots=True)
class Shelf:
    """Looks for documents in the store, and puts them there.

    Attributes:
        store: Where workers share documents.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    store: DocumentStore
    policy: CachePolicy
    read_clocks: Callable[[], tuple[float, float]]
    _is_down: bool = False
    _is_closed: bool = False
    # Held by the one thread that puts.
    _putting: Lock = field(default_factory=Lock)

    def renew_after_fork(self) -> None:
        """Forget the thread of the parent that puts."""
        self._putting = Lock()

    def close(self) -> None:
        """Look no more: the verifier is closed."""
        self._is_closed = True

    def look(
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        *,
        lifetime_seconds: Callable[[Headers], float],
        kept: Document | None,
    ) -> tuple[T, Document] | None:
        """Look for a newer document; wait a little for it where another worker is fetching it.

        Args:
            url: The address.
            flight: For which it is needed.
            read: Turns headers and body into a value, or raises `DocumentFault`.
            lifetime_seconds: How old a document with these headers may be, to be fresh.
            kept: The document at hand, where there is one.

        Returns:
            The value and the document, fresh, or stale and within the cap; None where there is none.
        """
        found: tuple[T, Document] | None = None
        for _ in range(_MAX_LOOKS):
            if self._is_closed:
                break
            stored = self._load(url, flight, lifetime_seconds, kept if found is None else found[1])
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
            fetched: Addresses and documents.

        Returns:
            False where an earlier call has not come back: a store that hangs holds one thread, not one of each flight.
        """
        putting = self._putting
        if not putting.acquire(blocking=False):
            return False
        try:
            self._is_down = False
            keep_seconds = self.policy.max_fresh_seconds + self.policy.stale_if_error_seconds
            for url, (headers, body, fetched_now, *_) in fetched:
                if not self._is_down:
                    document = StoredDocument(url=url, fetched_at=fetched_now, headers=headers, body=body)
                    self._consult(partial(self.store.put, document, keep_seconds), None)
            # A failed put says nothing of the next flight.
            self._is_down = False
        finally:
            putting.release()
        return True

    def _load(
        self, url: str, flight: Flight, lifetime_seconds: Callable[[Headers], float], known: Document | None
    ) -> Document | None:
        if self._is_down:
            return None
        stored = self._consult(partial(self.store.get, url), None)
        if stored is None or len(stored.body) > self.policy.max_document_bytes:
            return None
        headers = documents.fold_headers(stored.headers)
        age_seconds = flight.began_now - stored.fetched_at
        rest_seconds = lifetime_seconds(headers) - age_seconds
        is_newer = known is None or stored.fetched_at > known.fetched_now
        if not is_newer or age_seconds < -_MAX_CLOCK_SKEW_SECONDS:
            return None
        if rest_seconds <= -self.policy.stale_if_error_seconds:
            return None
        return Document(
            headers,
            stored.body,
            stored.fetched_at,
            is_shared=True,
            flight_number=flight.number,
            is_stale=rest_seconds <= 0,
        )

    def _is_late(self, flight: Flight) -> bool:
        """A store that answers late must leave time to ask the issuer."""
        _, at = self.read_clocks()
        return at - flight.began_at > self.policy.flight_deadline_seconds / 2

    def _lease(self, url: str) -> bool:
        """Become the worker that fetches for all; also where the store cannot say who is."""
        return self._consult(partial(self.store.lease, url, _LEASE_SECONDS), otherwise=True)

    def _consult(self, call: Callable[[], T], otherwise: T) -> T:
        """Ask the store, which may raise anything and is not needed; after a failure not again on this flight."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - a store may raise anything; it is not needed
            log.warning("the document store failed: %s", type(error).__name__)
            self._is_down = True
            return otherwise
