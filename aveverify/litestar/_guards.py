"""Litestar: guards that demand an identity, or scopes of its token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aveverify._http.policy import POLICY_KEY, AuthPolicy
from aveverify._http.request_identity import get_user_identity
from aveverify._http.scopes import RequiredScopes, check_scope_list
from aveverify.errors import InsufficientScopeError
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._refusals import make_exception

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler


def requires_authenticated(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Refuse anonymous requests; a guard: `@get("/me", guards=[requires_authenticated])`.

    It works for handlers, controllers, routers and applications behind `AveAuthPlugin` or `AveAuthMiddleware`.

    Args:
        connection: The request or WebSocket.

    Raises:
        HTTPException: The request is anonymous: 401 with the challenge of RFC 6750.
        WebSocketException: The WebSocket is anonymous: closed with code 1008.
        AveVerifyError: The middleware has deferred a refusal; as `aveverify.get_user_identity`.
        ConfigurationError: No middleware of this package ran.
    """
    cache_by_identity(connection.scope)
    if get_user_identity(connection) is None:
        raise make_exception(connection.scope, None)


def requires_scopes(*scopes: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """Make a guard that demands scopes: `@get("/", guards=[requires_scopes("documents:read")])`.

    Args:
        scopes: What the `scope` claim of the token must hold; one or more.

    Returns:
        The guard. It refuses anonymous requests with 401 and tokens without one of the scopes with 403; a WebSocket is
        closed with code 1008.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token of RFC 6749 §3.3.

    Source: RFC 6749 §3.3; RFC 6750 §3.1.
    """
    check_scope_list(scopes, may_be_empty=False)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        cache_by_identity(connection.scope)
        identity = get_user_identity(connection)
        if identity is None:
            raise make_exception(connection.scope, None, scopes)
        policy: AuthPolicy = connection.scope[POLICY_KEY]  # type: ignore[typeddict-item] # our own key
        try:
            RequiredScopes(claims=policy.scopes.claims).and_also(scopes).check(identity)
        except InsufficientScopeError as error:
            raise make_exception(connection.scope, error, scopes) from None

    return guard
