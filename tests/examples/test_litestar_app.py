"""The Litestar example through Litestar's test client; `docs/testing.md` shows the recipe."""

# region recipe
from litestar import Litestar, get
from litestar.testing import TestClient

from aveverify import Verifier
from aveverify.litestar import AveAuthPlugin, CurrentIdentity
from aveverify.testing import FakeIssuer


@get("/me")
async def me(identity: CurrentIdentity) -> str:
    return identity.subject


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    client = TestClient(Litestar([me], plugins=[AveAuthPlugin(ave_verifier, required=True)]))
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.text) == (200, "ada")


# endregion

import pytest  # noqa: E402 - behind the recipe

from examples.litestar_app import make_app  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient[Litestar]:
    return TestClient(make_app(ave_verifier))


@each_visit
def test_the_pages_answer(client: TestClient[Litestar], ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
