"""One refresh: the discovery document, then the JWK Set, within one deadline.

Runs on a thread of its own and blocks. It decides nothing about the keys in use: it returns what it loaded, or why it
failed. DISC-03 to DISC-11; JWKS-02 to JWKS-08; NET-027; NET-028.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify._core.jose.jwk_set import KeySet, parse_key_set
from aveverify._core.key_cache import http_response
from aveverify._core.key_cache.http_freshness import decide_fresh_seconds
from aveverify._core.key_cache.metadata import MetadataError, ProviderMetadata, is_same_issuer, parse_metadata
from aveverify._core.key_cache.state import FailedLoad, FetchFailure, Instant, LoadedKeys, LoadResult, Refresh
from aveverify._fork import keep_from_forking
from aveverify._jwks.document import Document, DocumentRequest
from aveverify.errors import ProviderKind

if TYPE_CHECKING:
    from aveverify._core.key_cache.http_headers import Headers
    from aveverify._jwks.document_client import DocumentClient
    from aveverify.cache_policy import CachePolicy

# The JWK Set has moved: the discovery document names its new address (RFC 9110 §15.5.5, §15.5.11).
_MOVED: Final = (404, 410)
# The parts of the remaining time that a silent discovery endpoint leaves for the JWK Set at the last address, and that
# a silent JWK Set endpoint leaves for the use of old keys of the store.
_RESERVED_FOR_KEYS: Final = 0.5
_RESERVED_FOR_STORE: Final = 0.1


class KeySetLocation(NamedTuple):
    """Where a JWK Set is found; providers with equal locations share it. A tuple, never joined text (ISS-051)."""

    kind: ProviderKind
    metadata_url: str | None
    key_set_url: str | None
    insecure_http: bool


class _KnownMetadata(NamedTuple):
    """A discovery document.

    Attributes:
        metadata: What is read of it.
        confirmed: When it was last found current.
        confirmed_seconds: How long 304 responses had kept it current then.
        refresh_number: The refresh that fetched it.
        is_current: Whether the refresh that uses it fetched it from the issuer.
        error: Why there is no newer one, if the issuer failed.
    """

    metadata: ProviderMetadata
    confirmed: Instant
    confirmed_seconds: float
    refresh_number: int
    is_current: bool
    error: FetchFailure | None = None

    @property
    def came_in_full(self) -> bool:
        """Whether the refresh that uses it received its body from the issuer."""
        return self.is_current and not self.confirmed_seconds


@dataclass(slots=True)
class KeySetLoader:
    """Loads one JWK Set: on each refresh, the discovery document (if there is one) and the JWK Set that it names.

    Keys count as old as the discovery document that named their address: an issuer also withdraws keys by naming
    another address, and the last address may go on publishing them (NET-028).

    Attributes:
        location: Where the documents are.
        issuers: The configured issuers that share them.
        client: Fetches the documents.
        policy: Limits and lifetimes.
        read_monotonic: Reads the monotonic clock.
    """

    location: KeySetLocation
    issuers: tuple[str, ...]
    client: DocumentClient
    policy: CachePolicy
    read_monotonic: Callable[[], float]
    _known: _KnownMetadata | None = None

    def load(self, refresh: Refresh) -> LoadResult:
        """Load the keys.

        Args:
            refresh: When it started, and whether it is forced.

        Returns:
            Keys of which at least one is usable; or an error, with keys that may be used up to the cap if there are
            any.
        """
        if self.location.key_set_url is not None:
            return self._load_key_set(self.location.key_set_url, refresh, None)
        first, known = self._load_through_metadata(refresh, renew=False)
        if known is None or not isinstance(first, FailedLoad) or not _may_have_moved(first.error, known):
            return first
        # DSC-015: the discovery document came from the store, and is older than the move; or a wrong 304 confirmed it.
        second, _ = self._load_through_metadata(refresh, renew=True)
        if isinstance(second, FailedLoad) and second.keys is None:
            return second._replace(keys=first.keys)
        return second

    def publish(self) -> None:
        """Put into the workers' store what was fetched."""
        self.client.publish()

    def close(self) -> None:
        """Stop all requests."""
        self.client.close()

    def renew_after_fork(self) -> None:
        """Forget the threads of the parent process."""
        self.client.renew_after_fork()

    def _load_through_metadata(self, refresh: Refresh, *, renew: bool) -> tuple[LoadResult, _KnownMetadata | None]:
        known = self._load_metadata(self.location.metadata_url or "", refresh, renew=renew)
        if isinstance(known, FetchFailure):
            return FailedLoad(known), None
        return self._load_key_set(known.metadata.jwks_uri, refresh, known), known

    def _load_metadata(self, url: str, refresh: Refresh, *, renew: bool) -> _KnownMetadata | FetchFailure:
        last = None if renew else self._last_metadata(refresh)
        request = DocumentRequest(
            url,
            refresh,
            self._parse_metadata,
            is_forced=refresh.is_forced or renew,
            fresh_seconds=_never_fresh if renew else self._metadata_fresh_seconds,
            reserved_fraction=_RESERVED_FOR_KEYS,
            has_fallback=last is not None,
        )
        fetched = self.client.get(request)
        if isinstance(fetched, FetchFailure):
            # NET-010: an issuer that sends Retry-After is not asked for its keys either.
            if last is None or fetched.retry_after_seconds:
                return fetched
            # The last address remains in use, until the keys that it led to are too old.
            return last._replace(is_current=False, error=fetched)
        document = fetched.document
        known = _KnownMetadata(
            fetched.value,
            document.confirmed,
            document.confirmed_seconds,
            refresh.number,
            is_current=not document.is_shared,
        )
        # ROT-011: a refresh that ends after its deadline replaces no newer document.
        if self._known is None or self._known.refresh_number <= refresh.number:
            self._known = known
        return known._replace(error=fetched.error)

    def _last_metadata(self, refresh: Refresh) -> _KnownMetadata | None:
        known = self._known
        if known is None:
            return None
        age_seconds = refresh.instant_at(self.read_monotonic()).seconds_since(known.confirmed)
        return known if age_seconds < self.policy.discovery_seconds else None

    def _parse_metadata(self, headers: Headers, body: bytes) -> ProviderMetadata:
        http_response.check_metadata_type(headers)
        over_http = (self.location.metadata_url or "")[:5].lower() == "http:"
        metadata = parse_metadata(body, fetched_over_http=over_http, insecure_http=self.location.insecure_http)
        # DISC-05: a document that names none of the configured issuers is not theirs.
        if not any(is_same_issuer(metadata.issuer, issuer) for issuer in self.issuers):
            raise MetadataError("the discovery document belongs to another issuer")
        return metadata

    def _load_key_set(self, url: str, refresh: Refresh, known: _KnownMetadata | None) -> LoadResult:
        request = DocumentRequest(
            url,
            refresh,
            self._parse_key_set,
            is_forced=refresh.is_forced,
            fresh_seconds=self._fresh_seconds,
            reserved_fraction=_RESERVED_FOR_STORE,
        )
        fetched = self.client.get(request)
        if isinstance(fetched, FetchFailure):
            return FailedLoad(fetched)
        keys = self._combine(fetched.value, fetched.document, refresh, known)
        error = fetched.error or (None if known is None else known.error)
        return keys if error is None else FailedLoad(error, keys)

    def _combine(
        self, key_set: KeySet, document: Document, refresh: Refresh, known: _KnownMetadata | None
    ) -> LoadedKeys:
        """Combine both documents: the keys are as old as the older one (NET-028)."""
        predates_refresh = document.is_shared
        age_seconds = refresh.started.seconds_since(document.confirmed) if predates_refresh else 0.0
        confirmed_seconds = document.confirmed_seconds
        if known is not None:
            confirmed_seconds = max(confirmed_seconds, known.confirmed_seconds)
            if not known.is_current:
                predates_refresh = True
                age_seconds = max(age_seconds, refresh.started.seconds_since(known.confirmed))
        return LoadedKeys(
            key_set=key_set,
            document_issuer=None if known is None else known.metadata.issuer,
            content=_digest(document.body, known),
            fresh_seconds=decide_fresh_seconds(document.headers, self.policy, confirmed_seconds),
            predates_refresh=predates_refresh,
            is_latest=not document.is_shared,
            age_seconds=age_seconds,
        )

    def _fresh_seconds(self, document: Document) -> float:
        return decide_fresh_seconds(document.headers, self.policy, document.confirmed_seconds)

    def _metadata_fresh_seconds(self, document: Document) -> float:
        # Usually as long as the keys are fresh, which are as old as this document.
        return min(self._fresh_seconds(document), self.policy.fresh_seconds)

    def _parse_key_set(self, headers: Headers, body: bytes) -> KeySet:
        if self.location.kind == "oidc":
            http_response.check_oidc_key_set_type(headers)
        else:
            http_response.check_custom_jwt_key_set_type(headers)
        # The first key imports its parser.
        with keep_from_forking():
            return parse_key_set(body, self.location.kind)


def _never_fresh(_document: Document) -> float:
    return 0.0


def _may_have_moved(error: FetchFailure, known: _KnownMetadata) -> bool:
    """Tell whether a newer discovery document may name another address of the JWK Set."""
    return error.status in _MOVED and not known.came_in_full and known.error is None


def _digest(key_set: bytes, known: _KnownMetadata | None) -> bytes:
    """Return a digest of all that is read: the JWK Set, and the two members of the discovery document."""
    digest = sha256(key_set).digest()
    # Neither member has a line break: both are URLs.
    return digest if known is None else digest + sha256("\n".join(known.metadata).encode()).digest()
