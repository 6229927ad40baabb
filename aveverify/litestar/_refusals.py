"""Litestar: a refusal as an exception, and the exception handlers that answer it as RFC 6750 demands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from litestar.exceptions import HTTPException, WebSocketException

from aveverify._core.refusal import ErrorResponse
from aveverify._http.asgi_response import POLICY_VIOLATION, find_deferred_response
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy
from aveverify.errors import AveVerifyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.connection import Request
    from litestar.types import ExceptionHandlersMap

# Headers of the response that describe its body. Without `exception_handlers`, Litestar sends a body of its own.
_BODY_HEADERS: Final = ("content-type", "content-length")


class RefusedError(HTTPException):
    """A request that a guard or a dependency refuses.

    Litestar answers it with the status and the headers of RFC 6750 and a body of its own. With `exception_handlers`,
    which `AveAuthPlugin` installs, the body is `{"error": …, "error_description": …}`.

    Args:
        answer: The whole response.
        description: One sentence for the body that Litestar makes.

    Attributes:
        answer: The whole response: `status`, `headers` and `body`.

    Source: RFC 6750 §3; HTP-034.
    """

    answer: ErrorResponse

    def __init__(self, answer: ErrorResponse, description: str) -> None:
        super().__init__(detail=description, status_code=answer.status, headers=_headers_without_body(answer))
        self.answer = answer


def make_exception(scope: Mapping[str, Any], error: AveVerifyError | None, scopes: tuple[str, ...] = ()) -> Exception:
    """Log a refusal and make the exception that Litestar answers.

    Args:
        scope: The connection, behind a middleware of this package.
        error: Why it is refused; None where an identity is required and there is none.
        scopes: The scopes that the challenge names; by default those of the middleware.

    Returns:
        `RefusedError`; for a WebSocket, what closes it with code 1008.
    """
    policy: AuthPolicy = scope[POLICY_KEY]
    response = policy.deny(error, scopes=scopes).response
    description = "Credentials are required" if error is None else error.description
    if scope["type"] == "websocket":
        return WebSocketException(detail=description, code=POLICY_VIOLATION)
    return RefusedError(response, description)


def _answer_refused(_request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
    return _respond(error.answer)


def _answer_deferred(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    response = find_deferred_response(request.scope, error)  # type: ignore[arg-type] # Litestar's scope is a typed dictionary
    if response is None:
        raise error
    return _respond(response)


def _respond(response: ErrorResponse) -> Response[bytes]:
    headers = dict(response.headers)
    return Response(
        response.body,
        status_code=response.status,
        headers=_headers_without_body(response),
        media_type=headers["content-type"],
    )


def _headers_without_body(response: ErrorResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers if name not in _BODY_HEADERS}


# For `Litestar(exception_handlers=exception_handlers)`: answers the refusals of guards and dependencies, and deferred
# refusals that a handler raises, as RFC 6750 demands. `AveAuthPlugin` installs them.
exception_handlers: Final[ExceptionHandlersMap] = {
    RefusedError: _answer_refused,
    **dict.fromkeys(REFUSALS, _answer_deferred),
}
