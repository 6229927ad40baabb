"""Starlette: a refusal as an HTTP error of Starlette's own, which the exception handlers of the application may answer.

Where they have nothing to say about it, the response is the one of RFC 6750.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response

from aveverify._http.app_user import withhold
from aveverify._http.asgi_response import find_deferred_denial, send_denial, serve_deferred
from aveverify._http.current_identity import serving
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy, Denial
from aveverify._http.rate_limited_log import ESCAPED_REFUSAL
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.starlette._shown_user import NAMES, show

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aveverify._core.refusal import Refusal
    from aveverify.errors import AveVerifyError, Reason

# Where FastAPI defines the handler that each of its applications has, and the class of its applications.
_FASTAPI_HANDLERS: Final = "fastapi.exception_handlers"
_FASTAPI_APPLICATIONS: Final = "fastapi.applications"


class RefusedError(HTTPException):
    """A refused request, as the exception handlers of the application see it.

    `exception_handlers={HTTPException: handle}`, and handlers for `RefusedError` or for a status code, answer every
    refused HTTP request: `handle(request, error)`. What they return is the whole response: `error.response`, perhaps
    changed, or another one with `error.headers`, which hold the challenge. Without such a handler, `error.response` is
    sent. A handler that reads the user of a refused token gets the refusal as an exception; where it lets that pass,
    `error.response` is sent, too, and the log has a warning.

    Args:
        denial: The refusal, and its response.

    Attributes:
        refusal: The refusal: status, headers, error code, description, reason and error.

    Source: RFC 6750 §3; HTP-034.
    """

    refusal: Refusal

    def __init__(self, denial: Denial) -> None:
        refusal = denial.refusal
        super().__init__(refusal.status, refusal.description, dict(refusal.headers))
        self.refusal = refusal
        self._denial = denial

    @cached_property
    def response(self) -> Response:
        """The whole response to the refusal, as it is sent where no handler answers."""
        return make_response(self._denial)

    @property
    def reason(self) -> Reason | None:
        """Why; None where credentials are required and the request has none."""
        return self.refusal.reason

    @property
    def error(self) -> AveVerifyError | None:
        """The error; None where credentials are required and the request has none."""
        return self.refusal.error


class HandledRefusal:
    """An ASGI application: the exception handlers of a Starlette application answer a refused HTTP request.

    Starlette's own code calls them. A handler that reads the identity of a refused token gets the refusal as an
    exception; where it lets that pass, the response is ours, and the log says so.

    Args:
        error: The refusal.
        policy: The rules that refuse.
        handlers: The handlers of the application.
    """

    def __init__(self, error: RefusedError, policy: AuthPolicy, handlers: Mapping[Any, Any]) -> None:
        self._error = error
        self._policy = policy
        self._app = ExceptionMiddleware(self._raise, handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the refused request."""
        error = self._error.error
        if error is None:
            await self._app(scope, receive, send)
        else:
            deferred = DeferredError(error)
            await serve_deferred(self._app, deferred, self._policy, scope, receive, send, refuse=self._send_default)

    async def _send_default(self, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
        self._policy.log.warning(ESCAPED_REFUSAL)
        await send_denial(denial, scope, receive, send)

    async def _raise(self, _scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
        raise self._error


def find_handled(denial: Denial, policy: AuthPolicy, app: object) -> ASGIApp | None:
    """Find what answers a refused HTTP request by the exception handlers of its application.

    Args:
        denial: The refusal.
        policy: The rules that refuse.
        app: The application.

    Returns:
        The ASGI application that answers; None where the application has no handler for it, or is none of Starlette.
    """
    if not isinstance(app, Starlette):
        return None
    error, handlers = _error_class(app)(denial), app.exception_handlers
    handler = handlers.get(error.status_code)
    if handler is None:
        handler = next((handlers[cls] for cls in type(error).__mro__ if cls in handlers and cls is not Exception), None)
    # Every application of FastAPI has that handler; the user has not chosen it.
    if handler is None or getattr(handler, "__module__", None) == _FASTAPI_HANDLERS:
        return None
    return HandledRefusal(error, policy, handlers)


def _error_class(app: Starlette) -> type[RefusedError]:
    """Return the class of a refusal: handlers of FastAPI name FastAPI's HTTPException, of which it must be one, too."""
    if all(cls.__module__ != _FASTAPI_APPLICATIONS for cls in type(app).__mro__):
        return RefusedError
    # By name: that package stands on this one, and knows what this one must not.
    fastapi_class: type[RefusedError] = import_module("aveverify.fastapi").RefusedError
    return fastapi_class


def make_response(denial: Denial) -> Response:
    """Return the response to a refusal as one of Starlette."""
    return Response(denial.response.body, denial.response.status, dict(denial.response.headers))


class RefusedResponse(Response):
    """The response to a refused HTTP request: what the application's exception handlers make of it, else ours.

    Args:
        denial: The refusal.
        policy: The rules that refuse.
        hides_user: Whether a handler must find no user: the request did not get as far as the application.
    """

    def __init__(self, denial: Denial, policy: AuthPolicy, *, hides_user: bool) -> None:
        super().__init__(denial.response.body, denial.response.status, dict(denial.response.headers))
        self._denial = denial
        self._policy = policy
        self._hides_user = hides_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        handled = find_handled(self._denial, self._policy, scope.get("app"))
        if handled is None:
            await send_denial(self._denial, scope, receive, send)
            return
        if not self._hides_user:
            await handled(scope, receive, send)
            return
        scope[POLICY_KEY] = self._policy
        hide_user(scope, self._denial)
        # HTP-044: `current_identity`, too, gives the refusal, not the user of a middleware further in front.
        with serving(scope):
            await handled(scope, receive, send)


def hide_user(scope: Scope, denial: Denial) -> None:
    """Let a handler find no user of a refused request: reading one raises the refusal.

    Args:
        scope: The connection.
        denial: The refusal; without credentials, the request is anonymous.

    Source: HTP-036; HTP-044.
    """
    if denial.error is None:
        scope[IDENTITY_KEY] = None
        scope.update(zip(NAMES, show(None, None, ()), strict=True))
    else:
        withhold(scope, DeferredError(denial.error))


async def _answer_escaped(conn: HTTPConnection, error: Exception) -> Response:
    denial = find_deferred_denial(conn.scope, error)
    if denial is None:
        raise error
    return RefusedResponse(denial, conn.scope[POLICY_KEY], hides_user=False)


# For `Starlette(exception_handlers=exception_handlers)`: makes the response of a deferred refusal that escapes a view,
# or lets the application's own handlers of `RefusedError`, `HTTPException` or the status code make it. Behind
# `AveAuthBackend` nothing else does; behind `AveAuthMiddleware` it is needed only where other middleware in between
# handles exceptions.
exception_handlers: Final[Mapping[Any, Callable[[Any, Exception], Any]]] = dict.fromkeys(REFUSALS, _answer_escaped)
