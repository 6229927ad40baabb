"""The Starlette example through the framework's test client."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.starlette_app import make_app
from tests.examples.example_requests import ExampleRequest, each_request


@pytest.fixture
def client(ave_verifier: Verifier) -> TestClient:
    return TestClient(make_app(ave_verifier))


@each_request
def test_the_pages_answer(client: TestClient, ave_issuer: FakeIssuer, example: ExampleRequest) -> None:
    response = client.get(example.path, headers=example.headers(ave_issuer))
    example.check(response.status_code, response.json() if response.status_code == 200 else None)
    assert ("www-authenticate" in response.headers) == (response.status_code != 200)
