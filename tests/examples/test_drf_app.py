"""The Django REST framework example through the framework's test client."""

from collections.abc import Iterator

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from aveverify import Verifier
from aveverify.testing import FakeIssuer
from tests.examples.example_requests import ExampleRequest, each_request

# As in examples/drf_app/settings.py, which reads the environment; `test_commands` runs that file.
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "aveverify.drf.exception_handler",
    # Anonymous users are None; without this, REST framework needs Django's users.
    "UNAUTHENTICATED_USER": None,
}


@pytest.fixture
def client(ave_verifier: Verifier) -> Iterator[APIClient]:
    with override_settings(
        AVEVERIFY={"VERIFIER": ave_verifier}, REST_FRAMEWORK=REST_FRAMEWORK, ROOT_URLCONF="examples.drf_app.views"
    ):
        yield APIClient()


@each_request
def test_the_pages_answer(client: APIClient, ave_issuer: FakeIssuer, example: ExampleRequest) -> None:
    response = client.get(example.path, headers=example.headers(ave_issuer))
    example.check(response.status_code, response.json() if response.status_code == 200 else None)
