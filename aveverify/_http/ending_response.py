"""A response that its token ends, if it goes on until then (`end_expired_streams`).

Without Content-Length the response is completed, with one it is cut off, so that the client sees that a part is
missing. Knows the messages of ASGI, and no framework. HTP-042; HTP-048; CJ-29; RFC 9112 §8.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aveverify._core.identity import Identity
from aveverify._http.ending_connection import EndingConnection, leaves
from aveverify._http.live_request import STREAM_KEY, load_anyio
from aveverify._http.request_identity import IDENTITY_KEY

if TYPE_CHECKING:
    import anyio

    from aveverify._http.asgi_types import ASGIApp, Message, Receive, Scope, Send
    from aveverify._http.policy import AuthPolicy
    from aveverify.errors import Reason

# How long the last message may wait for one that the client has not taken, and how long an application may go on once
# its response is cut off: only its return lets a server close the connection.
_LONGEST_LAST_SECONDS: Final = 1.0
_LAST: Final = {"type": "http.response.body", "body": b"", "more_body": False}
_LAST_TRAILERS: Final = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
_DISCONNECT: Final = {"type": "http.disconnect"}


class EndingResponse(EndingConnection):
    """An HTTP request whose response ends with its token, if it streams: if one message says that more will follow.

    From `exp` the application receives `http.disconnect`, its `send` raises `OSError`, and nothing more of it reaches
    the client. A response that is sent at once is not touched.

    Args:
        identity: The user.
        policy: The rules.
        receive: Gives the client's messages.
        send: Takes the messages of the response.
    """

    __slots__ = ("_has_length", "_has_trailers", "_is_streaming", "_last", "_sending", "_serving")

    def __init__(self, identity: Identity | None, policy: AuthPolicy, receive: Receive, send: Send) -> None:
        super().__init__(identity, policy, receive, send, closes=True)
        self._is_streaming = False
        self._has_length = False
        self._has_trailers = False
        # Held while the server takes a message.
        self._sending: anyio.Lock = load_anyio().Lock()
        # Set when the last message is sent; None where none is due.
        self._last: anyio.Event | None = None
        # Around the application.
        self._serving: anyio.CancelScope = load_anyio().CancelScope()

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Serve the request; for the middleware.

        Args:
            app: The application.
            scope: The request, as the application sees it; leads to this object from here on.
        """
        scope[STREAM_KEY] = self

        async def serve() -> None:
            try:
                with self._serving:
                    await app(scope, self.receive, self.send)
            except Exception as error:
                if not self._is_end(error):
                    raise

        await self.run(serve)

    async def receive(self) -> Message:
        """Pass a message of the client to the application; for the middleware.

        Returns:
            The message; `http.disconnect` once the token has ended the response.
        """
        if self._is_streaming and self._find_end():
            await load_anyio().sleep(0)
            return dict(_DISCONNECT)
        message = await self._receive_until_ended() or dict(_DISCONNECT)
        if message["type"] == _DISCONNECT["type"]:
            self._end_quietly()
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the application to the client; for the middleware.

        Raises:
            OSError: The response has ended because its token expired (ASGI: what is sent after the end).
        """
        kind = message["type"]
        goes_on = kind == "http.response.body" and message.get("more_body", False)
        if kind == "http.response.start":
            self._has_trailers = message.get("trailers", False)
            self._has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
        begins, self._is_streaming = goes_on and not self._is_streaming, goes_on or self._is_streaming
        if not self._is_streaming:
            await self._send(message)
            return
        async with self._sending:
            if self._find_end():
                raise self._refuse_message("the token has expired")
            await self._send(message)
        if kind == "http.response.body" and not goes_on:
            self._end_quietly()
        elif begins and self._tasks is not None:
            self._tasks.start_soon(self._watch)

    async def _watch(self) -> None:
        fault = await self._wait_for_fault()
        if fault is not None and self._ended_by is None:
            self._end(fault)

    def _end(self, fault: Reason) -> None:
        super()._end(fault)
        if not self._is_over and self._tasks is not None:
            self._end_quietly()
            if self._has_length:
                self._tasks.start_soon(self._cut_off)
            else:
                self._last = load_anyio().Event()
                self._tasks.start_soon(self._complete, self._last)

    async def _complete(self, last: anyio.Event) -> None:
        """Send the last message, once the client has taken the one before it; or cut the response off."""
        with load_anyio().move_on_after(_LONGEST_LAST_SECONDS) as patience:
            async with self._sending:
                # The client may be gone.
                with suppress(Exception):
                    await self._send(dict(_LAST))
                    if self._has_trailers:
                        await self._send(dict(_LAST_TRAILERS))
        last.set()
        if patience.cancelled_caught:
            await self._cut_off()

    async def _cut_off(self) -> None:
        """Let the application return, and then make it: the server closes the connection."""
        await load_anyio().sleep(_LONGEST_LAST_SECONDS)
        self._serving.cancel()

    def _is_end(self, error: BaseException) -> bool:
        """Tell whether what has escaped the application is what `send` raised, or what a framework made of it."""
        refused = self.refused
        return refused is not None and all(
            each is refused
            or each.__context__ is refused
            or (each.__cause__ is not None and self._is_end(each.__cause__))
            for each in leaves(error)
        )

    async def finish(self) -> None:
        """End what the response has begun: the application has returned; for the middleware."""
        if self._last is not None:
            with load_anyio().move_on_after(_LONGEST_LAST_SECONDS):
                await self._last.wait()
        await super().finish()


class StreamEndingApp:
    """An application behind a middleware, whose streamed responses end with the token of their request (HTP-042).

    Args:
        app: The application.
        policy: The rules of the middleware.
    """

    def __init__(self, app: ASGIApp, policy: AuthPolicy) -> None:
        self._app = app
        self._policy = policy

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection.

        Args:
            scope: The connection, from the middleware.
            receive: Gives the client's messages.
            send: Takes the messages of the response.

        Returns:
            What is to be awaited.
        """
        identity = scope[IDENTITY_KEY] if scope["type"] == "http" else None
        if not isinstance(identity, Identity):
            # Without a token nothing expires.
            return self._app(scope, receive, send)
        return EndingResponse(identity, self._policy, receive, send).serve(self._app, scope)
