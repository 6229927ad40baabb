"""The types of authentication and permissions in the views of REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from rest_framework.decorators import permission_classes
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from aveverify import Identity, get_user_identity
from aveverify.drf import AveAuthentication, HasScope, HasScopes

if TYPE_CHECKING:
    from rest_framework.request import Request


class Notes(APIView):
    """Authentication and permissions stand in their lists like any other."""

    authentication_classes = (AveAuthentication,)
    permission_classes = (IsAuthenticated, HasScope("read"), HasScopes("read", "write"))

    def get(self, request: Request) -> Response:
        """The identity of a request."""
        assert_type(get_user_identity(request), Identity | None)
        return Response()


@permission_classes([IsAuthenticated & HasScope("read")])
def combined(_request: Request) -> Response:
    """Permissions may be combined."""
    return Response()


def check() -> None:
    """The types that come out."""
    assert_type(HasScope("read"), type[BasePermission])
    HasScope("read", "write")  # type: ignore[call-arg]
