"""What happens on a flight: the discovery document, then the key set, within one deadline.

Runs on a worker thread and blocks. Decides nothing about keys at hand: it brings a `Harvest` or says in our own words
why it could not. DISC-03 to DISC-11; JWKS-02 to JWKS-08.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify._core import documents
from aveverify._core.discovery import MetadataFault, ProviderMetadata, parse_metadata, speaks_for
from aveverify._core.jwk import KeySet, parse_key_set
from aveverify._core.key_cache import Flight, Harvest
from aveverify._courier import Courier
from aveverify._document import FlightFault
from aveverify._fork import keep_from_forking
from aveverify.errors import ProviderKind

if TYPE_CHECKING:
    from aveverify._core.documents import Headers

# The key set has moved: the discovery document tells where to (RFC 9110 §15.5.5, §15.5.11).
_MOVED: Final = (404, 410)


class SourceAddress(NamedTuple):
    """What makes two providers share their keys. A tuple, never joined text (ISS-051)."""

    kind: ProviderKind
    metadata_url: str | None
    key_set_url: str | None
    insecure_http: bool


class _KnownMetadata(NamedTuple):
    metadata: ProviderMetadata
    digest: bytes
    fetched_at: float
    fetched_now: float
    flight_number: int


@dataclass(slots=True)
class Harvester:
    """Fetches the documents of one key source, and keeps its discovery document for a day.

    Attributes:
        address: Where the documents are.
        issuers: The configured issuers that share them.
        courier: Who brings them.
    """

    address: SourceAddress
    issuers: tuple[str, ...]
    courier: Courier
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
        try:
            known = self._fetch_metadata(metadata_url or "", flight, renew=True)
            return self._fetch_key_set(known.metadata.jwks_uri, flight, known)
        except FlightFault as fault:
            fault.last_good = fault.last_good or failure.last_good
            raise

    def _fetch_metadata(self, url: str, flight: Flight, *, renew: bool) -> _KnownMetadata:
        known = None if renew else self._known
        now, at = self.courier.read_clocks()
        lifetime_seconds = self.courier.policy.discovery_seconds
        if known is not None and max(at - known.fetched_at, now - known.fetched_now) < lifetime_seconds:
            return known
        try:
            metadata, document = self.courier.bring(
                url,
                flight,
                self._read_metadata,
                forced=flight.forced or renew,
                lifetime_seconds=lambda _headers: 0.0 if renew else lifetime_seconds,
            )
        except FlightFault as fault:
            failure = fault
        else:
            age_seconds = max(now - document.fetched_now, 0.0)
            digest = sha256(document.body).digest()
            found = _KnownMetadata(metadata, digest, at - age_seconds, now - age_seconds, flight.number)
            # ROT-011: a flight that was given up and comes back late replaces nothing.
            if self._known is None or self._known.flight_number <= flight.number:
                self._known = found
            return found
        if known is not None:
            # The last address serves on, until the keys themselves are too old.
            return known
        raise failure

    def _read_metadata(self, headers: Headers, body: bytes) -> ProviderMetadata:
        documents.check_metadata_type(headers)
        over_http = (self.address.metadata_url or "")[:5].lower() == "http:"
        metadata = parse_metadata(body, fetched_over_http=over_http, any_host=self.address.insecure_http)
        # DISC-05: a document that speaks for none of the configured issuers is nonsense.
        if not any(speaks_for(metadata.issuer, issuer) for issuer in self.issuers):
            raise MetadataFault("the discovery document belongs to another issuer")
        return metadata

    def _fetch_key_set(self, url: str, flight: Flight, known: _KnownMetadata | None) -> Harvest:
        policy = self.courier.policy
        key_set, document = self.courier.bring(
            url,
            flight,
            self._read_key_set,
            forced=flight.forced,
            lifetime_seconds=lambda headers: documents.decide_fresh_seconds(headers, policy),
        )
        harvest = Harvest(
            key_set=key_set,
            document_issuer=known.metadata.issuer if known is not None else None,
            content=sha256(document.body).digest() + (known.digest if known is not None else b""),
            fresh_seconds=documents.decide_fresh_seconds(document.headers, policy),
            is_shared=document.is_shared,
            age_seconds=max(flight.began_now - document.fetched_now, 0.0) if document.is_shared else 0.0,
        )
        if document.failure is not None:
            # Keys within the cap serve on, here as where they were fetched; the flight has failed all the same.
            document.failure.last_good = harvest
            raise document.failure
        return harvest

    def _read_key_set(self, headers: Headers, body: bytes) -> KeySet:
        if self.address.kind == "oidc":
            documents.check_oidc_key_set_type(headers)
        else:
            documents.check_custom_jwt_key_set_type(headers)
        # The first key imports its parser.
        with keep_from_forking():
            return parse_key_set(body, self.address.kind)
