"""Litestar: a refusal as one of Litestar's own exceptions, and what answers it where the application does not.

RFC 6750 §3; RFC 9110 §15.5.2; RFC 6455 §7.4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotAuthorizedException,
    PermissionDeniedException,
    ServiceUnavailableException,
    WebSocketException,
)

from aveverify._core.refusal import ErrorResponse, Refusal
from aveverify._http.asgi_response import POLICY_VIOLATION
from aveverify._http.auth_record import record_outcome
from aveverify._http.policy import AuthPolicy, Denial
from aveverify.errors import AveVerifyError, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Litestar
    from litestar.connection import Request
    from litestar.response.base import ASGIResponse
    from litestar.types import ExceptionHandlersMap

_CONTENT_LENGTH: Final = "content-length"


class RefusalResponse(Response[bytes]):
    """The response to a refusal, with its media type as it is written, and without a body to HEAD.

    Args:
        response: The whole response.
    """

    def __init__(self, response: ErrorResponse) -> None:
        # Litestar counts the body again, which an exception handler may have changed.
        headers = {name: value for name, value in response.headers if name != _CONTENT_LENGTH}
        super().__init__(
            response.body, status_code=response.status, headers=headers, media_type=headers["content-type"]
        )

    def to_asgi_response(
        self,
        app: Litestar | None,
        request: Request[Any, Any, Any],
        **options: Any,  # noqa: ANN401 - those of Litestar's own method
    ) -> ASGIResponse:
        """Make the response that Litestar sends.

        Args:
            app: None.
            request: The request.
            options: As for Litestar's own method.

        Returns:
            The response.
        """
        response = super().to_asgi_response(app, request, **options)
        if request.method == "HEAD":
            # RFC 9110 §9.3.2: the head of the response to GET.
            response.is_head_response = True
        return response


class AnsweredError(Exception):
    """The last of the classes of a `RefusedError` but `Exception`: the key of the handler that answers by default.

    Litestar takes the handler of the first class that has one, so any handler of the application for an exception of
    Litestar comes before; one for every `Exception`, which answers 500, does not.
    """


class RefusedError(HTTPException, AnsweredError):
    """A refused request, as the exception handlers of an application see it, and its hooks `after_exception`.

    Litestar looks for the handler of its status, then of its classes: it is a `NotAuthorizedException` (401), a
    `PermissionDeniedException` (403), a `ClientException` (400) or a `ServiceUnavailableException` (503), and a
    `HTTPException` in any case. `status_code`, `headers` and `detail` are those of the refusal. Where a guard or a
    dependency refuses a WebSocket, it is a `WebSocketException` that closes with code 1008.

    Args:
        denial: The refusal, and its response.

    Attributes:
        refusal: Status, headers and reason; its members but `reason`, `hint` and `error` may be shown to a client.

    Example:
        ```python
        def answer(request: Request, error: RefusedError) -> Response:
            request.logger.info("refused: %s", error.reason)
            return error.response


        app = Litestar(handlers, plugins=[AveAuthPlugin(verifier, required=True)], exception_handlers={401: answer})
        ```

    Source: RFC 6750 §3; HTP-034.
    """

    refusal: Refusal

    def __init__(self, denial: Denial) -> None:
        refusal = denial.refusal
        super().__init__(detail=refusal.description, status_code=refusal.status, headers=dict(refusal.headers))
        self.refusal = refusal
        self._denial = denial

    @property
    def reason(self) -> Reason | None:
        """Why, from a closed list; None where credentials are required and the request has none."""
        return self.refusal.reason

    @property
    def error(self) -> AveVerifyError | None:
        """The error; None where credentials are required and the request has none."""
        return self.refusal.error

    @property
    def response(self) -> Response[bytes]:
        """The whole response, anew at each reading: an exception handler may change and return it."""
        return RefusalResponse(self._denial.response)


class _BadRequestError(RefusedError, ClientException):
    pass


class _UnauthorizedError(RefusedError, NotAuthorizedException):
    pass


class _ForbiddenError(RefusedError, PermissionDeniedException):
    pass


class _UnavailableError(RefusedError, ServiceUnavailableException):
    pass


class _RefusedWebSocketError(RefusedError, WebSocketException):
    def __init__(self, denial: Denial) -> None:
        super().__init__(denial)
        self.code = POLICY_VIOLATION


_KINDS: Final[Mapping[int, type[RefusedError]]] = {
    400: _BadRequestError,
    401: _UnauthorizedError,
    403: _ForbiddenError,
    503: _UnavailableError,
}


def make_exception(denial: Denial, kind: str) -> RefusedError:
    """Make the exception of a refusal.

    Args:
        denial: The refusal.
        kind: The type of the scope.

    Returns:
        The exception.
    """
    exception = _RefusedWebSocketError if kind == "websocket" else _KINDS[denial.refusal.status]
    return exception(denial)


def refuse_here(scope: Mapping[str, Any], policy: AuthPolicy, error: AveVerifyError | None) -> RefusedError:
    """Log the refusal of a guard or dependency, note it for what stands in front, and make the exception.

    Args:
        scope: The connection, behind a middleware of this package.
        policy: The rules.
        error: Why it is refused; None where an identity is required and there is none.

    Returns:
        What to raise.
    """
    denial = policy.deny(error)
    record_outcome(scope, policy, denial)
    return make_exception(denial, scope["type"])


def _answer(_request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
    return error.response


# For `Litestar(exception_handlers=exception_handlers)`, where only the middleware is installed: the refusals of guards
# and dependencies, and deferred ones that a handler raises, get the body of all others. `AveAuthPlugin` installs it.
exception_handlers: Final[ExceptionHandlersMap] = {AnsweredError: _answer}
