"""The Flask example through Flask's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

# region recipe
from flask import Flask

from aveverify import Verifier
from aveverify.flask import AveAuth, current_identity
from aveverify.testing import FakeIssuer


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app = Flask(__name__)
    ave = AveAuth(app, ave_verifier)

    @app.get("/me")
    @ave.required
    def me() -> str:
        return current_identity.subject

    answer = app.test_client().get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.text) == (200, "ada")


# endregion

import pytest  # noqa: E402 - behind the recipe
from flask.testing import FlaskClient  # noqa: E402 - the same

from examples.flask_app import make_app  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same


@pytest.fixture
def client(ave_verifier: Verifier) -> FlaskClient:
    return make_app(ave_verifier).test_client()


@each_visit
def test_the_pages_answer(client: FlaskClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.get_json())
