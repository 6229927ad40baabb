"""Brings one document: from the store that workers share, or from the issuer, within the deadline of a flight.

Whether a document is good is for the caller to say: a bad one from the store is passed over, a bad one from the issuer
fails the flight. NET-001 to NET-027; RFC 9110 §13; RFC 9111 §4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aveverify._core.jose.document_error import DocumentFault
from aveverify._core.key_cache import http_response
from aveverify._jwks.document import Document, Instant, RefreshError
from aveverify._jwks.shared_cache import SharedDocumentCache
from aveverify._version import __version__
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify._core.key_cache.decisions import Flight
    from aveverify._core.key_cache.http_response import Headers
    from aveverify.cache_policy import CachePolicy
    from aveverify.fetcher import Fetcher

T = TypeVar("T")

_USER_AGENT: Final = f"aveverify/{__version__}"
_WORTH_A_RETRY: Final = (502, 503, 504)
# A discovery document and a key set.
_MAX_DOCUMENTS: Final = 2


class _Answer(NamedTuple):
    """A good 200, or a 304 to a conditional request."""

    status: int
    headers: Headers
    body: bytes
    asked: Instant


@dataclass(slots=True)
class DocumentClient:
    """Fetches documents, and keeps the last good ones to ask next time whether they have changed.

    Attributes:
        fetcher: Who asks issuers.
        shelf: Where workers share http_response.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    fetcher: Fetcher
    shelf: SharedDocumentCache | None
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

    def bring(  # noqa: PLR0913 - what to bring, and by which rules
        self,
        url: str,
        flight: Flight,
        read: Callable[[Headers, bytes], T],
        *,
        forced: bool,
        lifetime_seconds: Callable[[Document], float],
        reserve: float,
        has_fallback: bool,
    ) -> tuple[T, Document]:
        """Bring one document.

        Args:
            url: From configuration or a discovery document; never from a token.
            flight: Its deadline counts.
            read: Turns headers and body into a value, or raises `DocumentFault`.
            forced: Whether the issuer itself has to send the body: caches on the way must ask it, and the request is
                unconditional (NET-027).
            lifetime_seconds: How old a document of the store may be to be taken instead of asking the issuer. Where
                the issuer was asked in vain, it may be older by `stale_if_error_seconds`.
            reserve: The part of the flight's remaining time that a silent issuer leaves for what comes afterwards.
            has_fallback: Whether something can come afterwards, even if the store has nothing.

        Returns:
            The value, and the document.

        Raises:
            FlightFault: There was no good document.
        """
        shared = self._look(url, flight, read, lifetime_seconds, forced=forced)
        if shared is not None and not shared[1].is_stale:
            self._keep(url, shared[1])
            return shared
        reserve_seconds = reserve * self._rest_seconds(flight) if has_fallback or shared is not None else 0.0
        try:
            document = self._ask(url, flight, forced=forced, reserve_seconds=reserve_seconds)
            value = read(document.headers, document.body)
        except RefreshError as fault:
            failure = fault
        except DocumentFault as fault:
            failure = RefreshError(fault.cause)
        else:
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
        lifetime_seconds: Callable[[Document], float],
        *,
        forced: bool,
    ) -> tuple[T, Document] | None:
        if self.shelf is None:
            return None
        kept = self._kept.get(url)
        return self.shelf.look(url, flight, read, lifetime_seconds=lifetime_seconds, kept=kept, forced=forced)

    def _rest_seconds(self, flight: Flight) -> float:
        _, at = self.read_clocks()
        return flight.began_at + self.policy.flight_deadline_seconds - at

    def _ask(self, url: str, flight: Flight, *, forced: bool, reserve_seconds: float) -> Document:
        """Ask the issuer: conditionally where that is allowed, and once more where that is worth it."""
        kept = None if forced else self._kept.get(url)
        question = {} if kept is None else self._ask_whether_changed(kept)
        retries = 1
        while True:
            answer = self._try_to_ask(url, flight, question, forced=forced, reserve_seconds=reserve_seconds)
            if isinstance(answer, RefreshError):
                if not answer.retryable or not retries:
                    raise answer
                retries -= 1
            elif kept is None or answer.status != http_response.NOT_MODIFIED:
                return self._make_document(answer.headers, answer.body, answer.asked, answer.asked, flight)
            elif http_response.confirms(kept.headers, answer.headers):
                headers = http_response.renew_headers(kept.headers, answer.headers)
                return self._make_document(headers, kept.body, kept.received, answer.asked, flight)
            else:
                # NET-027: a 304 for another body says nothing of this one. The next answer is a body or a fault.
                kept, question = None, {}

    def _ask_whether_changed(self, kept: Document) -> Headers:
        body_age_seconds = Instant(*self.read_clocks()).seconds_since(kept.received)
        return http_response.make_conditional_headers(kept.headers, self.policy, body_age_seconds)

    def _make_document(
        self, headers: Headers, body: bytes, received: Instant, confirmed: Instant, flight: Flight
    ) -> Document:
        return Document(headers, body, received, confirmed, is_shared=False, flight_number=flight.number)

    def _try_to_ask(
        self, url: str, flight: Flight, question: Headers, *, forced: bool, reserve_seconds: float
    ) -> _Answer | RefreshError:
        if self._is_closed:
            return RefreshError("the verifier is closed")
        asked = Instant(*self.read_clocks())
        rest_seconds = self._rest_seconds(flight) - reserve_seconds
        if rest_seconds <= 0:
            return RefreshError("the deadline passed")
        request = FetchRequest(
            url=url,
            headers=_request_headers(question, forced=forced),
            deadline_seconds=rest_seconds,
            max_body_bytes=self.policy.max_document_bytes,
        )
        try:
            response = self.fetcher.fetch(request)
        except FetchError as error:
            return RefreshError(str(error), retryable=error.retryable)
        headers = http_response.fold_headers(response.headers)
        if response.status == http_response.NOT_MODIFIED and question:
            return _Answer(response.status, headers, b"", asked)
        try:
            http_response.check_answer(response.status, headers, response.body, self.policy.max_document_bytes)
        except DocumentFault as fault:
            pause_seconds = http_response.parse_retry_after(headers, asked.now)
            return RefreshError(
                fault.cause,
                status=fault.status,
                retry_after_seconds=pause_seconds,
                # Who asks to be left alone is not asked again at once.
                retryable=fault.status in _WORTH_A_RETRY and pause_seconds == 0,
            )
        return _Answer(response.status, http_response.keep_headers(headers), response.body, asked)


def _request_headers(question: Headers, *, forced: bool) -> Headers:
    # NET-022: complete, and nothing of any caller or token in it.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
    headers |= question
    if forced:
        # Caches on the way have to ask the issuer itself.
        headers["Cache-Control"] = "no-cache"
    return headers
