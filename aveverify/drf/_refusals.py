"""A refusal as an exception of REST framework, and the request of Django behind one of REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException

from aveverify._http.caching import merge_vary

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from aveverify._http.policy import Denial
    from aveverify._http.request_auth import RequestAuth


class RefusedError(APIException):
    """A refusal that REST framework answers with our status, challenge and body.

    It is no `AuthenticationFailed`, which becomes a 403 wherever another authentication class stands first.

    Attributes:
        answer: The whole response of RFC 6750, for `exception_handler`.
    """

    def __init__(self, denial: Denial) -> None:
        refusal, answer = denial
        super().__init__({"error": refusal.error_code, "error_description": refusal.description})
        self.answer = answer
        self.status_code = answer.status
        headers = dict(answer.headers)
        # The names by which REST framework's own exception handler finds the two headers.
        self.auth_header = headers.get("www-authenticate")
        self.wait = int(headers["retry-after"]) if "retry-after" in headers else None


def make_refused_error(request: Request, request_auth: RequestAuth, denial: Denial) -> RefusedError:
    """Make the exception of a refusal, and forbid caches to store its response.

    Args:
        request: The request of REST framework.
        request_auth: The authentication of the same request.
        denial: The refusal and its response.

    Returns:
        The exception, to be raised.
    """
    # An exception of REST framework cannot carry these headers; the view adds them to every response.
    headers = add_vary(request, request_auth)
    if headers is not None:
        headers["Cache-Control"] = "no-store"
    return RefusedError(denial)


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
