"""The messages of a WebSocket, and its end: when its token expires, its application and its client are disconnected.

Knows the messages of ASGI and the event loops of asyncio and trio, and no framework. HTP-041; HTP-048; CJ-29;
RFC 6455 §7.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aveverify._event_loops import find_event_loop
from aveverify._http.websocket_shown import ShownIdentity
from aveverify.errors import InvalidTokenError, Reason

if TYPE_CHECKING:
    from types import ModuleType

    import anyio.abc

    from aveverify._core.identity import Identity
    from aveverify._http.asgi_types import Message, Receive, Send
    from aveverify._http.policy import AuthPolicy

# IANA's registry of WebSocket close codes: Unauthorized.
UNAUTHORIZED_CLOSE_CODE: Final = 3000
_CLOSE_REASONS: Final[dict[Reason, str]] = {
    Reason.EXPIRED: "the token has expired",
    Reason.CLOCK_UNUSABLE: "the token can no longer be checked",
}
# A suspended machine or a clock that was set: the clock is read at least so often.
_LONGEST_SLEEP_SECONDS: Final = 30.0
# How long a server may take to send the close, and the client to answer it, once the application has returned.
_LONGEST_CLOSE_SECONDS: Final = 10.0
_LONGEST_ANSWER_SECONDS: Final = 1.0


def load_anyio() -> ModuleType:
    """Return anyio, which httpx needs, too. It is heavy, and only WebSockets need it here."""
    import anyio  # noqa: PLC0415 - as said above

    return anyio


class _Closing(NamedTuple):
    """A close that a task of its own sends.

    Attributes:
        began: Set when the server has got it.
        ended: Set when the server has sent it.
    """

    began: anyio.Event
    ended: anyio.Event


class ExpiringChannel(ShownIdentity):
    """Passes messages between server and application until the token expires.

    Attributes:
        policy: The rules that every further token must meet; None until the first dependency adds them.
        refused: What `send` raises when the application sends something after the end.

    Args:
        identity: The user when the WebSocket was opened.
        policy: As above.
        receive: Gives the messages of the server.
        send: Takes messages for the server.
        closes: Whether the connection ends by itself when its token expires.
    """

    __slots__ = (
        "_answer_protocol",
        "_changed",
        "_closes",
        "_closing",
        "_ended_by",
        "_is_accepted",
        "_is_opening",
        "_is_over",
        "_receive",
        "_receiving",
        "_send",
        "_tasks",
        "policy",
        "refused",
    )

    def __init__(
        self,
        identity: Identity | None,
        policy: AuthPolicy | None,
        receive: Receive,
        send: Send,
        *,
        closes: bool,
    ) -> None:
        super().__init__(identity, None if policy is None else policy.verifier)
        self.policy = policy
        self.refused: ConnectionError | None = None
        self._receive = receive
        self._send = send
        self._closes = closes
        # What the acceptance names where the application chooses no protocol; None names nothing.
        self._answer_protocol: str | None = None
        # Why its token ended it; and whether the server needs no close any longer: it was sent one, or the client left.
        self._ended_by: Reason | None = None
        self._is_over = False
        # Whether the application has seen nothing yet of the handshake.
        self._is_opening = True
        self._is_accepted = False
        # What runs beside the application; None outside of asyncio and trio.
        self._tasks: anyio.abc.TaskGroup | None = None
        self._closing: _Closing | None = None
        # What waits for an earlier or later end, and for a message.
        self._changed: set[anyio.Event] = set()
        self._receiving: set[anyio.CancelScope] = set()

    def find_fault(self) -> Reason | None:
        """Return why the connection has no user any longer; None while it may have one."""
        return super().find_fault() if self._ended_by is None else self._ended_by

    async def until_expired(self) -> None:
        """Wait until the token has expired, and close the connection (code 3000) if it is still open.

        Of several tokens, which several middlewares or dependencies have verified, the first to expire counts. A token
        of `reauthenticate` takes the place of the middleware's. The clock is read at least every thirty seconds; one
        that gives no usable time ends the connection. It returns, too, when the connection ends otherwise.

        Source: CJ-29: at `exp`, without leeway. HTP-048.
        """
        anyio = load_anyio()
        while not self._is_over:
            fault = self.find_fault()
            if fault is not None:
                self._end(fault)
                break
            changed = anyio.Event()
            self._changed.add(changed)
            try:
                with anyio.move_on_after(min(_LONGEST_SLEEP_SECONDS, self._rest_seconds() or 0.0)):
                    await changed.wait()
            finally:
                self._changed.discard(changed)
        if self._closing is not None:
            await self._closing.began.wait()

    def _end_quietly(self) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        for changed in self._changed:
            changed.set()

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
        self._close(self._end_of_token)

    def _close(self, close: Message) -> None:
        """Let the server send a close, if it still needs one.

        A server may wait for the client's answer before it returns. No message may wait for that.
        """
        if self._is_over or self._tasks is None:
            return
        self._end_quietly()
        anyio = load_anyio()
        self._closing = _Closing(anyio.Event(), anyio.Event())
        self._tasks.start_soon(self._send_close, close, self._closing)

    async def _send_close(self, close: Message, closing: _Closing) -> None:
        closing.began.set()
        # The client may be gone: each server says so by an error of its own, and the connection is over either way.
        with suppress(Exception):
            await self._send({"type": "websocket.close", **close})
        closing.ended.set()

    async def receive(self) -> Message:
        """Pass a message of the server to the application; for the middleware.

        Returns:
            The message; after `exp` a disconnect (code 3000) in its place. The handshake is completed in any case:
            frameworks demand it, and only then is there something to close.
        """
        is_opening, self._is_opening = self._is_opening, False
        if is_opening or not self._find_end():
            message = await self._receive_until_ended()
            kind = message["type"]
            if kind == "websocket.disconnect":
                self._end_quietly()
            if (is_opening and kind == "websocket.connect") or not self._find_end():
                return message
        # The close is on its way before the application hears of it.
        await (load_anyio().sleep(0) if self._closing is None else self._closing.began.wait())
        return {"type": "websocket.disconnect", **self._end_of_token}

    async def _receive_until_ended(self) -> Message:
        """Wait for a message, or for the end of the connection."""
        if self._tasks is None:
            return await self._receive()
        # No task of its own: what cancels the application cancels this.
        with load_anyio().CancelScope() as waiting:
            self._receiving.add(waiting)
            try:
                return await self._receive()
            finally:
                self._receiving.discard(waiting)
        return {"type": "websocket.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a message of the application to the server; for the middleware.

        Raises:
            OSError: The connection has ended because its token expired (ASGI: what is sent after the end).
        """
        kind = message["type"]
        if kind == "websocket.accept" and self._ended_by is None:
            self._is_opening = False
            if self._answer_protocol is not None and not message.get("subprotocol"):
                message = {**message, "subprotocol": self._answer_protocol}
            await self._send(message)
            self._is_accepted = True
            if self._closes and self._tasks is not None:
                self._tasks.start_soon(self.until_expired)
            return
        has_ended = self._find_end()
        if kind == "websocket.close":
            self._end_quietly()
            if has_ended:
                # The client was sent a close, with the code that says why.
                return
        elif has_ended:
            if self.refused is None:
                self.refused = ConnectionError(self._end_of_token["reason"])
            raise self.refused.with_traceback(None)
        await self._send(message)

    @property
    def _end_of_token(self) -> dict[str, Any]:
        return {"code": UNAUTHORIZED_CLOSE_CODE, "reason": _CLOSE_REASONS[self._ended_by or Reason.EXPIRED]}

    async def run(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve the connection, with what runs beside the application; for the middleware.

        Args:
            serve: Runs the application.

        Raises:
            RuntimeError: Neither asyncio nor trio runs, and the connection must be closed when its token expires.
        """
        if find_event_loop() is None:
            if self._closes:
                raise RuntimeError("WebSockets end with their token under asyncio or trio only; or close_expired=False")
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
        self._places.clear()
        if self._closing is not None:
            with load_anyio().move_on_after(_LONGEST_CLOSE_SECONDS):
                await self._closing.ended.wait()
                await self._drop_messages()
            # Also where the task was cancelled before it ran: a task of the application may wait for it.
            self._closing.began.set()

    async def _drop_messages(self) -> None:
        """Wait for the client's answer to the close, and drop what came before it.

        A server that holds back messages until they are received would never read the answer.
        """
        with suppress(Exception), load_anyio().move_on_after(_LONGEST_ANSWER_SECONDS):
            while (await self._receive())["type"] != "websocket.disconnect":
                pass
