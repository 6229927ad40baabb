"""Litestar: a plugin that installs everything, the middleware alone, guards, and what OpenAPI says.

`connection.user` is the identity, or what `load_user` makes of it, and None for an anonymous visitor; `connection.auth`
is the set of the token's scopes. What comes in, and what a refusal says, is decided elsewhere.
"""

from aveverify.litestar._plugin import (
    AveAuthMiddleware,
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    RefusedError,
    exception_handlers,
    provide_identity,
    provide_optional_identity,
    requires_authenticated,
    requires_scopes,
)

__all__ = [
    "AveAuthMiddleware",
    "AveAuthPlugin",
    "CurrentIdentity",
    "OptionalIdentity",
    "RefusedError",
    "exception_handlers",
    "provide_identity",
    "provide_optional_identity",
    "requires_authenticated",
    "requires_scopes",
]
