"""WSGI: one middleware in front of any application. Knows PEP 3333 and no framework.

A refusal is sent before the body is read. An accepted request reaches the application with the server's own
`start_response`, and its iterable goes back to the server as it is. Nothing is kept from one request to the next.
PEP 3333; design §6.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aveverify._core.bearer import Answer, make_answer, parse_authorization
from aveverify._edge import IDENTITY_KEY, REFUSALS, Deferred, OnInvalid, make_gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from aveverify.errors import AveVerifyError
    from aveverify.identity import Identity
    from aveverify.verifier import Verifier

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    Headers = list[tuple[str, str]]
    Write = Callable[[bytes], object]

# Fetch §3.2.2: what makes an OPTIONS request a CORS preflight.
_PREFLIGHT: Final = frozenset({"HTTP_ORIGIN", "HTTP_ACCESS_CONTROL_REQUEST_METHOD"})


class AveAuthMiddleware:
    """Verifies the bearer token of every request; `get_user_identity` gives the result.

    Args:
        app: The application behind it.
        verifier: Decides about tokens.
        required: Whether a request without credentials is refused. There is no default: whoever installs it decides.
        on_invalid: `"reject"` answers a refused token at once. `"defer"` lets the request go on until somebody asks
            for the identity, as Convex HTTP actions do, even where credentials are required: every view must ask.
        scopes: What the token's `scope` claim must hold, if there is a token.
        realm: The realm named in challenges.
        resource_metadata: The URL of this service's metadata, named in challenges (RFC 9728).

    Raises:
        ConfigurationError: An argument is not what it must be.
    """

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        app: WSGIApplication,
        verifier: Verifier,
        *,
        required: bool,
        on_invalid: OnInvalid = "reject",
        scopes: Sequence[str] = (),
        realm: str | None = None,
        resource_metadata: str | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._gate = make_gate(
            required=required, on_invalid=on_invalid, scopes=scopes, realm=realm, resource_metadata=resource_metadata
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request.

        Args:
            environ: The request; gets the identity.
            start_response: Takes status and headers.

        Returns:
            The application's own iterable, or the body of a refusal.
        """
        gate = self._gate
        found: Identity | Deferred | Answer | None = None
        try:
            # Servers join repeated headers by a comma, which no token contains (HTP-002).
            token = parse_authorization(environ.get("HTTP_AUTHORIZATION"))
            if token is not None:
                found = self._verifier.verify(token)
                gate.check_scopes(found)
            elif gate.required and not _is_preflight(environ):
                found = gate.refuse(None)
        except REFUSALS as error:
            found = gate.refuse_or_defer(error)
        if isinstance(found, Answer):
            start_response(*_head(found))
            return _body(found, environ)
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        environ[IDENTITY_KEY] = found
        if isinstance(found, Deferred):
            return self._watch(found, environ, start_response)
        return self._app(environ, start_response)

    def _watch(self, deferred: Deferred, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request whose refusal is deferred: answer with it if it escapes before the response began."""
        started = False

        def watched_start_response(status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Write:
            nonlocal started
            started = True
            return start_response(status, headers, exc_info)

        def answer(error: AveVerifyError) -> Iterable[bytes]:
            if error is not deferred.error:
                raise error
            refusal = make_answer(error, self._gate.parameters)
            # PEP 3333: exc_info replaces what the application said, or raises the error where that is sent already.
            start_response(*_head(refusal), *((sys.exc_info(),) if started else ()))
            return _body(refusal, environ)

        try:
            return _WatchedChunks(self._app(environ, watched_start_response), answer)
        except REFUSALS as error:
            return answer(error)


class _WatchedChunks:
    """The application's iterable, with an answer in the place of the error that escapes from it."""

    def __init__(self, given: Iterable[bytes], answer: Callable[[AveVerifyError], Iterable[bytes]]) -> None:
        self._given = given
        self._chunks: Iterator[bytes] | None = None
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = iter(self._given)
            return next(self._chunks)
        except REFUSALS as error:
            self._chunks = iter(self._answer(error))
        return next(self._chunks)

    def close(self) -> None:
        """Close the application's iterable, if it can be closed."""
        if hasattr(self._given, "close"):
            self._given.close()


def _is_preflight(environ: WSGIEnvironment) -> bool:
    # HTP-027: exactly this method, with both of Fetch's headers.
    return environ["REQUEST_METHOD"] == "OPTIONS" and environ.keys() >= _PREFLIGHT


def _head(answer: Answer) -> tuple[str, Headers]:
    return f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers)


def _body(answer: Answer, environ: WSGIEnvironment) -> list[bytes]:
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]
