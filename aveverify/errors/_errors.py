"""The five errors, and every message of the package.

Call sites pass facts; this room makes the sentence. Nothing of a token but `iss`, `kid` and `alg`, quoted and
shortened, ever gets into a message. The wire carries only the RFC 6750 code and a fixed description.

    AveVerifyError
    ├── InvalidRequestError      400  the Authorization header is malformed or doubled
    ├── InvalidTokenError        401  the token is refused
    ├── InsufficientScopeError   403  the token is good, the scope is missing
    ├── KeysUnavailableError     503  the issuer or the network; the token is not to blame
    └── ConfigurationError        -   raised when something is built; also a ValueError
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from aveverify.errors._reasons import MENDS, TABLE, Fault, Hint, Problem, ProviderKind, Reason, Step

# Long enough for an issuer or a thumbprint, short enough that a hostile kid cannot fill a log.
_MAX_QUOTED_CHARACTERS: Final = 96
_MAX_READ_CHARACTERS: Final = 4_096
_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")


def quote(text: str) -> str:
    """Make a hostile text safe to show: escaped, quoted, shortened, and without the credentials of a URL.

    Args:
        text: Any text, for instance a `kid` from a token or a configured issuer.

    Returns:
        ASCII on one line, in quotes, at most about a hundred characters of the text.
    """
    shown = text[:_MAX_READ_CHARACTERS]
    if "@" in shown:
        # DSC-009: credentials in a URL never reach a log.
        shown = _CREDENTIALS.sub("//...@", shown)
    if len(shown) <= _MAX_QUOTED_CHARACTERS and len(text) <= _MAX_READ_CHARACTERS:
        return ascii(shown)
    return ascii(shown[:_MAX_QUOTED_CHARACTERS]) + "..."


class AveVerifyError(Exception):
    """The root of all errors of this package.

    Attributes:
        reason: Why, from a closed list.
        rule: The id of the rule or the section of the standard that asks for it.
        hint: What most likely went wrong, or None.
        convex_code: Convex's name of the same refusal, or None where Convex has none.
    """

    http_status: ClassVar[int]
    error_code: ClassVar[str | None]
    description: ClassVar[str]

    reason: Reason
    rule: str
    hint: Hint | None = None
    convex_code: str | None = None

    def __init__(self, message: str, /, **arguments: object) -> None:
        super().__init__(message)
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._arguments)


def _rebuild(kind: Callable[..., AveVerifyError], arguments: dict[str, Any]) -> AveVerifyError:
    return kind(**arguments)


def _step_of(reason: Reason, kind: ProviderKind | None) -> Step | None:
    # What is read again once the provider is known belongs to step 3.
    step = TABLE[reason].step
    return Step.PARSE if step is Step.READ and kind is not None else step


def _sentence(reason: Reason, rule: str, detail: str | None, hint: Hint | None, step: Step | None = None) -> str:
    where = f"{rule}, step {step.value}" if step is not None else rule
    parts = [f"{reason.value} ({where}): {reason.explanation}"]
    if detail:
        parts.append(f"; {detail}")
    if hint:
        parts.append(f". Hint: {hint.value}")
    return "".join(parts)


class InvalidTokenError(AveVerifyError):
    """The token is refused; whoever presented it needs a new one.

    Args:
        reason: Why.
        rule: Which rule asks for it.
        kind: The kind of the chosen provider; None while none is chosen.
        claim: The name of the claim or header member that is at fault, from our own list of names.
        fault: What is wrong with a text that could not be read.
        hint: What most likely went wrong, or who can tell, once somebody asks.
        issuer: The token's `iss`, if it may be shown.
        kid: The token's `kid`.
        alg: The token's `alg`.
        refusal: Why the application refused it, in the application's own words.

    Attributes:
        step: At which step of the verification.
    """

    http_status = 401
    __slots__ = ("_hint", "_kind", "alg", "claim", "fault", "issuer", "kid", "reason", "refusal", "rule")

    error_code = "invalid_token"
    description = "The access token is invalid, expired or not meant for this service"

    def __init__(  # noqa: PLR0913 - facts, all optional, all by keyword
        self,
        reason: Reason,
        *,
        rule: str,
        kind: ProviderKind | None = None,
        claim: str | None = None,
        fault: Fault | None = None,
        hint: Hint | Callable[[], Hint | None] | None = None,
        issuer: str | None = None,
        kid: str | None = None,
        alg: str | None = None,
        refusal: str | None = None,
    ) -> None:
        # Facts alone: a flood of bad tokens must cost little, and most refusals are never read. The sentence comes
        # when somebody asks for it.
        self.reason = reason
        self.rule = rule
        self.claim = claim
        self.fault = fault
        self.issuer = issuer
        self.kid = kid
        self.alg = alg
        self.refusal = refusal
        self._kind = kind
        self._hint = hint

    @property
    def hint(self) -> Hint | None:  # type: ignore[override]  # read-only here
        """What most likely went wrong, or None."""
        if self._hint is not None and not isinstance(self._hint, Hint):
            self._hint = self._hint()
        return self._hint

    @property
    def step(self) -> Step | None:
        """At which step of the verification."""
        return _step_of(self.reason, self._kind)

    @property
    def convex_code(self) -> str | None:  # type: ignore[override]  # read-only here
        """Convex's name of the same refusal, or None where Convex has none."""
        row = TABLE[self.reason]
        return row.custom_jwt_code if self._kind == "customJwt" else row.oidc_code

    def __str__(self) -> str:
        """Return the sentence."""
        facts = [f"in {self.claim}"] if self.claim else []
        if self.fault:
            facts.append(self.fault.value)
        shown = (("iss", self.issuer), ("alg", self.alg), ("kid", self.kid), ("because", self.refusal))
        facts += [f"{name} {quote(text)}" for name, text in shown if text is not None]
        return _sentence(self.reason, self.rule, ", ".join(facts), self.hint, self.step)

    def copy_without_traceback(self) -> InvalidTokenError:
        """Return an equal error that nobody has raised, for a frame that holds this one: to raise it makes a cycle."""
        return InvalidTokenError(
            self.reason, rule=self.rule, kind=self._kind, claim=self.claim, fault=self.fault, hint=self._hint,
            issuer=self.issuer, kid=self.kid, alg=self.alg, refusal=self.refusal,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Show the sentence."""
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("reason", "rule", "claim", "fault", "hint", "issuer", "kid", "alg", "refusal")
        return _rebuild, (type(self), {"kind": self._kind} | {name: getattr(self, name) for name in names})


class KeysUnavailableError(AveVerifyError):
    """The issuer's keys cannot be had, so nothing can be said about the token. Answer 503, not 401.

    Args:
        retry_after_seconds: When a new attempt makes sense, at least 1.
        kind: The kind of the provider whose keys are missing.
        issuer: The configured issuer.
        cause: What the last attempt failed of, as a sentence of our own.
    """

    http_status = 503
    error_code = None
    description = "The keys of the identity provider are unavailable; try again later"

    def __init__(self, retry_after_seconds: int, *, kind: ProviderKind, issuer: str, cause: str | None = None) -> None:
        reason, rule = Reason.KEYS_UNAVAILABLE, "DV-14"
        detail = f"issuer {quote(issuer)}, retry in {retry_after_seconds} s" + (f", {cause}" if cause else "")
        super().__init__(
            _sentence(reason, rule, detail, None, TABLE[reason].step),
            retry_after_seconds=retry_after_seconds, kind=kind, issuer=issuer, cause=cause,
        )  # fmt: skip
        self.reason = reason
        self.rule = rule
        self.step = TABLE[reason].step
        self.retry_after_seconds = retry_after_seconds
        row = TABLE[reason]
        self.convex_code = row.custom_jwt_code if kind == "customJwt" else row.oidc_code


class InvalidRequestError(AveVerifyError):
    """The credentials are malformed or doubled; the client must send them differently."""

    http_status = 400
    error_code = "invalid_request"
    description = "The credentials are malformed or occur more than once"

    def __init__(self, reason: Reason = Reason.MALFORMED_AUTHORIZATION) -> None:
        super().__init__(_sentence(reason, "RFC6750-2.1", None, None), reason=reason)
        self.reason = reason
        self.rule = "RFC6750-2.1"


class InsufficientScopeError(AveVerifyError):
    """The token is good but does not carry the scopes that the route demands.

    Args:
        required: The scopes that the route demands, as configured.
    """

    http_status = 403
    error_code = "insufficient_scope"
    description = "The token does not carry the required scope"

    def __init__(self, required: tuple[str, ...]) -> None:
        reason = Reason.INSUFFICIENT_SCOPE
        super().__init__(_sentence(reason, "RFC6750-3.1", f"required {' '.join(required)}", None), required=required)
        self.reason = reason
        self.rule = "RFC6750-3.1"
        self.required = required


class ConfigurationError(AveVerifyError, ValueError):
    """Something is configured wrongly; raised when it is built.

    Args:
        problem: What is wrong.
        field: The name of the field, for instance `issuer` or `providers[1].jwks`.
        detail: More, from our own words or the programmer's own configuration; never from a token.
    """

    http_status = 500
    error_code = None
    description = "The service is misconfigured"

    def __init__(self, problem: Problem, field: str, detail: str | None = None) -> None:
        mend = MENDS[problem]
        message = f"{field} {mend.sentence}" + (f" ({detail})" if detail else "") + f" [{mend.rule}]"
        super().__init__(message, problem=problem, field=field, detail=detail)
        self.reason = Reason.MISCONFIGURED
        self.rule = mend.rule
        self.problem = problem
        self.field = field
        self.detail = detail
        self.convex_code = mend.code
