"""The Litestar example through Litestar's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

# region recipe
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.litestar_app import make_app


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient[Litestar]:
    return TestClient(make_app(ave_verifier))


def test_a_user_sees_the_page(client: TestClient[Litestar], ave_issuer: FakeIssuer) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "ada")


# endregion

from tests.examples.visits import Visit, each_visit  # noqa: E402 - behind the recipe


@each_visit
def test_the_pages_answer(client: TestClient[Litestar], ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
