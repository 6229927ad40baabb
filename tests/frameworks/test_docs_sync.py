"""The examples in the pages of Flask, Django and REST framework run as they are printed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.decorators import login_not_required
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.module_loading import import_string
from flask import Flask
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.views import APIView

from aveverify._http import settings as option_settings
from aveverify.django import AveAuthMiddleware
from aveverify.drf import AveAuthentication
from aveverify.flask import AveAuth
from aveverify.testing import FakeClock, FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.http_fixtures import bearer

PAGES = Path(__file__).parents[2] / "docs" / "frameworks"
COUNTS = {"flask": 8, "django": 10, "drf": 8}


def examples(page: str) -> list[str]:
    """Every Python example of a page, in order."""
    return re.findall(r"(?<!-->\n)```python\n(.*?)```", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def ave(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer("https://aveid.net", application_id="app_123", clock=clock)


def run(page: str, number: int, **names: object) -> dict[str, Any]:
    """Run an example as it is printed, with these names around it."""
    namespace: dict[str, Any] = {"__name__": page} | names
    exec(compile(examples(page)[number], f"{page}.md", "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def run_flask(*numbers: int, issuer: FakeIssuer) -> dict[str, Any]:
    """Run examples of Flask one after the other; only their verifier gets the network and the clock of the issuer."""
    source = "\n".join(examples("flask")[number] for number in numbers).replace(
        'Verifier(Provider.ave("app_123"))', 'Verifier(Provider.ave("app_123"), fetcher=_issuer, clock=_issuer.clock)'
    )
    namespace: dict[str, Any] = {"__name__": "shop", "_issuer": issuer}
    exec(compile(source, "flask.md", "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def headers(issuer: FakeIssuer, **claims: object) -> dict[str, str]:
    """An Authorization header with a token of Ave."""
    return dict(bearer(issuer.token({"azp": "app_123", **claims})))


@pytest.mark.parametrize("page", COUNTS)
def test_every_example_is_run_here(page: str) -> None:
    assert len(examples(page)) == COUNTS[page]


@pytest.mark.parametrize("page", COUNTS)
def test_an_application_is_protected_in_less_than_fifteen_lines(page: str) -> None:
    first = examples(page)[:1] if page == "flask" else examples(page)[:2]

    assert sum(bool(line) for example in first for line in example.splitlines()) < 15


@pytest.mark.parametrize("name", sorted(option_settings.NAMES))
def test_every_setting_is_described(name: str) -> None:
    pages = {page: (PAGES / f"{page}.md").read_text(encoding="utf-8") for page in ("flask", "django")}

    assert f"`AVEVERIFY_{name}`" in pages["flask"]
    assert f"`{name}`" in pages["django"]


# --- Flask ----------------------------------------------------------------------------------------------------------


def test_flask_is_protected_as_shown(ave: FakeIssuer) -> None:
    client = run_flask(0, issuer=ave)["app"].test_client()

    assert client.get("/me", headers=headers(ave, sub="ada")).json["tokenIdentifier"] == "https://aveid.net|ada"
    assert client.get("/me").status_code == 401


def test_the_decorators_of_flask_do_as_shown(ave: FakeIssuer) -> None:
    client = run_flask(0, 1, issuer=ave)["app"].test_client()

    assert [client.get("/hello", headers=given).text for given in ({}, headers(ave, sub="ada"))] == [
        "hello stranger",
        "hello Ada Lovelace",
    ]
    assert client.post("/notes", headers=headers(ave, sub="ada", scope="notes:write")).json == {"by": "ada"}
    assert client.post("/notes", headers=headers(ave)).status_code == 403


def test_the_predicates_and_scopes_of_flask_do_as_shown(ave: FakeIssuer) -> None:
    client = run_flask(0, 2, issuer=ave)["app"].test_client()

    codes = [client.get("/export", headers=headers(ave, plan=plan)).status_code for plan in ("pro", "free")]
    assert codes == [200, 403]
    codes = [client.get("/drafts", headers=headers(ave, scope=scope)).status_code for scope in ("admin", "reader")]
    assert codes == [200, 403]


def test_a_worker_of_flask_has_the_bound_identity(ave: FakeIssuer) -> None:
    namespace = run_flask(0, 4, issuer=ave)
    identity = ave.verifier().verify(ave.token({"azp": "app_123", "sub": "ada"}))

    assert namespace["send_report"](identity) == "report for ada"


def test_the_users_of_flask_are_those_of_the_application(ave: FakeIssuer) -> None:
    namespace = run_flask(0, 5, issuer=ave)

    assert namespace["app"].test_client().get("/user", headers=headers(ave, sub="ada")).text == "Ada Lovelace"
    app = Flask("shop")
    AveAuth(app, ave.verifier(), required=True, check=namespace["check"])
    statuses = [app.test_client().get("/", headers=headers(ave, sub=name)).status_code for name in ("ada", "mallory")]
    assert statuses == [404, 401]


def test_flask_lets_the_application_answer(ave: FakeIssuer) -> None:
    client = run_flask(0, 6, issuer=ave)["app"].test_client()

    for answer in (client.get("/me", headers=dict(bearer(ave.forge("expired")))), client.get("/me")):
        assert (answer.status_code, answer.json) == (401, {"message": "Please sign in again"})
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_test_of_flask_passes(ave: FakeIssuer) -> None:
    run_flask(3, 7, issuer=ave)["test_me"]()


# --- Django ---------------------------------------------------------------------------------------------------------


@contextmanager
def project(issuer: FakeIssuer, page: str, *routes: object) -> Iterator[dict[str, Any]]:
    """The settings of a page, with a verifier that has the network and the clock of the issuer."""
    written = run(page, 0, INSTALLED_APPS=[], MIDDLEWARE=[])
    verifier = issuer.verifier(*written["AVEVERIFY"]["PROVIDERS"])
    configured = {name: written[name] for name in ("MIDDLEWARE", "REST_FRAMEWORK") if name in written}
    assert set(written["INSTALLED_APPS"]) <= {"aveverify.django"}
    with override_settings(
        AVEVERIFY=written["AVEVERIFY"] | {"VERIFIER": verifier}, ROOT_URLCONF=tuple(routes), **configured
    ):
        yield written


def test_django_is_protected_as_shown(ave: FakeIssuer) -> None:
    with project(ave, "django", path("me", run("django", 1)["me"])) as written:
        answer = Client().get("/me", headers=headers(ave, sub="ada"))
        assert answer.json()["tokenIdentifier"] == "https://aveid.net|ada"
        assert [Client().get(where).status_code for where in ("/me", "/nowhere", "/admin/")] == [401, 401, 404]
    with override_settings(AVEVERIFY=written["AVEVERIFY"]):
        assert [message for message in run_checks() if str(message.id).startswith("aveverify")] == []


def test_the_views_of_django_do_as_shown(ave: FakeIssuer) -> None:
    views = run("django", 2)
    asked = RequestFactory().get("/", headers=headers(ave, sub="ada"))

    with override_settings(AVEVERIFY={"VERIFIER": ave.verifier()}):
        assert views["hello"](RequestFactory().get("/")).content == b"hello stranger"
        assert views["hello"](asked).content == b"hello Ada Lovelace"
        assert views["Profile"].as_view()(asked).content == b"ada"
        assert asyncio.run(views["Reports"].as_view()(asked)).content == b"reports of ada"
        for claims, status in (
            ({"plan": "pro", "scope": "profile:write"}, 200),
            ({"plan": "pro", "scope": "admin"}, 200),
            ({"plan": "free", "scope": "admin"}, 403),
            ({"plan": "pro", "scope": "profile:read"}, 403),
        ):
            changed = RequestFactory().post("/", headers=headers(ave, sub="ada", **claims))
            assert views["Profile"].as_view()(changed).status_code == status
        for scope, status in (("notes:write", 200), ("notes:read", 403)):
            request = AsyncRequestFactory().post("/", headers=headers(ave, sub="ada", scope=scope))
            assert asyncio.run(views["add_note"](request)).status_code == status


def test_the_users_of_django_are_those_of_the_project(ave: FakeIssuer) -> None:
    users = run("django", 3)
    view = run("django", 1)["me"]
    configured = {"VERIFIER": ave.verifier(), "USER_LOADER": users["load_user"], "CHECK": users["check"]}

    with override_settings(AVEVERIFY=configured):
        request: Any = RequestFactory().get("/", headers=headers(ave, sub="ada"))
        assert view(request).status_code == 200
        assert str(request.user) == "Ada Lovelace"
        assert view(RequestFactory().get("/", headers=headers(ave, sub="mallory"))).status_code == 401


def test_a_middleware_of_django_tells_refusals_as_shown(ave: FakeIssuer, caplog: pytest.LogCaptureFixture) -> None:
    wrap = run("django", 4)["note_refusals"]
    with project(ave, "django"), caplog.at_level("INFO", logger="shop"):
        serve = wrap(AveAuthMiddleware(run("django", 1)["me"]))
        for given in (dict(bearer(ave.forge("expired"))), {}, headers(ave)):
            serve(RequestFactory().get("/me", headers=given))

    assert [record.getMessage() for record in caplog.records if record.name == "shop"] == [
        "refused /me: EXPIRED",
        "refused /me: unauthorized",
    ]


def test_after_a_refusal_by_the_middleware_of_django_the_request_has_no_identity(ave: FakeIssuer) -> None:
    requests = [RequestFactory().get("/me", headers=given) for given in ({}, headers(ave))]
    with project(ave, "django"):
        for request in requests:
            AveAuthMiddleware(run("django", 1)["me"])(request)

    assert [hasattr(request, "ave_identity") for request in requests] == [False, True]


@pytest.mark.parametrize("option", ["EXEMPT", "OPTIONAL"])
def test_the_login_middleware_of_django_knows_no_paths_without_a_token(ave: FakeIssuer, option: str) -> None:
    def marked(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("open")

    def unmarked(_request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "aveverify.django.AveAuthMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    configured = {"VERIFIER": ave.verifier(), "REQUIRED": True, option: ["/page"]}
    for view, status in ((unmarked, 302), (login_not_required(marked), 200)):
        with override_settings(AVEVERIFY=configured, MIDDLEWARE=middleware, ROOT_URLCONF=(path("page", view),)):
            assert Client().get("/page").status_code == status


def test_a_template_of_django_sees_the_identity_as_shown(ave: FakeIssuer) -> None:
    templates: list[Any] = [{"OPTIONS": {"context_processors": []}}]
    run("django", 5, TEMPLATES=templates)
    (processor,) = templates[0]["OPTIONS"]["context_processors"]

    with project(ave, "django"):
        request = RequestFactory().get("/me", headers=headers(ave))
        run("django", 1)["me"](request)
        assert import_string(processor)(request)["current_identity"].name == "Ada Lovelace"


def test_a_task_of_django_verifies_tokens_as_shown(ave: FakeIssuer) -> None:
    with project(ave, "django"):
        token = ave.token({"azp": "app_123", "sub": "ada"})
        assert run("django", 6)["import_notes"](token) == "https://aveid.net|ada"


def test_htp_050_the_order_of_middleware_with_a_cache_passes_the_system_checks(ave: FakeIssuer) -> None:
    with project(ave, "django"), override_settings(MIDDLEWARE=run("django", 7)["MIDDLEWARE"]):
        assert [message for message in run_checks() if str(message.id).startswith("aveverify")] == []


def test_htp_051_django_behind_the_asgi_middleware_refuses_as_shown() -> None:
    answer = asyncio.run(send_to_over_asgi(run("django", 8)["application"]))

    assert answer.status_code == 401


async def send_to_over_asgi(app: Callable[..., Awaitable[None]]) -> httpx.Response:
    """The response of an ASGI application to one request."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post("/", content=b"{")


def test_the_test_of_django_passes(ave: FakeIssuer) -> None:
    with project(ave, "django", path("me", run("django", 1)["me"])):
        run("django", 9)["test_me"]()


# --- REST framework -------------------------------------------------------------------------------------------------


@contextmanager
def api(issuer: FakeIssuer, number: int, *names: str) -> Iterator[None]:
    """The views of an example behind the settings of the page; REST framework reads these when a class is made."""
    with project(issuer, "drf"):
        api_settings.reload()
        configured = {
            "authentication_classes": api_settings.DEFAULT_AUTHENTICATION_CLASSES,
            "permission_classes": api_settings.DEFAULT_PERMISSION_CLASSES,
        }
        views = run("drf", number)
        routes = []
        for name in names:
            own = {member: value for member, value in configured.items() if member not in vars(views[name])}
            routes.append(path(name.lower(), type(name, (views[name],), own).as_view()))  # type: ignore[attr-defined]
        with override_settings(ROOT_URLCONF=tuple(routes)):
            yield


def test_rest_framework_is_protected_as_shown(ave: FakeIssuer) -> None:
    with api(ave, 1, "Me"):
        answer = APIClient().get("/me", headers=headers(ave, sub="ada"))
        assert answer.json()["tokenIdentifier"] == "https://aveid.net|ada"
        refused = APIClient().get("/me")
        assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")


def test_the_permissions_of_rest_framework_do_as_shown(ave: FakeIssuer) -> None:
    def status(where: str, scope: str | None = None) -> int:
        answer = APIClient().get(where, headers=headers(ave, sub="ada", scope=scope) if scope is not None else {})
        return int(answer.status_code)

    with api(ave, 2, "Hello", "Notes", "Archive", "Reports"):
        assert APIClient().get("/hello").json() == "hello stranger"
        assert APIClient().get("/hello", headers=headers(ave, sub="ada")).json() == "hello Ada Lovelace"
        assert [status("/notes"), status("/notes", ""), status("/notes", "notes:read")] == [401, 403, 200]
        scopes = (None, "notes:read", "notes:read notes:write", "admin")
        assert [status("/archive", scope) for scope in scopes] == [401, 403, 200, 200]
        pro = headers(ave, scope="admin", plan="pro")
        assert [status("/reports", "admin"), APIClient().get("/reports", headers=pro).status_code] == [403, 200]


def test_views_of_rest_framework_without_a_token_do_as_shown(ave: FakeIssuer) -> None:
    views = run("drf", 3)
    routes = (path("feed", views["Feed"].as_view()), path("status", views["status"]))

    for middleware in ([], ["aveverify.django.AveAuthMiddleware"]):
        with override_settings(
            AVEVERIFY={"VERIFIER": ave.verifier(), "REQUIRED": True}, MIDDLEWARE=middleware, ROOT_URLCONF=routes
        ):
            assert APIClient().get("/feed").json() == "news for everyone"
            assert APIClient().get("/feed", headers=headers(ave)).json() == "news for Ada Lovelace"
            assert APIClient().post("/feed").status_code == 401
            assert APIClient().get("/status").json() == "up"
            assert APIClient().get("/status", headers=dict(bearer(ave.forge("expired")))).status_code == 401


def test_the_classes_beside_which_ours_stands_exist() -> None:
    for name in run("drf", 4)["REST_FRAMEWORK"]["DEFAULT_AUTHENTICATION_CLASSES"]:
        assert import_string(name)


def test_rest_framework_lets_the_application_answer(ave: FakeIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    handler = run("drf", 5)["with_request_id"]

    class Handled(APIView):
        authentication_classes = (AveAuthentication,)

        def get_exception_handler(self) -> Any:
            return handler

    with override_settings(AVEVERIFY={"VERIFIER": ave.verifier()}, ROOT_URLCONF=(path("", Handled.as_view()),)):
        refused = APIClient().get("/", headers=dict(bearer(ave.forge("expired"))))
        other = APIClient().get("/", headers=headers(ave))

    assert (refused.status_code, set(refused.json())) == (401, {"error", "error_description", "request_id"})
    assert (other.status_code, set(other.json())) == (405, {"detail", "request_id"})
    assert capsys.readouterr().out == "refused: EXPIRED\n"


@pytest.mark.parametrize(("number", "name"), [(6, "test_me"), (7, "test_me_of_a_forced_identity")])
def test_the_tests_of_rest_framework_pass(ave: FakeIssuer, number: int, name: str) -> None:
    with api(ave, 1, "Me"):
        run("drf", number)[name]()
