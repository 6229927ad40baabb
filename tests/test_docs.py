"""The README's examples run as they are printed, against a fake issuer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.http import django_settings  # noqa: F401 - REST framework reads the settings when it is imported

# isort: split
from django.test import Client, override_settings
from fastapi import FastAPI, Security
from flask import Flask
from litestar.testing import TestClient as LitestarClient
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.views import APIView
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.testclient import TestClient
from starlette.websockets import WebSocket  # noqa: TC002 - FastAPI reads the annotation

from aveverify import (
    ConfigurationError,
    InvalidTokenError,
    Reason,
    Verifier,
    asgi,
    fastapi,
    flask,
    litestar,
    sources,
    starlette,
    wsgi,
)
from aveverify.testing import FakeClock, FakeIssuer
from tests.hmac_keys import KEY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The frameworks that the README shows, and the page of each.
PAGES = {
    "FastAPI": "fastapi",
    "Starlette": "starlette",
    "Litestar": "litestar",
    "Flask": "flask",
    "Django": "django",
    "Django REST framework": "drf",
}
PROJECTS = ("Django", "Django REST framework")


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


EXAMPLES = python_blocks(README)


def example(mark: str) -> str:
    (found,) = [text for text in EXAMPLES if mark in text]
    return found


def shown(name: str) -> list[str]:
    """The blocks of a framework, in order."""
    return python_blocks(README.split(f"### {name}\n", 1)[1].split("###", 1)[0])


@pytest.fixture
def ave(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer("https://aveid.net", application_id="app_123", clock=clock)


def run(source: str, issuer: FakeIssuer, namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run an example as it is printed; only its verifier gets the network and the clock of the fake issuer."""
    connected = source.replace(
        'Verifier(Provider.ave("app_123"))', 'Verifier(Provider.ave("app_123"), fetcher=_issuer, clock=_issuer.clock)'
    )
    namespace = {"__name__": "readme"} if namespace is None else namespace
    namespace["_issuer"] = issuer
    exec(compile(connected, "README.md", "exec"), namespace)  # noqa: S102 - our own README
    return namespace


def test_every_example_is_run_here() -> None:
    of_frameworks = [block for name in PAGES for block in shown(name)]
    assert [block for block in EXAMPLES if block not in of_frameworks] == [
        example("def greet"),
        example("custom_jwt"),
        example("RedisDocumentStore"),
        example("aveverify.testing"),
    ]


def test_the_five_lines_verify_a_token(ave: FakeIssuer) -> None:
    namespace = run(example("def greet"), ave)
    token = ave.token(sub="ada", azp="app_123", email="ada@example.com", plan="pro")
    assert namespace["greet"](token) == "ada ada@example.com pro"


def test_other_issuers_are_configured_as_shown(ave: FakeIssuer) -> None:
    namespace = run(example("custom_jwt"), ave)
    assert [provider.kind for provider in namespace["verifier"].providers] == ["oidc", "customJwt"]
    assert namespace["same"].providers == (namespace["oidc"],)


@pytest.mark.parametrize("name", PAGES)
def test_every_framework_is_shown_in_few_lines(name: str) -> None:
    lines = [line for line in "".join(shown(name)).splitlines() if line.strip()]
    assert 0 < len(lines) < 15


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=list(PAGES))
def test_the_page_of_a_framework_begins_as_the_readme_does(name: str, page: str) -> None:
    blocks = python_blocks((ROOT / "docs" / "frameworks" / f"{page}.md").read_text(encoding="utf-8"))
    assert blocks[: len(shown(name))] == shown(name)


@pytest.mark.parametrize("page", PAGES.values())
def test_a_page_says_how_to_start_and_where_a_token_comes_from(page: str) -> None:
    """tests/examples/test_commands.py runs these commands."""
    text = (ROOT / "docs" / "frameworks" / f"{page}.md").read_text(encoding="utf-8")
    first = text.split("\n## Protect a", 1)[1].split("\n## ", 1)[0]
    start = {
        "flask": "flask --app main run",
        "django": "python manage.py runserver",
        "drf": "python manage.py runserver",
    }
    assert f"```sh\n{start.get(page, 'pip install uvicorn')}" in first
    assert page in start or "\nuvicorn main:app " in first
    assert "`id_token`" in first
    assert "(#in-your-tests)" in first
    assert "\n## In your tests\n" in text


@contextmanager
def module(name: str, *sources: str, issuer: FakeIssuer) -> Iterator[dict[str, Any]]:
    """Run examples in a module that is importable: frameworks look annotations and paths up there."""
    made = ModuleType(name)
    sys.modules[name] = made
    try:
        for source in sources:
            run(source, issuer, vars(made))
        yield vars(made)
    finally:
        del sys.modules[name]


@contextmanager
def client_of(name: str, issuer: FakeIssuer) -> Iterator[Any]:
    """Yield the framework's test client for the application that the README shows."""
    with module("readme_app", *shown(name), issuer=issuer) as namespace:
        app = namespace["app"]
        match name:
            case "Flask":
                yield app.test_client()
            case "Litestar":
                yield LitestarClient(app)
            case _:
                yield TestClient(app)


@contextmanager
def client_of_project(name: str, issuer: FakeIssuer) -> Iterator[Any]:
    """Yield the client for Django: its settings end with the first block, `urls.py` is the second."""
    first, second = shown(name)
    # Every project's settings begin with these.
    settings: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    run(first, issuer, settings)
    providers = settings["AVEVERIFY"]["PROVIDERS"]
    overridden = {setting: settings[setting] for setting in ("MIDDLEWARE", "REST_FRAMEWORK") if setting in settings}
    with (
        override_settings(
            AVEVERIFY=settings["AVEVERIFY"] | {"VERIFIER": issuer.verifier(*providers)},
            ROOT_URLCONF="readme_urls",
            **overridden,
        ),
        pytest.MonkeyPatch.context() as patch,
    ):
        # REST framework reads these two settings only when it is imported.
        patch.setattr(APIView, "authentication_classes", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
        patch.setattr(APIView, "permission_classes", api_settings.DEFAULT_PERMISSION_CLASSES)
        with module("readme_urls", second, issuer=issuer):
            yield Client() if name == "Django" else APIClient()


@pytest.mark.parametrize("name", PAGES)
def test_every_framework_answers_with_convexs_identity_or_refuses(name: str, ave: FakeIssuer) -> None:
    makes = client_of_project if name in PROJECTS else client_of
    with makes(name, ave) as client:
        good = client.get("/me", headers={"Authorization": f"Bearer {ave.token(sub='ada', azp='app_123')}"})
        bad = client.get("/me", headers={"Authorization": f"Bearer {ave.forge('expired')}"})
        none = client.get("/me")

    assert (good.status_code, json.loads(good.text)["tokenIdentifier"]) == (200, "https://aveid.net|ada")
    assert (bad.status_code, json.loads(bad.text)["error"]) == (401, "invalid_token")
    assert bad.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert (none.status_code, json.loads(none.text)["error"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "middleware",
    [asgi.AveAuthMiddleware, wsgi.AveAuthMiddleware, starlette.AveAuthMiddleware, litestar.AveAuthPlugin],
    ids=["asgi", "wsgi", "starlette", "litestar"],
)
def test_a_middleware_without_required_is_refused(middleware: Callable[..., object], ave: FakeIssuer) -> None:
    subject: tuple[object, ...] = (ave.verifier(),)
    if middleware is not litestar.AveAuthPlugin:
        subject = (lambda *_arguments: None, *subject)
    with pytest.raises(TypeError, match="required"):
        middleware(*subject)
    for options in (
        {"on_invalid": "defer"},
        {"scopes": ["read"]},
        {"exempt": ["/healthz"]},
        {"check": lambda _identity: None},
        {"token_sources": [sources.AuthorizationHeader()]},
    ):
        middleware(*subject, required=False, **options)


@pytest.mark.parametrize("option", ["required", "exempt", "on_invalid"])
def test_the_dependency_of_fastapi_lacks_three_options(option: str, ave: FakeIssuer) -> None:
    with pytest.raises(TypeError, match=option):
        fastapi.AveAuth(ave.verifier(), **{option: None})  # type: ignore[arg-type]


@pytest.mark.parametrize(("settings", "status"), [({}, 200), ({"AVEVERIFY_REQUIRED": True}, 401)], ids=["not", "so"])
def test_an_undecorated_view_of_flask_is_verified_where_that_is_required(
    settings: dict[str, bool], status: int, ave: FakeIssuer
) -> None:
    app = Flask("shop")
    app.config.from_mapping(settings)
    flask.AveAuth(app, ave.verifier())
    app.add_url_rule("/", view_func=lambda: "open")
    response = app.test_client().get("/", headers={"Authorization": f"Bearer {ave.forge('expired')}"})
    assert response.status_code == status


def of_middleware(verifier: Verifier) -> dict[str, Any]:
    return {"middleware": [Middleware(starlette.AveAuthMiddleware, verifier=verifier, required=True)]}


def of_dependency(verifier: Verifier) -> dict[str, Any]:
    return {"dependencies": [Security(fastapi.AveAuth(verifier))]}


def of_backend(verifier: Verifier) -> dict[str, Any]:
    backend = starlette.AveAuthBackend(verifier, required=True)
    return {"middleware": [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)]}


@pytest.mark.parametrize(
    ("protect", "is_watched"),
    [
        pytest.param(of_middleware, True, id="AveAuthMiddleware"),
        pytest.param(of_dependency, False, id="AveAuth"),
        pytest.param(of_backend, False, id="AveAuthBackend"),
    ],
)
def test_a_middleware_alone_ends_a_websocket_with_its_token(
    protect: Callable[[Verifier], dict[str, Any]], ave: FakeIssuer, *, is_watched: bool
) -> None:
    """tests/http/test_websocket.py tests how it ends; here only whether it is watched."""
    app = FastAPI(**protect(ave.verifier()))

    @app.websocket("/")
    async def page(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            asgi.get_live_connection(websocket)
        except ConfigurationError:
            await websocket.send_json({"is_watched": False})
        else:
            await websocket.send_json({"is_watched": True})

    with TestClient(app).websocket_connect("/", headers={"Authorization": f"Bearer {ave.token()}"}) as session:
        assert session.receive_json() == {"is_watched": is_watched}


def test_the_shown_store_is_made_without_a_connection(ave: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", KEY.hex())
    namespace = run(example("RedisDocumentStore"), ave)
    assert isinstance(namespace["verifier"], Verifier)
    namespace["store"].close()


def test_the_example_for_tests_is_a_test(ave: FakeIssuer) -> None:
    assert isinstance(run(example("aveverify.testing"), ave)["verifier"], Verifier)


def test_every_reason_of_a_refused_token_is_explained() -> None:
    named = set(re.findall(r"`([A-Z_]{4,})`", README))
    of_a_step = {reason for reason in Reason if InvalidTokenError(reason, rule="X-01").step is not None}
    refusals = of_a_step | {Reason.CLOCK_UNUSABLE}
    assert {reason.value for reason in refusals - {Reason.KEYS_UNAVAILABLE}} <= named


def test_the_exception_of_the_readme_is_the_one_that_is_raised(ave: FakeIssuer) -> None:
    with pytest.raises(InvalidTokenError):
        run(example("def greet"), ave)["greet"]("x")
