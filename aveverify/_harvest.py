"""What happens on a flight: the discovery document, then the key set, within one deadline.

Runs on a worker thread and blocks. Decides nothing about keys at hand: it brings a `Harvest` or says in our own words
why it could not. DISC-03 to DISC-11; JWKS-02 to JWKS-08; NET-001 to NET-022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify import _version
from aveverify._core import documents
from aveverify._core.discovery import MetadataFault, ProviderMetadata, parse_metadata, speaks_for
from aveverify._core.documents import DocumentFault, Headers
from aveverify._core.jwk import KeySetFault, parse_key_set
from aveverify._core.key_cache import Flight, Harvest
from aveverify.errors import ProviderKind
from aveverify.fetcher import FetchError, FetchRequest

if TYPE_CHECKING:
    from aveverify.cache_policy import CachePolicy
    from aveverify.fetcher import Fetcher

_USER_AGENT: Final = f"aveverify/{_version.__version__}"
# The key set has moved: the discovery document tells where to (RFC 9110 §15.5.5, §15.5.11).
_MOVED: Final = (404, 410)
_WORTH_A_RETRY: Final = (502, 503, 504)


class SourceAddress(NamedTuple):
    """What makes two providers share their keys. A tuple, never joined text (ISS-051)."""

    kind: ProviderKind
    metadata_url: str | None
    key_set_url: str | None
    insecure_http: bool


class FlightFault(Exception):  # noqa: N818 - it says why a flight failed
    """A flight failed.

    Args:
        cause: Why, in our own words.
        status: The HTTP status, where there was one.
        retry_after_seconds: How long the issuer asks to be left alone.
    """

    def __init__(self, cause: str, *, status: int = 0, retry_after_seconds: float = 0.0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class _KnownMetadata(NamedTuple):
    metadata: ProviderMetadata
    digest: bytes
    fetched_at: float
    fetched_now: float


@dataclass(slots=True)
class Harvester:
    """Fetches the documents of one key source, and keeps its discovery document for a day.

    Attributes:
        address: Where the documents are.
        issuers: The configured issuers that share them.
        fetcher: Who gets them.
        policy: Limits and lifetimes.
        read_clocks: The wall clock and the monotonic clock.
    """

    address: SourceAddress
    issuers: tuple[str, ...]
    fetcher: Fetcher
    policy: CachePolicy
    read_clocks: Callable[[], tuple[float, float]]
    _known: _KnownMetadata | None = None

    def fetch_keys(self, flight: Flight) -> Harvest:
        """Fetch what has to be fetched for this flight.

        Args:
            flight: When it began, and whether it was forced.

        Returns:
            Keys of which at least one is usable.

        Raises:
            FlightFault: There are none.
        """
        metadata_url, key_set_url = self.address.metadata_url, self.address.key_set_url
        if key_set_url is not None:
            return self._fetch_key_set(key_set_url, flight, None)
        known = self._fetch_metadata(metadata_url or "", flight, renew=False)
        try:
            return self._fetch_key_set(known.metadata.jwks_uri, flight, known)
        except FlightFault as fault:
            failure = fault
        if failure.status not in _MOVED or known.fetched_at >= flight.began_at:
            raise failure
        known = self._fetch_metadata(metadata_url or "", flight, renew=True)
        return self._fetch_key_set(known.metadata.jwks_uri, flight, known)

    def _fetch_metadata(self, url: str, flight: Flight, *, renew: bool) -> _KnownMetadata:
        known = None if renew else self._known
        now, at = self.read_clocks()
        if known is not None and max(at - known.fetched_at, now - known.fetched_now) < self.policy.discovery_seconds:
            return known
        try:
            headers, body = self._fetch(url, flight, forced=flight.forced or renew)
            documents.check_metadata_type(headers)
            metadata = parse_metadata(
                body, fetched_over_http=url[:5].lower() == "http:", any_host=self.address.insecure_http
            )
        except (DocumentFault, MetadataFault) as fault:
            failure = FlightFault(fault.cause)
        except FlightFault as fault:
            failure = fault
        else:
            # DISC-05: a document that speaks for none of the configured issuers is nonsense.
            if any(speaks_for(metadata.issuer, issuer) for issuer in self.issuers):
                self._known = _KnownMetadata(metadata, sha256(body).digest(), at, now)
                return self._known
            failure = FlightFault("the discovery document belongs to another issuer")
        if known is not None:
            # The last address serves on, until the keys themselves are too old.
            return known
        raise failure

    def _fetch_key_set(self, url: str, flight: Flight, known: _KnownMetadata | None) -> Harvest:
        headers, body = self._fetch(url, flight, forced=flight.forced)
        try:
            if self.address.kind == "oidc":
                documents.check_oidc_key_set_type(headers)
            else:
                documents.check_custom_jwt_key_set_type(headers)
            key_set = parse_key_set(body, self.address.kind)
        except (DocumentFault, KeySetFault) as fault:
            failure = FlightFault(fault.cause)
        else:
            content = sha256(body).digest() + (known.digest if known is not None else b"")
            fresh_seconds = documents.decide_fresh_seconds(headers, self.policy)
            return Harvest(key_set, known.metadata.issuer if known is not None else None, content, fresh_seconds)
        raise failure

    def _fetch(self, url: str, flight: Flight, *, forced: bool) -> tuple[Headers, bytes]:
        """Fetch one document, with one more try where that is worth it, within the deadline of the flight."""
        failure = self._try_to_fetch(url, flight, forced=forced)
        if isinstance(failure, FlightFault) and (failure.status == 0 or failure.status in _WORTH_A_RETRY):
            failure = self._try_to_fetch(url, flight, forced=forced)
        if isinstance(failure, FlightFault):
            raise failure
        return failure

    def _try_to_fetch(self, url: str, flight: Flight, *, forced: bool) -> tuple[Headers, bytes] | FlightFault:
        _, at = self.read_clocks()
        remaining_seconds = flight.began_at + self.policy.flight_deadline_seconds - at
        if remaining_seconds <= 0:
            return FlightFault("the deadline passed")
        request = FetchRequest(
            url=url,
            headers=_request_headers(forced=forced),
            deadline_seconds=remaining_seconds,
            max_body_bytes=self.policy.max_document_bytes,
        )
        try:
            response = self.fetcher.fetch(request)
        except FetchError as error:
            return FlightFault(str(error))
        headers = documents.fold_headers(response.headers)
        try:
            documents.check_answer(response.status, headers, response.body, self.policy.max_document_bytes)
        except DocumentFault as fault:
            pause_seconds = documents.parse_retry_after(headers)
            return FlightFault(fault.cause, status=fault.status, retry_after_seconds=pause_seconds)
        return headers, response.body


def _request_headers(*, forced: bool) -> dict[str, str]:
    # NET-022: complete, and nothing of any caller or token in it.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
    if forced:
        headers["Cache-Control"] = "no-cache"
    return headers
