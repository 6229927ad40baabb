"""FastAPI: a refusal as an HTTP error of FastAPI's own, and the exception handler that answers it by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fastapi import HTTPException, WebSocketException
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException as StarletteHTTPException

from aveverify import starlette
from aveverify._http.asgi_response import POLICY_VIOLATION, can_deny
from aveverify._http.auth_record import record_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

    from aveverify._http.policy import AuthPolicy
    from aveverify.errors import AveVerifyError


class RefusedError(starlette.RefusedError, HTTPException):
    """A refused HTTP request, or a WebSocket that the server can refuse with an HTTP response.

    FastAPI answers it with the status and the headers of RFC 6750 and the body `{"detail": …}`. After
    `AveAuth.install` the response is `response`, with the body `{"error": …, "error_description": …}` or that of
    `render_refusal`. An exception handler of the application for this class, for the HTTPException of FastAPI or
    Starlette, or for the status code replaces that response.

    Args:
        denial: The refusal, and its response.

    Attributes:
        refusal: The refusal: status, headers, error code, description, reason and error.

    Source: RFC 6750 §3; HTP-034.
    """


def make_exception(
    policy: AuthPolicy,
    connection: HTTPConnection,
    error: AveVerifyError | None,
    *,
    is_logged: bool = False,
    scopes: Sequence[str] = (),
) -> Exception:
    """Log and record a refusal, and make the exception that FastAPI answers.

    Args:
        policy: The rules that refuse, with the scopes that the view demands.
        connection: The request or WebSocket.
        error: Why it is refused; None where credentials are required and there are none.
        is_logged: Whether the log has this refusal already.
        scopes: The scopes that the challenge names; by default those that `error` misses, or those of the policy.

    Returns:
        `RefusedError`; `WebSocketException` where the server cannot answer a WebSocket with an HTTP response.
    """
    denial = policy.make_denial(error) if is_logged else policy.deny(error, scopes=scopes)
    record_outcome(connection.scope, policy, denial)
    if connection.scope["type"] == "websocket" and not can_deny(connection.scope):
        return WebSocketException(POLICY_VIOLATION)
    return RefusedError(denial)


def install_handler(app: FastAPI) -> None:
    """Let an application answer refusals with their whole response, unless it has a handler of its own. Idempotent."""
    # Under the key of FastAPI's default, so that every handler that the application registers comes before it.
    if app.exception_handlers.get(StarletteHTTPException) is http_exception_handler:
        app.add_exception_handler(StarletteHTTPException, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, starlette.RefusedError):
        return error.response
    return await http_exception_handler(request, cast("StarletteHTTPException", error))
