"""A connection that its token ends: what WebSockets and streamed responses share, under asyncio and trio.

Knows the messages of ASGI, and no framework. HTP-041; HTP-042; HTP-048.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from aveverify._event_loops import find_event_loop
from aveverify._http.live_request import LiveRequest, load_anyio
from aveverify.errors import InvalidTokenError, Reason

if TYPE_CHECKING:
    import anyio.abc

    from aveverify._core.identity import Identity
    from aveverify._http.asgi_types import Message, Receive, Send
    from aveverify._http.policy import AuthPolicy

# A suspended machine or a clock that was set: the clock is read at least so often.
_LONGEST_SLEEP_SECONDS: Final = 30.0


class EndingConnection(LiveRequest):
    """A connection, and what runs beside its application until the token expires.

    Attributes:
        policy: The rules; None until the first dependency adds them.
        refused: What `send` raises when the application sends something after the end.

    Args:
        identity: The user when the connection began.
        policy: As above.
        receive: Gives the messages of the server.
        send: Takes messages for the server.
        closes: Whether the connection ends by itself when its token expires.
    """

    __slots__ = ("_closes", "_ended_by", "_receive", "_receiving", "_send", "_tasks", "policy", "refused")

    def __init__(
        self, identity: Identity | None, policy: AuthPolicy | None, receive: Receive, send: Send, *, closes: bool
    ) -> None:
        super().__init__(identity, None if policy is None else policy.verifier)
        self.policy = policy
        self.refused: ConnectionError | None = None
        self._receive = receive
        self._send = send
        self._closes = closes
        # Why the token has ended it.
        self._ended_by: Reason | None = None
        # What runs beside the application; None outside of asyncio and trio.
        self._tasks: anyio.abc.TaskGroup | None = None
        # What waits for a message.
        self._receiving: set[anyio.CancelScope] = set()

    def find_fault(self) -> Reason | None:
        """Return why the connection has no user any longer; None while it may have one."""
        return super().find_fault() if self._ended_by is None else self._ended_by

    def _longest_pause_seconds(self) -> float:
        return _LONGEST_SLEEP_SECONDS

    def _has_ended(self) -> bool:
        return self._is_over

    def _find_end(self) -> bool:
        """Tell whether the token has ended the connection; where the clock says so now, end it."""
        if self._ended_by is None and self._closes:
            fault = self.find_fault()
            if fault is not None:
                self._end(fault)
        return self._ended_by is not None

    def _end(self, fault: Reason) -> None:
        """End the connection, without waiting for the client."""
        if fault is Reason.CLOCK_UNUSABLE and self.policy is not None:
            self.policy.log.info("closed: %s", InvalidTokenError(fault, rule="HTP-048"))
        self._ended_by = fault
        for waiting in self._receiving:
            # Its `receive` returns: what the server still gives is no message of a user.
            waiting.cancel()

    def _refuse_message(self, reason: str) -> ConnectionError:
        """Return what is raised when the application sends something after the end."""
        if self.refused is None:
            self.refused = ConnectionError(reason)
        return self.refused.with_traceback(None)

    async def _receive_until_ended(self) -> Message | None:
        """Wait for a message; None where the connection ends before it comes."""
        if self._tasks is None:
            return await self._receive()
        # No task of its own: what cancels the application cancels this.
        with load_anyio().CancelScope() as waiting:
            self._receiving.add(waiting)
            try:
                return await self._receive()
            finally:
                self._receiving.discard(waiting)
        return None

    async def run(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve the connection, with what runs beside the application; for the middleware.

        Args:
            serve: Runs the application.

        Raises:
            RuntimeError: Neither asyncio nor trio runs, and the connection must be ended when its token expires.
        """
        if find_event_loop() is None:
            if self._closes:
                raise RuntimeError("what ends with its token is served under asyncio and trio only")
            await self._serve(serve)
            return
        anyio = load_anyio()
        failure: BaseException | None = None
        async with anyio.create_task_group() as self._tasks:
            try:
                await self._serve(serve)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised below, where no group of tasks wraps it
                failure = error
            self._tasks.cancel_scope.cancel()
        if failure is not None:
            try:
                raise failure
            finally:
                # Its traceback has this frame.
                del failure

    async def _serve(self, serve: Callable[[], Awaitable[None]]) -> None:
        try:
            await serve()
        finally:
            await self.finish()

    async def finish(self) -> None:
        """End what the connection has begun: the application has returned; for the middleware."""
        self._end_quietly()
        self.refused = None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, or those in the groups of tasks that it is.

    Args:
        error: What has escaped an application.

    Yields:
        Each exception that is no group.
    """
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error
