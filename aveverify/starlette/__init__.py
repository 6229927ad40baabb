"""Starlette: the middleware with `request.user` and `request.auth`, and a backend for Starlette's own middleware.

`request.user` is the identity, or the user that `load_user` returns; `request.auth` holds "authenticated" and the
scopes of the token, for `requires`. `_http` decides which requests pass, and what a refusal says; the application's
exception handlers may answer it.
"""

from aveverify.starlette._allow import allow
from aveverify.starlette._backend import AveAuthBackend
from aveverify.starlette._middleware import AveAuthMiddleware
from aveverify.starlette._refusals import RefusedError, exception_handlers
from aveverify.starlette._shown_user import AUTHENTICATED

__all__ = ["AUTHENTICATED", "AveAuthBackend", "AveAuthMiddleware", "RefusedError", "allow", "exception_handlers"]
