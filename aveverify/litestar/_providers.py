"""Litestar: the dependencies `identity` and `optional_identity`, and the annotations that name them.

Litestar evaluates the annotations of providers when it starts, so they are no text here.
"""

from typing import Annotated, Final

from litestar import di
from litestar.types import Scope

from aveverify._core.identity import Identity
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import get_user_identity
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._refusals import refuse_here

# Litestar marks dependencies since 2.23 and will require the mark; older versions know them by their names alone.
NAMED_DEPENDENCY: Final = di.Dependency(kind="named") if hasattr(di, "Dependency") else None
# For the parameter `identity` of a handler: `async def me(identity: CurrentIdentity)`.
CurrentIdentity = Annotated[Identity, NAMED_DEPENDENCY]
# For the parameter `optional_identity` of a handler: `async def hello(optional_identity: OptionalIdentity)`.
OptionalIdentity = Annotated[Identity | None, NAMED_DEPENDENCY]


def provide_identity(scope: Scope) -> Identity:
    """Provide the identity of a request or WebSocket: the dependency `identity` of `AveAuthPlugin`.

    Without the plugin: `dependencies={"identity": Provide(provide_identity, sync_to_thread=False)}`.

    Args:
        scope: The connection, behind a middleware of this package.

    Returns:
        The identity.

    Raises:
        RefusedError: The request is anonymous: 401 with the challenge of RFC 6750; a WebSocket is closed with code
            1008.
        AveVerifyError: As `aveverify.get_user_identity`.
    """
    identity = provide_optional_identity(scope)
    if identity is None:
        raise refuse_here(scope, scope[POLICY_KEY], None)  # type: ignore[typeddict-item] # our own key
    return identity


def provide_optional_identity(scope: Scope) -> Identity | None:
    """Provide the identity of a request or WebSocket, or None: the dependency `optional_identity` of `AveAuthPlugin`.

    Args:
        scope: The connection, behind a middleware of this package.

    Returns:
        The identity; None for an anonymous request.

    Raises:
        AveVerifyError: As `aveverify.get_user_identity`.
    """
    cache_by_identity(scope)
    return get_user_identity(scope)
