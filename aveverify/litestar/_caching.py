"""Litestar: its response cache (`@get("/", cache=60)`) keeps the responses of each identity apart.

Litestar looks for a cached response by method, path and query, behind every middleware and guard. Without this, one
user would get the page of another. HTP-050.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from litestar.handlers import HTTPRouteHandler
from litestar.utils.scope.state import ScopeState

from aveverify._core.identity import Identity
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError

if TYPE_CHECKING:
    from litestar.connection import Request
    from litestar.types import CacheKeyBuilder, Scope


class IdentityCacheKey:
    """Builds the key of a cached response: the identity, then the handler's or the application's own key.

    The identity comes first, and an anonymous request has a prefix, too: no path or query makes the key of a user.

    Args:
        own: The key builder of the handler; None for that of the application.
    """

    def __init__(self, own: CacheKeyBuilder | None) -> None:
        self._own = own

    def __call__(self, request: Request[Any, Any, Any]) -> str:
        key = (self._own or request.app.response_cache_config.key_builder)(request)
        identity = request.scope.get(IDENTITY_KEY)
        if isinstance(identity, Identity):
            # The claims are all that a page can show of a token. Hashed: no claim value gets into the cache's store.
            content = json.dumps([repr(identity.provider), identity.claims], sort_keys=True)
            return f"{hashlib.sha256(content.encode()).hexdigest()}|{key}"
        if isinstance(identity, DeferredError):
            # Litestar does not store a response that it believes to come from its cache: the response to one refused
            # token is for no other request.
            ScopeState.from_scope(request.scope).is_cached = True
            return f"deferred|{key}"
        return f"anonymous|{key}"


def cache_by_identity(scope: Scope) -> None:
    """Let the handler of a request cache a response for each identity, if it caches. Idempotent.

    Args:
        scope: The connection; the router has chosen its handler.
    """
    handler = scope.get("route_handler")
    if not isinstance(handler, HTTPRouteHandler):
        return
    if handler.cache and not isinstance(handler.cache_key_builder, IdentityCacheKey):
        handler.cache_key_builder = IdentityCacheKey(handler.cache_key_builder)
