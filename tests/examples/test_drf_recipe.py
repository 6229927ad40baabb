"""The recipe for Django REST framework that `docs/testing.md` shows."""
# mypy: disable-error-code="union-attr"
# (The stubs know only REST framework's own tokens as `request.auth`.)

from __future__ import annotations

# region recipe
from django.test import override_settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from aveverify.drf import AveAuthentication
from aveverify.testing import FakeIssuer


class Me(APIView):
    def get(self, request: Request) -> Response:
        return Response(request.auth.subject)


def test_a_user_sees_the_page(ave_issuer: FakeIssuer) -> None:
    request = APIRequestFactory().get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    with override_settings(AVEVERIFY={"VERIFIER": ave_issuer.verifier()}):
        assert Me.as_view(authentication_classes=[AveAuthentication])(request).data == "ada"


# endregion
