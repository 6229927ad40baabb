"""The messages of a WebSocket, and its end: when its token expires, its application and its client are disconnected.

Knows the messages of ASGI and the event loops of asyncio and trio, and no framework. HTP-041; HTP-048; CJ-29;
RFC 6455 §7.4.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aveverify._http.live_request import load_anyio
from aveverify._http.websocket_shown import ShownIdentity
from aveverify.errors import Reason

if TYPE_CHECKING:
    import anyio

    from aveverify._core.identity import Identity
    from aveverify._http.asgi_types import Message, Receive, Send
    from aveverify._http.policy import AuthPolicy

# IANA's registry of WebSocket close codes: Unauthorized.
UNAUTHORIZED_CLOSE_CODE: Final = 3000
_CLOSE_REASONS: Final[dict[Reason, str]] = {
    Reason.EXPIRED: "the token has expired",
    Reason.CLOCK_UNUSABLE: "the token can no longer be checked",
}
# How long a server may take to send the close, and the client to answer it, once the application has returned.
_LONGEST_CLOSE_SECONDS: Final = 10.0
_LONGEST_ANSWER_SECONDS: Final = 1.0


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

    __slots__ = ("_answer_protocol", "_closing", "_is_accepted", "_is_opening")

    def __init__(
        self, identity: Identity | None, policy: AuthPolicy | None, receive: Receive, send: Send, *, closes: bool
    ) -> None:
        super().__init__(identity, policy, receive, send, closes=closes)
        # What the acceptance names where the application chooses no protocol; None names nothing.
        self._answer_protocol: str | None = None
        # Whether the application has seen nothing yet of the handshake.
        self._is_opening = True
        self._is_accepted = False
        self._closing: _Closing | None = None

    async def until_expired(self) -> None:
        """Wait until the token has expired, and close the connection (code 3000) if it is still open.

        Of several tokens, which several middlewares or dependencies have verified, the first to expire counts. A token
        of `reauthenticate` takes the place of the middleware's. The clock is read at least every thirty seconds; one
        that gives no usable time ends the connection. It returns, too, when the connection ends otherwise.

        Source: CJ-29: at `exp`, without leeway. HTP-048.
        """
        fault = await self._wait_for_fault()
        if fault is not None and self._ended_by is None:
            self._end(fault)
        if self._closing is not None:
            await self._closing.began.wait()

    def _end(self, fault: Reason) -> None:
        """End the connection, without waiting for the client."""
        super()._end(fault)
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
            message = await self._receive_until_ended() or {"type": "websocket.disconnect"}
            kind = message["type"]
            if kind == "websocket.disconnect":
                self._end_quietly()
            if (is_opening and kind == "websocket.connect") or not self._find_end():
                return message
        # The close is on its way before the application hears of it.
        await (load_anyio().sleep(0) if self._closing is None else self._closing.began.wait())
        return {"type": "websocket.disconnect", **self._end_of_token}

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
            raise self._refuse_message(self._end_of_token["reason"])
        await self._send(message)

    @property
    def _end_of_token(self) -> dict[str, Any]:
        return {"code": UNAUTHORIZED_CLOSE_CODE, "reason": _CLOSE_REASONS[self._ended_by or Reason.EXPIRED]}

    async def finish(self) -> None:
        """End what the connection has begun: the application has returned; for the middleware."""
        await super().finish()
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
