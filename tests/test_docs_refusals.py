"""The examples of the page about refusals run as they are printed."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from aveverify import Refusal, wsgi
from aveverify.testing import FakeClock, FakeIssuer
from tests.http.http_fixtures import Client, Reply, Request, Server, bearer, http_scope, wsgi_app, wsgi_environ

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
