"""The exception handler: every refusal is answered by RFC 6750, byte for byte like those of the middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import NotAuthenticated

from aveverify.django._requests import request_auth_of
from aveverify.drf._authentication import AveAuthentication
from aveverify.drf._refusals import RefusedError, django_request, make_refused_error
from aveverify.errors import AveVerifyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rest_framework.request import Request
    from rest_framework.response import Response


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every refusal by RFC 6750, and leave other exceptions to REST framework.

    Args:
        exc: The exception that the view raised.
        context: What REST framework passes beside it: the view, its arguments and the request.

    Returns:
        The response to a refusal of this package, to an error of `get_user_identity`, and to missing credentials where
        `AveAuthentication` stands first; for everything else, the response of REST framework's own handler. The `data`
        of each may be changed.

    Example:
        `REST_FRAMEWORK = {"EXCEPTION_HANDLER": "aveverify.drf.exception_handler"}`
    """
    from rest_framework import views  # noqa: PLC0415 - it imports what the settings name, which may be this module

    refused = _find_refusal(exc, context["request"])
    if refused is None:
        return views.exception_handler(exc, context)
    # As REST framework's handler does: with ATOMIC_REQUESTS, what the refused view wrote must not be committed.
    views.set_rollback()
    return refused.response


def _find_refusal(exc: Exception, request: Request) -> RefusedError | None:
    if isinstance(exc, RefusedError):
        return exc
    if isinstance(exc, AveVerifyError):
        request_auth = request_auth_of(django_request(request))
        if request_auth.owns(exc):
            return make_refused_error(request, request_auth, request_auth.make_denial(exc))
    elif isinstance(exc, NotAuthenticated) and isinstance(_first(request.authenticators), AveAuthentication):
        request_auth = request_auth_of(django_request(request))
        error = request_auth.error
        denial = request_auth.policy.deny(None) if error is None else request_auth.make_denial(error)
        return make_refused_error(request, request_auth, denial)
    return None


def _first(authenticators: Sequence[object] | None) -> object:
    return authenticators[0] if authenticators else None
