"""Refusals as Flask's exceptions: `RefusedError`, an HTTP error of Werkzeug that is also the error of this package.

Each kind derives from Werkzeug's class of its status, by which Flask looks up handlers, and holds the whole response,
so that what stands around a view keeps status and challenge. RFC 6750 §3.
"""

from __future__ import annotations

from operator import methodcaller
from typing import Any, Final, NoReturn

from flask import Request, Response, after_this_request, has_request_context, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, ServiceUnavailable, Unauthorized

from aveverify._core.refusal import Refusal
from aveverify._http.caching import merge_vary
from aveverify._http.policy import Denial
from aveverify.errors import (
    AveVerifyError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)

# The key of an extension in `app.extensions`.
EXTENSION: Final = "aveverify"
# Attribute of a request object: the last refusal that was raised in it.
_REFUSAL: Final = "_aveverify_refusal"
# What `RefusedError` has under these names is more than the fact of an `InvalidTokenError`.
_OWN_FACTS: Final = frozenset(("reason", "refusal"))

# Werkzeug's documented way to the object of a proxy; each attribute that is read through the proxy costs a lookup.
unwrap: Final[Any] = methodcaller("_get_current_object")


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
        response = Response(answer.body, answer.status, list(answer.headers))
        HTTPException.__init__(self, denial.refusal.description, response)
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


def raise_denial(denial: Denial) -> NoReturn:
    """Raise the exception of a refused request, for the application's error handlers.

    Args:
        denial: The refusal.

    Raises:
        RefusedError: The request is refused.
    """
    if has_request_context():
        _note_refusal(denial.refusal)
    raise make_refused(denial)


def current_request() -> Request:
    """Return the request object behind Flask's proxy; outside of a request, raise Flask's own error."""
    found: Request = unwrap(request)
    return found


def _note_refusal(refusal: Refusal) -> None:
    # Not where the exception is raised: a crash report shows that frame, and the request holds the token.
    members = current_request().__dict__
    if _REFUSAL not in members:
        after_this_request(_keep_head)
    members[_REFUSAL] = refusal


def _keep_head(response: Response) -> Response:
    """Give the response to a refusal the headers that are missing, whatever has made it.

    Extensions and handlers make a body of their own from the status alone. RFC 6750 §3: a 401 has a challenge.
    """
    refusal: Refusal = current_request().__dict__[_REFUSAL]
    # Another status is another response: the application has caught the refusal.
    if response.status_code == refusal.status:
        for name, value in refusal.headers:
            if name == "vary":
                response.headers[name] = merge_vary(response.headers.get(name), value)
            elif name == "www-authenticate":
                if not any(given[:6].lower() == "bearer" for given in response.headers.getlist(name)):
                    response.headers.add(name, value)
            else:
                response.headers.setdefault(name, value)
    return response
