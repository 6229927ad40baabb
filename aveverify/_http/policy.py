"""The rules of one middleware or framework integration: its options, checked once, and what they decide about a token.

Knows neither ASGI nor WSGI nor a framework. RFC 6750; RFC 6749 §3.3; HTTP-09.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Final, NamedTuple, Unpack

from aveverify._core.bearer import ChallengeParameters
from aveverify._core.identity import Identity
from aveverify._core.provider_checks import check_flag
from aveverify._core.refusal import ErrorResponse, Refusal, RenderRefusal, make_refusal, oauth_error
from aveverify._http.app_calls import AppCalls, is_awaitable
from aveverify._http.auth_options import Allow, AuthOptions, Check
from aveverify._http.caching import choose_marking, vary_of
from aveverify._http.exempt_paths import EveryPath, ExemptPaths
from aveverify._http.option_checks import (
    check_callable,
    check_function,
    check_sources,
    check_verifier,
    is_coroutine_function,
)
from aveverify._http.rate_limited_log import LimitedLog
from aveverify._http.rendering import render_response
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import DEFAULT_SCOPE_CLAIMS, RequiredScopes, check_scope_claims, check_scope_list
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

# What is true, but no answer of a predicate.
_UNFINISHED: Final = (
    Iterator,
    AsyncIterator,
    type,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    functools.partial,
)
# RFC 9110 §5.6.4: what stands in a quoted-string without an escape, visible ASCII and blanks.
_QUOTABLE: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
# The same without blanks, which contains every character of a URL (RFC 3986 §2).
_URL: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Denial(NamedTuple):
    """A refused request, and its HTTP response.

    Attributes:
        refusal: What was wrong with it.
        response: The whole response.
    """

    refusal: Refusal
    response: ErrorResponse

    @property
    def error(self) -> AveVerifyError | None:
        """The error; None where credentials are required and the request has none."""
        return self.refusal.error


class AuthPolicy(NamedTuple):
    """The rules of one middleware or integration, already checked. Made by `make_policy`.

    Attributes:
        verifier: Verifies tokens.
        required: Whether a request without credentials is refused.
        defers: Whether a refusal is raised when the application asks for the identity.
        scopes: The scopes that a token must hold.
        allow: Tells whether an identity may use the application.
        parameters: What challenges name: realm, metadata and required scopes.
        exempt: The paths that need no credentials.
        optional: The paths that also serve requests without credentials.
        sources: Where a request may carry its token; `DEFAULT_SOURCES` itself where these are the default ones.
        check: The application's further check of an identity.
        calls: Calls the functions of the application.
        render: Renders the body of a refusal.
        log: Where refusals are logged.
        cached_identity: Returns the identity of a token that was accepted before and may be accepted again without any
            further check, else None. The member itself is None if this policy checks more than the token: with scopes,
            `check`, `allow`, exempt paths or other sources than the default ones.
        marks: Whether responses tell caches by which headers they differ.
        ends_streams: Whether a response that goes on is ended when the token expires.
    """

    verifier: Verifier
    required: bool
    defers: bool
    scopes: RequiredScopes
    allow: Allow | None
    parameters: ChallengeParameters
    exempt: ExemptPaths
    optional: ExemptPaths
    sources: tuple[TokenSource, ...]
    check: Check | None
    calls: AppCalls
    render: RenderRefusal
    log: LimitedLog
    cached_identity: CachedIdentity | None
    marks: bool
    ends_streams: bool

    async def authenticate_async(self, token: str | bytes) -> Identity:
        """Verify a token and everything else that this policy requires of it, without blocking the event loop.

        Args:
            token: The compact token.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused, by the verifier or by `check`.
            InsufficientScopeError: A scope is missing, or `allow` says no.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged.
        """
        identity = await self.verifier.verify_async(token)
        # A crash report of the application's functions shows the locals of this frame (ERR-002).
        del token
        await self.authorize_async(identity)
        return identity

    def authorize(self, identity: Identity) -> None:
        """Check what this policy requires of a verified identity: the scopes, and the application's own functions.

        Args:
            identity: The identity of a verified token.

        Raises:
            InvalidTokenError: `check` refuses the identity.
            InsufficientScopeError: A scope is missing, or `allow` says no.
        """
        self.scopes.check(identity)
        if self.check is not None:
            _require_accepted(self.calls.call("check", self.check, identity), identity)
        if self.allow is not None:
            require_allowed(self.calls.call("allow", self.allow, identity))

    async def authorize_async(self, identity: Identity) -> None:
        """Check an identity without blocking the event loop; see `authorize`.

        Args:
            identity: The identity of a verified token.
        """
        self.scopes.check(identity)
        if self.check is not None:
            _require_accepted(await self.calls.call_async(self.check, identity), identity)
        if self.allow is not None:
            require_allowed(await self.calls.call_async(self.allow, identity))

    def with_scopes(self, scopes: Sequence[str], any_scopes: Sequence[str] = ()) -> AuthPolicy:
        """Return the same policy with further required scopes, those of one view.

        Args:
            scopes: The scopes that a token must hold, all of them.
            any_scopes: Scopes of which it must hold one.
        """
        if not scopes and not any_scopes:
            return self
        required = self.scopes.and_also(scopes, any_scopes)
        parameters = self.parameters._replace(scopes=required.names)
        return self._replace(scopes=required, parameters=parameters, cached_identity=None)

    def with_check(self, check: Check) -> AuthPolicy:
        """Return the same policy with another `check`."""
        return self._replace(check=check, cached_identity=None)

    def with_allow(self, allow: Allow) -> AuthPolicy:
        """Return the same policy with another `allow`."""
        return self._replace(allow=allow, cached_identity=None)

    def in_front_of(self, app: object) -> AuthPolicy:
        """Return the same policy with paths that consider the prefixes of an ASGI application (HTP-026)."""
        return self._replace(exempt=self.exempt.in_front_of(app), optional=self.optional.in_front_of(app))

    def with_every_path_exempt(self) -> AuthPolicy:
        """Return the same policy for requests that need no credentials, for integrations that know it by the handler.

        The other rules hold for a token that a WebSocket shows later (`reauthenticate`).
        """
        return self._replace(exempt=EveryPath(), cached_identity=None)

    def make_denial(self, error: AveVerifyError | None, *, scopes: Sequence[str] = ()) -> Denial:
        """Describe a refused request and make its response, without a log record.

        Args:
            error: The refusal; None where credentials are required and the request has none.
            scopes: The scopes that the challenge names; by default those that `error` misses, or those of the policy.

        Returns:
            The refusal. Its response does not otherwise depend on the token (ERR-004).
        """
        if not scopes:
            scopes = error.required if isinstance(error, InsufficientScopeError) else self.parameters.scopes
        if error is not None:
            # Without the frames of the verification, where a crash report would find the token among the locals.
            error = error.with_traceback(None)
        refusal = make_refusal(error, self.parameters._replace(scopes=tuple(scopes)))
        return Denial(refusal, render_response(refusal, self.render))

    def deny(self, error: AveVerifyError | None, *, scopes: Sequence[str] = ()) -> Denial:
        """Log a refusal and make its response; see `make_denial`. The log has the reason."""
        self.log.info("refused: %s", error or "no credentials where they are required")
        return self.make_denial(error, scopes=scopes)

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
    # Fail closed: anything but None refuses, such as False or an empty text.
    if result is None:
        return
    raise InvalidTokenError(
        Reason.REFUSED_BY_CHECK,
        rule="check",
        kind=identity.provider.kind,
        refusal=result if isinstance(result, str) and result else None,
    )


def require_allowed(result: object) -> None:
    """Refuse an identity to which a predicate of the application says no.

    Args:
        result: What the predicate has returned.

    Raises:
        InsufficientScopeError: It is false.
        ConfigurationError: It is what a mistake leaves, true whatever it stands for: an awaitable after a forgotten
            `await`, a function or class that was not called, an iterator.
    """
    if is_awaitable(result) or isinstance(result, _UNFINISHED):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(
            Problem.OUT_OF_RANGE, "allow", "it must return a truth value, not what must be awaited, called or iterated"
        )
    if not result:
        raise InsufficientScopeError(reason=Reason.NOT_ALLOWED)


def make_policy(
    verifier: Verifier,
    *,
    required: bool,
    awaits: bool = True,
    calls: AppCalls | None = None,
    **options: Unpack[AuthOptions],
) -> AuthPolicy:
    """Check the options of a middleware or integration.

    Args:
        verifier: Verifies tokens.
        required: Whether a request without credentials is refused.
        awaits: Whether the integration can await a coroutine function.
        calls: Calls the functions of the application; by default, coroutine functions from asynchronous code only.
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
    scopes, any_scopes = options.get("scopes", ()), options.get("any_scopes", ())
    check_scope_list(scopes)
    check_scope_list(any_scopes, name="any_scopes")
    scope_claims = check_scope_claims(options.get("scope_claims", DEFAULT_SCOPE_CLAIMS))
    required_scopes = RequiredScopes(claims=scope_claims).and_also(scopes, any_scopes)
    realm, resource_metadata = options.get("realm"), options.get("resource_metadata")
    if realm is not None and not _is_like(_QUOTABLE, realm):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "realm", "printable ASCII without quote and backslash")
    if resource_metadata is not None and not _is_like(_URL, resource_metadata):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "resource_metadata", "a URL in printable ASCII")
    given_sources = check_sources(options.get("token_sources", DEFAULT_SOURCES))
    # One object, so that every reader asks for it by `is`.
    sources = DEFAULT_SOURCES if tuple(given_sources) == DEFAULT_SOURCES else tuple(given_sources)
    check, allow = options.get("check"), options.get("allow")
    check_function("check", check, awaits=awaits)
    check_function("allow", allow, awaits=awaits)
    render = options.get("render_refusal")
    check_callable("render_refusal", render, arguments=1)
    if is_coroutine_function(render):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "render_refusal", "a plain function, no coroutine function")
    ends_streams = options.get("end_expired_streams", False)
    check_flag("end_expired_streams", ends_streams)
    vary = vary_of(sources)
    exempt = ExemptPaths(options.get("exempt", ()))
    decides_by_token = (
        check is None and allow is None and not required_scopes.names and not exempt and sources is DEFAULT_SOURCES
    )
    return AuthPolicy(
        verifier=verifier,
        required=required,
        defers=on_invalid == "defer",
        scopes=required_scopes,
        allow=allow,
        parameters=ChallengeParameters(realm, resource_metadata, required_scopes.names, vary),
        exempt=exempt,
        optional=ExemptPaths(options.get("optional", ()), name="optional"),
        sources=sources,
        check=check,
        calls=calls or AppCalls(),
        render=render or oauth_error,
        log=LimitedLog(),
        cached_identity=verifier.cached_identity if decides_by_token else None,
        marks=choose_marking(vary, chosen=options.get("cache_headers")),
        ends_streams=ends_streams,
    )


def _is_like(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
