"""The Django REST framework example through its test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

from collections.abc import Iterator

# region recipe
import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from tests.examples.django_settings import REST_FRAMEWORK


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[APIClient]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, REST_FRAMEWORK=REST_FRAMEWORK, ROOT_URLCONF="examples.drf_app.views"
    ):
        yield APIClient()


def test_a_user_sees_the_page(client: APIClient, ave_issuer: FakeIssuer) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "ada")


# endregion

from tests.examples.visits import Visit, each_visit  # noqa: E402 - behind the recipe


@each_visit
def test_the_pages_answer(client: APIClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
