"""Starlette: the middleware with `request.user` and `request.auth`, and a backend for Starlette's own middleware.

`request.user` is the identity, or the user that `load_user` returns; `request.auth` holds "authenticated" and the
scopes of the token, for `requires`. `_http` decides which requests pass, and what a refusal says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Generic, Unpack, cast, overload

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, UnauthenticatedUser
from starlette.responses import Response

from aveverify import asgi
from aveverify._core.bearer import ErrorResponse
from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, LoadUserAsync, LoadUserSync, RefusedUser, UserT, find_user
from aveverify._http.asgi_request import AsgiRequest, find_cached_identity
from aveverify._http.asgi_response import find_deferred_response, introduce, may_hide_body, refuse_user
from aveverify._http.authentication import Outcome, Preflight, authenticate_async
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity
from aveverify._http.option_checks import check_app, check_function
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthOptions, Denial, make_policy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.scopes import granted_scopes
from aveverify._http.websocket import LiveConnection
from aveverify.errors import ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_unknown

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aveverify.verifier import Verifier

__all__ = ["AUTHENTICATED", "AveAuthBackend", "AveAuthMiddleware", "exception_handlers"]

# The scope that `requires("authenticated")` asks for. A token that names it in its `scope` claim gains nothing.
AUTHENTICATED: Final = "authenticated"
# Where a scope of Starlette holds the credentials and the user.
_NAMES: Final = ("auth", "user")


class AveAuthMiddleware:
    """Verifies the token of every request and WebSocket, and fills `request.user` and `request.auth`.

    All that `aveverify.asgi.AveAuthMiddleware` does, for Starlette and what is built on it:
    `Middleware(AveAuthMiddleware, verifier=verifier, required=True)`. An anonymous request has Starlette's
    `UnauthenticatedUser`. While a refusal is deferred, reading anything of `request.user` or `request.auth` raises it.

    Args:
        app: The application behind it.
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused; there is no default.
        close_expired: Whether a WebSocket is closed (code 3000) when its token expires.
        load_user: Returns the application's user of an identity, which becomes `request.user`; a coroutine function
            is awaited. None (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`),
            refuses the token.
        options: The options of `aveverify.asgi.AuthOptions`.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.
    """

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        # First of all, for the ASGI middleware finds the prefixes of the application through `_serve`.
        self._app = app
        self._load_user = load_user
        self._middleware = asgi.AveAuthMiddleware(
            self._serve, verifier, required=required, close_expired=close_expired, **options
        )
        check_function("load_user", load_user)
        check_app(app, "ASGI")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection.
            receive: Gives the client's messages.
            send: Takes the messages of the response.
        """
        await self._middleware(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind in ("http", "websocket"):
            # The scope is this connection's own copy.
            outcome = scope[IDENTITY_KEY]
            if kind == "http" and (self._load_user is None or not isinstance(outcome, Identity)):
                # As `introduce`, without its two coroutines: nearly every request comes here.
                scope["auth"], scope["user"] = _show(outcome, outcome)
            else:
                refusal = await introduce(self._meet, scope)
                if refusal is not None:
                    await refuse_user(self._app, refusal, scope, receive, send)
                    return
            if kind == "websocket":
                scope[LIVE_KEY].on_new_user(partial(self._meet, scope))
        await self._app(scope, receive, send)

    async def _meet(self, scope: Scope, identity: Identity | None) -> Callable[[], None]:
        """Load the user of an identity; return what shows it to the application."""
        user: object = identity
        if self._load_user is not None and identity is not None:
            user = await find_user(self._load_user, identity)
        members = dict(zip(_NAMES, _show(identity, user), strict=True))
        if scope["type"] == "websocket":
            # The token has no user any longer once it has expired.
            return partial(scope[LIVE_KEY].show, scope, members, dict(zip(_NAMES, _show(None, None), strict=True)))
        return partial(scope.update, members)


class _DeniedError(AuthenticationError):
    """A refusal on its way through Starlette's middleware to `on_error`."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__("refused")
        self.response = response


class AveAuthBackend(AuthenticationBackend, Generic[UserT]):
    """Lets Starlette's own `AuthenticationMiddleware` verify tokens.

    `Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)`. Without `on_error` Starlette
    answers 400 to every refusal. Starlette's middleware closes a refused WebSocket (code 1000) and knows nothing of
    what comes later: where WebSockets matter, or `current_identity`, install `AveAuthMiddleware` instead. Where
    credentials are required, it lets no preflight over HTTP/2 pass: Starlette's `CORSMiddleware` in front answers them.

    Args:
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused; there is no default.
        load_user: As for `AveAuthMiddleware`.
        options: The options of `aveverify.asgi.AuthOptions`.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.
    """

    @overload
    def __init__(
        self: AveAuthBackend[Identity],
        verifier: Verifier,
        *,
        required: bool,
        load_user: None = None,
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUserAsync[UserT],
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUserSync[UserT],
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        if options.get("cache_headers"):
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, "cache_headers", "AveAuthMiddleware; a backend sees no answers"
            )
        self._policy = make_policy(verifier, required=required, **options)
        check_function("load_user", load_user)
        self._load_user = load_user

    # Starlette's own views never look for more than the members that an Identity has, and a user of the application
    # need not have: the annotation of the base class is narrower than what Starlette does.
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, UserT] | None:  # type: ignore[override]
        """Authenticate a request; Starlette's middleware calls this.

        Args:
            conn: The request or WebSocket. `get_user_identity` finds the identity there afterwards.

        Returns:
            The credentials and the user; None for an anonymous request.

        Raises:
            AuthenticationError: It is refused; `on_error` makes the response.
        """
        scope = conn.scope
        policy = self._policy
        known = find_cached_identity(policy.cached_identity, scope)
        outcome, user = (known, known) if known and self._load_user is None else await self._decide(scope, known)
        if isinstance(outcome, Preflight):
            # HTP-027: nothing here can take such a body away from the application.
            if may_hide_body(scope):
                raise _DeniedError(policy.deny(None).response)
            outcome = None
        if isinstance(outcome, Denial):
            raise _DeniedError(outcome.response)
        if scope["type"] == "websocket" and not isinstance(outcome, DeferredError):
            await self._follow(scope, outcome)
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        scope[IDENTITY_KEY], scope[POLICY_KEY] = outcome, policy
        return None if outcome is None else _show(outcome, user)

    async def _decide(self, scope: Scope, known: Identity | None) -> tuple[Outcome, Any]:
        load_user, user = self._load_user, None

        async def admit(identity: Identity) -> None:
            nonlocal user
            user = identity if load_user is None else await find_user(load_user, identity)

        # The user is loaded before the identity stands anywhere: middleware in front must not find one that is
        # refused (HTP-044).
        outcome = await authenticate_async(
            self._policy, AsgiRequest(scope), required=self._policy.required, known=known, admit=admit
        )
        return outcome, user

    async def _follow(self, scope: Scope, identity: Identity | None) -> None:
        """End the user of a WebSocket with its token, for `get_user_identity` (HTP-041)."""
        live = scope.get(LIVE_KEY)
        if not isinstance(live, LiveConnection):
            scope[LIVE_KEY] = LiveIdentity(identity, self._policy.verifier)
            return
        try:
            await live.add_identity(identity, self._policy)
        except REFUSALS as error:
            raise _DeniedError(self._policy.deny(error).response) from None

    def on_error(self, conn: HTTPConnection, error: Exception) -> Response:
        """Return the response to a refusal; Starlette's middleware calls this.

        Args:
            conn: The request.
            error: What `authenticate` raised.

        Returns:
            The response.
        """
        del conn
        if not isinstance(error, _DeniedError):
            raise error
        return _respond(error.response)

    def get_user(self, conn: HTTPConnection) -> UserT | None:
        """Return `request.user` with its type.

        Args:
            conn: A request that this backend has seen.

        Returns:
            The user; None for an anonymous request.
        """
        user = conn.user
        return None if isinstance(user, UnauthenticatedUser) else cast("UserT", user)


class _Credentials(AuthCredentials):
    """The scopes of a token, read from its claims when they are first needed, not at every request."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return [AUTHENTICATED, *granted_scopes(self._identity)]


def _show(outcome: Identity | DeferredError | None, user: object) -> tuple[Any, Any]:
    """Return what becomes `request.auth` and `request.user`."""
    if isinstance(outcome, Identity):
        return _Credentials(outcome), user
    if outcome is None:
        return AuthCredentials(), UnauthenticatedUser()
    refused = RefusedUser(outcome)
    return refused, refused


async def _answer_escaped(conn: HTTPConnection, error: Exception) -> Response:
    response = find_deferred_response(conn.scope, error)
    if response is None:
        raise error
    return _respond(response)


def _respond(response: ErrorResponse) -> Response:
    return Response(response.body, response.status, dict(response.headers))


# For `Starlette(exception_handlers=exception_handlers)`: makes the response of a deferred refusal that escapes a view.
# Behind `AveAuthBackend` nothing else does; behind `AveAuthMiddleware` it is needed only where other middleware in
# between handles exceptions.
exception_handlers: Final[Mapping[Any, Callable[[Any, Exception], Any]]] = dict.fromkeys(REFUSALS, _answer_escaped)
