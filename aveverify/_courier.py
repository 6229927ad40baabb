"""Brings one document: from the store that workers share, or from the issuer, within the deadline of a flight.

Whether a document is good is for the caller to say: a bad one from the store is passed over, a bad one from the issuer
fails the flight. NET-001 to NET-022; RFC 9110 §13; RFC 9111 §4.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aveverify._core import documents
from aveverify._core.faults import DocumentFault
from aveverify._version import __version__
from aveverify.document_store import StoredDocument
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify._core.documents import Headers
    from aveverify._core.key_cache import Flight
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
# Clocks of workers differ; what comes from further in the future was not written by one of ours.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0


class FlightFault(Exception):  # noqa: N818 - it says why a flight failed
    """A flight failed.

    Args:
        cause: Why, in our own words.
        status: The HTTP status, where there was one.
        retry_after_seconds: How long the issuer asks to be left alone.
        worth_a_retry: Whether asking again at once may help.
    """

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
    """

    headers: Headers
    body: bytes
    fetched_now: float
    is_shared: bool
    flight_number: int


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
            lifetime_seconds: How old a document with these headers may be to be taken from the store.

        Returns:
            The value, and the document.

        Raises:
            FlightFault: There was no good document.
        """
        shared = self._bring_shared(url, flight, read, lifetime_seconds)
        if shared is not None:
            return shared
        headers, body, fetched_now = self._ask(url, flight, forced=forced)
        try:
            value = read(headers, body)
        except DocumentFault as fault:
            failure = FlightFault(fault.cause)
        else:
            document = Document(headers, body, fetched_now, is_shared=False, flight_number=flight.number)
            self._keep(url, document)
            self._to_share.add(url)
            return value, document
        raise failure

    def share(self) -> None:
        """Put into the store what the last flight fetched. Called when nobody waits for the flight any more."""
        to_share, self._to_share, self._store_is_down = self._to_share, set(), False
        if self.store is None:
            return
        keep_seconds = self.policy.max_fresh_seconds + self.policy.stale_if_error_seconds
        # In the order in which they are needed: whoever sees the keys can have the discovery document too. What a late
        # flight brought is not kept, and so not shared.
        for url, (headers, body, fetched_now, *_) in self._kept.items():
            if url not in to_share:
                continue
            document = StoredDocument(url=url, fetched_at=fetched_now, headers=headers, body=body)
            try:
                self.store.put(document, keep_seconds)
            except Exception as error:  # noqa: BLE001 - a store may raise anything; it is not needed
                log.warning("the document store failed: %s", type(error).__name__)
                return

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
        for _ in range(_MAX_LOOKS):
            stored = self._load(store, url, flight, lifetime_seconds)
            if stored is not None:
                try:
                    value = read(stored.headers, stored.body)
                except DocumentFault:
                    return None
                self._keep(url, stored)
                return value, stored
            # A store that answers late must leave time to ask the issuer. The lease is asked for at each look: that of
            # an earlier fetch may end while all wait for nobody.
            is_late = self._rest_seconds(flight) < self.policy.flight_deadline_seconds / 2
            if self._store_is_down or is_late or self._lease(store, url):
                return None
            sleep(_LOOK_SECONDS)
        return None

    def _load(
        self, store: DocumentStore, url: str, flight: Flight, lifetime_seconds: Callable[[Headers], float]
    ) -> Document | None:
        if self._store_is_down:
            return None
        try:
            stored = store.get(url)
        except Exception as error:  # noqa: BLE001 - a store may raise anything; it is not needed
            log.warning("the document store failed: %s", type(error).__name__)
            self._store_is_down = True
            return None
        if stored is None or len(stored.body) > self.policy.max_document_bytes:
            return None
        kept = self._kept.get(url)
        headers = documents.fold_headers(stored.headers)
        age_seconds = flight.began_now - stored.fetched_at
        is_newer = kept is None or stored.fetched_at > kept.fetched_now
        if is_newer and -_MAX_CLOCK_SKEW_SECONDS <= age_seconds < lifetime_seconds(headers):
            return Document(headers, stored.body, stored.fetched_at, is_shared=True, flight_number=flight.number)
        return None

    def _lease(self, store: DocumentStore, url: str) -> bool:
        """Become the worker that fetches for all; also where the store cannot say who is."""
        try:
            return store.lease(url, _LEASE_SECONDS)
        except Exception as error:  # noqa: BLE001 - a store may raise anything; it is not needed
            log.warning("the document store failed: %s", type(error).__name__)
            self._store_is_down = True
            return True

    def _rest_seconds(self, flight: Flight) -> float:
        _, at = self.read_clocks()
        return flight.began_at + self.policy.flight_deadline_seconds - at

    def _ask(self, url: str, flight: Flight, *, forced: bool) -> tuple[Headers, bytes, float]:
        """Ask the issuer, with one more try where that is worth it."""
        answer = self._try_to_ask(url, flight, forced=forced)
        if isinstance(answer, FlightFault) and answer.worth_a_retry:
            answer = self._try_to_ask(url, flight, forced=forced)
        if isinstance(answer, FlightFault):
            raise answer
        return answer

    def _try_to_ask(self, url: str, flight: Flight, *, forced: bool) -> tuple[Headers, bytes, float] | FlightFault:
        now, _ = self.read_clocks()
        rest_seconds = self._rest_seconds(flight)
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
