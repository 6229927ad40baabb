"""Litestar: what its routes do for requests behind a middleware of this package.

A response cache serves each identity apart. Litestar answers every exception of a handler behind all middleware, so a
refusal that escapes is dealt with before: it becomes one of Litestar's own, or the clean end of a WebSocket. HTP-030;
HTP-036; HTP-041; HTP-050.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from litestar.routes import ASGIRoute, HTTPRoute, WebSocketRoute
from litestar.utils.scope.state import ScopeState

from aveverify._http.asgi_response import find_deferred_denial
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.policy import POLICY_KEY, REFUSALS
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.websocket import LiveConnection
from aveverify.errors import AveVerifyError
from aveverify.litestar._caching import cache_by_identity
from aveverify.litestar._refusals import make_exception

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
            if scope["type"] == "websocket":
                return _end_cleanly(serving, scope)
            if isinstance(scope[IDENTITY_KEY], DeferredError):
                return _raise_as_litestars(serving, scope)
        return serving

    setattr(serve, _REPLACED, True)
    kind.handle = serve


async def _end_cleanly(serving: Coroutine[Any, Any, None], scope: Scope) -> None:
    """Serve a WebSocket: a refusal that escapes, or its normal end, is no failure (HTP-030, HTP-041).

    Litestar would close it with code 4500, and may log a traceback.
    """
    try:
        await serving
    except Exception as error:
        live = scope.get(LIVE_KEY)
        if not isinstance(live, LiveConnection) or not await live.close_after(error, scope, scope[POLICY_KEY]):
            raise


async def _raise_as_litestars(serving: Coroutine[Any, Any, None], scope: Scope) -> None:
    """Serve a request whose refusal is deferred: where that escapes, Litestar sees an exception of its own."""
    try:
        await serving
    except REFUSALS as error:
        denial = None if _is_handled(scope, error) else find_deferred_denial(scope, error)
        if denial is None:
            raise
    else:
        return
    # Not within `except`: the error itself is a part of what is raised.
    raise make_exception(denial, "http")


def _is_handled(scope: Scope, error: AveVerifyError) -> bool:
    """Tell whether the application has an exception handler for such an error itself."""
    handlers: Any = ScopeState.from_scope(scope).exception_handlers  # type: ignore[arg-type] # as above
    return any(kind in handlers for kind in type(error).__mro__ if issubclass(kind, AveVerifyError))
