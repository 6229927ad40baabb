"""What one verification sees of the key sets: the clocks, the keys as they are, and how long it may still wait."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.decisions import Action, Question
from aveverify._core.key_cache.state import Instant, Snapshot
from aveverify._jwks.completion import DONE, Completion
from aveverify.errors import KeysUnavailableError

if TYPE_CHECKING:
    from aveverify._core.provider_context import ProviderContext
    from aveverify._core.rules.provider_index import ProviderIndex
    from aveverify._core.verification import KeysNeeded
    from aveverify._jwks.registry import KeySetRegistry
    from aveverify._jwks.remote_key_set import RemoteKeySet

# One verification waits for at most this many refreshes: an older one, and those that its own token caused.
_MAX_WAITS: Final = 3
# No usable clock is negative.
_UNREAD: Final = -1.0


class KeyLookup:
    """The clocks and keys of one verification.

    Args:
        registry: The key sets of the verifier.

    Attributes:
        provider_index: Selects the provider of a token.
        contexts: The providers, in configured order.
        now: The instant of this verification, in seconds since the epoch; read when it first needs the time.
        monotonic: The same instant by the monotonic clock.
        wait_budget_seconds: How long this verification may still wait, all its waits together.
    """

    __slots__ = (
        "_may_wait", "_refreshes_seen", "_registry", "_snapshot_seen", "_waits", "contexts", "monotonic", "now",
        "provider_index", "wait_budget_seconds",
    )  # fmt: skip

    def __init__(self, registry: KeySetRegistry) -> None:
        self._registry = registry
        # How many refreshes of the key set had started when this verification first looked at it.
        self._refreshes_seen: int | None = None
        # The usable keys that it found there last.
        self._snapshot_seen: Snapshot | None = None
        self._waits = 0
        self._may_wait = True
        self.provider_index: ProviderIndex = registry.provider_index
        self.contexts: tuple[ProviderContext[RemoteKeySet], ...] = registry.contexts
        # CLK-006: the clocks are read once for each attempt, when it comes to the keys. A token that is refused before
        # that needs no time.
        self.now = self.monotonic = _UNREAD
        self.wait_budget_seconds = registry.policy.waiter_seconds

    def read_clocks(self) -> None:
        """Set the instant of this attempt, at its beginning.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        self.now, self.monotonic = self._registry.read_clocks()

    def usable_keys(self, remote_keys: RemoteKeySet) -> Snapshot | None:
        """Return the keys that may be used at this instant; None if they must be loaded first.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.
            ConfigurationError: `CLOSED`.
        """
        # Unless the attempt began with `read_clocks`, which would cost every new token a call.
        if self.now < 0:
            self.now, self.monotonic = self._registry.read_clocks()
        if self._refreshes_seen is None:
            self._refreshes_seen = remote_keys.state.refreshes_started
        snapshot = self._snapshot_seen = remote_keys.lookup(self.now, self.monotonic, may_wait=self._may_wait)
        return snapshot

    def request_refresh(self, needed: KeysNeeded[RemoteKeySet]) -> Completion:
        """Find out what to wait for; start a refresh if one is due.

        Args:
            needed: Which keys the verification needs.

        Returns:
            The completion of the refresh to wait for; done already if the verification shall look again at once.

        Raises:
            InvalidTokenError: No refresh can help, and the token is refused.
            KeysUnavailableError: No refresh can help, and the keys are unavailable.
            ConfigurationError: `CLOSED`.
        """
        self._waits += 1
        if self._waits > _MAX_WAITS:
            self._may_wait = False
        provider, remote_keys, reason, refusal = needed
        question = Question(reason, self._may_wait, self._refreshes_seen or 0)
        instant = Instant(self.now, self.monotonic)
        decision, completion = remote_keys.decide_and_refresh(question, instant, self._snapshot_seen)
        if decision.action is Action.REFUSE and refusal is not None:
            raise refusal.copy_without_traceback()
        if decision.action is Action.UNAVAILABLE:
            raise KeysUnavailableError(
                max(1, ceil(decision.retry_after_seconds)),
                kind=provider.kind,
                issuer=provider.issuer,
                cause=remote_keys.state.last_cause,
            )
        return completion if decision.action is Action.WAIT else DONE

    def after_wait(self, *, is_done: bool) -> None:
        """Deduct a wait from the wait budget; the next attempt reads the clocks again.

        Args:
            is_done: Whether the refresh ended during the wait.
        """
        waited_seconds = self._registry.read_monotonic() - self.monotonic
        self.wait_budget_seconds = max(self.wait_budget_seconds - waited_seconds, 0.0)
        self._may_wait = self._may_wait and is_done
        self.now = self.monotonic = _UNREAD
