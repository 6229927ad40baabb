"""What the middlewares share: where the identity stands, and how a view asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aveverify.errors import AveVerifyError, ConfigurationError, Problem
from aveverify.identity import Identity

# The one place in a scope or environ that counts; overwritten at every request (HTP-010).
IDENTITY_KEY: Final = "aveverify.identity"


class Deferred(NamedTuple):
    """A refusal that waits until somebody asks for the identity (`on_invalid="defer"`, HTTP-09)."""

    error: AveVerifyError


def get_user_identity(request: Any) -> Identity | None:  # noqa: ANN401 - a request of any framework
    """Return who makes this request, as `ctx.auth.getUserIdentity()` does in Convex.

    Args:
        request: A request with a `scope` or an `environ`, or one of these themselves.

    Returns:
        The identity, or None for an anonymous request.

    Raises:
        InvalidTokenError: The token was refused, and the middleware defers refusals.
        KeysUnavailableError: The keys could not be had, and the middleware defers refusals.
        ConfigurationError: No middleware ran: a forgotten middleware must not look like an anonymous user.

    Source: HTTP-06; HTTP-09.
    """
    carrier = request
    for attribute in ("scope", "environ"):
        if not isinstance(carrier, Mapping):
            carrier = getattr(request, attribute, carrier)
    found = carrier.get(IDENTITY_KEY, carrier) if isinstance(carrier, Mapping) else carrier
    if found is None or isinstance(found, Identity):
        return found
    if isinstance(found, Deferred):
        raise found.error
    raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request")
