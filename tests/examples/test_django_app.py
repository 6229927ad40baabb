"""The Django example through the framework's test client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from examples.django_app import MIDDLEWARE
from tests.examples.example_requests import ExampleRequest, each_request


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[Client]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF="examples.django_app"
    ):
        yield Client()


@each_request
def test_the_pages_answer(client: Client, ave_issuer: FakeIssuer, example: ExampleRequest) -> None:
    response = client.get(example.path, headers=example.headers(ave_issuer))
    example.check(response.status_code, response.json() if response.status_code == 200 else None)
