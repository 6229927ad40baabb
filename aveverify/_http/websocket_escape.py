"""What an exception means that escapes the application of a WebSocket: its normal end, a refusal, or a failure.

Knows no framework. HTP-030; HTP-041; RFC 6455 §7.4.
"""

from __future__ import annotations

from typing import Final

from aveverify._http.asgi_response import POLICY_VIOLATION
from aveverify._http.ending_connection import leaves
from aveverify._http.policy import REFUSALS
from aveverify._http.websocket_channel import UNAUTHORIZED_CLOSE_CODE
from aveverify.errors import AveVerifyError, InsufficientScopeError, InvalidRequestError, KeysUnavailableError

# IANA's registry of WebSocket close codes: Try Again Later.
TRY_AGAIN_LATER: Final = 1013
# RFC 6455 §7.4.1: what frameworks say of a connection whose end they learn of when they send.
_ABNORMAL_CLOSURE: Final = 1006

# Code and reason of the close after a refusal. As in an HTTP response, they do not depend on the token (ERR-004).
_CLOSES: Final[dict[type[AveVerifyError], tuple[int, str]]] = {
    InsufficientScopeError: (POLICY_VIOLATION, "the token does not permit this"),
    InvalidRequestError: (POLICY_VIOLATION, "the credentials are malformed"),
    KeysUnavailableError: (TRY_AGAIN_LATER, "the keys are unavailable"),
}
_REFUSED: Final = (UNAUTHORIZED_CLOSE_CODE, "the token is refused")


def find_refusals(
    error: Exception, ends: tuple[Exception | None, ...], *, has_ended: bool
) -> list[AveVerifyError] | None:
    """Tell what has escaped the application of a WebSocket, perhaps in the groups of its tasks.

    Args:
        error: What has escaped.
        ends: What was raised because the token had ended the connection.
        has_ended: Whether the token has ended the connection.

    Returns:
        The refusals in it, none for a normal end; None for a failure, which is the application's own.
    """
    refusals: list[AveVerifyError] = []
    for each in leaves(error):
        if isinstance(each, REFUSALS):
            refusals.append(each)
        elif not (has_ended and _is_end(each, ends)):
            return None
    return refusals


def close_of(refusal: AveVerifyError) -> dict[str, object]:
    """Return code and reason of the close that tells the client of a refusal."""
    code, reason = _CLOSES.get(type(refusal), _REFUSED)
    return {"code": code, "reason": reason}


def _is_end(error: BaseException, ends: tuple[Exception | None, ...]) -> bool:
    """Tell whether an exception says that the connection has ended: our own, or what a framework makes of it."""
    code = getattr(error, "code", None)
    return (
        any(error is end for end in ends)
        or code == UNAUTHORIZED_CLOSE_CODE
        or (code == _ABNORMAL_CLOSURE and any(error.__context__ is end for end in ends if end is not None))
    )
