"""Refusals as Flask's exceptions and responses. RFC 6750 §3."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import Unauthorized

from aveverify._core.refusal import ErrorResponse
from aveverify._http.policy import Denial


def raise_denial(denial: Denial | None) -> None:
    """Raise the exception of a refused request, for the application's error handlers.

    Args:
        denial: The refusal; None raises nothing.

    Raises:
        AveVerifyError: The error of the request's credentials.
        Unauthorized: Credentials are missing.
    """
    if denial is not None:
        raise Unauthorized(response=make_response(denial.response)) if denial.error is None else denial.error


def make_response(refusal: ErrorResponse) -> Response:
    """Make Flask's response of a refusal."""
    return Response(refusal.body, refusal.status, list(refusal.headers))
