"""What one verification sees of the engine: the clocks, the keys as they are, and how long it may still wait."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from aveverify._core.key_cache.decisions import Action, Decision, RefreshReason, Snapshot, decide
from aveverify._jwks.completion import LANDED, Completion
from aveverify.errors import KeysUnavailableError

if TYPE_CHECKING:
    from aveverify._core.provider_context import ProviderContext
    from aveverify._core.rules.provider_index import ProviderIndex
    from aveverify._core.verification import KeysNeeded
    from aveverify._jwks.registry import KeySetRegistry
    from aveverify._jwks.remote_key_set import RemoteKeySet

# One verification waits for at most this many flights: an old one, and what its own questions caused.
_MAX_WAITS: Final = 3
# No clock that can be used is negative.
_UNREAD: Final = -1.0


class KeyLookup:
    """The `KeyProvider` of one verification.

    Args:
        engine: The engine.
    """

    __slots__ = (
        "_asked_after", "_engine", "_patient", "_seen", "_waits", "at", "contexts", "now", "provider_index",
        "wait_budget_seconds",
    )  # fmt: skip

    def __init__(self, engine: KeySetRegistry) -> None:
        self._engine = engine
        # How many flights of the source had begun when this verification first looked at it.
        self._asked_after: int | None = None
        # What it saw there when it last looked.
        self._seen: Snapshot | None = None
        self._waits = 0
        self._patient = True
        # Which provider a token belongs to, and the providers in written order.
        self.provider_index: ProviderIndex = engine.provider_index
        self.contexts: tuple[ProviderContext[RemoteKeySet], ...] = engine.contexts
        # The clocks are read once for each look at the token (CLK-006), when it comes to the keys: what is refused
        # before needs no time. Not read yet.
        self.now = self.at = _UNREAD
        self.wait_budget_seconds = engine.policy.waiter_seconds

    def read_clocks(self) -> None:
        """Begin a look at the token: the instant of this verification is now, unless it has one.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        if self.now < 0:
            self.now, self.at = self._engine.read_clocks()

    def usable_keys(self, source: RemoteKeySet) -> Snapshot | None:
        """Return the keys that may be used at this instant; None where they have to be fetched first.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        # As `read_clocks`, less a call for every new token.
        if self.now < 0:
            self.now, self.at = self._engine.read_clocks()
        state = source.state
        snapshot = self._seen = state.snapshot
        if self._asked_after is None:
            self._asked_after = state.flights
        # Known key and fresh snapshot: no lock, no thread, no await.
        if snapshot is not None and snapshot.is_before_refresh_time(self.now, self.at):
            return snapshot
        action = decide(
            state,
            self._engine.policy,
            RefreshReason.KEYS,
            refreshes_seen=self._asked_after,
            now=self.now,
            at=self.at,
            patient=self._patient,
        ).action
        if snapshot is None or action not in (Action.USE, Action.USE_AND_REFRESH):
            return None
        if snapshot.age_seconds(self.now, self.at) >= snapshot.fresh_seconds:
            source.note_stale(snapshot, self.now, self.at)
        if action is Action.USE_AND_REFRESH:
            self._settle(source, RefreshReason.KEYS)
        return snapshot

    def settle(self, wait: KeysNeeded[RemoteKeySet]) -> Completion:
        """Find out what to wait for.

        Args:
            wait: What `verify_without_waiting` is missing.

        Returns:
            The flight to wait for; one that has landed where the state has changed meanwhile and another look is due.

        Raises:
            InvalidTokenError: Waiting cannot help, and the token is refused.
            KeysUnavailableError: Waiting cannot help, and the token is not to blame.
        """
        self._waits += 1
        if self._waits > _MAX_WAITS:
            self._patient = False
        decision, landing = self._settle(wait.remote_keys, wait.refresh_reason)
        if decision.action is Action.REFUSE and wait.refusal is not None:
            raise wait.refusal.copy_without_traceback()
        if decision.action is Action.UNAVAILABLE:
            raise KeysUnavailableError(
                max(1, ceil(decision.retry_after_seconds)),
                kind=wait.provider.kind,
                issuer=wait.provider.issuer,
                cause=wait.remote_keys.state.last_cause,
            )
        return landing if decision.action is Action.WAIT else LANDED

    def resume(self, *, landed: bool) -> None:
        """Come back from waiting: read the clocks anew, and count what was spent.

        Args:
            landed: Whether the flight ended while this verification waited for it.
        """
        now, at = self._engine.read_clocks()
        self.wait_budget_seconds = max(self.wait_budget_seconds - (at - self.at), 0.0)
        self._patient = self._patient and landed
        self.now, self.at = now, at

    def _settle(self, source: RemoteKeySet, need: RefreshReason) -> tuple[Decision, Completion]:
        return source.settle(need, self._asked_after or 0, self._seen, now=self.now, at=self.at, patient=self._patient)
