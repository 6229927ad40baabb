"""The FastAPI example through the framework's test client."""

from typing import Annotated

import pytest
from fastapi import FastAPI, Request, Security
from fastapi.testclient import TestClient

from aveverify import ConfigurationError, Identity, Verifier, current_identity, get_user_identity
from aveverify.fastapi import AveAuth
from aveverify.testing import FakeIssuer
from examples.fastapi_app import make_app
from tests.examples.example_requests import ExampleRequest, each_request


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient:
    return TestClient(make_app(ave_verifier))


@each_request
def test_the_pages_answer(client: TestClient, ave_issuer: FakeIssuer, example: ExampleRequest) -> None:
    response = client.get(example.path, headers=example.headers(ave_issuer))
    example.check(response.status_code, response.json() if response.status_code == 200 else None)


def test_the_pages_are_documented(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/me"]["get"]
    assert {"401", "503"} <= set(operation["responses"])
    assert operation["security"]


def test_an_overridden_dependency_leaves_the_other_ways_to_get_the_identity_unset(
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
        return identity.subject if identity else "anonymous"

    @app.get("/context", dependencies=[Security(ave)])
    async def of_context() -> str:
        identity = current_identity.get()
        return identity.subject if identity else "anonymous"

    client, token = TestClient(app), ave_issuer.token(sub="ada")
    for path in ("/dependency", "/request", "/context"):
        assert client.get(path, headers={"Authorization": f"Bearer {token}"}).json() == "ada"

    identity = ave_verifier.verify(token)
    app.dependency_overrides[ave] = lambda: identity
    assert client.get("/dependency").json() == "ada"
    for path in ("/request", "/context"):
        with pytest.raises(ConfigurationError):
            client.get(path)
