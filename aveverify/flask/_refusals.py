"""Refusals as Flask's exceptions and responses. RFC 6750 §3."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import Unauthorized

from aveverify._core.bearer import ErrorResponse
from aveverify.errors import AveVerifyError


def raise_refusal(refusal: AveVerifyError | ErrorResponse | None) -> None:
    """Raise a refusal.

    Args:
        refusal: An error of the request, the response to missing credentials, or None, which raises nothing.

    Raises:
        AveVerifyError: The error itself, which the application's error handlers see.
        Unauthorized: Credentials are missing.
    """
    if isinstance(refusal, ErrorResponse):
        raise Unauthorized(response=make_response(refusal))
    if refusal is not None:
        raise refusal


def make_response(refusal: ErrorResponse) -> Response:
    """Make Flask's response of a refusal."""
    return Response(refusal.body, refusal.status, list(refusal.headers))
