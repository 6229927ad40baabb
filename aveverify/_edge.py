"""What the edges share: the rules of one middleware, where the identity stands, and how a view asks for it.

Knows neither ASGI nor WSGI: an edge collects the header, waits for the verifier, and sends what is decided here.
RFC 6750; RFC 6749 §3.3; HTTP-06; HTTP-09.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from aveverify._core.bearer import Answer, ChallengeParameters, make_answer
from aveverify._edge_log import LimitedLog
from aveverify.errors import (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Problem,
)
from aveverify.identity import Identity

OnInvalid = Literal["reject", "defer"]

# The one place in a scope or environ that counts; overwritten at every request (HTP-010).
IDENTITY_KEY: Final = "aveverify.identity"
# What becomes an answer. A ConfigurationError is the programmer's and passes as an exception.
REFUSALS: Final = (InvalidRequestError, InvalidTokenError, InsufficientScopeError, KeysUnavailableError)

# RFC 9110 §5.6.4: what stands in a quoted-string without an escape, visible ASCII and blanks.
_QUOTABLE: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
# RFC 6749 §3.3: scope-token; the same without blanks. A URL is made of these, too.
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Deferred(NamedTuple):
    """A refusal that waits until somebody asks for the identity (`on_invalid="defer"`, HTTP-09)."""

    error: AveVerifyError


class Gate(NamedTuple):
    """The rules of one middleware, already checked. Made by `make_gate`.

    Attributes:
        required: Whether a request without credentials is refused.
        defers: Whether a refusal waits until somebody asks for the identity.
        parameters: What the service says about itself, and the scopes that it demands.
        log: Where refusals are told.
    """

    required: bool
    defers: bool
    parameters: ChallengeParameters
    log: LimitedLog

    def check_scopes(self, identity: Identity) -> None:
        """Refuse a token without the required scopes.

        Args:
            identity: Whoever the token vouches for.

        Raises:
            InsufficientScopeError: A required scope is not in the text of the `scope` claim, or there is no such text.

        Source: RFC 6749 §3.3; RFC 6750 §3.1.
        """
        required = self.parameters.scopes
        if not required:
            return
        granted = identity.claims.get("scope")
        if not isinstance(granted, str) or not set(required).issubset(granted.split(" ")):
            raise InsufficientScopeError(required)

    def refuse(self, error: AveVerifyError | None) -> Answer:
        """Log a refusal and write its answer.

        Args:
            error: What was refused; None where credentials are required and there were none.

        Returns:
            The answer. What it says does not depend on the token (ERR-004); the log has the reason.
        """
        self.log.info("refused: %s", error or "no credentials where they are required")
        return make_answer(error, self.parameters)

    def refuse_or_defer(self, error: AveVerifyError) -> Answer | Deferred:
        """Log a refusal, and write its answer or leave it to whoever asks for the identity.

        A malformed request is never deferred: it is unknown which credentials the client meant.

        Args:
            error: What was refused.

        Returns:
            The answer, or what stands in the place of the identity.
        """
        if not self.defers or isinstance(error, InvalidRequestError):
            return self.refuse(error)
        self.log.info("deferred: %s", error)
        return Deferred(error)


def make_gate(
    *, required: bool, on_invalid: OnInvalid, scopes: Sequence[str], realm: str | None, resource_metadata: str | None
) -> Gate:
    """Check the arguments of a middleware.

    Args:
        required: Whether a request without credentials is refused.
        on_invalid: What happens to a refused token.
        scopes: The scopes that a token must carry.
        realm: The `realm` of the challenges.
        resource_metadata: The URL of the service's metadata (RFC 9728).

    Returns:
        The rules.

    Raises:
        ConfigurationError: An argument is not what it must be, or could break out of a challenge's quotes.
    """
    # type(), and no truth value: None or "no" must not decide who comes in.
    if type(required) is not bool:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "required", "True or False")
    if on_invalid not in ("reject", "defer"):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "on_invalid", "'reject' or 'defer'")
    # Text is a sequence of texts: "read" would demand r, e, a and d.
    if not isinstance(scopes, (list, tuple)) or not all(_is_like(_SCOPE_TOKEN, scope) for scope in scopes):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "scopes", "a list of scope tokens of RFC 6749 §3.3")
    if realm is not None and not _is_like(_QUOTABLE, realm):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "realm", "printable ASCII without quote and backslash")
    if resource_metadata is not None and not _is_like(_SCOPE_TOKEN, resource_metadata):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "resource_metadata", "a URL in printable ASCII")
    return Gate(
        required, on_invalid == "defer", ChallengeParameters(realm, resource_metadata, tuple(scopes)), LimitedLog()
    )


def _is_like(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def get_user_identity(request: Any) -> Identity | None:  # noqa: ANN401 - a request of any framework
    """Return who makes this request, as `ctx.auth.getUserIdentity()` does in Convex.

    Args:
        request: A request or WebSocket with a `scope` or an `environ`, or one of these themselves.

    Returns:
        The identity, or None for an anonymous request.

    Raises:
        InvalidTokenError: The token was refused, and the middleware defers refusals.
        InsufficientScopeError: The token lacks a scope, and the middleware defers refusals.
        KeysUnavailableError: The keys could not be had, and the middleware defers refusals.
        ConfigurationError: No middleware ran: a forgotten middleware must not look like an anonymous user.

    Source: HTTP-06; HTTP-09.
    """
    carrier = getattr(request, "scope", None)
    if carrier is None:
        carrier = getattr(request, "environ", request)
    try:
        found = carrier[IDENTITY_KEY]
    except (KeyError, TypeError):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request") from None
    if found is None or isinstance(found, Identity):
        return found
    if isinstance(found, Deferred):
        # Whoever asks twice must not get a longer traceback each time.
        raise found.error.with_traceback(None)
    raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request")
