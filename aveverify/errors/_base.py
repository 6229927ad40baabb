"""The base class of the five errors, and how a pickle rebuilds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from aveverify.errors._hints import Hint
from aveverify.errors._reasons import Reason


class AveVerifyError(Exception):
    """Base class of every error that this package raises on purpose.

    Only its five subclasses are raised. Each has a fixed HTTP status and a fixed text for the response; `str(error)` is
    for logs and never for a response.

    Args:
        message: The sentence for logs.
        **arguments: The arguments of the subclass, from which a pickle rebuilds the error.

    Attributes:
        http_status: The status of the response.
        error_code: The `error` code of RFC 6750 §3.1, or None if there is none.
        description: A fixed sentence for the response, printable ASCII without quotes.
        reason: Why, from a closed list.
        rule: The id of the rule, or the section of the standard, that demands the refusal.
        hint: The most likely mistake, or None.
        convex_code: Convex's code for the same refusal, or None if Convex has none.
    """

    http_status: ClassVar[int]
    error_code: ClassVar[str | None]
    description: str

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
