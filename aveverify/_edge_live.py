"""An accepted WebSocket: it ends with its token, and a new token extends it.

Knows the messages of ASGI and asyncio, and no framework. HTP-030; CJ-29; RFC 6455 §7.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Literal

from aveverify._edge import Gate
from aveverify._edge_identity import LIVE_KEY, LiveIdentity, carrier_of
from aveverify.errors import ConfigurationError, InvalidTokenError, Problem, Reason
from aveverify.identity import Identity

if TYPE_CHECKING:
    import asyncio

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# IANA's registry of WebSocket close codes: Unauthorized.
UNAUTHORIZED_CLOSE_CODE: Final = 3000
# A suspended machine or a clock that was set: the end of a token is looked for at least so often.
_LONGEST_SLEEP_SECONDS: Final = 30.0


class LiveConnection(LiveIdentity):
    """A WebSocket behind the middleware; `get_live_connection` gives it.

    Attributes:
        identity: Whoever the latest token vouches for; None while nobody has authenticated.
        follow: Asks the framework, where it keeps a user of its own, for what makes a new one known there; it may
            refuse.

    Args:
        identity: Who it was when the WebSocket was opened.
        gate: The rules that every further token has to meet.
        send: Takes messages for the server.
        closes: Whether the connection is closed when its token expires, without being asked.
        answer_protocol: What the acceptance names where the application chooses no protocol; None names nothing.
    """

    __slots__ = (
        "_answer_protocol",
        "_closes",
        "_ends_at",
        "_further",
        "_gate",
        "_send",
        "_state",
        "_watcher",
        "follow",
    )

    def __init__(
        self, identity: Identity | None, gate: Gate, send: Send, *, closes: bool, answer_protocol: str | None
    ) -> None:
        super().__init__(identity)
        self._gate = gate
        self._send = send
        self._closes = closes
        self._answer_protocol = answer_protocol
        self._state: Literal["open", "expired", "over"] = "open"
        self._watcher: asyncio.Task[None] | None = None
        # The rules of edges behind the middleware that let somebody in, and when the first of those tokens ends.
        self._further: list[Gate] = []
        self._ends_at = float("inf")
        self.follow: Callable[[Identity], Awaitable[Callable[[], None]]] | None = None

    async def reauthenticate(self, token: str | bytes, *, allow_other_user: bool = False) -> Identity:
        """Go on under a new token, until that one expires.

        Args:
            token: The compact token, for instance out of a message of the client.
            allow_other_user: Whether it may be somebody else's. Whoever was anonymous may become anybody.

        Returns:
            The identity, which `get_user_identity` gives from here on.

        Raises:
            InvalidTokenError: The token is refused, or is another user's, or `load_user` of the middleware knows no
                user of it any longer. The connection goes on as it was.
            InsufficientScopeError: It lacks a scope that the middleware, or a dependency behind it, asks for. The
                connection goes on as it was.
            KeysUnavailableError: The keys cannot be had. The connection goes on as it was.
            ConfigurationError: The connection has ended.

        Source: HTP-030: a change of user is explicit.
        """
        identity = await self._gate.admit_async(token)
        self._check_change(identity, allow_other_user=allow_other_user)
        for gate in self._further:
            await gate.vet_async(identity)
        introduce = None if self.follow is None else await self.follow(identity)
        # Another token may have come meanwhile, or the end.
        self._check_change(identity, allow_other_user=allow_other_user)
        if introduce is not None:
            introduce()
        self.identity = identity
        self._watch_anew()
        return identity

    def _check_change(self, identity: Identity, *, allow_other_user: bool) -> None:
        if self._state != "open":
            raise ConfigurationError(Problem.CLOSED, "the connection")
        known = self.identity
        if known is not None and not allow_other_user and not _is_same_user(known, identity):
            raise InvalidTokenError(Reason.OTHER_USER, rule="HTP-030", kind=identity.provider.kind)

    async def join(self, identity: Identity, gate: Gate) -> None:
        """Let in somebody whom an edge behind the middleware has verified.

        Where nobody has authenticated yet, the connection is theirs. It ends with that token in any case, and a
        further token has to meet these rules, too.

        Args:
            identity: Whoever it is.
            gate: The rules by which they came in.

        Raises:
            InvalidTokenError: The framework knows no user of that identity.
        """
        if self.identity is None:
            if self.follow is not None:
                (await self.follow(identity))()
            self.identity = identity
        elif identity is not self.identity:
            self._ends_at = min(self._ends_at, identity.expires_at)
        # What another issuer vouches for does not come by `reauthenticate`.
        if gate.verifier is self._gate.verifier and gate not in self._further:
            self._further.append(gate)
        self._watch_anew()

    def _watch_anew(self) -> None:
        if self._watcher is not None:
            self._watch()

    async def until_expired(self) -> None:
        """Wait until the token has expired, and close the connection (code 3000) if it is still open.

        Of several tokens, by which several edges let somebody in, the first to expire counts. A further token takes the
        place of the middleware's.

        Source: CJ-29: at `exp`, without leeway.
        """
        from asyncio import sleep  # noqa: PLC0415 - heavy, and wherever there is a connection it is loaded already

        while self._state == "open":
            ends_at = self._ends_at if self.identity is None else min(self._ends_at, self.identity.expires_at)
            rest_seconds = min(_LONGEST_SLEEP_SECONDS, ends_at - self._gate.verifier.clock.now())
            if rest_seconds <= 0:
                self._state = "expired"
                await self._send(
                    {"type": "websocket.close", "code": UNAUTHORIZED_CLOSE_CODE, "reason": "the token has expired"}
                )
                return
            await sleep(rest_seconds)

    async def send(self, message: Message) -> None:
        """Pass a message of the application to the server; for the middleware.

        Raises:
            OSError: The connection was closed because its token expired (ASGI: what is sent after the end).
        """
        if self._state == "expired":
            raise ConnectionError
        if message["type"] == "websocket.accept":
            if self._answer_protocol is not None and not message.get("subprotocol"):
                message = {**message, "subprotocol": self._answer_protocol}
            await self._send(message)
            if self._closes:
                self._watch()
            return
        if message["type"] == "websocket.close":
            self._state = "over"
        await self._send(message)

    def end(self) -> None:
        """Stop watching: the application has returned; for the middleware."""
        self._state = "over"
        self.follow = None
        if self._watcher is not None:
            self._watcher.cancel()

    def _watch(self) -> None:
        from asyncio import create_task  # noqa: PLC0415 - as above

        if self._watcher is not None:
            self._watcher.cancel()
        self._watcher = create_task(self.until_expired())


def _is_same_user(one: Identity, two: Identity) -> bool:
    # SEC-08: both parts, not the joined text.
    return (one.issuer, one.subject) == (two.issuer, two.subject)


def get_live_connection(websocket: Any) -> LiveConnection:  # noqa: ANN401 - a WebSocket of any framework
    """Return the connection behind a WebSocket that has passed the middleware.

    Args:
        websocket: A WebSocket with a `scope`, or the scope itself.

    Returns:
        The connection: who it is now, `reauthenticate` and `until_expired`.

    Raises:
        ConfigurationError: No middleware ran.
    """
    carrier = carrier_of(websocket)
    found = carrier.get(LIVE_KEY) if isinstance(carrier, MutableMapping) else None
    if not isinstance(found, LiveConnection):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the WebSocket")
    return found
