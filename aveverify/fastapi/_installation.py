"""FastAPI: what `AveAuth.install` adds to an application: two middlewares, exception handlers, OpenAPI.

One middleware adds the headers for caches (HTP-050), one lets `current_identity` find the request, and ends WebSockets
and streams (HTP-037, HTP-041, HTP-042). Neither looks at credentials: the dependencies do.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from aveverify._http.asgi_caching import mark_message
from aveverify._http.asgi_request import OUTER_KEY, OuterScope
from aveverify._http.asgi_response import send_denial
from aveverify._http.current_identity import serving
from aveverify._http.openapi import discovery_urls
from aveverify._http.policy import POLICY_KEY, REFUSALS
from aveverify._http.rate_limited_log import ESCAPED_REFUSAL
from aveverify._http.shared_scope import copy_scope
from aveverify._http.websocket import LiveConnection, serve_live
from aveverify._http.websocket_scope import LiveScope
from aveverify.fastapi._body_order import BodyAfterToken, FailedError, FindEarly, raise_failure
from aveverify.fastapi._openapi import describe_discovery
from aveverify.fastapi._refusals import install_handler
from aveverify.fastapi._request_state import find_live_connection, find_request_state
from aveverify.fastapi._streams import DependentResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from aveverify._core.provider import Provider
    from aveverify._http.policy import AuthPolicy


def install_middleware(
    app: FastAPI,
    policy: AuthPolicy,
    find_early: FindEarly,
    *,
    close_expired: bool,
    adds_cache_headers: bool,
) -> None:
    """Add the middlewares and exception handlers to an application. Idempotent.

    Args:
        app: The application.
        policy: The rules of the first `AveAuth`.
        find_early: Returns what runs for a dependency before the body of a request is read.
        close_expired: Whether a WebSocket is closed when its token expires.
        adds_cache_headers: Whether responses tell caches by which headers they differ.
    """
    install_handler(app)
    app.add_exception_handler(FailedError, raise_failure)
    installed: list[object] = [middleware.cls for middleware in app.user_middleware]
    if RequestContext not in installed:
        app.add_middleware(RequestContext, policy=policy, close_expired=close_expired)
        # Innermost: the scope names the route only there. FastAPI puts what is added later in front.
        app.user_middleware.append(Middleware(BodyAfterToken, find_early=find_early))
    if adds_cache_headers and CacheHeaders not in installed:
        # HTP-050: also where only the second `AveAuth` of an application reads a cookie.
        app.user_middleware.append(Middleware(CacheHeaders))


def install_openapi(app: FastAPI, scheme_name: str, providers: Iterable[Provider]) -> None:
    """Let the OpenAPI document of an application name the discovery documents of the issuers.

    Args:
        app: The application.
        scheme_name: What the document calls the bearer token.
        providers: The providers of the verifier.
    """
    describe = partial(describe_discovery, app.openapi, scheme_name, discovery_urls(providers))
    app.openapi = describe  # type: ignore[method-assign] # as FastAPI documents it


class CacheHeaders:
    """Adds `Vary` and `Cache-Control` to responses where a dependency has looked for credentials (HTP-050)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)

        def send_marked(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and (state := find_request_state(scope)) is not None:
                for authenticator, result in state.results.items():
                    message = mark_message(message, authenticator.policy, is_personal=result is not None)
            return send(message)

        return self._app(scope, receive, send_marked)


class RequestContext:
    """Lets `current_identity` find the request until it ends, and ends WebSockets and streams with their token.

    FastAPI tells no dependency when its request ends.
    """

    def __init__(self, app: ASGIApp, *, policy: AuthPolicy, close_expired: bool) -> None:
        self._app = app
        self._policy = policy
        self._close_expired = close_expired

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # HTP-033: a token in the query is taken out of the server's own scope, too, whatever copies the scope
            # further in.
            scope = copy_scope(scope, {OUTER_KEY: OuterScope(scope)}, LiveScope)
            if find_live_connection(scope) is None:
                # No middleware is in front: the WebSocket ends with the token that the first dependency finds.
                live = LiveConnection(None, None, receive, send, closes=self._close_expired)
                await serve_live(self._app, scope, live, self._policy)
                return
        with serving(scope):
            try:
                if self._policy.ends_streams and scope["type"] == "http":
                    await DependentResponse(scope, self._policy, receive, send).serve(self._app, scope)
                else:
                    await self._app(scope, receive, send)
            except REFUSALS as error:
                state = find_request_state(scope)
                if state is None or state.refusal is not error:
                    raise
                # A handler has read the identity of the request that it was to answer; no response has begun.
                policy: AuthPolicy = scope[POLICY_KEY]
                policy.log.warning(ESCAPED_REFUSAL)
                await send_denial(policy.make_denial(error), scope, receive, send)
