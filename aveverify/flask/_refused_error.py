"""`RefusedError`: a refusal as an HTTP error of Werkzeug that is also the error of this package.

Each kind derives from Werkzeug's class of its status, by which Flask looks up handlers, and holds the whole response,
so that what stands around a view keeps status and challenge. RFC 6750 §3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Response
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, ServiceUnavailable, Unauthorized

from aveverify.errors import (
    AveVerifyError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)

if TYPE_CHECKING:
    from aveverify._core.refusal import ErrorResponse, Refusal
    from aveverify._http.policy import Denial

# What `RefusedError` has under these names is more than the fact of an `InvalidTokenError`.
_OWN_FACTS: Final = frozenset(("reason", "refusal"))


class RefusedError(HTTPException):
    """A refused request, as an HTTP error of Werkzeug.

    Each instance is also an error of Werkzeug's class of its status, `Unauthorized` for example, and, if the request
    has credentials, of the class of `error`, `InvalidTokenError` for example. Its text is that of every HTTP error, the
    same for all tokens; `str(refused.error)` is the sentence for logs.

    Args:
        denial: The refusal and its response.

    Attributes:
        response: The whole response.

    Example:
        ```python
        @app.errorhandler(RefusedError)
        def refused(error: RefusedError) -> Response:
            log.info("refused: %s", error.reason)
            return error.get_response()
        ```
    """

    def __init__(self, denial: Denial) -> None:
        error, answer = denial.error, denial.response
        # By hand: the classes of this package would pass their sentence for logs on to Werkzeug, as the description.
        self.__dict__.update({} if error is None else vars(error))
        for name in getattr(type(error), "__slots__", ()):
            if name not in _OWN_FACTS:
                setattr(self, name, getattr(error, name))
        HTTPException.__init__(self, denial.refusal.description, make_response(answer))
        self._denial = denial

    @property
    def refusal(self) -> Refusal:
        """Status, headers and texts of the response, and why the request is refused."""
        return self._denial.refusal

    @property
    def error(self) -> AveVerifyError | None:
        """The error; None where credentials are required and the request has none."""
        return self._denial.error

    @property
    def reason(self) -> Reason | None:
        """Why, from a closed list; None where credentials are required and the request has none."""
        return self._denial.refusal.reason

    @property
    def www_authenticate(self) -> tuple[WWWAuthenticate, ...]:
        """The challenge, as `Unauthorized` of Werkzeug has it."""
        value = WWWAuthenticate.from_header(dict(self.refusal.headers).get("www-authenticate"))
        return () if value is None else (value,)

    @property
    def retry_after(self) -> int | None:
        """The seconds of `Retry-After`, as `ServiceUnavailable` of Werkzeug has them."""
        return self.error.retry_after_seconds if isinstance(self.error, KeysUnavailableError) else None

    def get_headers(self, *_environ_and_scope: object, **_by_name: object) -> list[tuple[str, str]]:
        """Return the headers of the response, but for its length: for those who make a body of their own."""
        # Named as Werkzeug names it: extensions take it out by that name.
        media_type = dict(self._denial.response.headers)["content-type"]
        return [("Content-Type", media_type), *self.refusal.headers]

    def get_body(self, *_environ_and_scope: object, **_by_name: object) -> str:
        """Return the body of the response."""
        return self._denial.response.body.decode("utf-8", "replace")

    def __str__(self) -> str:
        # Many applications send it to the client.
        return HTTPException.__str__(self)

    def __repr__(self) -> str:
        return HTTPException.__repr__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._denial,)


class AnonymousRefusedError(RefusedError, Unauthorized):  # type: ignore[misc]
    """Credentials are required, and the request has none."""


class InvalidRequestRefusedError(RefusedError, InvalidRequestError, BadRequest):  # type: ignore[misc]
    """The credentials are malformed."""


class InvalidTokenRefusedError(RefusedError, InvalidTokenError, Unauthorized):  # type: ignore[misc]
    """The token is refused."""


class InsufficientScopeRefusedError(RefusedError, InsufficientScopeError, Forbidden):  # type: ignore[misc]
    """The token is good, and not enough."""


class KeysUnavailableRefusedError(RefusedError, KeysUnavailableError, ServiceUnavailable):  # type: ignore[misc]
    """The token was not judged."""


_KINDS: Final[tuple[tuple[type[AveVerifyError], type[RefusedError]], ...]] = (
    (InvalidTokenError, InvalidTokenRefusedError),
    (InsufficientScopeError, InsufficientScopeRefusedError),
    (InvalidRequestError, InvalidRequestRefusedError),
    (KeysUnavailableError, KeysUnavailableRefusedError),
)


def make_refused(denial: Denial) -> RefusedError:
    """Make the exception of a refused request.

    Args:
        denial: The refusal.

    Returns:
        The exception.
    """
    error = denial.error
    return next((kind for base, kind in _KINDS if isinstance(error, base)), AnonymousRefusedError)(denial)


def denial_of(refused: RefusedError) -> Denial:
    """Return the refusal of an exception, and its response."""
    return refused._denial  # noqa: SLF001 - no part of what users see


def make_response(answer: ErrorResponse) -> Response:
    """Make Flask's response of a refusal."""
    return Response(answer.body, answer.status, list(answer.headers))
