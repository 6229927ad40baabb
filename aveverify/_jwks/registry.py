"""The key sets of one verifier, and the clocks, the fetcher and the document store that they share.

Providers with the same `KeySetLocation` share one `RemoteKeySet`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.state import Instant
from aveverify._core.provider_context import make_context
from aveverify._fork import renew_after_fork
from aveverify._jwks.document_client import DocumentClient
from aveverify._jwks.event_publisher import EventPublisher
from aveverify._jwks.loader import KeySetLoader, KeySetLocation
from aveverify._jwks.remote_key_set import RemoteKeySet
from aveverify._jwks.shared_cache import SharedDocumentCache
from aveverify.clock import monotonic
from aveverify.errors import InvalidTokenError, Reason

if TYPE_CHECKING:
    from aveverify._core.provider import Provider
    from aveverify._core.rules.provider_index import ProviderIndex
    from aveverify.cache_policy import CachePolicy
    from aveverify.clock import Clock
    from aveverify.document_store import DocumentStore
    from aveverify.events import OnEvent
    from aveverify.fetcher import Fetcher

_FOREVER: Final = float("inf")
# How long closing a verifier waits for fetched documents to be published; a store that hangs must not delay the end of
# a process for longer.
_FINISH_SECONDS: Final = 0.5


class KeySetRegistry:
    """The key sets of one verifier.

    Args:
        providers: The providers, in configured order.
        provider_index: Selects the provider of a token.
        clock: The wall clock and the monotonic clock.
        fetcher: Fetches documents of issuers.
        policy: Durations, budgets and limits.
        on_event: Called with each key-cache event.
        document_store: Shares documents between workers; None without one.

    Attributes:
        remote_key_sets: Each key set once.
        providers: The providers, in configured order, each with its key set.
        contexts: The same, prepared for verification.
    """

    def __init__(  # noqa: PLR0913 - the parts, each passed on from an option of `Verifier`
        self,
        providers: Sequence[Provider],
        provider_index: ProviderIndex,
        *,
        clock: Clock,
        fetcher: Fetcher,
        policy: CachePolicy,
        on_event: OnEvent | None,
        document_store: DocumentStore | None,
    ) -> None:
        self.provider_index = provider_index
        self.policy = policy
        self._clock = clock
        self._fetcher = fetcher
        self._close_fetcher: Callable[[], object] | None = getattr(fetcher, "close", None)
        self._document_store = document_store
        self._publisher = EventPublisher(on_event)
        issuers: dict[KeySetLocation, dict[str, None]] = {}
        for provider in providers:
            issuers.setdefault(_location_of(provider), {})[provider.issuer] = None
        remote_key_sets = {
            location: self._make_remote_keys(location, tuple(shared)) for location, shared in issuers.items()
        }
        self.remote_key_sets = tuple(remote_key_sets.values())
        self.providers = tuple((provider, remote_key_sets[_location_of(provider)]) for provider in providers)
        self.contexts = tuple(make_context(provider, remote_keys) for provider, remote_keys in self.providers)

    def _make_remote_keys(self, location: KeySetLocation, issuers: tuple[str, ...]) -> RemoteKeySet:
        # ROT-017: no lock, budget or pause for a store is shared between key sets.
        store = self._document_store
        shared_cache = None if store is None else SharedDocumentCache(store, self.policy, self.read_monotonic)
        client = DocumentClient(self._fetcher, shared_cache, self.policy, self.read_monotonic)
        loader = KeySetLoader(location, issuers, client, self.policy, self.read_monotonic)
        remote_keys = RemoteKeySet(loader, self.policy, self.read_monotonic, self._publisher.publish)
        renew_after_fork(remote_keys)
        return remote_keys

    def read_clocks(self) -> tuple[float, float]:
        """Read the wall clock and the monotonic clock.

        Returns:
            Seconds since the epoch; seconds from an arbitrary beginning.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`, if one of them is negative, not a finite number or raises (CLK-003).
        """
        try:
            now, elapsed = self._clock.now(), self._clock.monotonic()
            is_usable = 0 <= now < _FOREVER and 0 <= elapsed < _FOREVER
        except Exception:  # noqa: BLE001 - a custom clock may raise anything; without the time every token is refused
            is_usable = False
        if not is_usable:
            raise InvalidTokenError(Reason.CLOCK_UNUSABLE, rule="CLK-003")
        return now, elapsed

    def read_instant(self) -> Instant:
        """Read both clocks as one value; `read_clocks` saves every new token the object.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        return Instant(*self.read_clocks())

    def read_monotonic(self) -> float:
        """Read the monotonic clock alone: all that a refresh needs, which was told the instant of its beginning.

        Raises:
            InvalidTokenError: As `read_clocks`.
        """
        try:
            elapsed = self._clock.monotonic()
            is_usable = 0 <= elapsed < _FOREVER
        except Exception:  # noqa: BLE001 - as above
            is_usable = False
        if not is_usable:
            raise InvalidTokenError(Reason.CLOCK_UNUSABLE, rule="CLK-003")
        return elapsed

    def close(self) -> None:
        """Give up what is running, and close the connections of the fetcher, if it has any. Idempotent."""
        for remote_keys in self.remote_key_sets:
            remote_keys.close()
        ends_at = monotonic() + _FINISH_SECONDS
        for remote_keys in self.remote_key_sets:
            remote_keys.finish(max(ends_at - monotonic(), 0.0))
        close, self._close_fetcher = self._close_fetcher, None
        if close is not None:
            close()


def _location_of(provider: Provider) -> KeySetLocation:
    return KeySetLocation(provider.kind, provider.metadata_url, provider.key_set_url, provider.insecure_http)
