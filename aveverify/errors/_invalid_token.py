"""The error of a refused token. It stores facts only and makes its sentence when it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aveverify.errors._base import AveVerifyError, _rebuild
from aveverify.errors._hints import Fault, Hint
from aveverify.errors._messages import quote, reason_sentence
from aveverify.errors._reasons import TABLE, ProviderKind, Reason, Step


class InvalidTokenError(AveVerifyError):
    """The token is refused: answer 401. The client needs another token.

    Args:
        reason: Why the token is refused.
        rule: The id of the rule that refuses it.
        kind: The kind of the selected provider; None before one is selected (steps 1 and 2).
        claim: The name of the faulty claim or header member, always one of this package's own literals.
        fault: Why a segment or a claim could not be read.
        hint: The most likely mistake, or a function that returns it, called when the hint is first read.
        issuer: The token's `iss`.
        kid: The token's `kid`.
        alg: The token's `alg`.
        refusal: Why the application's own check refused the user, in the application's words.

    Attributes:
        step: The step of the verification that refused the token; None if the application refused the user.

    Example::

        try:
            identity = verifier.verify(token)
        except InvalidTokenError as error:
            if error.reason is Reason.EXPIRED:
                ...  # the client must refresh its token
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
        # Only stores facts. A flood of bad tokens must cost little, and few refusals are ever read: `__str__` makes
        # the sentence.
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
        """The most likely mistake, or None."""
        if self._hint is not None and not isinstance(self._hint, Hint):
            self._hint = self._hint()
        return self._hint

    @property
    def step(self) -> Step | None:
        """The step of the verification that refused the token."""
        step = TABLE[self.reason].step
        # Step 3 reads again, by the provider's rules, what step 1 has read.
        return Step.PARSE if step is Step.READ and self._kind is not None else step

    @property
    def convex_code(self) -> str | None:  # type: ignore[override]  # read-only here
        """Convex's code for the same refusal, or None if Convex has none."""
        return TABLE[self.reason].convex_code(self._kind)

    def __str__(self) -> str:
        """Return the sentence."""
        facts = [f"in {self.claim}"] if self.claim else []
        if self.fault:
            facts.append(self.fault.value)
        shown = (("iss", self.issuer), ("alg", self.alg), ("kid", self.kid), ("because", self.refusal))
        facts += [f"{name} {quote(text)}" for name, text in shown if text is not None]
        return reason_sentence(self.reason, self.rule, step=self.step, facts=facts, hint=self.hint)

    def copy_without_traceback(self) -> InvalidTokenError:
        """Return an equal error that has no traceback.

        A frame that keeps an error in a variable and raises it makes a reference cycle: the error's traceback refers
        to the frame. Such a frame raises a copy, so that refused tokens leave nothing to the garbage collector.

        Returns:
            A new error with the same facts.
        """
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
