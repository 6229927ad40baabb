"""The identity of a request: where a scope or environ holds it, and `get_user_identity`, which reads it.

Knows no framework and decides nothing: middlewares and integrations put the outcome there. HTTP-06; HTTP-09.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final, NamedTuple, cast

from aveverify._core.identity import Identity
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity
from aveverify.errors import AveVerifyError, ConfigurationError, Problem

# The one place in a scope or environ that counts; overwritten at every request (HTP-010).
IDENTITY_KEY: Final = "aveverify.identity"


class DeferredError(NamedTuple):
    """A refusal that is raised when the application asks for the identity (`on_invalid="defer"`, HTTP-09)."""

    error: AveVerifyError


class LazyIdentity(NamedTuple):
    """An identity that is found when the application first asks for it, in integrations that verify lazily."""

    find: Callable[[], Identity | None]


def get_user_identity(request: object) -> Identity | None:
    """Return the identity of a request, as `ctx.auth.getUserIdentity()` does in Convex.

    Args:
        request: A request or WebSocket of any framework, with a `scope` or an `environ`, or one of these themselves.

    Returns:
        The identity, or None for an anonymous request. For a WebSocket, the user at this moment: None from the `exp` of
        its token on.

    Raises:
        InvalidTokenError: The token was refused, and the middleware defers refusals.
        InsufficientScopeError: The token lacks a scope, and the middleware defers refusals.
        KeysUnavailableError: The issuer's keys were unavailable, and the middleware defers refusals.
        ConfigurationError: No middleware ran: a forgotten middleware must not look like an anonymous user.

    Source: HTTP-06; HTTP-09.
    """
    scope = scope_or_environ(request)
    try:
        outcome = scope[IDENTITY_KEY]
        live = scope.get(LIVE_KEY)
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request") from None
    if isinstance(live, LiveIdentity):
        return live.identity
    if outcome is None or isinstance(outcome, Identity):
        return outcome
    if isinstance(outcome, DeferredError):
        # A further read must not get a longer traceback.
        raise outcome.error.with_traceback(None)
    if isinstance(outcome, LazyIdentity):
        return outcome.find()
    raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request")


def scope_or_environ(request: object) -> MutableMapping[str, Any]:
    """Return the scope or environ of a request; the argument itself where it has neither."""
    scope = getattr(request, "scope", None)
    return cast("MutableMapping[str, Any]", getattr(request, "environ", request) if scope is None else scope)
