"""Litestar: a plugin that installs everything, the middleware alone, guards, dependencies, and OpenAPI.

`connection.user` is the identity, or what `load_user` makes of it, and None for an anonymous request; `connection.auth`
is the set of the token's scopes. RFC 6750.
"""

from aveverify.litestar._guards import allow, requires_any_scope, requires_authenticated, requires_scopes
from aveverify.litestar._middleware import AveAuthMiddleware
from aveverify.litestar._plugin import AveAuthPlugin
from aveverify.litestar._providers import (
    CurrentIdentity,
    OptionalIdentity,
    provide_identity,
    provide_optional_identity,
)
from aveverify.litestar._refusals import RefusedError, exception_handlers
from aveverify.litestar._routes import serve_identities_everywhere

__all__ = [
    "AveAuthMiddleware",
    "AveAuthPlugin",
    "CurrentIdentity",
    "OptionalIdentity",
    "RefusedError",
    "allow",
    "exception_handlers",
    "provide_identity",
    "provide_optional_identity",
    "requires_any_scope",
    "requires_authenticated",
    "requires_scopes",
]

# At import: nothing of this package decides for a Litestar application before.
serve_identities_everywhere()
