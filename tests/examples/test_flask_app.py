"""The Flask example through Flask's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

# region recipe
import pytest
from flask.testing import FlaskClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.flask_app import make_app


@pytest.fixture
def client(ave_verifier: Verifier) -> FlaskClient:
    return make_app(ave_verifier).test_client()


def test_a_user_sees_the_page(client: FlaskClient, ave_issuer: FakeIssuer) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.get_json()["subject"]) == (200, "ada")


# endregion

from tests.examples.visits import Visit, each_visit  # noqa: E402 - behind the recipe


@each_visit
def test_the_pages_answer(client: FlaskClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.get_json())
