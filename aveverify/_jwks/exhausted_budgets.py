"""Which budgets of forced refreshes are exhausted: counts the tokens refused for it, and reports it once per window.

A flood of bad tokens must cost little, so a budget that was found exhausted is not computed again until the state
changes. Used under the lock of `RemoteKeySet`.
"""

from __future__ import annotations

from typing import Final, Literal

from aveverify._core.key_cache.state import LONG_AGO, CacheState, Instant, RefreshReason
from aveverify.events import BudgetExhausted

_NAMES: Final[dict[RefreshReason, Literal["unknown_key", "bad_signature"]]] = {
    RefreshReason.UNKNOWN_KEY: "unknown_key",
    RefreshReason.BAD_SIGNATURE: "bad_signature",
}


class ExhaustedBudgets:
    """The exhausted budgets of one key set.

    Args:
        issuers: The issuers that share the keys.

    Attributes:
        refusals: How many tokens were refused because a budget was exhausted.
    """

    __slots__ = ("_exhausted_in", "_issuers", "_reported_until", "refusals")

    def __init__(self, issuers: tuple[str, ...]) -> None:
        self.refusals = dict.fromkeys(_NAMES, 0)
        self._issuers = issuers
        # The end of the window that was last reported.
        self._reported_until = dict.fromkeys(_NAMES, LONG_AGO)
        # The state in which each budget was last found exhausted.
        self._exhausted_in: dict[RefreshReason, CacheState] = {}

    def refuse_again(self, reason: RefreshReason, state: CacheState, instant: Instant) -> bool:
        """Count a refusal if nothing has changed since the budget was found exhausted; tell whether that is so."""
        if self._exhausted_in.get(reason) is not state or not instant.seconds_until(self._reported_until[reason]):
            return False
        self.refusals[reason] += 1
        return True

    def refuse(
        self, reason: RefreshReason, state: CacheState, instant: Instant, exhausted_seconds: float
    ) -> list[BudgetExhausted]:
        """Count a refusal by a budget that was just found exhausted.

        Args:
            reason: Which budget.
            state: The state in which it is exhausted.
            instant: The instant of the verification.
            exhausted_seconds: How long it remains exhausted.

        Returns:
            The event, if this is the first refusal of its window.
        """
        self.refusals[reason] += 1
        if state.refresh is None:
            self._exhausted_in[reason] = state
        if instant.seconds_until(self._reported_until[reason]):
            return []
        self._reported_until[reason] = instant.plus(exhausted_seconds)
        return [BudgetExhausted(issuers=self._issuers, budget=_NAMES[reason], retry_after_seconds=exhausted_seconds)]
