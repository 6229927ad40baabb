"""Fetches one document: from the workers' store, or from the issuer with a conditional GET and one retry.

A document that cannot be parsed is passed over if it came from the store, and is an error if the issuer sent it.
NET-001 to NET-027; RFC 9110 §13; RFC 9111 §4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from aveverify._core.jose.document_error import DocumentError
from aveverify._core.key_cache import http_freshness, http_headers, http_response
from aveverify._core.key_cache.state import FetchFailure, Instant
from aveverify._jwks.document import Document, DocumentRequest, Fetched
from aveverify._version import __version__
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify._core.key_cache.http_headers import Headers
    from aveverify._jwks.shared_cache import SharedDocumentCache
    from aveverify.cache_policy import CachePolicy
    from aveverify.fetcher import Fetcher

T = TypeVar("T")

_USER_AGENT: Final = f"aveverify/{__version__}"
_RETRYABLE_STATUSES: Final = (502, 503, 504)
# A discovery document and a JWK Set.
_MAX_DOCUMENTS: Final = 2


class _Response(NamedTuple):
    """A good 200, or a 304 to a conditional request."""

    status: int
    headers: Headers
    body: bytes
    sent: Instant


@dataclass(slots=True)
class DocumentClient:
    """Fetches documents, and keeps the last good ones for conditional requests.

    Attributes:
        fetcher: Sends requests to issuers.
        shared_cache: The store of the workers; None without one.
        policy: Limits and lifetimes.
        read_monotonic: Reads the monotonic clock.
    """

    fetcher: Fetcher
    shared_cache: SharedDocumentCache | None
    policy: CachePolicy
    read_monotonic: Callable[[], float]
    _kept: dict[str, Document] = field(default_factory=dict)
    _unpublished: set[str] = field(default_factory=set)
    _is_closed: bool = False

    def close(self) -> None:
        """Stop all requests to the store and to the issuer."""
        self._is_closed = True
        if self.shared_cache is not None:
            self.shared_cache.close()

    def renew_after_fork(self) -> None:
        """Forget the threads of the parent process."""
        if self.shared_cache is not None:
            self.shared_cache.renew_after_fork()

    def get(self, request: DocumentRequest[T]) -> Fetched[T] | FetchFailure:
        """Fetch one document: conditional GET, one retry, within the deadline.

        Args:
            request: Which document.

        Returns:
            The document; beside an error, a stale one of the store. Or the error alone.
        """
        shared = self._get_shared(request)
        if shared is not None and not shared.is_stale:
            self._keep(request.url, shared.document)
            return shared
        has_fallback = request.has_fallback or shared is not None
        fetched = self._fetch(request, self._reserve_seconds(request) if has_fallback else 0.0)
        if isinstance(fetched, Document):
            try:
                value = request.parse(fetched.headers, fetched.body)
            except DocumentError as error:
                fetched = FetchFailure(error.cause)
            else:
                self._keep(request.url, fetched)
                self._unpublished.add(request.url)
                return Fetched(value, fetched)
        return fetched if shared is None else shared._replace(error=fetched)

    def publish(self) -> None:
        """Put into the store what was fetched. Called when no request waits for the refresh any more."""
        self._unpublished.intersection_update(self._kept)
        urls = set(self._unpublished)
        # In the order of use: a worker that finds the JWK Set must also find the discovery document that led to it. A
        # document that arrived after a newer one is not kept, so it is not published either.
        documents = [(url, document) for url, document in self._kept.items() if url in urls]
        if self.shared_cache is not None and self.shared_cache.put_all(documents):
            self._unpublished -= urls

    def _keep(self, url: str, document: Document) -> None:
        last = self._kept.get(url)
        if last is not None and last.refresh_number > document.refresh_number:
            # ROT-011: a refresh that ends after its deadline replaces no newer document.
            return
        others = [(other, kept) for other, kept in self._kept.items() if other != url]
        self._kept = dict([*others, (url, document)][-_MAX_DOCUMENTS:])

    def _get_shared(self, request: DocumentRequest[T]) -> Fetched[T] | None:
        return None if self.shared_cache is None else self.shared_cache.get(request, self._kept.get(request.url))

    def _reserve_seconds(self, request: DocumentRequest[T]) -> float:
        return request.reserved_fraction * request.refresh.remaining_seconds(self.policy, self.read_monotonic())

    def _fetch(self, request: DocumentRequest[T], reserve_seconds: float) -> Document | FetchFailure:
        """Ask the issuer: at most one retry after an error, and one unconditional request after a wrong 304."""
        kept = None if request.is_forced else self._kept.get(request.url)
        condition = {} if kept is None else self._make_condition(request, kept)
        may_retry = True
        while True:
            response = self._send(request, condition, reserve_seconds)
            if isinstance(response, FetchFailure):
                if not (response.retryable and may_retry):
                    return response
                may_retry = False
            elif kept is None or response.status != http_response.NOT_MODIFIED:
                return Document(
                    headers=response.headers,
                    body=response.body,
                    received=response.sent,
                    confirmed=response.sent,
                    is_shared=False,
                    refresh_number=request.refresh.number,
                )
            elif http_freshness.is_confirmed(kept.headers, response.headers):
                headers = http_freshness.renew_headers(kept.headers, response.headers)
                number = request.refresh.number
                return kept._replace(headers=headers, confirmed=response.sent, is_shared=False, refresh_number=number)
            else:
                # NET-027: a 304 for another body does not confirm this one. The next response is a body or an error.
                kept, condition = None, {}

    def _make_condition(self, request: DocumentRequest[T], kept: Document) -> Headers:
        body_age_seconds = request.refresh.instant_at(self.read_monotonic()).seconds_since(kept.received)
        return http_freshness.make_conditional_headers(kept.headers, self.policy, body_age_seconds)

    def _send(
        self, request: DocumentRequest[T], condition: Headers, reserve_seconds: float
    ) -> _Response | FetchFailure:
        if self._is_closed:
            return FetchFailure("the verifier is closed")
        sent = request.refresh.instant_at(self.read_monotonic())
        deadline_seconds = request.refresh.remaining_seconds(self.policy, sent.monotonic) - reserve_seconds
        if deadline_seconds <= 0:
            return FetchFailure("the deadline passed")
        fetch_request = FetchRequest(
            url=request.url,
            headers=_request_headers(condition, is_forced=request.is_forced),
            deadline_seconds=deadline_seconds,
            max_body_bytes=self.policy.max_document_bytes,
        )
        try:
            response = self.fetcher.fetch(fetch_request)
        except FetchError as error:
            return FetchFailure(str(error), retryable=error.worth_a_retry)
        headers = http_headers.fold_headers(response.headers)
        if response.status == http_response.NOT_MODIFIED and condition:
            return _Response(response.status, headers, b"", sent)
        try:
            http_response.check_response(response.status, headers, response.body, self.policy.max_document_bytes)
        except DocumentError as error:
            return _explain(error, http_headers.parse_retry_after(headers, sent.wall))
        return _Response(response.status, http_headers.keep_headers(headers), response.body, sent)


def _explain(error: DocumentError, retry_after_seconds: float) -> FetchFailure:
    # An issuer that sends Retry-After gets no retry at once.
    retryable = error.status in _RETRYABLE_STATUSES and retry_after_seconds == 0
    return FetchFailure(error.cause, error.status, retry_after_seconds, retryable)


def _request_headers(condition: Headers, *, is_forced: bool) -> Headers:
    # NET-022: these are all; nothing of a caller or a token is sent.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT, **condition}
    if is_forced:
        # A cache between must ask the issuer itself (RFC 9111 §5.2.1.4).
        headers["Cache-Control"] = "no-cache"
    return headers
