"""The chunks of a streamed response, which end with the token of the request (`end_expired_streams`).

For WSGI and for frameworks whose responses are iterables. What waits between two synchronous chunks cannot be
interrupted: its next chunk is not sent. Knows asyncio and no framework. HTP-042; HTP-048; CJ-29.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, TypeVar

from aveverify._http.live_identity import LiveIdentity, seconds_until
from aveverify.errors import InvalidTokenError, Reason

if TYPE_CHECKING:
    from aveverify._core.identity import Identity
    from aveverify._http.policy import AuthPolicy

ChunkT = TypeVar("ChunkT", str, bytes)
# A suspended machine or a clock that was set: the clock is read at least so often.
_LONGEST_WAIT_SECONDS: Final = 30.0


class StreamEnd:
    """Decides which chunks of a response are still sent.

    Args:
        identity: The user of the request.
        policy: The rules.
        length: What Content-Length says; None where the response has none.
    """

    __slots__ = ("_expires_at", "_has_begun", "_has_ended", "_identity", "_policy", "length")

    def __init__(self, identity: Identity, policy: AuthPolicy, length: int | None = None) -> None:
        self._identity = LiveIdentity(identity, policy.verifier)
        self._expires_at = identity.expires_at
        self._policy = policy
        self._has_begun = False
        self._has_ended = False
        self.length = length

    def admits(self, chunk: str | bytes) -> bool:
        """Tell whether a chunk is sent: before `exp`, or if it is the whole response.

        Args:
            chunk: The next chunk.

        Returns:
            Whether it is sent; False for a response without a Content-Length, which is complete then.

        Raises:
            BrokenPipeError: It is not sent, and Content-Length promises more: the server must close the connection, so
                that the client sees that a part is missing (RFC 9112 §8). Servers take it for a client that has left.
        """
        is_whole = not self._has_begun and self.length is not None and len(chunk) >= self.length
        self._has_begun = True
        if is_whole or not self.find_end():
            return True
        self.cut_off()
        return False

    def cut_off(self) -> None:
        """Raise the error of `admits`, if Content-Length promises more."""
        if self.length is not None:
            raise BrokenPipeError(errno.EPIPE, "the token has expired")

    def rest_seconds(self) -> float:
        """Return how long a chunk may still come, at most until the clock is to be read again."""
        rest_seconds = seconds_until(self._expires_at, self._policy.verifier)
        return max(0.0, min(_LONGEST_WAIT_SECONDS, rest_seconds or 0.0))

    def find_end(self) -> bool:
        """Tell whether the token has expired, once for good; where the clock fails, too."""
        if not self._has_ended:
            fault = self._identity.find_fault()
            if fault is Reason.CLOCK_UNUSABLE:
                self._policy.log.info("closed: %s", InvalidTokenError(fault, rule="HTP-048"))
            # For good: a clock that is put back brings no user back.
            self._has_ended = fault is not None
        return self._has_ended


class EndingChunks(Iterable[ChunkT]):
    """The chunks of a response, up to the end of the token.

    Args:
        given: The chunks of the application.
        end: Decides about each.
    """

    __slots__ = ("_end", "_given")

    def __init__(self, given: Iterable[ChunkT], end: StreamEnd) -> None:
        self._given: Iterable[ChunkT] = given
        self._end = end

    def __iter__(self) -> Iterator[ChunkT]:
        for chunk in self._given:
            if not self._end.admits(chunk):
                return
            yield chunk

    def close(self) -> None:
        """Close the application's iterable, if it can be closed."""
        if hasattr(self._given, "close"):
            self._given.close()


class EndingAsyncChunks(AsyncIterable[ChunkT]):
    """The chunks of a response under asyncio, up to the end of the token, also of one that is idle.

    Args:
        given: The chunks of the application.
        end: Decides about each.
    """

    __slots__ = ("_end", "_given")

    def __init__(self, given: AsyncIterable[ChunkT], end: StreamEnd) -> None:
        self._given: AsyncIterable[ChunkT] = given
        self._end = end

    async def __aiter__(self) -> AsyncIterator[ChunkT]:
        import asyncio  # noqa: PLC0415 - it is running

        # One context for all chunks, as if one task asked for them.
        context, loop = copy_context(), asyncio.get_running_loop()
        chunks = aiter(self._given)
        try:
            while True:
                step = loop.create_task(_next_of(chunks), context=context)
                try:
                    while not step.done() and not self._end.find_end():
                        await asyncio.wait([step], timeout=self._end.rest_seconds())
                finally:
                    if not step.done():
                        step.cancel()
                        await asyncio.wait([step])
                if step.cancelled():
                    self._end.cut_off()
                    return
                found = step.result()
                if not found or not self._end.admits(found[0]):
                    return
                yield found[0]
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()


async def _next_of(chunks: AsyncIterator[ChunkT]) -> list[ChunkT]:
    """Return the next chunk; nothing where there is none."""
    try:
        return [await anext(chunks)]
    except StopAsyncIteration:
        return []
