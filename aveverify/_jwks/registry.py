"""The engine: the key sources of one verifier, and the clocks, the fetcher and the store that they share.

One `RemoteKeySet` per place where keys come from; providers that agree in it share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from aveverify._core.provider_context import make_context
from aveverify._fork import renew_after_fork
from aveverify._jwks.document_client import DocumentClient
from aveverify._jwks.event_publisher import EventPublisher
from aveverify._jwks.loader import KeySetLoader, KeySetLocation
from aveverify._jwks.remote_key_set import RemoteKeySet
from aveverify._jwks.shared_cache import SharedDocumentCache
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
# How long closing a verifier waits until fetched documents are shared; a store that hangs must not hang the end of a
# process.
_FINISH_SECONDS: Final = 0.5


class KeySetRegistry:
    """The key sources of one verifier, with their clock, fetcher and policy.

    Args:
        providers: The providers in written order.
        table: Which provider a token belongs to.
        clock: Where time comes from.
        fetcher: Where documents come from.
        policy: Durations, budgets and limits.
        on_event: Whom to tell.
        document_store: Where workers share documents.
    """

    def __init__(  # noqa: PLR0913 - the parts of an engine
        self,
        providers: Sequence[Provider],
        table: ProviderIndex,
        *,
        clock: Clock,
        fetcher: Fetcher,
        policy: CachePolicy,
        on_event: OnEvent | None,
        document_store: DocumentStore | None,
    ) -> None:
        self.provider_index = table
        self.policy = policy
        self._clock = clock
        self._fetcher = fetcher
        self._close_fetcher: Callable[[], object] | None = getattr(fetcher, "close", None)
        self._document_store = document_store
        self._herald = EventPublisher(on_event)
        issuers: dict[KeySetLocation, dict[str, None]] = {}
        for provider in providers:
            issuers.setdefault(_address_of(provider), {})[provider.issuer] = None
        sources = {address: self._make_source(address, tuple(shared)) for address, shared in issuers.items()}
        self.sources = tuple(sources.values())
        self.providers = tuple((provider, sources[_address_of(provider)]) for provider in providers)
        self.contexts = tuple(make_context(provider, source) for provider, source in self.providers)

    def _make_source(self, address: KeySetLocation, issuers: tuple[str, ...]) -> RemoteKeySet:
        store = self._document_store
        shelf = None if store is None else SharedDocumentCache(store, self.policy, self.read_clocks)
        courier = DocumentClient(self._fetcher, shelf, self.policy, self.read_clocks)
        harvester = KeySetLoader(address, issuers, courier)
        source = RemoteKeySet(harvester, self.policy, self._herald.tell)
        renew_after_fork(source)
        return source

    def read_clocks(self) -> tuple[float, float]:
        """Read the wall clock and the monotonic clock.

        Returns:
            Seconds since the epoch; seconds from an arbitrary beginning.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`, where one of them is negative, not a number or raises (CLK-003).
        """
        try:
            now, at = self._clock.now(), self._clock.monotonic()
            usable = 0 <= now < _FOREVER and 0 <= at < _FOREVER
        except Exception:  # noqa: BLE001 - a clock that raises, whatever it raises, must lead to a refusal
            usable = False
        if not usable:
            raise InvalidTokenError(Reason.CLOCK_UNUSABLE, rule="CLK-003")
        return now, at

    def close(self) -> None:
        """Give up what is under way, and release the connections of the fetcher, where it has any. Idempotent."""
        for source in self.sources:
            source.close()
        ends_at = monotonic() + _FINISH_SECONDS
        for source in self.sources:
            source.finish(max(ends_at - monotonic(), 0.0))
        close, self._close_fetcher = self._close_fetcher, None
        if close is not None:
            close()


def _address_of(provider: Provider) -> KeySetLocation:
    return KeySetLocation(provider.kind, provider.metadata_url, provider.key_set_url, provider.insecure_http)
