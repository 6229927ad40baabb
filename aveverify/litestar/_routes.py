"""Litestar: what its routes do for requests behind a middleware of this package.

A response cache serves each identity apart, and a refusal that escapes a handler becomes one of Litestar's exceptions
before Litestar sees it. HTP-036; HTP-050.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from litestar.routes import ASGIRoute, HTTPRoute, WebSocketRoute
from litestar.types import Empty
from litestar.utils.scope.state import ScopeState

from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.errors import AveVerifyError
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._refusals import RefusedError, make_exception, refuse_here

if TYPE_CHECKING:
    from aveverify._http.asgi_types import Receive, Scope, Send

# The attribute that marks the method `handle` of a class of routes as replaced.
_REPLACED: Final = "_aveverify_serves_identities"


def serve_identities_everywhere() -> None:
    """Replace the one method that serves every route of every Litestar application in this process. Idempotent.

    An application that is mounted behind another one, perhaps inside a function, has routes that no middleware of
    this package sees. And Litestar answers an exception where no middleware sees it.
    """
    for kind in (HTTPRoute, ASGIRoute, WebSocketRoute):
        _replace_handle(kind)


def _replace_handle(kind: Any) -> None:  # noqa: ANN401 - Litestar's scopes are typed dictionaries, each of its own
    handle = kind.handle
    if hasattr(handle, _REPLACED):
        return

    @wraps(handle)
    def serve(self: object, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        serving: Coroutine[Any, Any, None] = handle(self, scope, receive, send)
        # No coroutine of its own where it is not needed, which would cost every request.
        if IDENTITY_KEY in scope:
            cache_by_identity(scope)  # type: ignore[arg-type] # Litestar's scope is a typed dictionary
            if scope["type"] == "websocket" or isinstance(scope[IDENTITY_KEY], DeferredError):
                return _raise_as_litestars(serving, scope)
        return serving

    setattr(serve, _REPLACED, True)
    kind.handle = serve


async def _raise_as_litestars(serving: Coroutine[Any, Any, None], scope: Scope) -> None:
    try:
        await serving
    except REFUSALS as error:
        refused = _find_refused(scope, error)
        if refused is None:
            raise
    else:
        return
    # Not within `except`: the error that it comes from has the frames of the handler, and here is its whole sense.
    raise refused


def _find_refused(scope: Scope, error: AveVerifyError) -> RefusedError | None:
    """Return what to raise in the place of an error; None where the error stays."""
    policy: AuthPolicy = scope[POLICY_KEY]
    if scope["type"] == "websocket":
        return refuse_here(scope, policy, error)
    outcome = scope[IDENTITY_KEY]
    # The refusal of some other token, which the application verified by itself, is not this client's.
    is_own = isinstance(outcome, DeferredError) and outcome.error is error
    if not is_own or _is_handled(scope, error):
        return None
    return make_exception(policy.make_denial(error), "http")


def _is_handled(scope: Scope, error: AveVerifyError) -> bool:
    """Tell whether the application has an exception handler for such an error itself."""
    handlers = ScopeState.from_scope(scope).exception_handlers  # type: ignore[arg-type] # as above
    if handlers is Empty:
        return True
    return any(kind in handlers for kind in type(error).__mro__ if issubclass(kind, AveVerifyError))
