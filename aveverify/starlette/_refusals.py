"""Starlette: a refusal as a response, and the exception handlers for one that escapes a view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from aveverify._core.refusal import ErrorResponse
from aveverify._http.asgi_response import find_deferred_response
from aveverify._http.policy import REFUSALS

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


async def _answer_escaped(conn: HTTPConnection, error: Exception) -> Response:
    response = find_deferred_response(conn.scope, error)
    if response is None:
        raise error
    return respond(response)


def respond(response: ErrorResponse) -> Response:
    return Response(response.body, response.status, dict(response.headers))


# For `Starlette(exception_handlers=exception_handlers)`: makes the response of a deferred refusal that escapes a view.
# Behind `AveAuthBackend` nothing else does; behind `AveAuthMiddleware` it is needed only where other middleware in
# between handles exceptions.
exception_handlers: Final[Mapping[Any, Callable[[Any, Exception], Any]]] = dict.fromkeys(REFUSALS, _answer_escaped)
