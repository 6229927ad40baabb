"""FastAPI, Litestar and REST framework describe the same authentication in their OpenAPI documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from fastapi import FastAPI, Security
from litestar import Litestar
from rest_framework.views import APIView

from aveverify import Provider, Verifier
from aveverify import fastapi as ave_fastapi
from aveverify import litestar as ave_litestar
from aveverify._http.openapi import BEARER_DESCRIPTION
from aveverify.drf import AveAuthentication
from tests.http import django_settings  # noqa: F401 - configures Django

Schemes = dict[str, dict[str, str]]

BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": BEARER_DESCRIPTION}
IDP = "https://idp.example"


class Page(APIView):
    """A view of REST framework."""

    authentication_classes = (AveAuthentication,)
    permission_classes = ()
    serializer_class = None

    def get(self, _request: object) -> None:
        """Never runs."""


def of_fastapi(verifier: Verifier) -> dict[str, Any]:
    """The document of an application whose every route takes a token."""
    auth = ave_fastapi.AveAuth(verifier)
    app = FastAPI(dependencies=[Security(auth)])
    auth.install(app)
    app.add_api_route("/", lambda: None)
    return app.openapi()


def of_litestar(verifier: Verifier) -> dict[str, Any]:
    """The same of Litestar."""
    app = Litestar(plugins=[ave_litestar.AveAuthPlugin(verifier, required=True)], logging_config=None)
    return app.openapi_schema.to_schema()


def of_rest_framework(verifier: Verifier) -> dict[str, Any]:
    """The same of REST framework, by drf-spectacular."""
    with override_settings(AVEVERIFY={"VERIFIER": verifier}):
        generator = SchemaGenerator(patterns=[path("", Page.as_view())])  # type: ignore[no-untyped-call]
        document: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return document


def openid(url: str) -> dict[str, str]:
    """The scheme of a discovery document."""
    return {"type": "openIdConnect", "openIdConnectUrl": url}


def custom_jwt(application_id: str | None) -> Provider:
    """A customJwt provider; without an application id, of any audience."""
    return Provider.custom_jwt(
        issuer=IDP,
        jwks=f"{IDP}/keys",
        algorithm="ES256",
        application_id=application_id,
        any_audience=application_id is None,
    )


@pytest.mark.parametrize("document_of", [of_fastapi, of_litestar, of_rest_framework])
@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        pytest.param(
            [Provider(issuer=f"{IDP}/", application_id="app")],
            {"aveOpenId": openid(f"{IDP}/.well-known/openid-configuration")},
            id="issuer",
        ),
        pytest.param(
            [Provider(issuer=IDP, application_id="app", discovery_url="https://meta.example/openid")],
            {"aveOpenId": openid("https://meta.example/openid")},
            id="discovery_url",
        ),
        pytest.param([Provider(issuer=IDP, application_id="app", jwks_uri=f"{IDP}/keys")], {}, id="jwks_uri"),
        pytest.param([custom_jwt("app")], {}, id="customJwt"),
        pytest.param([custom_jwt(None)], {}, id="customJwt, any audience"),
        pytest.param(
            [
                Provider.ave("app_1"),
                Provider.ave("app_2"),
                custom_jwt("app"),
                Provider(issuer="https://other.example", application_id="app", jwks_uri=f"{IDP}/keys"),
                Provider(issuer=IDP, application_id="app"),
            ],
            {
                "aveOpenId": openid("https://aveid.net/.well-known/openid-configuration"),
                "aveOpenId1": openid(f"{IDP}/.well-known/openid-configuration"),
            },
            id="several providers",
        ),
    ],
)
def test_every_framework_describes_the_same_security_schemes(
    document_of: Callable[[Verifier], dict[str, Any]], providers: list[Provider], expected: Schemes
) -> None:
    """The URL is that of the document the verifier itself reads; without such a document, there is only the bearer."""
    with Verifier(*providers) as verifier:
        document = document_of(verifier)

    assert document["components"]["securitySchemes"] == {"aveBearer": BEARER} | expected


@pytest.mark.parametrize("document_of", [of_fastapi, of_litestar, of_rest_framework])
def test_every_framework_accepts_each_scheme_alone(document_of: Callable[[Verifier], dict[str, Any]]) -> None:
    """OpenAPI 3.1 §4.8.2: the members of `security` are alternatives."""
    with Verifier(Provider.ave("app_1")) as verifier:
        document = document_of(verifier)

    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    required = [operation.get("security") for operation in operations] or [document["security"]]
    assert required == [[{"aveBearer": []}, {"aveOpenId": []}]]
