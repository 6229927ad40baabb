"""Starlette: the middleware, which fills `request.user` and `request.auth`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from starlette.applications import Starlette

from aveverify import asgi
from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, find_user
from aveverify._http.asgi_caching import MarkedApp
from aveverify._http.asgi_response import introduce, refuse_user, send_denial
from aveverify._http.auth_options import AuthOptions
from aveverify._http.exempt_paths import find_layers
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.option_checks import check_app, check_function
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify._http.shared_scope import PRIVATE
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.starlette._refusals import find_handled, hide_user
from aveverify.starlette._shown_user import NAMES, show

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aveverify._http.policy import Denial
    from aveverify.verifier import Verifier


_set: Final[Callable[[Any, str, Any], None]] = dict.__setitem__


class _UserMiddleware(asgi.AveAuthMiddleware):
    """The ASGI middleware; the exception handlers of the application may answer what it refuses."""

    own = PRIVATE.union(NAMES)

    @property
    def scope_claims(self) -> tuple[str, ...]:
        """The claims that hold scopes."""
        return self._policy.scopes.claims

    async def refuse(self, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused connection; a WebSocket as the ASGI middleware does."""
        is_http = scope["type"] == "http"
        # The application that this middleware was put around, else the one whose middleware it is.
        app = next((layer for layer in find_layers(self._app) if isinstance(layer, Starlette)), scope.get("app"))
        handled = find_handled(denial, self._policy, app) if is_http else None
        if handled is None:
            await send_denial(denial, scope, receive, send)
            return

        async def answer(inner: Scope, receive: Receive, send: Send) -> None:
            hide_user(inner, denial)
            await handled({**inner, "app": app}, receive, send)

        await self._serve(MarkedApp(answer) if self._policy.marks else answer, None, scope, receive, send)


class AveAuthMiddleware:
    """Verifies the token of every request and WebSocket, and fills `request.user` and `request.auth`.

    All that `aveverify.asgi.AveAuthMiddleware` does, for Starlette and what is built on it:
    `Middleware(AveAuthMiddleware, verifier=verifier, required=True)`. An anonymous request has Starlette's
    `UnauthenticatedUser`. While a refusal is deferred, reading anything of `request.user` or `request.auth` raises it.
    A refused HTTP request reaches the application's exception handlers as `RefusedError`; without one for it, or for
    its status code or HTTPException, the response is that of the ASGI middleware.

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
        self._scope_claims = self._middleware.scope_claims

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
                auth, user = show(outcome, outcome, self._scope_claims)
                _set(scope, "auth", auth)
                _set(scope, "user", user)
            else:
                refusal = await introduce(self._meet, scope)
                if refusal is not None:
                    refuse = self._middleware.refuse
                    await refuse_user(self._app, refusal, scope, receive, send, refuse=refuse)
                    return
            if kind == "websocket":
                scope[LIVE_KEY].on_new_user(partial(self._meet, scope))
        await self._app(scope, receive, send)

    async def _meet(self, scope: Scope, identity: Identity | None) -> Callable[[], None]:
        """Load the user of an identity; return what shows it to the application."""
        user: object = identity
        if self._load_user is not None and identity is not None:
            user = await find_user(self._load_user, identity)
        claims = self._scope_claims
        members = dict(zip(NAMES, show(identity, user, claims), strict=True))
        if scope["type"] == "websocket":
            # The token has no user any longer once it has expired.
            return partial(
                scope[LIVE_KEY].show, scope, members, dict(zip(NAMES, show(None, None, claims), strict=True))
            )
        return partial(scope.update, members)
