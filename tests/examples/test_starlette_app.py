"""The Starlette example through Starlette's test client; `docs/testing.md` shows the recipe."""

from __future__ import annotations

# region recipe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Verifier
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeIssuer


async def me(request: Request) -> JSONResponse:
    return JSONResponse(request.user.to_convex())


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app = AveAuthMiddleware(Starlette(routes=[Route("/me", me)]), verifier=ave_verifier, required=True)
    answer = TestClient(app).get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "ada")


# endregion

import pytest  # noqa: E402 - behind the recipe

from examples.starlette_app import make_app  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient:
    return TestClient(make_app(ave_verifier))


@each_visit
def test_the_pages_answer(client: TestClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)
