"""What happens on a flight: the discovery document, then the key set, within one deadline.

Runs on a worker thread and blocks. Decides nothing about the present keys: returns `LoadedKeys`, or raises
`RefreshError` with a cause in our own words. DISC-03 to DISC-11; JWKS-02 to JWKS-08; NET-027; NET-028.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify._core.jose.jwk_set import KeySet, parse_key_set
from aveverify._core.key_cache import http_response
from aveverify._core.key_cache.decisions import Flight, LoadedKeys
from aveverify._core.key_cache.metadata import MetadataFault, ProviderMetadata, is_same_issuer, parse_metadata
from aveverify._fork import keep_from_forking
from aveverify._jwks.document import Document, Instant, RefreshError
from aveverify._jwks.document_client import DocumentClient
from aveverify.errors import ProviderKind

if TYPE_CHECKING:
    from aveverify._core.key_cache.http_response import Headers

# The key set has moved: the discovery document tells where to (RFC 9110 §15.5.5, §15.5.11).
_MOVED: Final = (404, 410)
# Of a flight's time: what a silent discovery endpoint leaves for the keys at the last address, and what a silent key
# endpoint leaves for putting old keys of the store to use.
_RESERVE_FOR_KEYS: Final = 0.5
_RESERVE_FOR_STORE: Final = 0.1


class KeySetLocation(NamedTuple):
    """What makes two providers share their keys. A tuple, never joined text (ISS-051)."""

    kind: ProviderKind
    metadata_url: str | None
    key_set_url: str | None
    insecure_http: bool


class _KnownMetadata(NamedTuple):
    """A discovery document.

    Attributes:
        metadata: What is read of it.
        confirmed: When it was last found current.
        confirmed_seconds: How long 304s had kept it current then.
        flight_number: Which flight brought it.
        is_current: Whether the flight that uses it has asked the issuer for it.
        failure: Why there is no newer one, where the issuer was asked in vain.
    """

    metadata: ProviderMetadata
    confirmed: Instant
    confirmed_seconds: float
    flight_number: int
    is_current: bool
    failure: RefreshError | None = None

    @property
    def came_in_full(self) -> bool:
        """Whether the flight that uses it has its body from the issuer."""
        return self.is_current and not self.confirmed_seconds


@dataclass(slots=True)
class KeySetLoader:
    """Fetches the documents of one key source: both of them on each flight, where there is a discovery document.

    Keys count as old as the discovery document that led to them: an issuer also withdraws keys by naming another
    address, and the last address may go on serving them (NET-028).

    Attributes:
        address: Where the documents are.
        issuers: The configured issuers that share them.
        courier: Who brings them.
    """

    address: KeySetLocation
    issuers: tuple[str, ...]
    courier: DocumentClient
    _known: _KnownMetadata | None = None

    def fetch_keys(self, flight: Flight) -> LoadedKeys:
        """Fetch what has to be fetched for this flight.

        Args:
            flight: When it began, and whether it was forced.

        Returns:
            Keys of which at least one is usable.

        Raises:
            FlightFault: There are none, or only such as may be used up to the cap.
        """
        metadata_url, key_set_url = self.address.metadata_url, self.address.key_set_url
        if key_set_url is not None:
            return self._fetch_key_set(key_set_url, flight, None)
        known = self._fetch_metadata(metadata_url or "", flight, renew=False)
        try:
            return self._fetch_key_set(known.metadata.jwks_uri, flight, known)
        except RefreshError as fault:
            failure = fault
        if failure.status not in _MOVED or known.came_in_full or known.failure is not None:
            raise failure
        # DSC-015: the document came from the store, and is older than the move, or a 304 confirmed it wrongly.
        try:
            known = self._fetch_metadata(metadata_url or "", flight, renew=True)
            return self._fetch_key_set(known.metadata.jwks_uri, flight, known)
        except RefreshError as fault:
            fault.last_good = fault.last_good or failure.last_good
            raise

    def _fetch_metadata(self, url: str, flight: Flight, *, renew: bool) -> _KnownMetadata:
        last = None if renew else self._last_metadata()
        try:
            metadata, document = self.courier.bring(
                url,
                flight,
                self._read_metadata,
                forced=flight.forced or renew,
                # Usually as long as keys are fresh, which are as old as this document.
                lifetime_seconds=lambda document: (
                    0.0 if renew else min(self._fresh_seconds(document), self.courier.policy.fresh_seconds)
                ),
                reserve=_RESERVE_FOR_KEYS,
                has_fallback=last is not None,
            )
        except RefreshError as fault:
            failure = fault
        else:
            found = _KnownMetadata(
                metadata,
                document.confirmed,
                document.confirmed_seconds,
                flight.number,
                is_current=not document.is_shared,
                failure=document.failure,
            )
            # ROT-011: a flight that was given up and comes back late replaces nothing.
            if self._known is None or self._known.flight_number <= flight.number:
                self._known = found._replace(failure=None)
            return found
        # NET-010: an issuer that asks to be left alone is not asked for its keys either.
        if last is None or failure.retry_after_seconds:
            raise failure
        # The last address serves on, until the keys that it led to are too old.
        return last._replace(is_current=False, failure=failure)

    def _last_metadata(self) -> _KnownMetadata | None:
        known = self._known
        if known is None:
            return None
        age_seconds = Instant(*self.courier.read_clocks()).seconds_since(known.confirmed)
        return known if age_seconds < self.courier.policy.discovery_seconds else None

    def _read_metadata(self, headers: Headers, body: bytes) -> ProviderMetadata:
        http_response.check_metadata_type(headers)
        over_http = (self.address.metadata_url or "")[:5].lower() == "http:"
        metadata = parse_metadata(body, fetched_over_http=over_http, any_host=self.address.insecure_http)
        # DISC-05: a document that speaks for none of the configured issuers is nonsense.
        if not any(is_same_issuer(metadata.issuer, issuer) for issuer in self.issuers):
            raise MetadataFault("the discovery document belongs to another issuer")
        return metadata

    def _fetch_key_set(self, url: str, flight: Flight, known: _KnownMetadata | None) -> LoadedKeys:
        key_set, document = self.courier.bring(
            url,
            flight,
            self._read_key_set,
            forced=flight.forced,
            lifetime_seconds=self._fresh_seconds,
            reserve=_RESERVE_FOR_STORE,
            has_fallback=False,
        )
        failure = document.failure
        is_shared = document.is_shared
        age_seconds = _age_seconds(flight, document.confirmed) if is_shared else 0.0
        confirmed_seconds = document.confirmed_seconds
        if known is not None:
            failure = failure or known.failure
            confirmed_seconds = max(confirmed_seconds, known.confirmed_seconds)
            if not known.is_current:
                is_shared = True
                age_seconds = max(age_seconds, _age_seconds(flight, known.confirmed))
        harvest = LoadedKeys(
            key_set=key_set,
            document_issuer=known.metadata.issuer if known is not None else None,
            content=_digest(document.body, known),
            fresh_seconds=http_response.decide_fresh_seconds(document.headers, self.courier.policy, confirmed_seconds),
            is_shared=is_shared,
            is_latest=not document.is_shared,
            age_seconds=age_seconds,
        )
        if failure is not None:
            # Keys within the cap serve on, here as where they were fetched; the flight has failed all the same.
            failure.last_good = harvest
            raise failure
        return harvest

    def _fresh_seconds(self, document: Document) -> float:
        return http_response.decide_fresh_seconds(document.headers, self.courier.policy, document.confirmed_seconds)

    def _read_key_set(self, headers: Headers, body: bytes) -> KeySet:
        if self.address.kind == "oidc":
            http_response.check_oidc_key_set_type(headers)
        else:
            http_response.check_custom_jwt_key_set_type(headers)
        # The first key imports its parser.
        with keep_from_forking():
            return parse_key_set(body, self.address.kind)


def _age_seconds(flight: Flight, confirmed: Instant) -> float:
    return Instant(flight.began_now, flight.began_at).seconds_since(confirmed)


def _digest(key_set: bytes, known: _KnownMetadata | None) -> bytes:
    """Tell contents apart by all that is read: the key set, and the two members of the discovery document."""
    digest = sha256(key_set).digest()
    # Neither member has a line break: both are URLs.
    return digest if known is None else digest + sha256("\n".join(known.metadata).encode()).digest()
