"""Brings one document: from the store that workers share, or from the issuer, within the deadline of a flight.

Whether a document is good is for the caller to say: a bad one from the store is passed over, a bad one from the issuer
fails the flight. NET-001 to NET-022; RFC 9110 §13; RFC 9111 §4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from aveverify._core import documents
from aveverify._core.faults import DocumentFault
from aveverify._document import Document, FlightFault
from aveverify._shelf import Shelf
from aveverify._version import __version__
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify._core.documents import Headers
    from aveverify._core.key_cache import Flight
    from aveverify.cache_policy import CachePolicy
    from aveverify.fetcher import Fetcher

T = TypeVar("T")

_USER_AGENT: Final = f"aveverify/{__version__}"
_WORTH_A_RETRY: Final = (502, 503, 504)
# A discovery document and a key set.
_MAX_DOCUMENTS: Final = 2
# The part of a flight's time in which an old document of the store is put to use, where the issuer took all the rest.
_RESERVE: Final = 0.1


@dataclass(slots=True)
class Courier:
    """Fetches documents, and keeps the last good ones to ask next time whether they have changed.

    Attributes:
        fetcher: Who asks issuers.
        shelf: Where workers share documents.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    fetcher: Fetcher
    shelf: Shelf | None
    policy: CachePolicy
    read_clocks: Callable[[], tuple[float, float]]
    _kept: dict[str, Document] = field(default_factory=dict)
    _to_share: set[str] = field(default_factory=set)
    _is_closed: bool = False

    def close(self) -> None:
        """Ask neither the store nor the issuer any more."""
        self._is_closed = True
        if self.shelf is not None:
            self.shelf.close()

    def renew_after_fork(self) -> None:
        """Forget what a thread of the parent has begun."""
        if self.shelf is not None:
            self.shelf.renew_after_fork()

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
        shared = self._look(url, flight, read, lifetime_seconds)
        if shared is not None and not shared[1].is_stale:
            self._keep(url, shared[1])
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
        """Put into the store what was fetched. Called when nobody waits for the flight any more."""
        self._to_share.intersection_update(self._kept)
        to_share = set(self._to_share)
        # In the order in which they are needed: whoever sees the keys can have the discovery document too. What a late
        # flight brought is not kept, and so not shared.
        fetched = [(url, document) for url, document in self._kept.items() if url in to_share]
        if self.shelf is not None and self.shelf.put_all(fetched):
            self._to_share -= to_share

    def _keep(self, url: str, document: Document) -> None:
        last = self._kept.get(url)
        if last is not None and last.flight_number > document.flight_number:
            # ROT-011: a flight that was given up and comes back late replaces nothing.
            return
        others = [(other, kept) for other, kept in self._kept.items() if other != url]
        self._kept = dict([*others, (url, document)][-_MAX_DOCUMENTS:])

    def _look(
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        lifetime_seconds: Callable[[Headers], float],
    ) -> tuple[T, Document] | None:
        if self.shelf is None:
            return None
        return self.shelf.look(url, flight, read, lifetime_seconds=lifetime_seconds, kept=self._kept.get(url))

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
        if self._is_closed:
            return FlightFault("the verifier is closed")
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
