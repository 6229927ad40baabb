"""The FastAPI example through Starlette's test client; `docs/testing.md` shows the recipe."""

# region recipe
from typing import Annotated

from fastapi import FastAPI, Security
from fastapi.testclient import TestClient

from aveverify import Identity, Verifier
from aveverify.fastapi import AveAuth
from aveverify.testing import FakeIssuer


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app, ave = FastAPI(), AveAuth(ave_verifier)

    @app.get("/me")
    async def me(identity: Annotated[Identity, Security(ave)]) -> str:
        return identity.subject

    answer = TestClient(app).get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (answer.status_code, answer.json()) == (200, "ada")


# endregion

import pytest  # noqa: E402 - behind the recipe
from fastapi import Request  # noqa: E402 - the same

from aveverify import ConfigurationError, current_identity, get_user_identity  # noqa: E402 - the same
from examples.fastapi_app import make_app  # noqa: E402 - the same
from tests.examples.visits import Visit, each_visit  # noqa: E402 - the same


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient:
    return TestClient(make_app(ave_verifier))


@each_visit
def test_the_pages_answer(client: TestClient, ave_issuer: FakeIssuer, visit: Visit) -> None:
    answer = client.get(visit.path, headers=visit.headers(ave_issuer))
    visit.check(answer.status_code, answer.json() if answer.status_code == 200 else None)


def test_the_pages_are_documented(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/me"]["get"]
    assert {"401", "503"} <= set(operation["responses"])
    assert operation["security"]


def test_an_overridden_dependency_leaves_the_other_ways_to_ask_without_an_answer(
    ave_verifier: Verifier, ave_issuer: FakeIssuer
) -> None:
    """As `docs/testing.md` and the page on FastAPI say."""
    app, ave = FastAPI(), AveAuth(ave_verifier)
    ave.install(app)

    @app.get("/dependency")
    async def dependency(identity: Annotated[Identity, Security(ave)]) -> str:
        return identity.subject

    @app.get("/request", dependencies=[Security(ave)])
    async def of_request(request: Request) -> str:
        identity = get_user_identity(request)
        return identity.subject if identity else "stranger"

    @app.get("/context", dependencies=[Security(ave)])
    async def of_context() -> str:
        identity = current_identity.get()
        return identity.subject if identity else "stranger"

    client, token = TestClient(app), ave_issuer.token(sub="ada")
    for path in ("/dependency", "/request", "/context"):
        assert client.get(path, headers={"Authorization": f"Bearer {token}"}).json() == "ada"

    identity = ave_verifier.verify(token)
    app.dependency_overrides[ave] = lambda: identity
    assert client.get("/dependency").json() == "ada"
    for path in ("/request", "/context"):
        with pytest.raises(ConfigurationError):
            client.get(path)
