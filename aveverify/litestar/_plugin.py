"""Litestar: a plugin that installs everything, the middleware alone, guards, and what OpenAPI says.

`connection.user` is the identity, or what `load_user` makes of it, and None for an anonymous visitor; `connection.auth`
is the set of the token's scopes. What comes in, and what a refusal says, is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from copy import copy
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, Final, Unpack

from litestar import Response, di
from litestar.di import Provide
from litestar.exceptions import HTTPException, WebSocketException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import InitPluginProtocol
from litestar.routes import HTTPRoute

# Litestar reads the annotations of guards and providers when it starts.
from litestar.types import Scope  # noqa: TC002
from litestar.utils.scope.state import ScopeState

from aveverify import asgi
from aveverify._core.bearer import ErrorResponse
from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, RefusedUser, find_user
from aveverify._http.asgi_response import (
    POLICY_VIOLATION,
    find_deferred_response,
    introduce,
    refuse_user,
    send_error_response,
)
from aveverify._http.caching import refuse_unmarked
from aveverify._http.exempt_paths import EVERY_PATH, ExemptPaths
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.openapi import BEARER_DESCRIPTION, BEARER_SCHEME, discovery_urls
from aveverify._http.option_checks import check_app, check_flag, check_function
from aveverify._http.policy import (
    POLICY_KEY,
    REFUSALS,
    AuthOptions,
    AuthPolicy,
    make_policy,
)
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError, get_user_identity
from aveverify._http.scopes import check_scope_list, check_scopes, granted_scopes
from aveverify.errors import AveVerifyError, InsufficientScopeError, InvalidRequestError
from aveverify.errors._unknown_options import refuse_unknown

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.connection import ASGIConnection, Request
    from litestar.handlers import BaseRouteHandler
    from litestar.types import ASGIApp, CacheKeyBuilder, ExceptionHandlersMap, Receive, Send

    from aveverify.verifier import Verifier

# How a handler names its dependencies: `identity: CurrentIdentity`, `optional_identity: OptionalIdentity`.
# Litestar has marked dependencies since 2.23, and will ask for it; before, it goes by the name alone.
_MARK: Final = di.Dependency(kind="named") if hasattr(di, "Dependency") else None
CurrentIdentity = Annotated[Identity, _MARK]
OptionalIdentity = Annotated[Identity | None, _MARK]

# Litestar's own authentication calls it so.
EXCLUDE_OPT_KEY: Final = "exclude_from_auth"
_IS_OURS: Final = "_aveverify_keeps_apart"
# What an answer says of its own body: only for that body.
_OF_THE_BODY: Final = ("content-type", "content-length")


class AveAuthMiddleware:
    """Verifies the token of every request and WebSocket, and fills `connection.user` and `connection.auth`.

    All that `aveverify.asgi.AveAuthMiddleware` does, for Litestar, on any of its layers:
    `middleware=[AveAuthMiddleware.define(verifier, required=True)]`. Litestar answers exceptions inside its
    middleware, so `on_invalid="defer"` needs `exception_handlers`, too; `AveAuthPlugin` installs both. A handler with
    `exclude_from_auth=True` needs no credentials, and whoever asks there is anonymous.

    Args:
        app: The application behind it.
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        close_expired: Whether a WebSocket is closed (code 3000) when its token expires.
        load_user: Makes the application's user of an identity; a coroutine function is awaited. What it returns
            becomes `connection.user`. None (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`),
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
        check_app(app, "ASGI")
        check_function("load_user", load_user)
        self._app: asgi.ASGIApp = app  # type: ignore[assignment] # Litestar's scope is a typed dictionary
        self._load_user = load_user
        # HTP-050: Litestar has a cache of its own.
        refuse_unmarked(options.get("cache_headers"), "cache_headers")
        options = {**options, "cache_headers": True}
        # Litestar changes the path before any middleware runs, so that this decides which paths are exempt.
        self._exempt = ExemptPaths(options.get("exempt", ()))
        seeing: AuthOptions = {**options, "exempt": ()}
        self._edge = asgi.AveAuthMiddleware(
            self._serve, verifier, required=required, close_expired=close_expired, **seeing
        )
        # What else was asked for holds for a token that comes later, by `reauthenticate`.
        blind: AuthOptions = {**options, "exempt": EVERY_PATH}
        self._open_edge = asgi.AveAuthMiddleware(
            self._serve, verifier, required=False, close_expired=close_expired, **blind
        )

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
        """Define the middleware for a layer.

        Litestar copies what stands in a `DefineMiddleware` for each handler of a router, in depth. A verifier is one
        for all, so it stands in a function, which is never copied.

        Args:
            verifier: As for the class, like everything below.
            required: See there.
            close_expired: See there.
            load_user: See there.
            options: See there.

        Returns:
            What belongs in the `middleware` of an application, router, controller or handler.

        Raises:
            ConfigurationError: An argument is not what it must be.
        """
        # Litestar calls what is returned when it builds its routes; a mistake is told where it was written.
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
            receive: Gives the client's messages.
            send: Takes the answer's messages.
        """
        handler = scope.get("route_handler")
        is_open = handler is not None and handler.opt.get(EXCLUDE_OPT_KEY) is True
        if not is_open and self._exempt:
            readings = _read_paths(scope)
            is_open = bool(readings) and all(reading in self._exempt for reading in readings)
        headers = scope["headers"]
        if not is_open and type(headers) is not list and iter(headers) is headers:
            # HTP-045: Litestar's router has read some of them, and what can be read once is gone.
            denial = self._edge._policy.deny(InvalidRequestError())  # noqa: SLF001 - the rules are the same
            await send_error_response(denial.response, scope, receive, send)  # type: ignore[arg-type] # as below
            return
        edge = self._open_edge if is_open else self._edge
        keep_apart(scope)
        await edge(scope, receive, send)  # type: ignore[arg-type] # as above

    async def _serve(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        refusal = await introduce(self._meet, scope)
        if refusal is not None:
            await refuse_user(self._app, refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            scope[LIVE_KEY].on_new_user(partial(self._meet, scope))
        await self._app(scope, receive, send)

    async def _meet(self, scope: asgi.Scope, found: Identity | DeferredError | None) -> Callable[[], None]:
        """Return what makes a user known to the application, in the scope, which is this connection's own copy."""
        auth, user = await _make_user(found, self._load_user)
        members = {"auth": auth, "user": user}
        if scope["type"] == "websocket":
            # No one is its user once the token has expired.
            return partial(scope[LIVE_KEY].show, scope, members, {"auth": frozenset(), "user": None})
        return partial(scope.update, members)


def _read_paths(scope: Scope) -> list[str]:
    """Return the path as the router of Litestar got it; several where that cannot be told from what is left of it.

    Source: HTP-026: of a path inside a mount or among static files, the router leaves only what follows the mount.
    """
    handler, path = scope.get("route_handler"), scope["path"]
    if not getattr(handler, "is_mount", False):
        return [path]
    mounts = [route.path for route in scope["app"].routes if getattr(route, "route_handler", None) is handler]
    whole = [(mount + path).rstrip("/") or "/" for mount in mounts]
    # Where another handler has the path of the mount, too, the router leaves it as it is.
    return [*whole, path] if path in mounts else whole


def keep_apart(scope: Scope) -> None:
    """Let Litestar keep the answers of a handler with `cache=…` apart by who asked. Idempotent.

    Litestar looks for a cached answer by method, path and query, behind every middleware and guard: without this, one
    user gets the page of another (HTP-050).

    Args:
        scope: The connection, whose handler the router has found.
    """
    handler = scope.get("route_handler")
    if isinstance(handler, HTTPRouteHandler):
        _key_by_user(handler)


def _key_by_user(handler: HTTPRouteHandler) -> None:
    if handler.cache and not isinstance(handler.cache_key_builder, _KeyOfUser):
        handler.cache_key_builder = _KeyOfUser(handler.cache_key_builder)


def keep_all_apart() -> None:
    """Let every application of Litestar in this process keep its cached answers apart. Idempotent.

    An application that is mounted behind an edge, perhaps within a function, has routes that the edge never sees. So
    the method that every route is handled by is replaced by one that looks whether an edge has decided.

    Source: HTP-050.
    """
    handle = HTTPRoute.handle
    if hasattr(handle, _IS_OURS):
        return

    @wraps(handle)
    def handle_apart(self: HTTPRoute, scope: Any, receive: Receive, send: Send) -> Any:  # noqa: ANN401 - as Litestar has it
        if IDENTITY_KEY in scope:
            keep_apart(scope)
        return handle(self, scope, receive, send)

    setattr(handle_apart, _IS_OURS, True)
    HTTPRoute.handle = handle_apart  # type: ignore[method-assign]


keep_all_apart()


class _KeyOfUser:
    """Builds the key of a cached answer: who asked, in front of the handler's or application's own key.

    In front, and for an anonymous request too: no path or query that a stranger chooses makes the key of a user.
    """

    def __init__(self, own: CacheKeyBuilder | None) -> None:
        self._own = own

    def __call__(self, request: Request[Any, Any, Any]) -> str:
        key = (self._own or request.app.response_cache_config.key_builder)(request)
        found = request.scope.get(IDENTITY_KEY)
        if isinstance(found, Identity):
            # All that a page can show of a token, so that nothing of it is in the store, and one token has one key.
            content = json.dumps([repr(found.provider), found.claims], sort_keys=True)
            return f"{hashlib.sha256(content.encode()).hexdigest()}|{key}"
        if isinstance(found, DeferredError):
            # The page of one refused token is for no other request: Litestar stores nothing that came from its cache.
            ScopeState.from_scope(request.scope).is_cached = True
            return f"deferred|{key}"
        return f"anonymous|{key}"


async def _make_user(found: Identity | DeferredError | None, load_user: LoadUser[Any] | None) -> tuple[Any, Any]:
    """Return what becomes `connection.auth` and `connection.user`."""
    if found is None:
        return frozenset(), None
    if isinstance(found, DeferredError):
        refused = RefusedUser(found)
        return refused, refused
    user = found if load_user is None else await find_user(load_user, found)
    return frozenset(granted_scopes(found)), user


class AveAuthPlugin(InitPluginProtocol):
    """Protects a whole application: `Litestar(plugins=[AveAuthPlugin(verifier, required=True)])`.

    Installs the middleware in front of all others, the exception handlers, the dependencies `identity` and
    `optional_identity`, and the security schemes of OpenAPI.

    Args:
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        close_expired: As for `AveAuthMiddleware`.
        load_user: As for `AveAuthMiddleware`.
        options: Everything else that an edge can be told: `aveverify._http.policy.AuthOptions`.

    Raises:
        ConfigurationError: An argument is not what it must be.
    """

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        close_expired: bool = True,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        self._verifier = verifier
        self._middleware = AveAuthMiddleware.define(
            verifier, required=required, close_expired=close_expired, load_user=load_user, **options
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Install everything; Litestar calls this.

        Args:
            app_config: The configuration of the application.

        Returns:
            The same configuration.
        """
        app_config.middleware.insert(0, self._middleware)
        # What the application says of its own errors and dependencies stands.
        app_config.exception_handlers = {**exception_handlers, **app_config.exception_handlers}
        for name, provider in (("identity", provide_identity), ("optional_identity", provide_optional_identity)):
            app_config.dependencies.setdefault(name, Provide(provider, sync_to_thread=False))
        if app_config.openapi_config is not None:
            openapi = copy(app_config.openapi_config)
            schemes, security = self._describe()
            known = openapi.components if isinstance(openapi.components, list) else [openapi.components]
            openapi.components = [*known, schemes]
            openapi.security = [*(openapi.security or []), *security]
            app_config.openapi_config = openapi
        return app_config

    def _describe(self) -> tuple[Components, list[dict[str, list[str]]]]:
        schemes: dict[str, SecurityScheme] = {
            BEARER_SCHEME: SecurityScheme(
                type="http", scheme="bearer", bearer_format="JWT", description=BEARER_DESCRIPTION
            )
        }
        for name, url in discovery_urls(self._verifier.providers).items():
            schemes[name] = SecurityScheme(type="openIdConnect", open_id_connect_url=url)
        return Components(security_schemes={**schemes}), [{name: []} for name in schemes]


class RefusedError(HTTPException):
    """A refusal of a guard on its way to the client.

    Litestar answers it with the right status and headers and a body of its own; with `exception_handlers` the whole
    answer is that of the contract.

    Attributes:
        answer: The answer of the contract.
    """

    answer: ErrorResponse

    def __init__(self, answer: ErrorResponse, description: str) -> None:
        headers = {name: value for name, value in answer.headers if name not in _OF_THE_BODY}
        super().__init__(detail=description, status_code=answer.status, headers=headers)
        self.answer = answer


def requires_authenticated(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Guard a handler, controller, router or application against anonymous visitors: `guards=[requires_authenticated]`.

    Raises:
        HTTPException: Nobody is signed in: 401.
        WebSocketException: As above, for a WebSocket: closed with code 1008.
        ConfigurationError: No middleware ran.
    """
    keep_apart(connection.scope)
    if get_user_identity(connection) is None:
        raise _refuse(connection.scope, None)


def requires_scopes(*scopes: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """Make a guard that asks for scopes: `guards=[requires_scopes("read")]`.

    Args:
        scopes: What the token's `scope` claim must hold.

    Returns:
        The guard. Anonymous visitors are refused with 401, tokens without a scope with 403.

    Raises:
        ConfigurationError: There is no scope, or it is none of RFC 6749 §3.3.
    """
    check_scope_list(scopes, may_be_empty=False)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        keep_apart(connection.scope)
        identity = get_user_identity(connection)
        if identity is None:
            raise _refuse(connection.scope, None, scopes)
        try:
            check_scopes(identity, scopes)
        except InsufficientScopeError as error:
            raise _refuse(connection.scope, error, scopes) from None

    return guard


def provide_identity(scope: Scope) -> Identity:
    """Provide whoever makes a request or opens a WebSocket: the dependency `identity`.

    Raises:
        HTTPException: Nobody is signed in: 401.
        WebSocketException: As above, for a WebSocket: closed with code 1008.
        AveVerifyError: As `get_user_identity`.
    """
    keep_apart(scope)
    identity = get_user_identity(scope)
    if identity is None:
        raise _refuse(scope, None)
    return identity


def provide_optional_identity(scope: Scope) -> Identity | None:
    """Provide whoever makes a request or opens a WebSocket, or None: the dependency `optional_identity`.

    Raises:
        AveVerifyError: As `get_user_identity`.
    """
    keep_apart(scope)
    return get_user_identity(scope)


def _refuse(scope: Any, error: AveVerifyError | None, scopes: tuple[str, ...] = ()) -> Exception:  # noqa: ANN401 - Litestar's scope is a typed dictionary without our members
    """Log a refusal and make it an exception."""
    policy: AuthPolicy = scope[POLICY_KEY]
    answer = policy.deny(error, scopes=scopes).response
    description = "Credentials are required" if error is None else error.description
    if scope["type"] == "websocket":
        return WebSocketException(detail=description, code=POLICY_VIOLATION)
    return RefusedError(answer, description)


def _answer_refused(_request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
    return _respond(error.answer)


def _answer_escaped(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    answer = find_deferred_response(request.scope, error)  # type: ignore[arg-type] # as above
    if answer is None:
        raise error
    return _respond(answer)


def _respond(answer: ErrorResponse) -> Response[bytes]:
    headers = {name: value for name, value in answer.headers if name not in _OF_THE_BODY}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type="application/json")


# For `Litestar(exception_handlers=exception_handlers)`: answers refusals of guards, and deferred refusals that escape
# a handler, by the contract.
exception_handlers: Final[ExceptionHandlersMap] = {
    RefusedError: _answer_refused,
    **dict.fromkeys(REFUSALS, _answer_escaped),
}
