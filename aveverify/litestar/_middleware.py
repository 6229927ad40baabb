"""Litestar: the middleware that verifies tokens and fills `connection.user` and `connection.auth`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from aveverify import asgi
from aveverify._core.identity import Identity
from aveverify._core.provider_checks import check_flag
from aveverify._http.app_user import LoadUser, RefusedUser, find_user
from aveverify._http.asgi_response import introduce, refuse_user
from aveverify._http.auth_options import AuthOptions
from aveverify._http.auth_record import record_outcome
from aveverify._http.caching import refuse_unmarked
from aveverify._http.exempt_paths import ExemptPaths
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.option_checks import check_app, check_function
from aveverify._http.policy import make_policy
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import granted_scopes
from aveverify.errors import InvalidRequestError
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.litestar._answers import OWN_MEMBERS, answer_refused
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._marked_requests import EXEMPT_MARK, OPTIONAL_MARK, is_marked

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from aveverify._http.policy import Denial
    from aveverify.verifier import Verifier


class _PolicyMiddleware(asgi.PolicyMiddleware):
    own = OWN_MEMBERS

    async def refuse(self, denial: Denial, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer a refused connection by the exception handlers of its route."""
        await answer_refused(self._policy, denial, scope, receive, send)


class AveAuthMiddleware:
    """Verifies the token of every request and WebSocket, and fills `connection.user` and `connection.auth`.

    It does for Litestar what `aveverify.asgi.AveAuthMiddleware` does, on any layer:
    `middleware=[AveAuthMiddleware.define(verifier, required=True)]`. `connection.user` is the identity, or what
    `load_user` returns, and None for an anonymous request; `connection.auth` is the set of the token's scopes. A
    handler with `exclude_from_auth=True` needs no credentials; its requests are anonymous, and nothing is read. One
    with `optional_auth=True` may be asked without, where all others require them.

    A refused request is answered by the exception handlers of its route, as a `RefusedError`, else as RFC 6750 demands.
    For the refusals of guards and dependencies, and for `on_invalid="defer"`, that needs `exception_handlers`, too;
    otherwise their body is Litestar's. `AveAuthPlugin` installs both.

    Args:
        app: The application behind it.
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused. There is no default.
        close_expired: Whether a WebSocket is closed (code 3000) when its token expires.
        load_user: Returns the application's user of an identity; a coroutine function is awaited. None
            (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`), refuses the token.
        options: All other options: `aveverify.asgi.AuthOptions`. `cache_headers` is always True here: Litestar has a
            cache of its own.

    Raises:
        ConfigurationError: An argument is not what it must be; the error names it.

    Source: RFC 6750; HTP-026; HTP-044; HTP-050.
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
        check_app(app, "ASGI")
        check_function("load_user", load_user)
        self._app: asgi.ASGIApp = app  # type: ignore[assignment] # Litestar's scope is a typed dictionary
        self._load_user = load_user
        # HTP-050: Litestar has a cache of its own.
        refuse_unmarked(options.get("cache_headers"), "cache_headers")
        options = {**options, "cache_headers": True}
        # HTP-026: Litestar changes the path before any middleware runs, so the policy cannot decide by it.
        self._exempt = ExemptPaths(options.pop("exempt", ()))
        self._optional = ExemptPaths(options.pop("optional", ()), name="optional")
        self._policy = policy = make_policy(verifier, required=required, **options)
        check_flag("close_expired", close_expired)
        make = partial(_PolicyMiddleware, self._serve, close_expired=close_expired)
        self._middleware = make(policy)
        self._optional_middleware = make(policy._replace(required=False))
        self._exempt_middleware = make(policy.with_every_path_exempt())

    @classmethod
    @refuse_unknown(AuthOptions)
    def define(
        cls,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> Callable[[ASGIApp], AveAuthMiddleware]:
        """Define the middleware for an application, router, controller or handler.

        Litestar's own `DefineMiddleware` does not do: Litestar copies its arguments in depth for each handler of a
        router, and all must share one verifier.

        Args:
            verifier: As for the class, like all that follow.
            required: See there.
            close_expired: See there.
            load_user: See there.
            options: See there.

        Returns:
            An item for the `middleware` of any layer.

        Raises:
            ConfigurationError: An argument is not what it must be; the error names it.

        Example:
            ```python
            api = Router("/api", route_handlers=[me], middleware=[AveAuthMiddleware.define(verifier, required=True)])
            ```
        """
        # Litestar builds the middleware later, with its routes. A mistake raises here, where it was written.
        make_policy(verifier, required=required, **options)
        check_flag("close_expired", close_expired)
        check_function("load_user", load_user)

        def make(app: ASGIApp) -> AveAuthMiddleware:
            return cls(app, verifier, required=required, close_expired=close_expired, load_user=load_user, **options)

        return make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Args:
            scope: The connection.
            receive: Receives the messages of the client.
            send: Sends the messages of the application.
        """
        if is_marked(scope, EXEMPT_MARK, self._exempt):
            serve = self._exempt_middleware
        else:
            headers = scope["headers"]
            if type(headers) is not list and iter(headers) is headers:
                # HTP-045: these headers can be read only once, and Litestar's router has read some of them.
                denial = self._policy.deny(InvalidRequestError())
                record_outcome(scope, self._policy, denial)
                await self._middleware.refuse(denial, scope, receive, send)  # type: ignore[arg-type] # as below
                return
            is_optional = self._policy.required and is_marked(scope, OPTIONAL_MARK, self._optional)
            serve = self._optional_middleware if is_optional else self._middleware
        cache_by_identity(scope)
        await serve(scope, receive, send)  # type: ignore[arg-type] # Litestar's scope is a typed dictionary

    async def _serve(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Load the user behind the identity, and serve the connection, or refuse it."""
        refusal = await introduce(self._load, scope)
        if refusal is not None:
            await refuse_user(self._app, refusal, scope, receive, send, refuse=self._middleware.refuse)
            return
        if scope["type"] == "websocket":
            scope[LIVE_KEY].on_new_user(partial(self._load, scope))
        await self._app(scope, receive, send)

    async def _load(self, scope: asgi.Scope, found: Identity | DeferredError | None) -> Callable[[], None]:
        """Load the user; return what shows it to the application, in the scope, which is this connection's own copy."""
        auth, user = await self._make_user(found)
        members = {"auth": auth, "user": user}
        if scope["type"] == "websocket":
            # HTP-041: once the token has expired, there is no user.
            return partial(scope[LIVE_KEY].show, scope, members, {"auth": frozenset(), "user": None})
        return partial(scope.update, members)

    async def _make_user(self, found: Identity | DeferredError | None) -> tuple[Any, Any]:
        """Return `connection.auth` and `connection.user`."""
        if found is None:
            return frozenset(), None
        if isinstance(found, DeferredError):
            refused = RefusedUser(found)
            return refused, refused
        user = found if self._load_user is None else await find_user(self._load_user, found)
        return frozenset(granted_scopes(found, self._policy.scopes.claims)), user
