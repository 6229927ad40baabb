"""The pages. `request.auth` is the identity, or None for a stranger."""

from __future__ import annotations

from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from aveverify.drf import HasScope


@api_view()
def hello(request: Request) -> Response:
    return Response({"hello": request.auth.name if request.auth else "stranger"})


@api_view()
@permission_classes([IsAuthenticated])
def me(request: Request) -> Response:
    return Response(dict(request.auth.to_convex()))


@api_view()
@permission_classes([HasScope("reports:read")])
def reports(request: Request) -> Response:
    return Response({"for": request.auth.subject, "reports": []})


urlpatterns = [path("hello", hello), path("me", me), path("reports", reports)]
