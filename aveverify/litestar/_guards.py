"""Litestar: guards that demand an identity, scopes of its token, or what a predicate of the application says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aveverify._core.identity import Identity
from aveverify._http.auth_options import Allow
from aveverify._http.option_checks import check_function
from aveverify._http.policy import POLICY_KEY, AuthPolicy, require_allowed
from aveverify._http.request_identity import get_user_identity
from aveverify._http.scopes import check_scope_list
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._refusals import refuse_here

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    Connection = ASGIConnection[Any, Any, Any, Any]


def requires_authenticated(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Refuse anonymous requests; a guard: `@get("/me", guards=[requires_authenticated])`.

    It works for handlers, controllers, routers and applications behind `AveAuthPlugin` or `AveAuthMiddleware`.

    Args:
        connection: The request or WebSocket.

    Raises:
        RefusedError: The request is anonymous: 401 with the challenge of RFC 6750; a WebSocket is closed with code
            1008.
        AveVerifyError: The middleware has deferred a refusal; as `aveverify.get_user_identity`.
        ConfigurationError: No middleware of this package ran.
    """
    _require_identity(connection)


def requires_scopes(*scopes: str) -> Callable[[Connection, BaseRouteHandler], None]:
    """Make a guard that demands scopes, all of them: `@get("/", guards=[requires_scopes("documents:read")])`.

    Args:
        scopes: What the token must hold in its claim `scope`, or in those of the option `scope_claims`; one or more.

    Returns:
        The guard. It refuses anonymous requests with 401 and tokens without one of the scopes with 403; a WebSocket is
        closed with code 1008.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token of RFC 6749 §3.3.

    Source: RFC 6749 §3.3; RFC 6750 §3.1.
    """
    check_scope_list(scopes, may_be_empty=False)
    return _guard_scopes(scopes, ())


def requires_any_scope(*scopes: str) -> Callable[[Connection, BaseRouteHandler], None]:
    """Make a guard that demands one of several scopes: `@get("/", guards=[requires_any_scope("admin", "editor")])`.

    Args:
        scopes: Of these, the token must hold one; one or more.

    Returns:
        The guard; as that of `requires_scopes`.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token of RFC 6749 §3.3.

    Source: RFC 6749 §3.3; RFC 6750 §3.1.
    """
    check_scope_list(scopes, may_be_empty=False)
    return _guard_scopes((), scopes)


def allow(predicate: Allow) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """Make a guard that asks a function of yours, for a plan or a role: `@get("/", guards=[allow(is_pro)])`.

    Args:
        predicate: Called with the identity; a false value refuses it. A coroutine function is awaited.

    Returns:
        The guard. It refuses anonymous requests with 401 and identities that the predicate does not allow with 403
        (`NOT_ALLOWED`); a WebSocket is closed with code 1008.

    Raises:
        ConfigurationError: The predicate is no function of an identity.

    Example:
        ```python
        def is_pro(identity: Identity) -> bool:
            return identity.get("plan") == "pro"
        ```
    """
    if predicate is None:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "allow", "a function of an identity")
    check_function("allow", predicate)

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        identity, policy = _require_identity(connection)
        try:
            require_allowed(await policy.calls.call_async(predicate, identity))
        except InsufficientScopeError as error:
            raise refuse_here(connection.scope, policy, error) from None

    return guard


def _guard_scopes(all_of: Sequence[str], any_of: Sequence[str]) -> Callable[[Connection, BaseRouteHandler], None]:
    def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        identity, policy = _require_identity(connection, all_of, any_of)
        try:
            policy.scopes.check(identity)
        except InsufficientScopeError as error:
            raise refuse_here(connection.scope, policy, error) from None

    return guard


def _require_identity(
    connection: Connection, all_of: Sequence[str] = (), any_of: Sequence[str] = ()
) -> tuple[Identity, AuthPolicy]:
    """Return the identity, and the rules of the middleware with further scopes; refuse an anonymous connection."""
    scope = connection.scope
    cache_by_identity(scope)
    identity = get_user_identity(connection)
    policy: AuthPolicy = scope[POLICY_KEY]  # type: ignore[typeddict-item] # our own key
    policy = policy.with_scopes(all_of, any_of)
    if identity is None:
        raise refuse_here(scope, policy, None)
    return identity, policy
