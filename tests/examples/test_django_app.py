"""The Django example through Django's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

from collections.abc import Iterator

# region recipe
import pytest
from django.test import Client, override_settings

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.django_app import MIDDLEWARE


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[Client]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF="examples.django_app"
    ):
        yield Client()


def test_a_user_sees_the_page(client: Client, ave_issuer: FakeIssuer) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "ada")


# endregion

from tests.examples.visits import Visit, each_visit  # noqa: E402 - behind the recipe


@each_visit
def test_the_pages_answer(client: Client, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
