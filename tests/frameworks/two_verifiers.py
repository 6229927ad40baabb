"""An application behind a middleware with another verifier, which accepts a token of its own, from a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from aveverify import Identity, asgi, current_identity, get_user_identity
from aveverify.asgi import get_live_connection
from aveverify.errors import AveVerifyError
from aveverify.sources import Cookie
from aveverify.testing import FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Callable

_ORIGIN = "https://app.test"
_ISSUER = FakeIssuer("https://other.test")


def behind_another_verifier(app: Any) -> tuple[TestClient, dict[str, str]]:
    """Return a client, and the headers of a user whom only the middleware in front knows."""
    front = asgi.AveAuthMiddleware(
        app,
        _ISSUER.verifier(),
        required=True,
        token_sources=[Cookie("session", allowed_origins=[_ORIGIN])],
        end_expired_streams=True,
    )
    return TestClient(front), {"Origin": _ORIGIN, "Cookie": f"session={_ISSUER.token(sub='outer')}"}


def find_subjects(request: Any) -> list[str]:
    """What a request gives in each way that names no framework: the subject, "None", or the name of the error."""
    found: list[str] = []
    ways: list[Callable[[], Identity | None]] = [
        lambda: get_user_identity(request),
        current_identity.get,
        lambda: get_live_connection(request).identity,
    ]
    for read in ways:
        try:
            identity = read()
        except AveVerifyError as error:
            found.append(type(error).__name__)
        else:
            found.append(identity.subject if identity else "None")
    return found
