"""The views. `request.auth` is the identity; None for an anonymous request."""

from __future__ import annotations

from typing import cast

from django.urls import path
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from aveverify import Identity, get_user_identity
from aveverify.drf import AveAuthentication, HasScope

# For a whole project: REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["aveverify.drf.AveAuthentication"]}
with_ave = authentication_classes([AveAuthentication])


def signed_in(request: Request) -> Identity:
    """The identity behind a permission; the stubs of REST framework know only its own tokens."""
    return cast("Identity", request.auth)


@api_view()
@with_ave
@permission_classes([IsAuthenticated])
def me(request: Request) -> Response:
    return Response(dict(signed_in(request).to_convex()))


@api_view()
@with_ave
@permission_classes([HasScope("reports:read")])
def reports(request: Request) -> Response:
    return Response({"for": signed_in(request).subject, "reports": []})


@api_view()
@with_ave
def hello(request: Request) -> Response:
    identity = get_user_identity(request)
    return Response({"hello": identity.name if identity else "stranger"})


urlpatterns = [path("hello", hello), path("me", me), path("reports", reports)]
