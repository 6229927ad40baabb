"""The rules of one middleware or framework integration: its options, checked once, and what they decide about a token.

Knows neither ASGI nor WSGI nor a framework. RFC 6750; RFC 6749 §3.3; HTTP-09.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Unpack

from aveverify._core.bearer import ChallengeParameters, ErrorResponse, make_answer
from aveverify._core.identity import Identity
from aveverify._core.provider_checks import check_flag
from aveverify._http.auth_options import AuthOptions, Check
from aveverify._http.caching import choose_marking, vary_of
from aveverify._http.exempt_paths import EveryPath, ExemptPaths
from aveverify._http.option_checks import NEEDS_ASYNC, check_function, check_sources, check_verifier
from aveverify._http.rate_limited_log import LimitedLog
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import check_scope_list, check_scopes
from aveverify.errors import (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Problem,
    Reason,
)
from aveverify.sources import DEFAULT_SOURCES, TokenSource

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

# Returns the identity of a token that was accepted before and may be accepted again without a further check.
CachedIdentity = Callable[[bytes], Identity | None]

# Where a scope holds the `AuthPolicy` that has decided, for guards, dependencies and handlers behind the middleware.
POLICY_KEY: Final = "aveverify.policy"
# What becomes a response. A ConfigurationError is the programmer's and passes as an exception.
REFUSALS: Final = (InvalidRequestError, InvalidTokenError, InsufficientScopeError, KeysUnavailableError)

# RFC 9110 §5.6.4: what stands in a quoted-string without an escape, visible ASCII and blanks.
_QUOTABLE: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
# The same without blanks, which contains every character of a URL (RFC 3986 §2).
_URL: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Denial(NamedTuple):
    """A refused request: what was wrong with it, and its HTTP response.

    Attributes:
        error: The refusal; None where credentials are required and the request has none.
        response: The response.
    """

    error: AveVerifyError | None
    response: ErrorResponse


class AuthPolicy(NamedTuple):
    """The rules of one middleware or integration, already checked. Made by `make_policy`.

    Attributes:
        verifier: Verifies tokens.
        required: Whether a request without credentials is refused.
        defers: Whether a refusal is raised when the application asks for the identity.
        parameters: What challenges name: realm, metadata and required scopes.
        exempt: The paths that need no credentials.
        sources: Where a request may carry its token; `DEFAULT_SOURCES` itself where these are the default ones.
        check: The application's further check of an identity.
        log: Where refusals are logged.
        cached_identity: Returns the identity of a token that was accepted before and may be accepted again without any
            further check, else None. The member itself is None if this policy checks more than the token: with scopes,
            `check`, exempt paths or other sources than the default ones.
        marks: Whether responses tell caches by which headers they differ.
    """

    verifier: Verifier
    required: bool
    defers: bool
    parameters: ChallengeParameters
    exempt: ExemptPaths
    sources: tuple[TokenSource, ...]
    check: Check | None
    log: LimitedLog
    cached_identity: CachedIdentity | None
    marks: bool

    def authenticate(self, token: str | bytes) -> Identity:
        """Verify a token and everything else that this policy requires of it.

        Args:
            token: The compact token.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused, by the verifier or by `check`.
            InsufficientScopeError: A scope is missing.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged.
        """
        identity = self.verifier.verify(token)
        check_scopes(identity, self.parameters.scopes)
        if self.check is not None:
            _require_accepted(self.check(identity), identity)
        return identity

    async def authenticate_async(self, token: str | bytes) -> Identity:
        """Verify without blocking the event loop; see `authenticate`."""
        identity = await self.verifier.verify_async(token)
        await self.authorize_async(identity)
        return identity

    async def authorize_async(self, identity: Identity) -> None:
        """Check what this policy requires of a verified identity: the scopes, and the application's `check`.

        Args:
            identity: The identity of a verified token.

        Raises:
            InvalidTokenError: `check` refuses the identity.
            InsufficientScopeError: A scope is missing.
        """
        check_scopes(identity, self.parameters.scopes)
        if self.check is not None:
            result = self.check(identity)
            _require_accepted(await result if inspect.isawaitable(result) else result, identity)

    def with_scopes(self, scopes: Sequence[str]) -> AuthPolicy:
        """Return the same policy with further required scopes, those of one view."""
        if not scopes:
            return self
        required = tuple(dict.fromkeys((*self.parameters.scopes, *scopes)))
        return self._replace(parameters=self.parameters._replace(scopes=required), cached_identity=None)

    def with_check(self, check: Check) -> AuthPolicy:
        """Return the same policy with another `check`."""
        return self._replace(check=check, cached_identity=None)

    def in_front_of(self, app: object) -> AuthPolicy:
        """Return the same policy with exempt paths that consider the prefixes of an ASGI application (HTP-026)."""
        return self._replace(exempt=self.exempt.in_front_of(app))

    def with_every_path_exempt(self) -> AuthPolicy:
        """Return the same policy for requests that need no credentials, for integrations that know it by the handler.

        The other rules hold for a token that a WebSocket shows later (`reauthenticate`).
        """
        return self._replace(exempt=EveryPath(), cached_identity=None)

    def error_response(self, error: AveVerifyError | None) -> ErrorResponse:
        """Return the HTTP response to a refusal, without a log record.

        Args:
            error: The refusal; None where credentials are required and the request has none.

        Returns:
            The response. It names the scopes that `error` misses, or those of the policy, and does not otherwise depend
            on the token (ERR-004).
        """
        scopes = error.required if isinstance(error, InsufficientScopeError) else self.parameters.scopes
        return make_answer(error, self.parameters._replace(scopes=scopes))

    def deny(self, error: AveVerifyError | None, *, scopes: Sequence[str] = ()) -> Denial:
        """Log a refusal and make its response.

        Args:
            error: The refusal; None where credentials are required and the request has none.
            scopes: The scopes that the challenge names; by default those of the policy.

        Returns:
            The refusal. Its response does not depend on the token (ERR-004); the log has the reason.
        """
        self.log.info("refused: %s", error or "no credentials where they are required")
        parameters = self.parameters._replace(scopes=tuple(scopes)) if scopes else self.parameters
        # Without the frames of the verification, where a crash report would find the token among the locals.
        return Denial(None if error is None else error.with_traceback(None), make_answer(error, parameters))

    def deny_or_defer(self, error: AveVerifyError) -> Denial | DeferredError:
        """Log a refusal; then deny the request, or defer the refusal until the application asks for the identity.

        A malformed request is never deferred: it is unknown which credentials the client meant.

        Args:
            error: The refusal.

        Returns:
            The denial, or what takes the place of the identity.
        """
        if not self.defers or isinstance(error, InvalidRequestError):
            return self.deny(error)
        self.log.info("deferred: %s", error)
        return DeferredError(error.with_traceback(None))


def _require_accepted(result: object, identity: Identity) -> None:
    # Fail closed: anything but None refuses, such as False, an empty text, or a coroutine that was never awaited.
    if result is None:
        return
    if inspect.iscoroutine(result):
        result.close()
        raise ConfigurationError(Problem.OUT_OF_RANGE, "check", NEEDS_ASYNC)
    raise InvalidTokenError(
        Reason.REFUSED_BY_CHECK,
        rule="check",
        kind=identity.provider.kind,
        refusal=result if isinstance(result, str) and result else None,
    )


def make_policy(
    verifier: Verifier, *, required: bool, awaits: bool = True, **options: Unpack[AuthOptions]
) -> AuthPolicy:
    """Check the options of a middleware or integration.

    Args:
        verifier: Verifies tokens.
        required: Whether a request without credentials is refused.
        awaits: Whether the integration can await a coroutine function.
        options: The other options.

    Returns:
        The policy.

    Raises:
        ConfigurationError: An option is not what it must be, or could break out of the quotes of a challenge.

    Source: HTP-043.
    """
    check_verifier(verifier)
    check_flag("required", required)
    on_invalid = options.get("on_invalid", "reject")
    if on_invalid not in ("reject", "defer"):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "on_invalid", "'reject' or 'defer'")
    scopes = options.get("scopes", ())
    check_scope_list(scopes)
    realm, resource_metadata = options.get("realm"), options.get("resource_metadata")
    if realm is not None and not _is_like(_QUOTABLE, realm):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "realm", "printable ASCII without quote and backslash")
    if resource_metadata is not None and not _is_like(_URL, resource_metadata):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "resource_metadata", "a URL in printable ASCII")
    given_sources = check_sources(options.get("token_sources", DEFAULT_SOURCES))
    # One object, so that every reader asks for it by `is`.
    sources = DEFAULT_SOURCES if tuple(given_sources) == DEFAULT_SOURCES else tuple(given_sources)
    check = options.get("check")
    check_function("check", check, awaits=awaits)
    vary = vary_of(sources)
    exempt = ExemptPaths(options.get("exempt", ()))
    decides_by_token = check is None and not scopes and not exempt and sources is DEFAULT_SOURCES
    return AuthPolicy(
        verifier=verifier,
        required=required,
        defers=on_invalid == "defer",
        parameters=ChallengeParameters(realm, resource_metadata, tuple(scopes), vary),
        exempt=exempt,
        sources=sources,
        check=check,
        log=LimitedLog(),
        cached_identity=verifier.cached_identity if decides_by_token else None,
        marks=choose_marking(vary, chosen=options.get("cache_headers")),
    )


def _is_like(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
