"""The Django REST framework example through its test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

from collections.abc import Iterator

import django
from django.conf import settings

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["testserver"])
    django.setup()

# As examples/drf_app/settings.py says it, which reads the environment; `test_commands` runs that file.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["aveverify.drf.AveAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "aveverify.drf.exception_handler",
    # Anonymous visitors are None; without this, REST framework needs users of Django.
    "UNAUTHENTICATED_USER": None,
}

# --8<-- recipe
import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[APIClient]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, REST_FRAMEWORK=REST_FRAMEWORK, ROOT_URLCONF="examples.drf_app.views"
    ):
        yield APIClient()


def test_a_user_sees_the_page(client: APIClient, ave_issuer: FakeIssuer) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "ada")


# --8<-- end

from tests.examples.visits import Visit, each_visit


@each_visit
def test_the_pages_answer(client: APIClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
