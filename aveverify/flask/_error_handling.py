"""Which handler of an application answers an exception of this package, where Flask's own rules would lose it.

Flask asks a handler for a status before one for a class, and answers an exception of an error handler with a 500.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from aveverify._http.policy import Denial
from aveverify.errors import AveVerifyError, ConfigurationError, InsufficientScopeError
from aveverify.flask._refusals import EXTENSION, current_request, note_refusal
from aveverify.flask._refused_error import RefusedError, denial_of, make_refused

if TYPE_CHECKING:
    from flask import Flask, Response

# The key in `app.extensions` of an application whose exceptions are handled here.
_KEY: Final = "aveverify.error_handling"


class _Denies(Protocol):
    """What the extension in an application does with an error that a view has made."""

    def deny(self, error: InsufficientScopeError) -> Denial:
        """Refuse the request."""


def handle_errors(app: Flask) -> None:
    """Let an application handle the exceptions of this package by the rules of `_ErrorHandling`, once.

    Args:
        app: The application.
    """
    if _KEY not in app.extensions:
        app.extensions[_KEY] = _ErrorHandling(app)


class _ErrorHandling:
    """Takes the place of two methods of an application, as extensions of Flask do; both run for exceptions only.

    Flask passes the exception as the last argument, in later versions behind the context.
    """

    def __init__(self, app: Flask) -> None:
        # Any: its methods take other arguments in each version.
        self._app = cast("Any", app)
        self._handle_user_exception: Callable[..., Any] = app.handle_user_exception
        self._handle_exception: Callable[..., Response] = app.handle_exception
        self._app.handle_user_exception = self.handle_user_exception
        self._app.handle_exception = self.handle_exception

    def handle_user_exception(self, *arguments: Any) -> Any:  # noqa: ANN401 - what a view may return
        """Answer an exception of a view, or of what runs before it.

        Raises:
            ConfigurationError: As given, unless the application has a handler for this class: one for `AveVerifyError`
                would turn a mistake of the programmer into a 401.
        """
        error = self._find_refusal(arguments[-1])
        if isinstance(error, RefusedError):
            return self._answer(*arguments[:-1], error)
        if isinstance(error, ConfigurationError):
            handler = self._find_handler(kind for kind in type(error).__mro__ if issubclass(kind, ConfigurationError))
            if handler is None:
                raise error
            return handler(error)
        return self._handle_user_exception(*arguments)

    def handle_exception(self, *arguments: Any) -> Response:  # noqa: ANN401 - as Flask passes them
        """Answer an exception of an error handler, or of what runs after a view: there, too, a refusal is one."""
        *context, error = arguments
        try:
            if not isinstance(error, RefusedError):
                return self._handle_exception(*arguments)
        except RefusedError as refused:
            # The page of a server error asks for the identity.
            error = refused
        answer = self._answer(*context, error)
        response: Response = self._app.finalize_request(*context, answer, from_error_handler=True)
        return response

    def _find_refusal(self, error: Exception) -> Exception:
        installation: _Denies | None = self._app.extensions.get(EXTENSION)
        if installation is None or not isinstance(error, InsufficientScopeError) or isinstance(error, RefusedError):
            return error
        return make_refused(installation.deny(error))

    def _answer(self, *arguments: Any) -> Any:  # noqa: ANN401 - what a handler may return
        refused: RefusedError = arguments[-1]
        note_refusal(denial_of(refused), ends_request=True)
        handler = self._find_handler(_kinds_of(refused))
        try:
            return self._handle_user_exception(*arguments) if handler is None else handler(refused)
        except RefusedError:
            # No handler answers (TRAP_HTTP_EXCEPTIONS), or the one that does asks for the identity again.
            return refused.response

    def _find_handler(self, kinds: Iterable[type[Exception]]) -> Callable[[Exception], Any] | None:
        # As Flask does it: those of the blueprints first, the innermost at the front.
        asked = list(kinds)
        for name in (*current_request().blueprints, None):
            handlers = self._app.error_handler_spec[name][None]
            for kind in asked:
                if kind in handlers:
                    handler: Callable[[Exception], Any] = self._app.ensure_sync(handlers[kind])
                    return handler
        return None


def _kinds_of(refused: RefusedError) -> list[type[Exception]]:
    """Return the classes of this package that a refusal belongs to, the most specific one first."""
    specific = [kind for kind in type(refused.error).__mro__ if issubclass(kind, AveVerifyError)]
    return [RefusedError] if refused.error is None else [*specific[:-1], RefusedError, AveVerifyError]
