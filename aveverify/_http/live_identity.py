"""The identity of a WebSocket, which ends at the `exp` of its token, without leeway. CJ-29; HTP-041; HTP-048."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from aveverify._core.identity import Identity
from aveverify.errors import InvalidTokenError, Reason

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

# Where the scope of a WebSocket holds its `LiveIdentity`; behind a middleware that is a `LiveConnection`.
LIVE_KEY: Final = "aveverify.live"


class LiveIdentity:
    """The user of a WebSocket at this moment: none after the `exp` of the token.

    Args:
        identity: The verified user; None for an anonymous WebSocket.
        verifier: Has the clock that counts.

    Source: CJ-29; HTP-041.
    """

    __slots__ = ("_identity", "_verifier")

    def __init__(self, identity: Identity | None, verifier: Verifier | None) -> None:
        self._identity = identity
        self._verifier = verifier

    @property
    def identity(self) -> Identity | None:
        """The user; None for an anonymous WebSocket, and after the `exp` of the token."""
        return None if self.has_expired else self._identity

    @property
    def has_expired(self) -> bool:
        """Whether the token has expired, or the clock gives no usable time."""
        return self.find_fault() is not None

    @property
    def _expires_at(self) -> float:
        return inf if self._identity is None else self._identity.expires_at

    def _rest_seconds(self) -> float | None:
        expires_at = self._expires_at
        # Where nothing can expire no clock is asked.
        return inf if self._verifier is None or expires_at == inf else seconds_until(expires_at, self._verifier)

    def find_fault(self) -> Reason | None:
        """Return why the user does not count any longer: `EXPIRED`, or `CLOCK_UNUSABLE`; None while it does."""
        return _fault_of(self._rest_seconds())


def seconds_until(instant: float, verifier: Verifier) -> float | None:
    """Return how long it is until an instant, by the clock of a verifier.

    Args:
        instant: In seconds since the epoch.
        verifier: Has the clock.

    Returns:
        Seconds, negative for an instant that has passed; None where the clock raises, or shows what is no time, such
        as NaN or a negative number. The caller must treat that as an instant that has passed.

    Source: CLK-003; HTP-048.
    """
    try:
        now = verifier.clock.now()
        return instant - now if 0 <= now < inf else None
    except Exception:  # noqa: BLE001 - on any exception of a clock, the token must not count any longer
        return None


def refuse_expired(identity: Identity, verifier: Verifier) -> None:
    """Refuse a token that may open or extend no WebSocket: the leeway is for single requests.

    Args:
        identity: The user of the token.
        verifier: Has accepted the token, and has the clock.

    Raises:
        InvalidTokenError: The token has expired, or the clock gives no usable time.

    Source: CJ-29: at `exp`, without leeway.
    """
    fault = _fault_of(seconds_until(identity.expires_at, verifier))
    if fault is not None:
        raise InvalidTokenError(fault, rule="CJ-29", kind=identity.provider.kind)


def _fault_of(rest_seconds: float | None) -> Reason | None:
    if rest_seconds is None:
        return Reason.CLOCK_UNUSABLE
    return Reason.EXPIRED if rest_seconds <= 0 else None
