"""A view of REST framework that says who asks, and a way to ask it; what the tests of REST framework share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.test import override_settings
from django.urls import path
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from aveverify import Verifier
from aveverify.drf import AveAuthentication, exception_handler
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from rest_framework.request import Request as DrfRequest

COMMON = ["django.middleware.common.CommonMiddleware"]


class Who(APIView):
    """Answers with the user and the identity of the request."""

    authentication_classes: Any = (AveAuthentication,)
    permission_classes: Any = ()

    def get(self, request: DrfRequest) -> Response:
        """Answer with both."""
        return Response([getattr(request.user, "subject", str(request.user)), getattr(request.auth, "subject", None)])

    post = get


# A response of Django's test client, with the methods that it adds.
ClientResponse = Any
Ask = Callable[..., ClientResponse]


def make_ask(verifier: Verifier) -> Ask:
    """Return what sends requests to a view that differs from `Who` in some members, with a token or without."""

    def ask(  # noqa: PLR0913 - what a request may differ in
        token: str | None = None,
        *,
        settings: dict[str, Any] | None = None,
        middleware: list[str] | None = None,
        method: str = "get",
        headers: dict[str, str] | None = None,
        query: str = "",
        **members: object,
    ) -> ClientResponse:
        view: Any = type("View", (Who,), members)
        configured = {"VERIFIER": verifier} | (settings or {})
        with override_settings(
            AVEVERIFY=configured, MIDDLEWARE=middleware or COMMON, ROOT_URLCONF=(path("", view.as_view()),)
        ):
            client = APIClient(enforce_csrf_checks=True)
            answer: ClientResponse = getattr(client, method)(
                f"/{query}", headers=dict(bearer(token) if token else ()) | (headers or {})
            )
            return answer

    return ask


def handled(self: APIView) -> Callable[..., object]:
    """The member `get_exception_handler` of a view, with our exception handler."""
    del self
    return exception_handler
