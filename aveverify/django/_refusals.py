"""The response of a refused request. HTP-034."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from aveverify._core.refusal import Refusal
from aveverify._http.policy import Denial
from aveverify.errors import AveVerifyError, Reason


class RefusedResponse(HttpResponse):
    """The response to a refused request, which middleware in front can tell from those of views.

    Django has no exceptions for 401: a refusal is a response, and passes neither `process_exception` nor `handler403`.

    Attributes:
        refusal: Status, headers, error code and description, and why.
    """

    refusal: Refusal

    @property
    def reason(self) -> Reason | None:
        """Why it is refused; None where credentials are required and the request has none."""
        return self.refusal.reason

    @property
    def error(self) -> AveVerifyError | None:
        """The error; None where credentials are required and the request has none."""
        return self.refusal.error


def make_response(request: HttpRequest, denial: Denial) -> RefusedResponse:
    """Make Django's response of a refusal; without a body for HEAD."""
    status, headers, body = denial.response
    response = RefusedResponse(b"" if request.method == "HEAD" else body, status=status, headers=dict(headers))
    response.refusal = denial.refusal
    return response
