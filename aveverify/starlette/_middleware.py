"""Starlette: the middleware, which fills `request.user` and `request.auth`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, cast

from aveverify import asgi
from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, find_user
from aveverify._http.asgi_response import introduce, refuse_user
from aveverify._http.auth_options import AuthOptions
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.option_checks import check_app, check_function
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.starlette._shown_user import NAMES, show

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aveverify._http.shared_scope import SharedScope
    from aveverify.verifier import Verifier


class _UserMiddleware(asgi.AveAuthMiddleware):
    own = frozenset(NAMES)


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
        self._middleware = _UserMiddleware(
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
                # As `introduce`, without its two coroutines, and past the methods of the scope, which share what others
                # set: nearly every request comes here.
                auth, user = show(outcome, outcome, scope[POLICY_KEY].scopes.claims)
                dict.update(cast("SharedScope", scope), {"auth": auth, "user": user})
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
        claims = scope[POLICY_KEY].scopes.claims
        members = dict(zip(NAMES, show(identity, user, claims), strict=True))
        if scope["type"] == "websocket":
            # The token has no user any longer once it has expired.
            return partial(
                scope[LIVE_KEY].show, scope, members, dict(zip(NAMES, show(None, None, claims), strict=True))
            )
        return partial(scope.update, members)
