"""A refusal as an exception of REST framework, and the request of Django behind one of REST framework."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    ParseError,
    PermissionDenied,
)

from aveverify._core.refusal import oauth_error
from aveverify._http.auth_record import record_outcome
from aveverify._http.caching import merge_vary
from aveverify.drf._responses import RefusalResponse

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from aveverify._core.refusal import Refusal
    from aveverify._http.policy import Denial
    from aveverify._http.request_auth import RequestAuth
    from aveverify.errors import AveVerifyError, Reason


CHALLENGE: Final = "WWW-Authenticate"


class RefusedError(APIException):
    """A refused request, as REST framework's exception handlers see it; made by this package alone.

    Without credentials it is also a `NotAuthenticated`, with malformed ones a `ParseError`, with a bad token an
    `AuthenticationFailed`, and where a scope is missing or a predicate says no a `PermissionDenied`. Status and
    challenge do not depend on which authentication class stands first. `get_codes()` returns the error code of RFC
    6750, `detail` is its fixed sentence.

    Args:
        denial: The refusal and its response.
        is_rendered: Whether the application has rendered the body of the response, by `RENDER_REFUSAL`.

    Attributes:
        refusal: The refusal.
        reason: Why, from a closed list; None where credentials are required and the request has none.
        error: The error; None where credentials are required and the request has none.
        status_code: The status of the refusal.
        auth_header: The challenge; None where the issuer's keys are unavailable.
        wait: After how many seconds to ask again, where the issuer's keys are unavailable; else None.
        response: The whole response, a `Response`, which `exception_handler` returns.

    Example:
        `if isinstance(exc, RefusedError): metrics.count(exc.reason)`
    """

    def __init__(self, denial: Denial, *, is_rendered: bool) -> None:
        self.refusal: Refusal = denial.refusal
        self.reason: Reason | None = denial.refusal.reason
        self.error: AveVerifyError | None = denial.error
        self.default_detail = denial.refusal.description
        self.default_code = denial.refusal.error_code
        super().__init__()
        self._denial = denial
        self._is_rendered = is_rendered
        headers = dict(denial.refusal.headers)
        self._challenge = headers.get("www-authenticate")
        # The name by which REST framework's own exception handler finds it.
        self.wait: int | None = int(headers["retry-after"]) if "retry-after" in headers else None

    @property
    def status_code(self) -> int:
        """The status of the refusal."""
        return self.refusal.status

    @status_code.setter
    def status_code(self, _value: int) -> None:
        """Keep it: a view whose first authentication class has no challenge makes a 403 of every 401."""

    @property
    def auth_header(self) -> str | None:
        """The challenge, by the name that REST framework's own exception handler reads."""
        return self._challenge

    @auth_header.setter
    def auth_header(self, _value: str) -> None:
        """Keep it: a view sets the challenge of its first authentication class, which need not be ours."""

    @cached_property
    def response(self) -> RefusalResponse:
        """The whole response."""
        return RefusalResponse(self._denial, is_rendered=self._is_rendered)


class _NoCredentialsError(RefusedError, NotAuthenticated):
    """Credentials are required, and the request has none."""


class _MalformedError(RefusedError, ParseError):
    """The credentials are malformed, or occur more than once."""


class _BadTokenError(RefusedError, AuthenticationFailed):
    """The token is refused."""


class _NotAllowedError(RefusedError, PermissionDenied):
    """The token is good, and not enough."""


# RFC 9110 §15.5.2: a 401 has a challenge, whatever an exception handler of the project makes of the refusal.
_INDISPENSABLE: Final = {401: CHALLENGE, 503: "Retry-After"}
# Of a refused token or request, by the status. REST framework has no error for 503.
_KINDS: Final[dict[int, type[RefusedError]]] = {
    ParseError.status_code: _MalformedError,
    AuthenticationFailed.status_code: _BadTokenError,
    PermissionDenied.status_code: _NotAllowedError,
}


def make_refused_error(
    request: Request, request_auth: RequestAuth, denial: Denial, *, may_be_caught: bool = False
) -> RefusedError:
    """Make the exception of a refusal, record it, and forbid caches to store its response.

    Args:
        request: The request of REST framework.
        request_auth: The authentication of the same request.
        denial: The refusal and its response.
        may_be_caught: Whether the view may catch it, and answer as if nothing were.

    Returns:
        The exception, to be raised.
    """
    if not is_trial(request):
        record_outcome(django_request(request).META, request_auth.policy, denial)
        headers = forbid_storing(request, request_auth)
        name = _INDISPENSABLE.get(denial.refusal.status)
        if headers is not None and name is not None and not may_be_caught:
            headers[name] = dict(denial.refusal.headers)[name.lower()]
    kind = _NoCredentialsError if denial.error is None else _KINDS.get(denial.refusal.status, RefusedError)
    return kind(denial, is_rendered=request_auth.policy.render is not oauth_error)


def is_trial(request: Request) -> bool:
    """Tell whether a permission is only tried: for the forms of the browsable API, and for the response to OPTIONS.

    REST framework asks the permissions about other methods then, and catches the refusals.
    """
    return request.method != django_request(request).method


def forbid_storing(request: Request, request_auth: RequestAuth) -> dict[str, str] | None:
    """Forbid caches to store the response of the view, which is a refusal.

    Args:
        request: The request of REST framework.
        request_auth: The authentication of the same request.

    Returns:
        The headers that the view adds to its response, as `add_vary`.
    """
    # An exception of REST framework cannot carry this header; the view adds it to every response.
    headers = add_vary(request, request_auth)
    if headers is not None:
        headers["Cache-Control"] = "no-store"
    return headers


def add_vary(request: Request, request_auth: RequestAuth) -> dict[str, str] | None:
    """Name the headers that decide about the token in the `Vary` of the view's response (HTP-050).

    Args:
        request: The request of REST framework.
        request_auth: The authentication of the same request.

    Returns:
        The headers that the view adds to its response; None where no view serves the request.
    """
    headers: dict[str, str] | None = getattr(request.parser_context.get("view"), "headers", None)
    vary = request_auth.policy.parameters.vary
    if headers is not None and vary:
        headers["Vary"] = merge_vary(headers.get("Vary"), vary)
    return headers


def django_request(request: Request) -> HttpRequest:
    """Return Django's request, which REST framework's request wraps."""
    return request._request  # noqa: SLF001 - the documented name: "the underlying HttpRequest"
