"""`AuthRecord`: who a request was, or why it was refused, for what stands in front: an access log, metrics, a tracer.

Nothing is decided by it, and nothing is kept for a request whose outer code has not asked for it. HTP-037.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aveverify._core.identity import Identity
from aveverify._http.policy import AuthPolicy, Denial
from aveverify._http.request_identity import DeferredError, scope_or_environ

if TYPE_CHECKING:
    from aveverify._core.refusal import Refusal

# Where a scope or environ holds the `AuthRecord` that outer code has put there.
RECORD_KEY: Final = "aveverify.record"


class AuthRecord:
    """Who a request was, or why it was refused; filled by the middlewares and integrations behind.

    Attributes:
        identity: The last verified identity of the request; None where there is none, so far.
        refusal: The last refusal, also a deferred one or that of a view; None where there is none, so far.

    Example:
        ```python
        async def access_log(scope, receive, send):
            record = AuthRecord.begin(scope)
            await app(scope, receive, send)
            log.info("%s %s", record.identity and record.identity.subject, record.refusal and record.refusal.reason)
        ```
    """

    __slots__ = ("_is_decided", "identity", "refusal")

    def __init__(self) -> None:
        self._is_decided = False
        self.identity: Identity | None = None
        self.refusal: Refusal | None = None

    @classmethod
    def begin(cls, request: object) -> AuthRecord:
        """Ask for the record of a request, before it is passed on.

        Args:
            request: A scope or environ, or a request with one.

        Returns:
            The record, empty so far: one for all that ask in front of the same request.
        """
        carrier = scope_or_environ(request)
        record = carrier.get(RECORD_KEY) if isinstance(carrier, Mapping) else None
        # HTP-010: a scope that is used again holds the record of the request before.
        if not isinstance(record, cls) or record._is_decided:  # noqa: SLF001 - its own
            record = carrier[RECORD_KEY] = cls()
        return record

    def note(self, *, identity: Identity | None = None, refusal: Refusal | None = None) -> None:
        """Note what was decided; for the middlewares and integrations.

        Args:
            identity: A verified identity; None leaves the one of before.
            refusal: A refusal; None leaves the one of before.
        """
        self._is_decided = True
        self.identity = identity or self.identity
        self.refusal = refusal or self.refusal

    def __repr__(self) -> str:
        """Show the kind of the outcome, and nothing of a user."""
        reason = None if self.refusal is None else self.refusal.reason or self.refusal.error_code
        return f"<AuthRecord identity={'one' if self.identity is not None else None} refusal={reason}>"


def record_outcome(carrier: Mapping[str, Any], policy: AuthPolicy, outcome: object) -> None:
    """Note what was decided about a request, if outer code has asked for it.

    Args:
        carrier: The scope or environ.
        policy: The rules.
        outcome: An identity, a denial or a deferred refusal; anything else is an anonymous request.
    """
    record = carrier.get(RECORD_KEY)
    if not isinstance(record, AuthRecord):
        return
    if isinstance(outcome, DeferredError):
        outcome = policy.make_denial(outcome.error)
    record.note(
        identity=outcome if isinstance(outcome, Identity) else None,
        refusal=outcome.refusal if isinstance(outcome, Denial) else None,
    )


def record_identity(carrier: Mapping[str, Any], identity: Identity) -> None:
    """Note whose token a request carries, if outer code has asked for it, whatever is decided about it later.

    Args:
        carrier: The scope or environ.
        identity: The verified identity.
    """
    record = carrier.get(RECORD_KEY)
    if isinstance(record, AuthRecord):
        record.note(identity=identity)
