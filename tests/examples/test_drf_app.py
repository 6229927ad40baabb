"""The Django REST framework example through its test client; `docs/testing.md` shows the recipe."""
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

from collections.abc import Iterator  # noqa: E402 - behind the recipe

import pytest  # noqa: E402 - the same
from rest_framework.test import APIClient  # noqa: E402 - the same

from aveverify import Verifier  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same

# As examples/drf_app/settings.py says it, which reads the environment; `test_commands` runs that file.
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "aveverify.drf.exception_handler",
    # Anonymous visitors are None; without this, REST framework needs users of Django.
    "UNAUTHENTICATED_USER": None,
}


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[APIClient]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, REST_FRAMEWORK=REST_FRAMEWORK, ROOT_URLCONF="examples.drf_app.views"
    ):
        yield APIClient()


@each_visit
def test_the_pages_answer(client: APIClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
