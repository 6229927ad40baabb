"""The Flask example through the framework's test client."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.flask_app import make_app
from tests.examples.example_requests import ExampleRequest, each_request


@pytest.fixture
def client(ave_verifier: Verifier) -> FlaskClient:
    return make_app(ave_verifier).test_client()


@each_request
def test_the_pages_answer(client: FlaskClient, ave_issuer: FakeIssuer, example: ExampleRequest) -> None:
    response = client.get(example.path, headers=example.headers(ave_issuer))
    example.check(response.status_code, response.get_json())
