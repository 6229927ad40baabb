"""Starlette: the middleware with `request.user` and `request.auth`, and a backend for Starlette's own middleware.

`request.user` is the identity, or what `load_user` makes of it; `request.auth` holds "authenticated" and the scopes of
the token, as `requires` asks for them. What comes in, and what a refusal says, is decided elsewhere.
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
# Where Starlette looks for what a request may do, and for its user.
_NAMES: Final = ("auth", "user")


class AveAuthMiddleware:
    """Verifies the token of every request and WebSocket, and fills `request.user` and `request.auth`.

    All that `aveverify.asgi.AveAuthMiddleware` does, for Starlette and what is built on it:
    `Middleware(AveAuthMiddleware, verifier=verifier, required=True)`. An anonymous request has Starlette's
    `UnauthenticatedUser`. While a refusal is deferred, reading anything of `request.user` or `request.auth` raises it.

    Args:
        app: The application behind it.
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        close_expired: Whether a WebSocket is closed (code 3000) when its token expires.
        load_user: Makes the application's user of an identity; a coroutine function is awaited. What it returns
            becomes `request.user`. None (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`),
            refuses the token.
        options: Everything else that an edge can be told: `aveverify._http.policy.AuthOptions`.

    Raises:
        ConfigurationError: An argument is not what it must be.
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
        # First of all, for the edge looks through `_serve` at the application.
        self._app = app
        self._load_user = load_user
        self._edge = asgi.AveAuthMiddleware(
            self._serve, verifier, required=required, close_expired=close_expired, **options
        )
        check_function("load_user", load_user)
        check_app(app, "ASGI")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection.
            receive: Gives the client's messages.
            send: Takes the answer's messages.
        """
        await self._edge(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind in ("http", "websocket"):
            # The scope is this connection's own copy.
            found = scope[IDENTITY_KEY]
            if kind == "http" and (self._load_user is None or not isinstance(found, Identity)):
                # What `introduce` does, less its coroutines: nearly every request comes here.
                scope["auth"], scope["user"] = _show(found, found)
            else:
                refusal = await introduce(self._meet, scope)
                if refusal is not None:
                    await refuse_user(self._app, refusal, scope, receive, send)
                    return
            if kind == "websocket":
                scope[LIVE_KEY].on_new_user(partial(self._meet, scope))
        await self._app(scope, receive, send)

    async def _meet(self, scope: Scope, found: Identity | None) -> Callable[[], None]:
        """Return what makes a user known to the application."""
        user: Any = found
        if self._load_user is not None and found is not None:
            user = await find_user(self._load_user, found)
        members = dict(zip(_NAMES, _show(found, user), strict=True))
        if scope["type"] == "websocket":
            # The token has no user any longer once it has expired.
            return partial(scope[LIVE_KEY].show, scope, members, dict(zip(_NAMES, _show(None, None), strict=True)))
        return partial(scope.update, members)


class _RefusedError(AuthenticationError):
    """What Starlette's middleware hands to `on_error`."""

    def __init__(self, answer: ErrorResponse) -> None:
        super().__init__("refused")
        self.answer = answer


class AveAuthBackend(AuthenticationBackend, Generic[UserT]):
    """Lets Starlette's own `AuthenticationMiddleware` verify tokens.

    `Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)`. Without `on_error` Starlette
    answers 400 to every refusal. Starlette's middleware closes a refused WebSocket (code 1000) and knows nothing of
    what comes later: where WebSockets matter, or `current_identity`, install `AveAuthMiddleware` instead. Where
    credentials are required, it lets no preflight over HTTP/2 pass: Starlette's `CORSMiddleware` in front answers them.

    Args:
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        load_user: As for `AveAuthMiddleware`.
        options: Everything else that an edge can be told: `aveverify._http.policy.AuthOptions`.

    Raises:
        ConfigurationError: An argument is not what it must be.
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
        """Decide who makes a request; for Starlette's middleware.

        Args:
            conn: The request or WebSocket. `get_user_identity` finds the identity there afterwards.

        Returns:
            What it may do and who it is; None for an anonymous request.

        Raises:
            AuthenticationError: It is refused; `on_error` has the answer.
        """
        scope = conn.scope
        policy = self._policy
        known = find_cached_identity(policy.cached_identity, scope)
        outcome, user = (known, known) if known and self._load_user is None else await self._decide(scope, known)
        if isinstance(outcome, Preflight):
            # HTP-027: nothing here can take such a body away from the application.
            if may_hide_body(scope):
                raise _RefusedError(policy.deny(None).response)
            outcome = None
        if isinstance(outcome, Denial):
            raise _RefusedError(outcome.response)
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

    async def _follow(self, scope: Scope, found: Identity | None) -> None:
        """Let `get_user_identity` know a WebSocket's user no longer than the token is good."""
        live = scope.get(LIVE_KEY)
        if not isinstance(live, LiveConnection):
            scope[LIVE_KEY] = LiveIdentity(found, self._policy.verifier)
            return
        try:
            await live.add_identity(found, self._policy)
        except REFUSALS as error:
            raise _RefusedError(self._policy.deny(error).response) from None

    def on_error(self, conn: HTTPConnection, error: Exception) -> Response:  # noqa: ARG002 - Starlette passes both
        """Answer a refusal by the contract; for Starlette's middleware.

        Args:
            conn: The request.
            error: What `authenticate` raised.

        Returns:
            The answer.
        """
        if not isinstance(error, _RefusedError):
            raise error
        return _respond(error.answer)

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
    """What somebody may do: read from the token's claims when it is asked for, not at every request."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return [AUTHENTICATED, *granted_scopes(self._identity)]


def _show(found: Identity | DeferredError | None, user: Any) -> tuple[Any, Any]:  # noqa: ANN401 - the application's own
    """Return what becomes `request.auth` and `request.user`."""
    if isinstance(found, Identity):
        return _Credentials(found), user
    if found is None:
        return AuthCredentials(), UnauthenticatedUser()
    refused = RefusedUser(found)
    return refused, refused


async def _answer_escaped(conn: HTTPConnection, error: Exception) -> Response:
    response = find_deferred_response(conn.scope, error)
    if response is None:
        raise error
    return _respond(response)


def _respond(answer: ErrorResponse) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))


# For `Starlette(exception_handlers=exception_handlers)`: answers deferred refusals that escape a view by the contract.
# Behind `AveAuthBackend` nothing else does; behind `AveAuthMiddleware` it is needed only where other middleware in
# between would make something of exceptions.
exception_handlers: Final[Mapping[Any, Callable[[Any, Exception], Any]]] = dict.fromkeys(REFUSALS, _answer_escaped)
