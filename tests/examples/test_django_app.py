"""The Django example through Django's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

# region recipe
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path

from aveverify import Verifier
from aveverify.django import AveRequest, ave_required
from aveverify.testing import FakeIssuer


@ave_required
def me(request: AveRequest) -> HttpResponse:
    return HttpResponse(request.ave_identity.subject)


urlpatterns = [path("me", me)]


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": ave_verifier}, ROOT_URLCONF=__name__):
        answer = Client().get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.content) == (200, b"ada")


# endregion

from collections.abc import Iterator  # noqa: E402 - behind the recipe

import pytest  # noqa: E402 - the same

from examples.django_app import MIDDLEWARE  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[Client]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF="examples.django_app"
    ):
        yield Client()


@each_visit
def test_the_pages_answer(client: Client, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
