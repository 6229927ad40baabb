"""The types of authentication and permissions in the views of REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from rest_framework.decorators import permission_classes
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from aveverify import AveVerifyError, Identity, Reason, Refusal, get_user_identity
from aveverify.drf import (
    Allow,
    AveAuthentication,
    HasAnyScope,
    HasScope,
    HasScopes,
    OptionalAveAuthentication,
    RefusedError,
    exception_handler,
)

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


class Feed(APIView):
    """The other class stands in its list, too."""

    authentication_classes = (OptionalAveAuthentication,)


async def is_pro(identity: Identity) -> bool:
    """A predicate may be a coroutine function."""
    return bool(identity.get("plan") == "pro")


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """A handler of the project."""
    if isinstance(exc, RefusedError):
        assert_type(exc.refusal, Refusal)
        assert_type(exc.reason, Reason | None)
        assert_type(exc.error, AveVerifyError | None)
        assert_type(exc.status_code, int)
        assert_type(exc.auth_header, str | None)
        exc.response.data["message"] = exc.refusal.description
        return exc.response
    response = exception_handler(exc, context)
    assert_type(response, Response | None)
    return response


@permission_classes([IsAuthenticated & (HasScope("read") | Allow(is_pro)), ~HasAnyScope("banned", "trial")])
def combined(_request: Request) -> Response:
    """Permissions may be combined."""
    return Response()


def check() -> None:
    """The types that come out."""
    assert_type(HasScope("read"), type[BasePermission])
    assert_type(HasAnyScope("read", "write"), type[BasePermission])
    assert_type(Allow(lambda identity: identity.subject == "ada"), type[BasePermission])
    HasScope("read", "write")  # type: ignore[call-arg]
    HasAnyScope(["read", "write"])  # type: ignore[arg-type]
    Allow("pro")  # type: ignore[arg-type]
    Allow(lambda: True)  # type: ignore[arg-type, misc]
