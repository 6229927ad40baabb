"""FastAPI: a refusal as an exception, and the exception handler that answers it as RFC 6750 demands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from fastapi import HTTPException, WebSocketException
from starlette.responses import Response

from aveverify._core.refusal import ErrorResponse
from aveverify._http.asgi_response import POLICY_VIOLATION, can_deny

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from aveverify._http.policy import AuthPolicy
    from aveverify.errors import AveVerifyError

# Headers of the response that describe its body. Without `install`, FastAPI sends a body of its own.
_BODY_HEADERS: Final = ("content-type", "content-length")


class RefusedError(HTTPException):
    """A refused HTTP request, or a WebSocket that the server can refuse with an HTTP response.

    FastAPI answers it with the status and the headers of RFC 6750 and the body `{"detail": …}`. After
    `AveAuth.install` the body is `{"error": …, "error_description": …}`. An exception handler of the application for
    this class replaces that response.

    Args:
        answer: The whole response.
        description: One sentence for the body that FastAPI makes.

    Attributes:
        answer: The whole response: `status`, `headers` and `body`.

    Source: RFC 6750 §3; HTP-034.
    """

    def __init__(self, answer: ErrorResponse, description: str) -> None:
        headers = {name: value for name, value in answer.headers if name not in _BODY_HEADERS}
        super().__init__(answer.status, description, headers)
        self.answer = answer


def make_exception(
    policy: AuthPolicy, connection: HTTPConnection, error: AveVerifyError | None, *, is_logged: bool = False
) -> Exception:
    """Log a refusal and make the exception that FastAPI answers.

    Args:
        policy: The rules that refuse, with the scopes that the view demands.
        connection: The request or WebSocket.
        error: Why it is refused; None where credentials are required and there are none.
        is_logged: Whether the log has this refusal already.

    Returns:
        `RefusedError`; `WebSocketException` where the server cannot answer a WebSocket with an HTTP response.
    """
    response = (policy.make_denial(error) if is_logged else policy.deny(error)).response
    if connection.scope["type"] == "websocket" and not can_deny(connection.scope):
        return WebSocketException(POLICY_VIOLATION)
    return RefusedError(response, "Credentials are required" if error is None else error.description)


async def answer_refused(_connection: HTTPConnection, error: Exception) -> Response:
    """Answer a `RefusedError` with its whole response; an exception handler of FastAPI."""
    response = cast("RefusedError", error).answer
    return Response(response.body, response.status, dict(response.headers))
