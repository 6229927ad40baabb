"""`get_live_connection`: the open WebSocket, or the end of a request's token, for the application.

Knows no framework and decides nothing. HTP-030; HTP-042.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol, overload

from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.live_request import STREAM_KEY, LiveRequest
from aveverify._http.policy import POLICY_KEY, AuthPolicy
from aveverify._http.request_identity import IDENTITY_KEY, get_user_identity, scope_or_environ
from aveverify._http.websocket import LiveConnection
from aveverify.errors import ConfigurationError, Problem


class _RequestLike(Protocol):
    """An HTTP request of any framework: a WebSocket has no method."""

    @property
    def method(self) -> object: ...


@overload
def get_live_connection(connection: _RequestLike) -> LiveRequest: ...  # type: ignore[overload-overlap] # see below


# A scope may be of either kind; its type does not tell.
@overload
def get_live_connection(connection: object) -> LiveConnection: ...


def get_live_connection(connection: object) -> LiveRequest:
    """Return the connection behind a WebSocket that has passed the middleware, or the end of a request's token.

    Args:
        connection: A WebSocket or request with a `scope`, or the scope itself.

    Returns:
        Of a WebSocket, the `LiveConnection`: who it is now, `reauthenticate` and `until_expired`. Of an HTTP request,
        a `LiveRequest`: `identity`, `has_expired` and `until_expired`.

    Raises:
        ConfigurationError: No middleware ran, and no dependency.
        InvalidTokenError: The token was refused, and the middleware defers refusals.
        InsufficientScopeError: The token lacks a scope, and the middleware defers refusals.
        KeysUnavailableError: The issuer's keys were unavailable, and the middleware defers refusals.
    """
    carrier = scope_or_environ(connection)
    if not isinstance(carrier, MutableMapping):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the connection")
    if carrier.get("type") != "http":
        live = carrier.get(LIVE_KEY)
        if isinstance(live, LiveConnection):
            return live
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the WebSocket")
    stream, policy = carrier.get(STREAM_KEY), carrier.get(POLICY_KEY)
    # HTP-010: not that of a middleware further in front, which has another user.
    if isinstance(stream, LiveRequest) and stream.has_user(carrier.get(IDENTITY_KEY)):
        return stream
    if isinstance(policy, AuthPolicy):
        return LiveRequest(get_user_identity(carrier), policy.verifier)
    raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request")
