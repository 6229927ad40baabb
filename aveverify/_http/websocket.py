"""An open WebSocket and its tokens: it ends with its token, and a new token extends it.

Knows no framework. HTP-030; HTP-041; HTP-046; HTP-048; CJ-29.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from aveverify._core.identity import Identity
from aveverify._http.asgi_response import deny_websocket
from aveverify._http.auth_record import record_outcome
from aveverify._http.current_identity import serving
from aveverify._http.live_identity import LIVE_KEY, refuse_expired
from aveverify._http.policy import AuthPolicy
from aveverify._http.websocket_channel import ExpiringChannel
from aveverify._http.websocket_escape import close_of, find_refusals
from aveverify.errors import AveVerifyError, ConfigurationError, InvalidTokenError, Problem, Reason

if TYPE_CHECKING:
    from aveverify._http.asgi_types import ASGIApp, Receive, Scope, Send
    from aveverify._http.websocket_scope import LiveScope

# Loads the application's user of a new identity, and returns what shows it; may raise InvalidTokenError.
Meet = Callable[[Identity], Awaitable[Callable[[], None]]]


class LiveConnection(ExpiringChannel):
    """A WebSocket behind the middleware; `get_live_connection` gives it.

    From the `exp` of the token, checked by the clock at every message, the connection has no user, its application
    receives `websocket.disconnect` (code 3000) and nothing else, and the client is sent a close (code 3000).

    Attributes:
        policy: The rules that every further token must meet; None until the first dependency adds them.
        refused: What is raised when the application sends something after the end.

    Args:
        identity: The user when the WebSocket was opened.
        policy: The rules that every further token must meet; None where the first dependency adds them.
        receive: Gives the messages of the server.
        send: Takes messages for the server.
        closes: Whether the connection ends by itself when its token expires. Otherwise it goes on without a user, until
            `until_expired` or a new token.
        answer_protocol: What the acceptance names where the application chooses no protocol; None names nothing.
        outer: The connection of a middleware in front, whose token must be good, too.
    """

    __slots__ = ("_further", "_further_ends_at", "_is_joined", "_meet", "_outer", "_too_late")

    def __init__(  # noqa: PLR0913 - the six of a connection, and the connection in front
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
        super().__init__(identity, policy, receive, send, closes=closes)
        self._answer_protocol = answer_protocol
        self._outer = outer if isinstance(outer, LiveConnection) else None
        # Whether the user came by a dependency, and not by the rules of the middleware.
        self._is_joined = False
        # The rules behind the middleware, and when the first of the tokens expires that only they have seen.
        self._further: list[AuthPolicy] = []
        self._further_ends_at = inf
        self._meet: Meet | None = None
        # What is raised for a new token after the end of the last one.
        self._too_late: ConfigurationError | None = None

    @property
    def in_front(self) -> Identity | None:
        """The user by the rules of the middleware alone; for the dependencies behind it."""
        return None if self._is_joined else self.identity

    @property
    def _expires_at(self) -> float:
        return min(self._further_ends_at, super()._expires_at)

    def find_fault(self) -> Reason | None:
        """Return why the connection has no user any longer; None while it may have one."""
        fault = super().find_fault()
        return self._outer.find_fault() if fault is None and self._outer is not None else fault

    def on_new_user(self, meet: Meet) -> None:
        """Register what a framework, which keeps a user of its own, does before the connection has a new user.

        Args:
            meet: Loads the user of an identity and returns what shows it to the application; may raise
                `InvalidTokenError`.
        """
        self._meet = meet

    async def reauthenticate(self, token: str | bytes, *, allow_other_user: bool = False) -> Identity:
        """Go on under a new token, until that one expires.

        An error leaves the connection as it was. A refusal that escapes the application closes it: with code 3000 for a
        token, 1008 for a scope, 1013 for unavailable keys.

        Args:
            token: The compact token, for instance out of a message of the client.
            allow_other_user: Whether it may be another user's. An anonymous connection may become any user's.

        Returns:
            The identity, which `get_user_identity` gives from here on.

        Raises:
            InvalidTokenError: The token is refused, or has expired (there is no leeway here), or is another user's, or
                `load_user` of the middleware knows no such user any longer.
            InsufficientScopeError: It lacks a scope that the middleware, or a dependency behind it, asks for.
            KeysUnavailableError: The keys are unavailable.
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
            # HTP-046: what the middleware in front shows, and its loader, are of the same user.
            await outer.reauthenticate(token, allow_other_user=allow_other_user)
        # Another token may have come meanwhile, or the end.
        self._check_change(identity, allow_other_user=allow_other_user)
        refuse_expired(identity, policy.verifier)
        self._is_joined = False
        self._become(identity, introduce)
        return identity

    def _check_open(self) -> None:
        if self._find_end():
            if self._too_late is None:
                self._too_late = ConfigurationError(Problem.CLOSED, "the connection")
            raise self._too_late.with_traceback(None)
        if self._is_over:
            raise ConfigurationError(Problem.CLOSED, "the connection")

    def _check_change(self, identity: Identity, *, allow_other_user: bool) -> None:
        self._check_open()
        known = self._identity
        if known is not None and not allow_other_user and not _is_same_user(known, identity):
            raise InvalidTokenError(Reason.OTHER_USER, rule="HTP-030", kind=identity.provider.kind)

    async def add_identity(self, identity: Identity | None, policy: AuthPolicy) -> None:
        """Add the identity of a token that a dependency, or a middleware behind this one, has verified.

        Where the connection has no user yet, it becomes this one's. The connection ends with that token in any case,
        and a further token must meet these rules, too.

        Args:
            identity: The user; None where the request carries no token there and needs none.
            policy: The rules of the dependency or middleware.

        Raises:
            InvalidTokenError: The token has expired (there is no leeway here), or the framework knows no user of that
                identity.
        """
        if identity is not None:
            refuse_expired(identity, policy.verifier)
        if self.policy is None:
            self.policy, self._verifier = policy, policy.verifier
        # A token of another issuer does not come by `reauthenticate`; two verifiers may know one issuer.
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

    def _become(self, identity: Identity, introduce: Callable[[], None] | None) -> None:
        self._show_new(identity, introduce)
        self._wake()

    def _is_user(self, identity: Identity | None) -> bool:
        known = self._identity
        return known is not None and identity is not None and _is_same_user(known, identity)

    async def close_after(self, error: Exception, scope: Scope, policy: AuthPolicy) -> bool:
        """End the connection after an exception has escaped its application; for middlewares.

        A refusal, of whatever token, ends it: before it is accepted with the response to the refusal, where the server
        can send one, else with a close. So the application need not catch what `reauthenticate` raises. Once the token
        has ended the connection, an exception that says so is the normal end.

        Args:
            error: The exception.
            scope: The connection.
            policy: The rules whose log and response tell of a refusal, where no dependency has added any.

        Returns:
            Whether the exception is dealt with; a failure of the application is not.
        """
        if self._tasks is None:
            # Neither asyncio nor trio: nothing can be closed there.
            return False
        ends = (self.refused, self._too_late)
        refusals = find_refusals(error, ends, has_ended=self._ended_by is not None)
        if refusals:
            await self._refuse(refusals[0], scope, self.policy or policy)
        return refusals is not None

    async def _refuse(self, refusal: AveVerifyError, scope: Scope, policy: AuthPolicy) -> None:
        denial = policy.deny(refusal)
        record_outcome(scope, policy, denial)
        if self._is_over or self._is_accepted:
            self._close(close_of(refusal))
            return
        self._end_quietly()
        # The client may be gone.
        with suppress(Exception):
            if self._is_opening:
                await self._receive()
            await deny_websocket(denial.response, scope, self._send)

    async def finish(self) -> None:
        """End what the connection has begun: the application has returned; for the middleware."""
        self._meet = self._too_late = None
        await super().finish()


def _is_same_user(one: Identity, two: Identity) -> bool:
    # SEC-08: both parts, not the joined text.
    return (one.issuer, one.subject) == (two.issuer, two.subject)


async def serve_live(app: ASGIApp, scope: LiveScope, live: LiveConnection, policy: AuthPolicy) -> None:
    """Serve a WebSocket, whose scope leads to its `LiveConnection` from here on.

    Args:
        app: The application.
        scope: The connection, as the application sees it.
        live: The connection; its end is that of the application.
        policy: As for `LiveConnection.close_after`.
    """
    scope[LIVE_KEY] = live

    async def serve() -> None:
        try:
            with serving(scope):
                await app(scope, live.receive, live.send)
        except Exception as error:
            if not await live.close_after(error, scope, policy):
                raise

    await live.run(serve)
