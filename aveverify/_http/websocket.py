"""An open WebSocket: it ends with its token, and a new token extends it.

Knows the messages of ASGI and asyncio, and no framework. HTP-030; HTP-041; HTP-046; HTP-048; CJ-29; RFC 6455 §7.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from aveverify._core.identity import Identity
from aveverify._http.asgi_types import ASGIApp, Message, Receive, Scope, Send
from aveverify._http.current_identity import serving
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity, refuse_expired
from aveverify._http.policy import AuthPolicy
from aveverify._http.request_identity import scope_or_environ
from aveverify._http.websocket_scope import LiveDict, LiveValue
from aveverify.errors import ConfigurationError, InvalidTokenError, Problem, Reason

if TYPE_CHECKING:
    import asyncio

# asyncio is heavy. A connection imports it when it begins to wait: where there is one, it is loaded already.

# IANA's registry of WebSocket close codes: Unauthorized.
UNAUTHORIZED_CLOSE_CODE: Final = 3000
_CLOSE_REASONS: Final[dict[Reason, str]] = {
    Reason.EXPIRED: "the token has expired",
    Reason.CLOCK_UNUSABLE: "the token can no longer be checked",
}
# A suspended machine or a clock that was set: the end of a token is looked for at least so often.
_LONGEST_SLEEP_SECONDS: Final = 30.0
# How long a server may take to send the close, and the client to answer it, once the application has returned.
_LONGEST_CLOSE_SECONDS: Final = 10.0
_LONGEST_ANSWER_SECONDS: Final = 1.0


class LiveConnection(LiveIdentity):
    """A WebSocket behind the middleware; `get_live_connection` gives it.

    From the `exp` of the token, checked by the clock at every message, the connection has no user, its application
    receives `websocket.disconnect` (code 3000) and nothing else, and the client is sent a close (code 3000).

    Attributes:
        policy: The rules that every further token has to meet; None until the first dependency brings them.
        refused: What the application is told when it sends something after the end.

    Args:
        identity: The user when the WebSocket was opened.
        policy: The rules that every further token has to meet; None where the first dependency brings them.
        receive: Gives the messages of the server.
        send: Takes messages for the server.
        closes: Whether the connection ends when its token expires, without being asked. Otherwise it goes on without
            a user, until `until_expired` or a new token.
        answer_protocol: What the acceptance names where the application chooses no protocol; None names nothing.
        outer: The connection of a middleware in front, whose token has to be good, too.
    """

    __slots__ = (
        "_absent",
        "_answer_protocol",
        "_changed",
        "_closes",
        "_closing",
        "_ended_by",
        "_further",
        "_further_ends_at",
        "_is_joined",
        "_is_opening",
        "_is_over",
        "_meet",
        "_outer",
        "_places",
        "_receive",
        "_receiving",
        "_send",
        "_shown",
        "_watcher",
        "policy",
        "refused",
    )

    def __init__(  # noqa: PLR0913 - what the middleware knows
        self,
        identity: Identity | None,
        policy: AuthPolicy | None,
        receive: Receive,
        send: Send,
        *,
        closes: bool,
        answer_protocol: str | None = None,
        outer: object = None,
    ) -> None:
        super().__init__(identity, None if policy is None else policy.verifier)
        self.policy = policy
        self._receive = receive
        self._send = send
        self._closes = closes
        self._answer_protocol = answer_protocol
        self._outer = outer if isinstance(outer, LiveConnection) else None
        # Why its token ended it; and whether the server needs no close any longer: it was sent one, or the client left.
        self._ended_by: Reason | None = None
        self._is_over = False
        # Whether the application has seen nothing yet of the handshake.
        self._is_opening = True
        # Whether the user came by a dependency, and not by the rules of the middleware.
        self._is_joined = False
        # The rules of edges behind the middleware, and when the first of the tokens expires that only they have seen.
        self._further: list[AuthPolicy] = []
        self._further_ends_at = inf
        # What the framework shows of the user, what in the place of one, and where.
        self._shown: dict[str, Any] = {"identity": identity}
        self._absent: dict[str, Any] = {"identity": None}
        self._places: list[tuple[Scope, str, str]] = []
        self._watcher: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        # What waits for an earlier or later end, and for a message.
        self._changed: set[asyncio.Event] = set()
        self._receiving: set[asyncio.Timeout] = set()
        self._meet: Callable[[Identity], Awaitable[Callable[[], None]]] | None = None
        self.refused: ConnectionError | None = None

    # --- who it is ---------------------------------------------------------------------------------------------------

    @property
    def in_front(self) -> Identity | None:
        """The user by the rules of the middleware alone; for the dependencies behind it."""
        return None if self._is_joined else self.identity

    @property
    def _expires_at(self) -> float:
        return min(self._further_ends_at, super()._expires_at)

    def find_fault(self) -> Reason | None:
        """Return why the connection has no user any longer; None while it may have one."""
        if self._ended_by is not None:
            return self._ended_by
        fault = super().find_fault()
        return self._outer.find_fault() if fault is None and self._outer is not None else fault

    def show(self, scope: Scope, members: dict[str, Any], absent: dict[str, Any]) -> None:
        """Let a scope show what a framework makes of the user; for its middleware.

        Args:
            scope: The framework's scope.
            members: What it makes of the present user, by the name of the member.
            absent: What it shows where there is no user.
        """
        self._shown |= members
        self._absent |= absent
        for name in members:
            self.show_in(scope, name, name)

    def on_new_user(self, meet: Callable[[Identity], Awaitable[Callable[[], None]]]) -> None:
        """Register what a framework, which keeps a user of its own, does before the connection has a new user.

        Args:
            meet: Loads the user of an identity and returns what shows it to the application; may raise
                `InvalidTokenError`.
        """
        self._meet = meet

    def show_in(self, mapping: Scope, key: str, name: str = "identity") -> None:
        """Let a scope, or its state, show a member of the present user, by whatever token that changes.

        Args:
            mapping: The scope or its state.
            key: The key there.
            name: What to show.
        """
        place = (mapping, key, name)
        if not any(known[0] is mapping and known[1] == key for known in self._places):
            self._places.append(place)
        self._fill(*place)

    def _fill(self, mapping: Scope, key: str, name: str) -> None:
        # None stays None: nothing that stands for it could pass for it (`is None`) in a copy.
        mapping[key] = None if self._shown[name] is None else LiveValue(partial(self._look, name))

    def _look(self, name: str) -> Any:  # noqa: ANN401 - the framework's own
        return (self._absent if self.has_expired else self._shown)[name]

    def _become(self, identity: Identity, introduce: Callable[[], None] | None) -> None:
        if introduce is not None:
            introduce()
        self._identity = self._shown["identity"] = identity
        for place in self._places:
            self._fill(*place)
        self._wake()

    # --- further tokens ----------------------------------------------------------------------------------------------

    async def reauthenticate(self, token: str | bytes, *, allow_other_user: bool = False) -> Identity:
        """Go on under a new token, until that one expires.

        Args:
            token: The compact token, for instance out of a message of the client.
            allow_other_user: Whether it may be another user's. An anonymous connection may become any user's.

        Returns:
            The identity, which `get_user_identity` gives from here on.

        Raises:
            InvalidTokenError: The token is refused, or has expired (there is no leeway here), or is another user's, or
                `load_user` of the middleware knows no such user any longer. The connection goes on as it was.
            InsufficientScopeError: It lacks a scope that the middleware, or a dependency behind it, asks for. The
                connection goes on as it was.
            KeysUnavailableError: The keys are unavailable. The connection goes on as it was.
            ConfigurationError: The connection has ended, or there are no rules: neither a middleware nor a dependency
                has looked for a token.

        Source: HTP-030: a change of user is explicit.
        """
        self._check_open()
        policy = self.policy
        if policy is None:
            raise ConfigurationError(Problem.NO_MIDDLEWARE, "the WebSocket")
        identity = await policy.authenticate_async(token)
        self._check_change(identity, allow_other_user=allow_other_user)
        for further in self._further:
            await further.authorize_async(identity)
        introduce = None if self._meet is None else await self._meet(identity)
        outer = self._outer
        if outer is not None and outer.policy is not None and outer.policy.verifier is policy.verifier:
            # HTP-046: what the edge in front shows, and its loader, are of the same user.
            await outer.reauthenticate(token, allow_other_user=allow_other_user)
        # Another token may have come meanwhile, or the end.
        self._check_change(identity, allow_other_user=allow_other_user)
        refuse_expired(identity, policy.verifier)
        self._is_joined = False
        self._become(identity, introduce)
        return identity

    def _check_open(self) -> None:
        if self._find_end() or self._is_over:
            raise ConfigurationError(Problem.CLOSED, "the connection")

    def _check_change(self, identity: Identity, *, allow_other_user: bool) -> None:
        self._check_open()
        known = self._identity
        if known is not None and not allow_other_user and not _is_same_user(known, identity):
            raise InvalidTokenError(Reason.OTHER_USER, rule="HTP-030", kind=identity.provider.kind)

    async def add_identity(self, identity: Identity | None, policy: AuthPolicy) -> None:
        """Take over what an edge behind the middleware has found.

        Where there is no user yet, the connection is this one's. It ends with that token in any case, and a further
        token has to meet these rules, too.

        Args:
            identity: The user; None where the edge found no token and demands none.
            policy: The rules of the edge.

        Raises:
            InvalidTokenError: The token has expired (there is no leeway here), or the framework knows no user of that
                identity.
        """
        if identity is not None:
            refuse_expired(identity, policy.verifier)
        if self.policy is None:
            self.policy, self._verifier = policy, policy.verifier
        # What another issuer vouches for does not come by `reauthenticate`; two verifiers may know one issuer.
        elif policy not in self._further and (policy.verifier is self.policy.verifier or self._is_user(identity)):
            self._further.append(policy)
        if identity is None:
            return
        introduce = None
        if self._identity is None and self._meet is not None:
            introduce = await self._meet(identity)
        # Another token may have come meanwhile.
        if self._identity is None:
            self._is_joined = True
            self._become(identity, introduce)
        elif identity is not self._identity:
            self._further_ends_at = min(self._further_ends_at, identity.expires_at)
            self._wake()

    def _is_user(self, identity: Identity | None) -> bool:
        known = self._identity
        return known is not None and identity is not None and _is_same_user(known, identity)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def until_expired(self) -> None:
        """Wait until the token has expired, and close the connection (code 3000) if it is still open.

        Of several tokens, by which several edges let a user in, the first to expire counts. A further token takes the
        place of the middleware's. The clock is read at least every thirty seconds; one that gives no usable time ends
        the connection. Where the connection ends otherwise there is nothing left to wait for.

        Source: CJ-29: at `exp`, without leeway. HTP-048.
        """
        from asyncio import Event, shield, timeout  # noqa: PLC0415 - as said above

        changed = Event()
        self._changed.add(changed)
        try:
            while not self._is_over:
                fault = self.find_fault()
                if fault is not None:
                    self._end(fault)
                    break
                changed.clear()
                rest_seconds = self._rest_seconds()
                with suppress(TimeoutError):
                    async with timeout(min(_LONGEST_SLEEP_SECONDS, rest_seconds or 0.0)):
                        await changed.wait()
        finally:
            self._changed.discard(changed)
        if self._closing is not None:
            await shield(self._closing)

    def _be_over(self) -> None:
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
        from asyncio import create_task  # noqa: PLC0415 - as said above

        if fault is Reason.CLOCK_UNUSABLE and self.policy is not None:
            self.policy.log.info("closed: %s", InvalidTokenError(fault, rule="HTP-048"))
        self._ended_by = fault
        for waiting in self._receiving:
            # Its `receive` returns: what the server still gives is no message of a user.
            waiting.reschedule(0.0)
        if not self._is_over:
            self._be_over()
            # A server may wait for the client's answer before it returns. No message may wait for that.
            self._closing = create_task(self._close())

    async def _close(self) -> None:
        # The client may be gone: each server says so by an error of its own, and the connection is over either way.
        with suppress(Exception):
            await self._send({"type": "websocket.close", **self._end_of_token})

    async def _hear_out(self, closing: asyncio.Task[None]) -> None:
        """Wait for the client's answer to the close; what came before it is obeyed by no one.

        A server that holds back what is not received would never read the answer.
        """
        from asyncio import timeout  # noqa: PLC0415 - as said above

        await closing
        with suppress(Exception):
            async with timeout(_LONGEST_ANSWER_SECONDS):
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass

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
                self._be_over()
            if (is_opening and kind == "websocket.connect") or not self._find_end():
                return message
        from asyncio import sleep  # noqa: PLC0415 - as said above

        # The close is on its way before the application hears of it.
        await sleep(0)
        return {"type": "websocket.disconnect", **self._end_of_token}

    async def _receive_until_ended(self) -> Message:
        """Wait for a message, or for the end of the connection."""
        from asyncio import timeout  # noqa: PLC0415 - as said above

        try:
            # Without a limit until the end sets one: no task of its own, and what cancels the application cancels this.
            limit = timeout(None)
        except RuntimeError:
            # Another event loop than asyncio's: a middleware that closes nothing works there, too.
            return await self._receive()
        try:
            async with limit:
                self._receiving.add(limit)
                try:
                    return await self._receive()
                finally:
                    self._receiving.discard(limit)
        except TimeoutError:
            if not limit.expired():
                raise
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
            if self._closes:
                from asyncio import create_task  # noqa: PLC0415 - as said above

                self._watcher = create_task(self.until_expired())
            return
        has_ended = self._find_end()
        if kind == "websocket.close":
            self._be_over()
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

    async def finish(self) -> None:
        """End what the connection has begun: the application has returned; for the middleware."""
        self._be_over()
        self._meet = self.refused = None
        self._places.clear()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._closing is not None:
            from asyncio import create_task, wait  # noqa: PLC0415 - as said above

            hearing = create_task(self._hear_out(self._closing))
            try:
                await wait([hearing], timeout=_LONGEST_CLOSE_SECONDS)
            finally:
                hearing.cancel()


def _is_same_user(one: Identity, two: Identity) -> bool:
    # SEC-08: both parts, not the joined text.
    return (one.issuer, one.subject) == (two.issuer, two.subject)


def _is_only(error: Exception, expected: Exception | None) -> bool:
    """Tell whether an error is the expected one, perhaps in the group of an `asyncio.TaskGroup`."""
    if isinstance(error, ExceptionGroup):
        return all(_is_only(each, expected) for each in error.exceptions)
    return error is expected


async def serve_live(app: ASGIApp, scope: LiveDict, live: LiveConnection) -> None:
    """Serve a WebSocket, whose scope leads to its `LiveConnection` from here on.

    Args:
        app: The application.
        scope: The connection, as the application sees it.
        live: The connection; its end is that of the application.
    """
    scope[LIVE_KEY] = live
    try:
        with serving(scope):
            await app(scope, live.receive, live.send)
    except Exception as error:
        # An application that only sends, and lets this error pass, has ended as it should.
        if not _is_only(error, live.refused):
            raise
    finally:
        await live.finish()


def get_live_connection(websocket: object) -> LiveConnection:
    """Return the connection behind a WebSocket that has passed the middleware.

    Args:
        websocket: A WebSocket with a `scope`, or the scope itself.

    Returns:
        The connection: who it is now, `reauthenticate` and `until_expired`.

    Raises:
        ConfigurationError: No middleware ran.
    """
    carrier = scope_or_environ(websocket)
    found = carrier.get(LIVE_KEY) if isinstance(carrier, MutableMapping) else None
    if not isinstance(found, LiveConnection):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the WebSocket")
    return found
