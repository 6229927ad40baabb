"""The workers' document store, as one key set uses it: read before the issuer is asked, filled after the refresh.

A store may raise anything, answer late or never: it costs a direct fetch, one line in the log, and for each key set at
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

from aveverify._core.jose.document_error import DocumentError
from aveverify._core.key_cache.http_headers import fold_headers, keep_headers
from aveverify._core.key_cache.state import Instant, Refresh
from aveverify._jwks.document import Document, DocumentRequest, Fetched
from aveverify.document_store import StoredDocument

if TYPE_CHECKING:
    from aveverify.cache_policy import CachePolicy
    from aveverify.document_store import DocumentStore

log = logging.getLogger("aveverify")

T = TypeVar("T")

# How long one worker fetches for all of them while the others poll the store; a fetch takes a tenth of that.
_LEASE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05
# A second and a half; the rest of the time of a refresh is for requests to the issuer.
_MAX_POLLS: Final = 30
# The part of the remaining time that the store may take. After half of the deadline it gets no further call.
_STORE_SHARE: Final = 0.6
# The clocks of workers differ. A document from further in the future was not written by one of our workers.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0


@dataclass(slots=True)
class SharedDocumentCache:
    """Reads documents from the store, and writes them.

    Attributes:
        store: The store that the workers share.
        policy: Limits and lifetimes.
        read_monotonic: Reads the monotonic clock.
    """

    store: DocumentStore
    policy: CachePolicy
    read_monotonic: Callable[[], float]
    _is_down: bool = False
    _is_closed: bool = False
    # Held by the one thread that reads, and by the one that writes.
    _reading: Lock = field(default_factory=Lock)
    _writing: Lock = field(default_factory=Lock)

    def renew_after_fork(self) -> None:
        """Forget the threads of the parent process that read and write."""
        self._reading = Lock()
        self._writing = Lock()

    def close(self) -> None:
        """Stop reading: the verifier is closed."""
        self._is_closed = True

    def get(self, request: DocumentRequest[T], kept: Document | None) -> Fetched[T] | None:
        """Read a newer document; if another worker is fetching it, poll for it a little.

        The store is read on a thread of its own, for a part of the remaining time. A store that does not return keeps
        that thread, and is skipped until it does.

        Args:
            request: Which document. For a forced refresh, only a body that was fetched after that of `kept` counts.
            kept: The last document of this worker.

        Returns:
            The document, fresh, or stale and within the cap; None if there is none, or none in time.
        """
        reading = self._reading
        if not reading.acquire(blocking=False):
            return None
        outcome: Future[Fetched[T] | None] = Future()

        def run() -> None:
            found: Fetched[T] | None = None
            try:
                found = self._poll(request, kept)
            except BaseException as error:  # noqa: BLE001 - a store may return or raise anything, SystemExit included
                self._note_failure(error)
            reading.release()
            outcome.set_result(found)

        try:
            Thread(target=run, name="aveverify-store-read", daemon=True).start()
        except RuntimeError:
            # No thread can be started: the refresh asks the issuer without the store.
            reading.release()
            return None
        try:
            return outcome.result(max(_STORE_SHARE * self._remaining_seconds(request.refresh), 0.0))
        except TimeoutError:
            log.warning("the document store does not answer; it is skipped until it does")
            return None

    def put_all(self, documents: Iterable[tuple[str, Document]]) -> bool:
        """Write documents to the store, one after the other.

        Args:
            documents: URLs and documents.

        Returns:
            False if an earlier call has not returned: a store that hangs keeps one thread, not one of each refresh.
        """
        writing = self._writing
        if self._reading.locked() or not writing.acquire(blocking=False):
            return False
        try:
            self._is_down = False
            keep_seconds = self.policy.max_fresh_seconds + self.policy.stale_if_error_seconds
            for url, document in documents:
                if not self._is_down:
                    self._call_store(partial(self.store.put, _to_stored(url, document), keep_seconds), None)
            # A write that failed does not make the next refresh skip the store.
            self._is_down = False
        finally:
            writing.release()
        return True

    def _poll(self, request: DocumentRequest[T], kept: Document | None) -> Fetched[T] | None:
        found: Fetched[T] | None = None
        for _ in range(_MAX_POLLS):
            if self._is_closed:
                break
            document = self._read(request, kept if found is None else found.document)
            if document is not None:
                try:
                    value = request.parse(document.headers, document.body)
                except DocumentError:
                    return found
                found = Fetched(value, document, is_stale=self._fresh_for_seconds(request, document) <= 0)
                if not found.is_stale:
                    return found
            # The lease is requested at each poll: that of a fetch that failed may end while every worker polls.
            if self._is_down or self._is_late(request.refresh) or self._lease(request.url):
                break
            sleep(_POLL_SECONDS)
        return found

    def _read(self, request: DocumentRequest[T], known: Document | None) -> Document | None:
        """Read a document that is newer than the known one and within the cap."""
        if self._is_down:
            return None
        stored = self._call_store(partial(self.store.get, request.url), None)
        if stored is None or len(stored.body) > self.policy.max_document_bytes:
            return None
        started = request.refresh.started
        document = Document(
            keep_headers(fold_headers(stored.headers)),
            stored.body,
            received=_place(stored.fetched_at, started),
            confirmed=_place(stored.current_at, started),
            is_shared=True,
            refresh_number=request.refresh.number,
        )
        # Each comparison fails closed: NaN is in no range.
        is_newer = document.is_newer_than(known, in_full=request.is_forced)
        is_of_the_past = started.wall - stored.current_at >= -_MAX_CLOCK_SKEW_SECONDS
        if not (is_newer and is_of_the_past):
            return None
        is_within_cap = self._fresh_for_seconds(request, document) > -self.policy.stale_if_error_seconds
        return document if is_within_cap else None

    def _fresh_for_seconds(self, request: DocumentRequest[T], document: Document) -> float:
        return request.fresh_seconds(document) - (request.refresh.started.wall - document.confirmed.wall)

    def _remaining_seconds(self, refresh: Refresh) -> float:
        return refresh.remaining_seconds(self.policy, self.read_monotonic())

    def _is_late(self, refresh: Refresh) -> bool:
        """Tell whether half of the deadline is over: a slow store must leave time for a request to the issuer."""
        return self._remaining_seconds(refresh) < self.policy.flight_deadline_seconds / 2

    def _lease(self, url: str) -> bool:
        """Become the worker that fetches for all; also if the store cannot answer."""
        return self._call_store(partial(self.store.lease, url, _LEASE_SECONDS), otherwise=True)

    def _call_store(self, call: Callable[[], T], otherwise: T) -> T:
        """Call the store. On any exception, log it and skip the store for this refresh."""
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - a store may raise anything, SystemExit included
            self._note_failure(error)
            return otherwise

    def _note_failure(self, error: BaseException) -> None:
        log.warning("the document store failed: %s", type(error).__name__)
        self._is_down = True


def _place(wall: float, started: Instant) -> Instant:
    """Place an instant of another worker, of which only the wall clock is known, on both clocks of this one."""
    return Instant(wall, started.monotonic - (started.wall - wall))


def _to_stored(url: str, document: Document) -> StoredDocument:
    return StoredDocument(
        url=url,
        fetched_at=document.received.wall,
        confirmed_at=document.confirmed.wall,
        headers=document.headers,
        body=document.body,
    )
