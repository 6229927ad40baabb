"""The examples of the page about refusals run as they are printed."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Refusal, wsgi
from aveverify.flask import AveAuth
from aveverify.litestar import AveAuthPlugin
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeClock, FakeIssuer
from tests.http import django_settings  # noqa: F401 - REST framework reads the settings when it is imported
from tests.http.http_fixtures import Client, Reply, Request, Server, bearer, http_scope, wsgi_app, wsgi_environ

# isort: split
from django.test import RequestFactory, override_settings
from rest_framework.views import APIView

from aveverify.django import RefusedResponse
from aveverify.drf import AveAuthentication, HasScope

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "refusals.md").read_text(encoding="utf-8")


@pytest.fixture
def ave() -> FakeIssuer:
    return FakeIssuer("https://aveid.net", application_id="app_123", clock=FakeClock())


@pytest.fixture
def page(ave: FakeIssuer) -> dict[str, Any]:
    """The blocks of the page in their order; only their verifier gets the network of the fake issuer."""
    namespace: dict[str, Any] = {"__name__": "page", "_issuer": ave}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        connected = block.replace('ave("app_123"))', 'ave("app_123"), fetcher=_issuer, clock=_issuer.clock)')
        exec(compile(connected, "refusals.md", "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def ask(app: Any, token: str | None = None) -> Reply:
    client = Client({"type": "http.request"})
    client.call(app, http_scope(Request(bearer(token) if token else ())))
    return client.reply


def test_the_body_is_rendered_as_shown(page: dict[str, Any]) -> None:
    html, problem = ask(page["html"]), ask(page["problems"])

    assert (html.status, html.body) == (401, b"<h1>Credentials are required</h1>")
    assert (problem.status, problem.content["title"]) == (401, "Unauthorized")
    assert html.headers["www-authenticate"] == problem.headers["www-authenticate"] == "Bearer"


def test_the_access_log_says_who_it_was_or_why_it_was_refused(
    page: dict[str, Any], ave: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    app = page["AccessLog"](page["problems"])

    ask(app, ave.token(sub="ada", azp="app_123"))
    ask(app, ave.forge("expired"))
    ask(app)

    assert [message for name, _, message in caplog.record_tuples if name == "access"] == [
        "GET / user=ada refused=-",
        "GET / user=- refused=EXPIRED",
        "GET / user=- refused=unauthorized",
    ]


def test_the_access_log_of_wsgi_says_who_it_was(
    page: dict[str, Any], ave: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    guarded = wsgi.AveAuthMiddleware(wsgi_app(str), page["verifier"], required=True)
    token = ave.token(sub="ada", azp="app_123")

    Server().call(page["WsgiAccessLog"](guarded), wsgi_environ(Request(bearer(token))))

    assert caplog.messages[-1:] == ["/ user=ada"]


def test_every_member_of_a_refusal_is_explained() -> None:
    table = PAGE.split("| member of `Refusal` |", 1)[1].split("\n\n", 1)[0]

    assert set(re.findall(r"`(\w+)`", table.replace("`None`", ""))) == set(Refusal._fields)


@get("/")
async def hello() -> str:
    """Litestar runs no middleware for a path without a route."""
    return "hello"


def test_the_access_log_stands_around_flask_and_litestar_as_shown(
    page: dict[str, Any], ave: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    headers = bearer(ave.token(sub="ada", azp="app_123"))
    site = Flask("site")
    AveAuth(site, page["verifier"], required=True)
    site.add_url_rule("/", view_func=lambda: "")
    site.wsgi_app = page["WsgiAccessLog"](site.wsgi_app)  # type: ignore[method-assign]
    plugin = AveAuthPlugin(page["verifier"], required=True)
    around = page["AccessLog"](Litestar([hello], plugins=[plugin], logging_config=None))
    caplog.set_level(logging.INFO, "access")

    site.test_client().get("/", headers=dict(headers))
    ask(around)

    logged = [message for name, _, message in caplog.record_tuples if name == "access"]
    assert logged == ["/ user=ada", "GET / user=- refused=unauthorized"]


def test_the_access_log_of_django_knows_permissions_of_rest_framework(
    page: dict[str, Any], ave: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    class Notes(APIView):
        authentication_classes = (AveAuthentication,)
        permission_classes = (HasScope("notes:read"),)

    caplog.set_level(logging.INFO, "access")
    serve = page["django_access_log"](Notes.as_view())
    token = ave.token(sub="ada", azp="app_123")

    with override_settings(AVEVERIFY={"VERIFIER": page["verifier"]}):
        response = serve(RequestFactory().get("/notes", headers=dict(bearer(token))))

    assert (response.status_code, isinstance(response, RefusedResponse)) == (403, False)
    assert caplog.messages[-1:] == ["GET /notes user=ada refused=INSUFFICIENT_SCOPE"]


@pytest.mark.parametrize(("origin", "status"), [("https://app.example", 204), ("https://evil.example", 401)])
def test_a_cookie_counts_for_an_allowed_origin(page: dict[str, Any], ave: FakeIssuer, origin: str, status: int) -> None:
    token = ave.token(sub="ada", azp="app_123")
    client = Client({"type": "http.request"})

    client.call(page["pages"], http_scope(Request((("Cookie", f"session={token}"), ("Origin", origin)))))

    assert client.reply.status == status


def test_a_predicate_that_raises_is_a_failure_of_the_server(page: dict[str, Any], ave: FakeIssuer) -> None:
    app = Starlette(
        routes=[Route("/", lambda _request: Response())],
        middleware=[
            Middleware(
                AveAuthMiddleware, verifier=page["verifier"], required=True, allow=lambda identity: identity["plan"]
            )
        ],
    )
    headers = dict(bearer(ave.token(sub="ada", azp="app_123")))

    assert TestClient(app, raise_server_exceptions=False).get("/", headers=headers).status_code == 500
