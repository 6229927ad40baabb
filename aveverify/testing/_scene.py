"""`Scene`: a situation that is refused for one reason: a verifier, a request, and the options of a middleware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from aveverify.errors import (
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

_STATUS: Final = {
    Reason.KEYS_UNAVAILABLE: KeysUnavailableError.http_status,
    Reason.MALFORMED_AUTHORIZATION: InvalidRequestError.http_status,
    Reason.REPEATED_AUTHORIZATION: InvalidRequestError.http_status,
    Reason.INSUFFICIENT_SCOPE: InsufficientScopeError.http_status,
    Reason.NOT_ALLOWED: InsufficientScopeError.http_status,
    Reason.MISCONFIGURED: ConfigurationError.http_status,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A situation that is refused for one reason; made by `FakeIssuer.scene`. Close it, or use it with `with`.

    Attributes:
        reason: The reason of the refusal.
        verifier: The verifier to build the application with.
        options: Keyword arguments for the middleware or integration (`scopes`, `check`), without which it would accept
            the request.
        token: The refused token, for a test of the verifier alone.
        headers: The headers of the refused request, as pairs of name and value. For `OTHER_USER` the request is
            accepted: it opens the WebSocket on which `reauthenticate(token)` is refused.
    """

    reason: Reason
    verifier: Verifier = field(repr=False)
    options: Mapping[str, Any]
    token: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def status(self) -> int:
        """The status of the response; 500 stands for an exception that only the programmer can fix."""
        return _STATUS.get(self.reason, InvalidTokenError.http_status)

    def close(self) -> None:
        """Close the verifier."""
        self.verifier.close()

    def __enter__(self) -> Self:
        """Return the scene itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the verifier."""
        self.close()
