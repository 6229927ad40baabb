"""The four errors beside `InvalidTokenError`: keys, request, scope, configuration.

A caller passes facts, `_messages` makes the sentence for logs; a response carries the fixed code and description.
"""

from __future__ import annotations

from typing import Final

from aveverify.errors._base import AveVerifyError
from aveverify.errors._hints import Hint
from aveverify.errors._messages import quote, reason_sentence
from aveverify.errors._problems import REMEDIES, Problem
from aveverify.errors._reasons import TABLE, ProviderKind, Reason

_NOT_ALLOWED_DESCRIPTION: Final = "The token does not permit this request"


class KeysUnavailableError(AveVerifyError):
    """The issuer's keys are unavailable; the token was not judged: answer 503, not 401.

    Args:
        retry_after_seconds: Seconds until a new attempt makes sense, at least 1; for the `Retry-After` header.
        kind: The kind of the provider whose keys are missing.
        issuer: The configured issuer.
        cause: Why the last fetch failed, one of this package's own sentences.

    Source: DV-14.
    """

    http_status = 503
    error_code = None
    description = "The keys of the identity provider are unavailable; try again later"

    def __init__(self, retry_after_seconds: int, *, kind: ProviderKind, issuer: str, cause: str | None = None) -> None:
        reason, rule = Reason.KEYS_UNAVAILABLE, "DV-14"
        step = TABLE[reason].step
        facts = [f"issuer {quote(issuer)}", f"retry in {retry_after_seconds} s", *([cause] if cause else [])]
        super().__init__(
            reason_sentence(reason, rule, step=step, facts=facts),
            retry_after_seconds=retry_after_seconds, kind=kind, issuer=issuer, cause=cause,
        )  # fmt: skip
        self.reason = reason
        self.rule = rule
        self.step = step
        self.retry_after_seconds = retry_after_seconds
        self.convex_code = TABLE[reason].convex_code(kind)


class InvalidRequestError(AveVerifyError):
    """The request's credentials are malformed or repeated: answer 400.

    Args:
        reason: `MALFORMED_AUTHORIZATION` or `REPEATED_AUTHORIZATION`.

    Source: RFC 6750 §2.1, §3.1.
    """

    http_status = 400
    error_code = "invalid_request"
    description = "The credentials are malformed or occur more than once"

    def __init__(self, reason: Reason = Reason.MALFORMED_AUTHORIZATION) -> None:
        super().__init__(reason_sentence(reason, "RFC6750-2.1"), reason=reason)
        self.reason = reason
        self.rule = "RFC6750-2.1"


class InsufficientScopeError(AveVerifyError):
    """The token is good but lacks a scope that the route requires: answer 403.

    Or it is good and has them, and the application's `allow` says no (`NOT_ALLOWED`).

    Args:
        required: The scopes that the route requires, as configured.
        any_of: Those of them of which one is enough, in groups.
        hint: The most likely mistake, or None.
        reason: `INSUFFICIENT_SCOPE` or `NOT_ALLOWED`.

    Source: RFC 6750 §3.1.
    """

    http_status = 403
    error_code = "insufficient_scope"
    description = "The token does not carry the required scope"

    def __init__(
        self,
        required: tuple[str, ...] = (),
        *,
        any_of: tuple[tuple[str, ...], ...] = (),
        hint: Hint | None = None,
        reason: Reason = Reason.INSUFFICIENT_SCOPE,
    ) -> None:
        all_of = [scope for scope in required if not any(scope in group for group in any_of)]
        facts = [f"required {' '.join(all_of)}"] if all_of else []
        facts += [f"one of {' '.join(group)}" for group in any_of]
        super().__init__(
            reason_sentence(reason, "RFC6750-3.1", facts=facts, hint=hint),
            required=required, any_of=any_of, hint=hint, reason=reason,
        )  # fmt: skip
        self.reason = reason
        if reason is Reason.NOT_ALLOWED:
            # No scope would help.
            self.description = _NOT_ALLOWED_DESCRIPTION
        self.rule = "RFC6750-3.1"
        self.required = required
        self.hint = hint


class ConfigurationError(AveVerifyError, ValueError):
    """A wrong configuration or a wrong use of the package.

    Nearly always raised when the object is built, before any token is verified; at a request where it shows only there:
    a verifier that is closed, a request that passed no middleware, a user model that was changed meanwhile.

    Args:
        problem: What is wrong, from a closed list.
        field: The name of the field, for instance `issuer` or `providers[1].jwks`.
        detail: More about it, in this package's words or from the configuration; never from a token.
    """

    http_status = 500
    error_code = None
    description = "The service is misconfigured"

    def __init__(self, problem: Problem, field: str, detail: str | None = None) -> None:
        remedy = REMEDIES[problem]
        message = f"{field} {remedy.sentence}" + (f" ({detail})" if detail else "") + f" [{remedy.rule}]"
        super().__init__(message, problem=problem, field=field, detail=detail)
        self.reason = Reason.MISCONFIGURED
        self.rule = remedy.rule
        self.problem = problem
        self.field = field
        self.detail = detail
        self.convex_code = remedy.code
