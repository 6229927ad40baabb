"""A way to ask Django REST framework: an `APIView` with our authentication class and exception handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.test import override_settings
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from aveverify import Verifier
from aveverify.drf import AveAuthentication, exception_handler
from tests.http.django_client import configured, send_to_wsgi_handler
from tests.http.http_fixtures import Integration, LeftOut, Reply, Request, View

if TYPE_CHECKING:
    from rest_framework.request import Request as DrfRequest


def make_view(view: View) -> type[APIView]:
    """An `APIView` that answers every method with what a view says."""

    class Asked(APIView):
        authentication_classes = (AveAuthentication,)
        permission_classes = ()

        def get(self, request: DrfRequest) -> Response:
            return Response(view(request))

        post = options = trace = get

        def get_exception_handler(self) -> Any:
            return exception_handler

    return Asked


def send_to_api_view(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an `APIView`; the text of the view arrives as JSON, which is taken apart here."""
    with override_settings(
        AVEVERIFY=configured(verifier, **options), ROOT_URLCONF=(path("", make_view(view).as_view()),)
    ):
        reply = send_to_wsgi_handler(request)
    # Every response of REST framework says what its view allows.
    reply.headers.pop("allow")
    return reply if reply.status != 200 else reply._replace(body=reply.body.strip(b'"'))


INTEGRATIONS: dict[str, Integration] = {"drf": send_to_api_view}
LEFT_OUT: list[LeftOut] = []
