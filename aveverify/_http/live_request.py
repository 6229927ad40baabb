"""The identity of a request whose response goes on, and the end of its token, for which the application can wait.

Knows no framework. HTP-042; HTP-048; CJ-29.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aveverify._http.current_identity import current_identity
from aveverify._http.live_identity import LiveIdentity

if TYPE_CHECKING:
    from types import ModuleType

    import anyio

    from aveverify._core.identity import Identity
    from aveverify.errors import Reason
    from aveverify.verifier import Verifier

# Where the scope of a request holds the `EndingResponse` that serves it.
STREAM_KEY: Final = "aveverify.stream"
# Nothing tells a plain request when it ends, so whatever waits looks so often.
_LONGEST_PAUSE_SECONDS: Final = 1.0


def load_anyio() -> ModuleType:
    """Return anyio, which httpx needs, too. It is heavy, and only what outlives a request needs it here."""
    import anyio  # noqa: PLC0415 - as said above

    return anyio


class LiveRequest(LiveIdentity):
    """A request and the end of its token; `get_live_connection` gives it.

    Args:
        identity: The verified user; None for an anonymous request.
        verifier: Has the clock that counts.
    """

    __slots__ = ("_changed", "_is_over", "_is_served")

    def __init__(self, identity: Identity | None, verifier: Verifier | None) -> None:
        super().__init__(identity, verifier)
        self._is_over = False
        # Whether the context tells when the request ends.
        self._is_served = current_identity.entered() is not None
        # What waits for an earlier or later end.
        self._changed: set[anyio.Event] = set()

    def has_user(self, outcome: object) -> bool:
        """Tell whether the user that a scope shows is that of this request; for `get_live_connection`.

        Args:
            outcome: What stands in the scope: an identity, a deferred refusal, or None.

        Returns:
            Whether it is.
        """
        return outcome is self._identity

    async def until_expired(self) -> None:
        """Wait until the token has expired, by the clock of the verifier; an anonymous request has none.

        The clock is read at least every thirty seconds, and one that gives no usable time counts as the end. It
        returns, too, when the response has ended, and with `end_expired_streams` when the client has left.

        Example:
            ```python
            async def events(request):
                live = get_live_connection(request)
                while not live.has_expired:
                    yield await next_event()
            ```

        Source: CJ-29: at `exp`, without leeway. HTP-042; HTP-048.
        """
        await self._wait_for_fault()

    async def _wait_for_fault(self) -> Reason | None:
        """Wait until there is no user any longer, and return why; None where the request has ended otherwise."""
        anyio = load_anyio()
        while not self._has_ended():
            fault = self.find_fault()
            if fault is not None:
                return fault
            changed = anyio.Event()
            self._changed.add(changed)
            try:
                with anyio.move_on_after(min(self._longest_pause_seconds(), self._rest_seconds() or 0.0)):
                    await changed.wait()
            finally:
                self._changed.discard(changed)
        return None

    def _longest_pause_seconds(self) -> float:
        return _LONGEST_PAUSE_SECONDS

    def _has_ended(self) -> bool:
        """Tell whether the request has ended; by this context, which is emptied then, also in a task that goes on."""
        return self._is_over or (self._is_served and current_identity.entered() is None)

    def _end_quietly(self) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        for changed in self._changed:
            changed.set()
