"""Brings one document: from the store that workers share, or from the issuer, within the deadline of a flight.

Whether a document is good is for the caller to say: a bad one from the store is passed over, a bad one from the issuer
fails the flight. NET-001 to NET-022; RFC 9110 §13; RFC 9111 §4.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aveverify._core import documents
from aveverify._core.faults import DocumentFault
from aveverify._version import __version__
from aveverify.document_store import StoredDocument
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify._core.documents import Headers
    from aveverify._core.key_cache import Flight, Harvest
    from aveverify.cache_policy import CachePolicy
    from aveverify.document_store import DocumentStore
    from aveverify.fetcher import Fetcher

log = logging.getLogger("aveverify")

T = TypeVar("T")

_USER_AGENT: Final = f"aveverify/{__version__}"
_WORTH_A_RETRY: Final = (502, 503, 504)
# A discovery document and a key set.
_MAX_DOCUMENTS: Final = 2
# How long one worker fetches for all, and the others look whether it has; a fetch takes a tenth of that.
_LEASE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
# A second and a half; the rest of the flight's time is for asking the issuer.
_MAX_LOOKS: Final = 30
# The part of a flight's time in which an old document of the store is put to use, where the issuer took all the rest.
_RESERVE: Final = 0.1
# Clocks of workers differ; what comes from further in the future was not written by one of ours.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0


class FlightFault(Exception):  # noqa: N818 - it says why a flight failed
    """A flight failed.

    Args:
        cause: Why, in our own words.
        status: The HTTP status, where there was one.
        retry_after_seconds: How long the issuer asks to be left alone.
        worth_a_retry: Whether asking again at once may help.

    Attributes:
        last_good: Keys past their freshness that another worker had fetched, newer than those at hand.
    """

    last_good: Harvest | None = None

    def __init__(
        self, cause: str, *, status: int = 0, retry_after_seconds: float = 0.0, worth_a_retry: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.worth_a_retry = worth_a_retry


class Document(NamedTuple):
    """A good document.

    Attributes:
        headers: Folded headers of the answer.
        body: The bytes.
        fetched_now: When the fetch began, by the wall clock.
        is_shared: Whether another worker fetched it.
        flight_number: Which flight brought it here.
        is_stale: Whether it is past its freshness.
        failure: Why there is no fresher one, where the issuer was asked in vain.
    """

    headers: Headers
    body: bytes
    fetched_now: float
    is_shared: bool
    flight_number: int
    is_stale: bool = False
    failure: FlightFault | None = None


@dataclass(slots=True)
class Courier:
    """Fetches documents, and keeps the last good ones to ask next time whether they have changed.

    Attributes:
        fetcher: Who asks issuers.
        store: Where workers share documents.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    fetcher: Fetcher
    store: DocumentStore | None
    policy: CachePolicy
    read_clocks: Callable[[], tuple[float, float]]
    _kept: dict[str, Document] = field(default_factory=dict)
    _to_share: set[str] = field(default_factory=set)
    _store_is_down: bool = False
    # Held by the one thread that shares.
    _sharing: Lock = field(default_factory=Lock)

    def renew_after_fork(self) -> None:
        """Forget the thread of the parent that shares."""
        self._sharing = Lock()

    def bring(
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        *,
        forced: bool,
        lifetime_seconds: Callable[[Headers], float],
    ) -> tuple[T, Document]:
        """Bring one document.

        Args:
            url: From configuration or a discovery document; never from a token.
            flight: Its deadline counts.
            read: Turns headers and body into a value, or raises `DocumentFault`.
            forced: Whether caches on the way have to ask the issuer.
            lifetime_seconds: How old a document with these headers may be to be taken from the store instead of
                asking the issuer. Where the issuer was asked in vain, it may be older by `stale_if_error_seconds`.

        Returns:
            The value, and the document.

        Raises:
            FlightFault: There was no good document.
        """
        shared = self._bring_shared(url, flight, read, lifetime_seconds)
        if shared is not None and not shared[1].is_stale:
            return shared
        reserve_seconds = 0.0 if shared is None else _RESERVE * self.policy.flight_deadline_seconds
        try:
            headers, body, fetched_now = self._ask(url, flight, forced=forced, reserve_seconds=reserve_seconds)
            value = read(headers, body)
        except FlightFault as fault:
            failure = fault
        except DocumentFault as fault:
            failure = FlightFault(fault.cause)
        else:
            document = Document(headers, body, fetched_now, is_shared=False, flight_number=flight.number)
            self._keep(url, document)
            self._to_share.add(url)
            return value, document
        if shared is None:
            raise failure
        value, document = shared
        return value, document._replace(failure=failure)

    def share(self) -> None:
        """Put into the store what the last flight fetched. Called when nobody waits for the flight any more."""
        # A store that never comes back holds one thread, and not one of each flight.
        sharing = self._sharing
        if not sharing.acquire(blocking=False):
            return
        try:
            to_share, self._to_share, self._store_is_down = self._to_share, set(), False
            self._put_all(to_share)
            # A failed put says nothing of the next flight.
            self._store_is_down = False
        finally:
            sharing.release()

    def _put_all(self, to_share: set[str]) -> None:
        keep_seconds = self.policy.max_fresh_seconds + self.policy.stale_if_error_seconds
        # In the order in which they are needed: whoever sees the keys can have the discovery document too. What a late
        # flight brought is not kept, and so not shared.
        for url, (headers, body, fetched_now, *_) in self._kept.items():
            if url in to_share and self.store is not None and not self._store_is_down:
                document = StoredDocument(url=url, fetched_at=fetched_now, headers=headers, body=body)
                self._consult(partial(self.store.put, document, keep_seconds), None)

    def _consult(self, call: Callable[[], T], otherwise: T) -> T:
        """Ask the store, which may raise anything and is not needed; after a failure not again on this flight."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - a store may raise anything; it is not needed
            log.warning("the document store failed: %s", type(error).__name__)
            self._store_is_down = True
            return otherwise

    def _keep(self, url: str, document: Document) -> None:
        last = self._kept.get(url)
        if last is not None and last.flight_number > document.flight_number:
            # ROT-011: a flight that was given up and comes back late replaces nothing.
            return
        others = [(other, kept) for other, kept in self._kept.items() if other != url]
        self._kept = dict([*others, (url, document)][-_MAX_DOCUMENTS:])

    def _bring_shared(
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        lifetime_seconds: Callable[[Headers], float],
    ) -> tuple[T, Document] | None:
        """Take a newer document from the store; wait a little for it where another worker is fetching it."""
        store = self.store
        if store is None:
            return None
        found: tuple[T, Document] | None = None
        for _ in range(_MAX_LOOKS):
            stored = self._load(store, url, flight, lifetime_seconds)
            if stored is not None:
                try:
                    found = read(stored.headers, stored.body), stored
                except DocumentFault:
                    return found
                self._keep(url, stored)
                if not stored.is_stale:
                    return found
            # A store that answers late must leave time to ask the issuer. The lease is asked for at each look: that of
            # an earlier fetch may end while all wait for nobody.
            is_late = self._rest_seconds(flight) < self.policy.flight_deadline_seconds / 2
            # Where the store cannot say who fetches for all, each does.
            if (
                self._store_is_down
                or is_late
                or self._consult(partial(store.lease, url, _LEASE_SECONDS), otherwise=True)
            ):
                break
            sleep(_LOOK_SECONDS)
        return found

    def _load(
        self, store: DocumentStore, url: str, flight: Flight, lifetime_seconds: Callable[[Headers], float]
    ) -> Document | None:
        if self._store_is_down:
            return None
        stored = self._consult(partial(store.get, url), None)
        if stored is None or len(stored.body) > self.policy.max_document_bytes:
            return None
        kept = self._kept.get(url)
        headers = documents.fold_headers(stored.headers)
        age_seconds = flight.began_now - stored.fetched_at
        rest_seconds = lifetime_seconds(headers) - age_seconds
        is_newer = kept is None or stored.fetched_at > kept.fetched_now
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

    def _rest_seconds(self, flight: Flight) -> float:
        _, at = self.read_clocks()
        return flight.began_at + self.policy.flight_deadline_seconds - at

    def _ask(self, url: str, flight: Flight, *, forced: bool, reserve_seconds: float) -> tuple[Headers, bytes, float]:
        """Ask the issuer, with one more try where that is worth it."""
        answer = self._try_to_ask(url, flight, forced=forced, reserve_seconds=reserve_seconds)
        if isinstance(answer, FlightFault) and answer.worth_a_retry:
            answer = self._try_to_ask(url, flight, forced=forced, reserve_seconds=reserve_seconds)
        if isinstance(answer, FlightFault):
            raise answer
        return answer

    def _try_to_ask(
        self, url: str, flight: Flight, *, forced: bool, reserve_seconds: float
    ) -> tuple[Headers, bytes, float] | FlightFault:
        now, _ = self.read_clocks()
        rest_seconds = self._rest_seconds(flight) - reserve_seconds
        if rest_seconds <= 0:
            return FlightFault("the deadline passed")
        kept = self._kept.get(url)
        question = documents.make_conditional_headers(kept.headers) if kept is not None else {}
        request = FetchRequest(
            url=url,
            headers=_request_headers(question, forced=forced),
            deadline_seconds=rest_seconds,
            max_body_bytes=self.policy.max_document_bytes,
        )
        try:
            response = self.fetcher.fetch(request)
        except FetchError as error:
            return FlightFault(str(error), worth_a_retry=error.worth_a_retry)
        headers = documents.fold_headers(response.headers)
        if response.status == documents.NOT_MODIFIED and kept is not None and question:
            return documents.renew_headers(kept.headers, headers), kept.body, now
        try:
            documents.check_answer(response.status, headers, response.body, self.policy.max_document_bytes)
        except DocumentFault as fault:
            pause_seconds = documents.parse_retry_after(headers, now)
            return FlightFault(
                fault.cause,
                status=fault.status,
                retry_after_seconds=pause_seconds,
                # Who asks to be left alone is not asked again at once.
                worth_a_retry=fault.status in _WORTH_A_RETRY and pause_seconds == 0,
            )
        return headers, response.body, now


def _request_headers(question: Headers, *, forced: bool) -> Headers:
    # NET-022: complete, and nothing of any caller or token in it.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
    headers |= question
    if forced:
        # Caches on the way have to ask the issuer itself.
        headers["Cache-Control"] = "no-cache"
    return headers
