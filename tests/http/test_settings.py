"""What stands in the config of Flask and in the settings of Django: read once, and whatever is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from aveverify import ConfigurationError, Provider, Verifier
from aveverify._http.policy import AuthPolicy
from aveverify.django._settings import current_settings
from aveverify.errors import Problem
from aveverify.flask import AveAuth
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.flask_client import new_app

Read = Callable[[dict[str, Any]], AuthPolicy]
PROVIDER = Provider(issuer="https://idp.example", application_id="app")


def read_flask(settings: dict[str, Any]) -> AuthPolicy:
    """The rules that Flask makes of these settings."""
    app = new_app(**{f"AVEVERIFY_{name}": value for name, value in settings.items()})
    AveAuth(app)
    policy: AuthPolicy = app.extensions["aveverify"].policy
    return policy


def read_django(settings: dict[str, Any]) -> AuthPolicy:
    """The rules that Django makes of these settings."""
    with override_settings(AVEVERIFY=settings):
        return current_settings.get().policy


@pytest.fixture(params=[(read_flask, "AVEVERIFY_{}"), (read_django, 'AVEVERIFY["{}"]')], ids=["flask", "django"])
def place(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    ("settings", "providers"),
    [
        pytest.param({"ISSUER": PROVIDER.issuer, "APPLICATION_ID": "app"}, (PROVIDER,), id="issuer"),
        pytest.param({"PROVIDERS": [PROVIDER, Provider.ave("app_1")]}, (PROVIDER, Provider.ave("app_1")), id="several"),
        pytest.param(
            {"AUTH_CONFIG": {"providers": [{"domain": PROVIDER.issuer, "applicationID": "app"}]}},
            (PROVIDER,),
            id="auth config",
        ),
        pytest.param({"VERIFIER": Verifier(PROVIDER)}, (PROVIDER,), id="verifier"),
        pytest.param(
            {"VERIFIER": Verifier(PROVIDER), "ISSUER": "https://other.example", "APPLICATION_ID": "other"},
            (PROVIDER,),
            id="verifier of a test, before everything else",
        ),
    ],
)
def test_a_verifier_is_named_in_one_of_four_ways(place: Any, settings: dict[str, Any], providers: object) -> None:
    read, _ = place

    policy = read(settings)

    assert policy.verifier.providers == providers
    assert not policy.required


def test_everything_that_an_integration_can_be_told_may_stand_there(place: Any, shared_verifier: Verifier) -> None:
    read, _ = place

    policy = read(
        {
            "VERIFIER": shared_verifier,
            "REQUIRED": True,
            "ON_INVALID": "defer",
            "SCOPES": ["read"],
            "REALM": "place",
            "RESOURCE_METADATA": "https://api.test/meta",
            "EXEMPT": ["/healthz"],
            "CHECK": str,
        }
    )

    assert (policy.required, policy.defers) == (True, True)
    assert policy.parameters == ("place", "https://api.test/meta", ("read",), "Authorization")
    assert "/healthz" in policy.exempt
    assert policy.check is str


GOOD = {"ISSUER": "https://idp.example", "APPLICATION_ID": "app"}


@pytest.mark.parametrize(
    ("settings", "field", "problem"),
    [
        pytest.param({}, "ISSUER", Problem.MISSING, id="nothing"),
        pytest.param({"REQUIRED": True}, "ISSUER", Problem.MISSING, id="no verifier"),
        pytest.param({"ISSUER": "https://idp.example"}, "APPLICATION_ID", Problem.MISSING, id="no application id"),
        pytest.param({"APPLICATION_ID": "app"}, "ISSUER", Problem.MISSING, id="no issuer"),
        pytest.param(
            {"PROVIDERS": [PROVIDER], "APPLICATION_ID": "app"}, "ISSUER", Problem.MISSING, id="application id alone"
        ),
        pytest.param(GOOD | {"ISSUER": "idp"}, "ISSUER", Problem.NO_DOT, id="no URL"),
        pytest.param(GOOD | {"APPLICATION_ID": ""}, "APPLICATION_ID", Problem.EMPTY, id="empty application id"),
        pytest.param(GOOD | {"PROVIDERS": [PROVIDER]}, "ISSUER", Problem.OUT_OF_RANGE, id="two that decide"),
        pytest.param({"VERIFIER": 7}, "VERIFIER", Problem.NOT_A_VERIFIER, id="no verifier but a number"),
        pytest.param({"PROVIDERS": []}, "PROVIDERS", Problem.OUT_OF_RANGE, id="no providers"),
        pytest.param({"PROVIDERS": PROVIDER}, "PROVIDERS", Problem.OUT_OF_RANGE, id="a provider for a list"),
        pytest.param({"AUTH_CONFIG": {}}, "AUTH_CONFIG", Problem.NOT_A_CONFIG, id="no auth config"),
        pytest.param(GOOD | {"REQUIRE": True}, "REQUIRE", Problem.UNKNOWN_OPTION, id="a misspelling"),
        pytest.param(GOOD | {"REQUIRED": "yes"}, "REQUIRED", Problem.OUT_OF_RANGE, id="required"),
        pytest.param(GOOD | {"ON_INVALID": "ignore"}, "ON_INVALID", Problem.OUT_OF_RANGE, id="on_invalid"),
        pytest.param(GOOD | {"SCOPES": "read"}, "SCOPES", Problem.OUT_OF_RANGE, id="scopes"),
        pytest.param(GOOD | {"REALM": 'a"b'}, "REALM", Problem.OUT_OF_RANGE, id="realm"),
        pytest.param(GOOD | {"RESOURCE_METADATA": "a b"}, "RESOURCE_METADATA", Problem.OUT_OF_RANGE, id="metadata"),
        pytest.param(GOOD | {"EXEMPT": "/healthz"}, "EXEMPT", Problem.OUT_OF_RANGE, id="exempt"),
        pytest.param(GOOD | {"TOKEN_SOURCES": []}, "TOKEN_SOURCES", Problem.OUT_OF_RANGE, id="no sources"),
        pytest.param(GOOD | {"CHECK": 7}, "CHECK", Problem.OUT_OF_RANGE, id="check"),
    ],
)
def test_whatever_is_wrong_is_named_as_it_is_called_there(
    place: Any,
    settings: dict[str, Any],
    field: str,
    problem: Problem,
) -> None:
    read, label = place

    with pytest.raises(ConfigurationError) as caught:
        read(settings)

    assert (caught.value.field, caught.value.problem) == (label.format(field), problem)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        pytest.param({"PROVIDERS": [PROVIDER, 7]}, "PROVIDERS", id="providers"),
        pytest.param({"AUTH_CONFIG": {"providers": [{"domain": "https://a.b"}]}}, "AUTH_CONFIG", id="auth config"),
    ],
)
def test_a_member_of_a_list_is_named_with_its_place(place: Any, settings: dict[str, Any], field: str) -> None:
    read, label = place

    with pytest.raises(ConfigurationError) as caught:
        read(settings)

    places = {"PROVIDERS": "[1]", "AUTH_CONFIG": ".providers[0].applicationID"}
    assert caught.value.field == label.format(field) + places[field]
