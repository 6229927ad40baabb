"""WSGI: one middleware in front of any application. Knows PEP 3333 and no framework.

A refusal is sent before the body is read. An accepted request reaches the application with the server's own
`start_response`, and its iterable goes back to the server as it is. Nothing is kept from one request to the next.
PEP 3333.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Unpack, cast

from aveverify._http.auth_options import AuthOptions
from aveverify._http.auth_record import RECORD_KEY, AuthRecord, record_outcome
from aveverify._http.authentication import Outcome, Preflight, authenticate
from aveverify._http.caching import mark
from aveverify._http.current_identity import current_identity
from aveverify._http.option_checks import check_app
from aveverify._http.policy import REFUSALS, AuthPolicy, Denial, make_policy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.wsgi_request import WsgiRequest, find_cached_identity
from aveverify._http.wsgi_streams import StreamEndingApp
from aveverify.errors._unknown_options import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from aveverify._core.refusal import ErrorResponse
    from aveverify.errors import AveVerifyError
    from aveverify.verifier import Verifier

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    Headers = list[tuple[str, str]]
    Write = Callable[[bytes], object]


__all__ = ["AuthOptions", "AuthRecord", "AveAuthMiddleware"]

# The end of an iterable, told from every chunk by identity; typed as one.
_END: Final = cast("bytes", object())


class AveAuthMiddleware:
    """Verifies the bearer token of every request; `get_user_identity` gives the result.

    Args:
        app: The application behind it.
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused; there is no default.
        options: The options of `AuthOptions`; neither `check` nor `allow` can be a coroutine function.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.

    Example:
        ```python
        app = AveAuthMiddleware(app, verifier, required=True, exempt=["/healthz"])
        ```

    Source: HTTP-09; RFC 6750.
    """

    @refuse_unknown(AuthOptions)
    def __init__(
        self, app: WSGIApplication, verifier: Verifier, *, required: bool, **options: Unpack[AuthOptions]
    ) -> None:
        self._policy = make_policy(verifier, required=required, awaits=False, **options)
        check_app(app, "WSGI")
        if self._policy.ends_streams:
            app = StreamEndingApp(app, self._policy)
        self._app: WSGIApplication = _MarkedApp(app, self._policy) if self._policy.marks else app
        self._cached_identity = self._policy.cached_identity

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request.

        Args:
            environ: The request; gets the identity.
            start_response: Takes status and headers.

        Returns:
            The application's own iterable, or the body of a refusal.
        """
        outcome: Outcome = find_cached_identity(self._cached_identity, environ)
        if outcome is None:
            request = WsgiRequest(environ)
            outcome = authenticate(self._policy, request, required=self._policy.required)
            record_outcome(environ, self._policy, outcome)
            if isinstance(outcome, Denial):
                start_response(*_head(outcome.response))
                return _body(outcome.response, environ)
            if isinstance(outcome, Preflight):
                request.drop_body()
                outcome = None
        elif RECORD_KEY in environ:
            record_outcome(environ, self._policy, outcome)
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        environ[IDENTITY_KEY] = outcome
        if isinstance(outcome, DeferredError):
            return self._serve_deferred(outcome, environ, start_response)
        return self._serve(environ, start_response)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve with `current_identity`, also while the application's iterable is run through."""
        # Not within `serving`: the request goes on behind an iterable. It costs every request 0.2 µs less, too, of 1.5.
        token = current_identity.enter(served := [environ])
        runs_on = False
        try:
            chunks = self._app(environ, start_response)
            # Nothing of the application runs later behind a list or a file, and servers send these faster as they are.
            runs_on = not isinstance(chunks, (list, tuple)) and not _is_file(chunks, environ)
        finally:
            if not runs_on:
                served.clear()
            current_identity.leave(token)
        return _ChunksInContext(chunks, served) if runs_on else chunks

    def _serve_deferred(
        self, deferred: DeferredError, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request whose refusal is deferred: the response to it, if it escapes before another one began."""
        started = False

        def watched_start_response(status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Write:
            nonlocal started
            started = True
            return start_response(status, headers, exc_info)

        def refuse(error: AveVerifyError) -> Iterable[bytes]:
            if error is not deferred.error:
                raise error
            response = self._policy.make_denial(error).response
            # PEP 3333: exc_info replaces what the application said, or raises the error where that is sent already.
            start_response(*_head(response), *((sys.exc_info(),) if started else ()))
            return _body(response, environ)

        try:
            return _WatchedChunks(self._serve(environ, watched_start_response), refuse)
        except REFUSALS as error:
            return refuse(error)


class _MarkedApp:
    """An application whose responses tell caches by which request headers they differ (HTP-050)."""

    def __init__(self, app: WSGIApplication, policy: AuthPolicy) -> None:
        self._app = app
        self._policy = policy

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._policy.exempt and WsgiRequest(environ).is_at(self._policy.exempt):
            return self._app(environ, start_response)
        vary, is_personal = self._policy.parameters.vary, environ[IDENTITY_KEY] is not None

        def start_marked_response(status: str, headers: Headers, exc_info: ExcInfo | None = None, /) -> Write:
            marked = mark(headers, vary, is_personal=is_personal)
            return start_response(status, marked, exc_info) if exc_info else start_response(status, marked)

        return self._app(environ, start_marked_response)


class _WatchedChunks:
    """The application's iterable; the response to a deferred refusal takes the place of the error that escapes it."""

    def __init__(self, given: Iterable[bytes], refuse: Callable[[AveVerifyError], Iterable[bytes]]) -> None:
        self._given = given
        self._chunks: Iterator[bytes] | None = None
        self._refuse = refuse

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = iter(self._given)
            return next(self._chunks)
        except REFUSALS as error:
            self._chunks = iter(self._refuse(error))
        return next(self._chunks)

    def close(self) -> None:
        """Close the application's iterable, if it can be closed."""
        if hasattr(self._given, "close"):
            self._given.close()


class _ChunksInContext:
    """The application's iterable; `current_identity` is that of its request while it runs, and only then."""

    __slots__ = ("_given", "_served")

    def __init__(self, given: Iterable[bytes], served: list[WSGIEnvironment]) -> None:
        self._given = given
        self._served = served

    def __iter__(self) -> Iterator[bytes]:
        # A generator, because Python resumes one faster than it calls a method.
        enter, leave, served = current_identity.enter, current_identity.leave, self._served
        token = enter(served)
        try:
            chunks = iter(self._given)
            chunk = next(chunks, _END)
        finally:
            leave(token)
        while chunk is not _END:
            yield chunk
            token = enter(served)
            try:
                chunk = next(chunks, _END)
            finally:
                leave(token)

    def close(self) -> None:
        """Close the application's iterable, if it can be closed: the end of the request."""
        token = current_identity.enter(self._served)
        try:
            if hasattr(self._given, "close"):
                self._given.close()
        finally:
            self._served.clear()
            current_identity.leave(token)


def _is_file(chunks: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(chunks, wrapper)


def _head(response: ErrorResponse) -> tuple[str, Headers]:
    return f"{response.status} {HTTPStatus(response.status).phrase}", list(response.headers)


def _body(response: ErrorResponse, environ: WSGIEnvironment) -> list[bytes]:
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]
