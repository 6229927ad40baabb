"""HTP-043: a Django project that does not enforce its settings fails its system checks and serves no request."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.response import Response
from rest_framework.views import APIView

from aveverify import ConfigurationError, Provider, Verifier
from aveverify.django import AveAuthMiddleware, ave_optional, ave_required
from aveverify.django._enforcement import check_at_import
from aveverify.django._settings import current_settings
from aveverify.drf import AveAuthentication
from aveverify.errors import Problem
from aveverify.sources import AuthorizationHeader
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE
from tests.http.http_fixtures import bearer

AnyView = Callable[..., Any]

OURS = MIDDLEWARE[0]
GOOD: dict[str, Any] = {"ISSUER": "https://idp.example", "APPLICATION_ID": "app"}


class OwnMiddleware(AveAuthMiddleware):
    """A project's own."""


def factory(get_response: Callable[..., Any]) -> AveAuthMiddleware:
    """A middleware that is a function."""
    return AveAuthMiddleware(get_response)


def secret(_request: HttpRequest, /, **_words: object) -> HttpResponse:
    """A view for users only."""
    return HttpResponse("secret")


class Page(View):
    """The same as a class."""

    def get(self, _request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("secret")


class Guarded(View):
    """A class whose methods guard themselves."""

    @ave_required
    def get(self, _request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("secret")

    @method_decorator(ave_required)
    def post(self, _request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("secret")


class HalfGuarded(Guarded):
    """A class with a further method that does not."""

    def put(self, _request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("secret")


class WithDispatch(Guarded):
    """A class that may run anything else."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer."""
        del request, args, kwargs
        return HttpResponse("secret")


class Api(APIView):
    """The same of REST framework."""

    authentication_classes: Any = (AveAuthentication,)
    permission_classes: Any = ()

    def get(self, _request: object) -> Response:
        """Answer."""
        return Response("secret")


class OpenApi(Api):
    """A view that chose its own authentication."""

    authentication_classes: Any = ()


class OwnAuthentication(AveAuthentication):
    """A project's own."""


class OwnApi(Api):
    """A view with it."""

    authentication_classes: Any = (OwnAuthentication,)


@contextmanager
def project(verifier: Verifier, *views: AnyView, middleware: Sequence[str] = (), **settings: object) -> Iterator[None]:
    """A project with these views at /0, /1 and so on."""
    routes = tuple(path(str(index), view) for index, view in enumerate(views))
    configured = {"VERIFIER": verifier, "REQUIRED": True} | settings
    with override_settings(AVEVERIFY=configured, MIDDLEWARE=list(middleware), ROOT_URLCONF=routes):
        yield


def ids() -> list[str]:
    """Which of our checks complain."""
    return [str(one.id) for one in run_checks(tags=["security"]) if str(one.id).startswith("aveverify")]


def refused(ask: Callable[[], object]) -> ConfigurationError:
    """The error that a call raises."""
    with pytest.raises(ConfigurationError) as caught:
        ask()
    return caught.value


# --- REQUIRED without what enforces it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(secret, id="function"),
        pytest.param(Page.as_view(), id="class"),
        pytest.param(partial(secret), id="partial"),
        pytest.param(csrf_exempt(secret), id="decorated by others"),
        pytest.param(OpenApi.as_view(), id="REST framework, without our authentication"),
        pytest.param(Api.as_view(authentication_classes=[]), id="REST framework, taken away in urls.py"),
        pytest.param(HalfGuarded.as_view(), id="class with one method that is not guarded"),
        pytest.param(WithDispatch.as_view(), id="class with a dispatch of its own"),
        pytest.param(type("Empty", (View,), {}).as_view(), id="class without methods"),  # type: ignore[attr-defined]
    ],
)
def test_htp_043_required_without_the_middleware_is_an_error_and_refuses_every_request(
    view: AnyView,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    with project(shared_verifier, ave_required(secret), view):
        assert ids() == ["aveverify.E003"]
        for headers in (None, dict(bearer(tokens["good"]))):
            error = refused(partial(Client(headers=headers).get, "/1"))
            assert (error.problem, error.field) == (Problem.NOT_ENFORCED, 'AVEVERIFY["REQUIRED"]')
            assert "'/1'" in str(error.detail)
            assert OURS in str(error.detail)


def test_htp_043_required_without_the_middleware_refuses_requests_over_asgi_too(shared_verifier: Verifier) -> None:
    async def ask() -> object:
        return await AsyncClient().get("/0")

    with project(shared_verifier, secret):
        assert refused(lambda: asyncio.run(ask())).problem is Problem.NOT_ENFORCED


def test_htp_043_a_view_of_an_included_list_is_named_with_its_whole_route(shared_verifier: Verifier) -> None:
    nested = include(([path("deep/<int:key>", secret)], "app"))
    with (
        project(shared_verifier),
        override_settings(ROOT_URLCONF=(path("api/", nested),)),
    ):
        assert "'/api/deep/<int:key>'" in str(refused(lambda: Client().get("/")).detail)


@pytest.mark.parametrize(
    "middleware",
    [
        pytest.param(MIDDLEWARE, id="the middleware"),
        pytest.param(["tests.frameworks.test_django_installation.OwnMiddleware"], id="a class below it"),
        pytest.param(["aveverify.django._middleware.AveAuthMiddleware"], id="its other path"),
    ],
)
def test_with_the_middleware_every_view_is_guarded(middleware: list[str], shared_verifier: Verifier) -> None:
    with project(shared_verifier, secret, OpenApi.as_view(), middleware=middleware):
        assert ids() == []
        assert [Client().get(f"/{index}").status_code for index in range(2)] == [401, 401]


def test_a_function_may_make_the_middleware(shared_verifier: Verifier) -> None:
    """No check can tell, but the request can."""
    with project(shared_verifier, secret, middleware=["tests.frameworks.test_django_installation.factory"]):
        assert Client().get("/0").status_code == 401
        assert ids() == []


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(ave_required(secret), id="required"),
        pytest.param(ave_optional(secret), id="optional"),
        pytest.param(csrf_exempt(ave_required(secret)), id="decorated beyond"),
        pytest.param(ave_required(Page.as_view()), id="class"),
        pytest.param(Api.as_view(), id="REST framework"),
        pytest.param(OwnApi.as_view(), id="REST framework, a class of its own"),
        pytest.param(OpenApi.as_view(authentication_classes=[AveAuthentication]), id="REST framework, in urls.py"),
        pytest.param(Guarded.as_view(), id="every method of a class"),
        pytest.param(method_decorator(ave_required, name="dispatch")(Page).as_view(), id="dispatch of a class"),
    ],
)
def test_a_view_that_guards_itself_needs_no_middleware(
    view: AnyView,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    with project(shared_verifier, view):
        assert ids() == []
        assert Client(headers=dict(bearer(tokens["good"]))).get("/0").status_code == 200


def test_a_project_without_routes_has_nothing_to_enforce(shared_verifier: Verifier) -> None:
    with project(shared_verifier), override_settings(ROOT_URLCONF=None):
        assert ids() == []


def test_without_required_views_may_be_open(shared_verifier: Verifier) -> None:
    with project(shared_verifier, secret, REQUIRED=False):
        assert ids() == []
        assert Client().get("/0").content == b"secret"


def test_a_project_without_the_setting_is_left_alone() -> None:
    with override_settings(ROOT_URLCONF=(path("", secret),)):
        assert Client().get("/").content == b"secret"


def test_htp_043_wrong_settings_refuse_requests_that_no_view_of_ours_serves(shared_verifier: Verifier) -> None:
    with project(shared_verifier, secret, REQUIERD=True):
        error = refused(lambda: Client().get("/0"))

    assert error.field == 'AVEVERIFY["REQUIERD"]'
    assert 'AVEVERIFY["REQUIRED"]' in str(error.detail)


def test_a_middleware_that_cannot_be_imported_is_djangos_to_report(shared_verifier: Verifier) -> None:
    with project(shared_verifier, ave_required(secret), middleware=["tests.nowhere.Middleware"]):
        assert ids() == []


# --- twice, or another one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second", [OURS, "tests.frameworks.test_django_installation.OwnMiddleware"], ids=["the same", "a class below it"]
)
def test_htp_043_a_middleware_that_is_listed_twice_is_an_error(second: str, shared_verifier: Verifier) -> None:
    with project(shared_verifier, secret, middleware=[OURS, second]):
        assert ids() == ["aveverify.E004"]
        assert refused(lambda: Client().get("/0")).problem is Problem.INSTALLED_TWICE


@pytest.mark.parametrize("module", ["asgi", "wsgi", "starlette", "litestar"])
def test_htp_043_the_middleware_of_another_framework_is_no_middleware_of_django(
    module: str, shared_verifier: Verifier
) -> None:
    other = f"aveverify.{module}.AveAuthMiddleware"
    with project(shared_verifier, secret, REQUIRED=False, middleware=[other]):
        found = [one for one in run_checks(tags=["security"]) if one.id == "aveverify.E005"]
        with pytest.raises(TypeError, match="verifier"):
            Client().get("/0")

    assert len(found) == 1
    assert other in found[0].msg
    assert OURS in found[0].msg


# --- decorators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decorate", [ave_required, ave_required(), ave_required(scopes=["a"]), ave_optional])
@pytest.mark.parametrize(
    "view", [Page, Api, View, "admin", ["admin"], 7, path("", secret)], ids=lambda view: str(view)[:20]
)
def test_htp_043_a_class_and_what_cannot_be_called_are_no_views(decorate: AnyView, view: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decorate(view)

    assert caught.value.problem is Problem.NOT_A_VIEW


def test_method_decorator_passes_methods(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    @method_decorator(ave_required, name="dispatch")
    class Whole(Page):
        pass

    class One(View):
        @method_decorator(ave_required(scopes=["read"]))
        def get(self, _request: HttpRequest) -> HttpResponse:
            return HttpResponse("secret")

    with project(shared_verifier, Whole.as_view(), One.as_view(), ave_required(Whole.as_view()), REQUIRED=False):
        client = Client(headers=dict(bearer(tokens["good"])))
        assert [client.get(f"/{index}").status_code for index in range(3)] == [200, 403, 200]
        assert [Client().get(f"/{index}").status_code for index in range(3)] == [401, 401, 401]


def test_htp_043_the_decorators_know_their_options() -> None:
    for decorate in (ave_required, ave_optional):
        untyped: Any = decorate
        with pytest.raises(ConfigurationError) as caught:
            untyped(scope=["read"])
        assert caught.value.detail == "did you mean scopes?"


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUIRED", "SCOPES", "EXEMPT", "CHECK", "USER_LOADER"])
def test_htp_043_a_setting_that_is_spelt_as_in_flask_is_refused(name: str, shared_verifier: Verifier) -> None:
    flat: dict[str, Any] = {f"AVEVERIFY_{name}": ()}
    with (
        override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, **flat),
        pytest.raises(ConfigurationError) as caught,
    ):
        current_settings.get()
    assert (caught.value.field, caught.value.detail) == (f"AVEVERIFY_{name}", f'did you mean AVEVERIFY["{name}"]?')


def test_settings_that_the_dictionary_is_made_of_are_a_projects_own(shared_verifier: Verifier) -> None:
    own: dict[str, Any] = {"AVEVERIFY_ISSUER": "https://idp.example", "AVEVERIFY_SCOPES": ["read"]}
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier, "SCOPES": ["read"]}, **own):
        assert current_settings.get().policy.verifier is shared_verifier


def make_none() -> None:
    """A maker that returns no verifier."""


def make_of(issuer: str) -> Verifier:
    """A maker that needs an argument."""
    return Verifier(Provider.ave("app_1", issuer=issuer))


@pytest.mark.parametrize("maker", ["make_none", "make_of", "OwnMiddleware", "OURS"])
def test_htp_043_a_dotted_path_leads_to_a_verifier_or_to_what_makes_one(maker: str) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": f"tests.frameworks.test_django_installation.{maker}"}):
        assert refused(current_settings.get).field == 'AVEVERIFY["VERIFIER"]'


@pytest.mark.parametrize(("name", "is_near"), [("AVEVERFIY", True), ("AVE_VERIFY", True), ("PAYMENTS", False)])
def test_htp_043_the_setting_under_another_name_is_found(name: str, *, is_near: bool) -> None:
    with override_settings(**{name: {"REQUIRED": True}}):
        error = refused(lambda: AveAuthMiddleware(secret))

    assert (error.problem, error.field) == (Problem.MISSING, "AVEVERIFY")
    assert (name in str(error)) is is_near


def test_a_request_of_a_factory_is_no_request_to_the_project(shared_verifier: Verifier) -> None:
    with project(shared_verifier, secret):
        assert ave_required(secret)(RequestFactory().get("/")).status_code == 401


@pytest.mark.parametrize(
    ("settings", "middleware", "problem"),
    [
        pytest.param(None, [], None, id="no setting"),
        pytest.param({}, [], Problem.MISSING, id="no verifier"),
        pytest.param({"REALLM": "a", "CHECK": "shop.check"}, [], Problem.UNKNOWN_OPTION, id="a name beside a path"),
        pytest.param(
            {"REALLM": "a", "TOKEN_SOURCES": ["shop.a"]}, [], Problem.UNKNOWN_OPTION, id="and a list of paths"
        ),
        pytest.param({"CHECK": "shop.check"}, [], None, id="a path that cannot be followed yet"),
        pytest.param({"ISSUER": "a"}, [], Problem.MISSING, id="half a verifier"),
        pytest.param(GOOD, [], None, id="good"),
        pytest.param(GOOD | {"TOKEN_SOURCES": [AuthorizationHeader()]}, [], None, id="good, with sources"),
        pytest.param(GOOD | {"REQUIRED": True}, [], Problem.NOT_ENFORCED, id="required"),
        pytest.param(GOOD | {"REQUIRED": True}, MIDDLEWARE, None, id="required, with the middleware"),
        pytest.param(GOOD | {"REQUIRED": True}, ["shop.Own"], None, id="required, with what is being imported"),
        pytest.param(
            GOOD | {"REQUIRED": True},
            ["django.middleware.common.CommonMiddleware"],
            Problem.NOT_ENFORCED,
            id="required, with another one",
        ),
    ],
)
def test_htp_043_a_late_import_refuses_wrong_settings(
    settings: object, middleware: list[str], problem: Problem | None
) -> None:
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=middleware):
        if problem is None:
            check_at_import()
        else:
            assert refused(check_at_import).problem is problem


# --- whole projects, as they start ----------------------------------------------------------------------------------

SETTINGS = """
from aveverify import Provider
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, INSTALLED_APPS, MIDDLEWARE = "of the tests", ["*"], "routes", [], []
AVEVERIFY = {"PROVIDERS": [Provider.ave("app_1")]}
"""
DRF = """
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["aveverify.drf.AveAuthentication"]}
"""
OPEN_ROUTES = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("secret"))]
"""
DRF_ROUTES = """
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

class Api(APIView):
    def get(self, request):
        return Response("secret")

urlpatterns = [path("", Api.as_view())]
"""
OTHER_DRF_ROUTES = DRF_ROUTES.replace("def get", "authentication_classes = []\n    def get")
ASK = """
from wsgiref.util import setup_testing_defaults
from django.core.wsgi import get_wsgi_application
served, environ = get_wsgi_application(), {}
setup_testing_defaults(environ)
print(b"".join(served(environ, lambda status, headers: print(status))))
"""


@pytest.mark.parametrize(
    ("settings", "routes", "message"),
    [
        pytest.param('AVEVERIFY["REQUIERD"] = True' + DRF, DRF_ROUTES, "REQUIERD", id="DRF, a misspelt name"),
        pytest.param(
            'AVEVERIFY["REQUIERD"] = True\nAVEVERIFY["CHECK"] = "shop.check"' + DRF,
            DRF_ROUTES,
            "REQUIERD",
            id="DRF, a misspelt name beside a dotted path",
        ),
        pytest.param('AVEVERIFY = {"ISSUER": "https://a.b/.well-known/x", "APPLICATION_ID": "a"}' + DRF, DRF_ROUTES,
                     "discovery document", id="DRF, a wrong issuer"),
        pytest.param('AVEVERIFY["REQUIRED"] = True' + DRF, OTHER_DRF_ROUTES, "is not enforced", id="DRF, no app"),
        pytest.param(
            'AVEVERIFY["REQUIRED"] = True' + DRF + 'INSTALLED_APPS += ["aveverify.django"]',
            OTHER_DRF_ROUTES,
            "is not enforced",
            id="DRF, a view that authenticates otherwise",
        ),
        pytest.param('AVEVERIFY["REQUIRED"] = True', "import aveverify.django" + OPEN_ROUTES, "is not enforced",
                     id="decorators without the middleware"),
        pytest.param('AVEVERIFY["REQUIRED"] = True\nINSTALLED_APPS += ["aveverify.django"]', OPEN_ROUTES,
                     "is not enforced", id="the checks without the middleware"),
        pytest.param(f'MIDDLEWARE = ["{OURS}"] * 2\nINSTALLED_APPS += ["aveverify.django"]', OPEN_ROUTES,
                     "installed twice", id="the middleware twice"),
        pytest.param(f'AVEVERFIY = AVEVERIFY\ndel AVEVERIFY\nMIDDLEWARE = ["{OURS}"]\n'
                     'INSTALLED_APPS += ["aveverify.django"]', OPEN_ROUTES, "AVEVERFIY", id="another name"),
    ],
)  # fmt: skip
def test_htp_043_a_project_that_is_wrong_fails_its_check_and_serves_nothing(
    tmp_path: Path, settings: str, routes: str, message: str
) -> None:
    check, asked = run_project(tmp_path, settings, routes)

    assert check.returncode != 0
    assert message in check.stderr
    assert "secret" not in asked.stdout
    assert asked.stdout.startswith("500 ") or message in asked.stderr


@pytest.mark.parametrize(
    ("settings", "routes", "status"),
    [
        pytest.param(DRF, DRF_ROUTES, "200 OK", id="DRF"),
        pytest.param('AVEVERIFY["REQUIRED"] = True\nINSTALLED_APPS += ["aveverify.django"]' + DRF.replace(
            "INSTALLED_APPS = [", "INSTALLED_APPS += ["), DRF_ROUTES, "401 Unauthorized", id="DRF, required"),
        pytest.param(f'AVEVERIFY["REQUIRED"] = True\nMIDDLEWARE = ["{OURS}"]', OPEN_ROUTES, "401 Unauthorized",
                     id="the middleware"),
        pytest.param('AVEVERIFY["REQUIRED"] = True\nMIDDLEWARE = ["routes.Own"]', OPEN_ROUTES + """
from aveverify.django import AveAuthMiddleware
class Own(AveAuthMiddleware): ...
""", "401 Unauthorized", id="a middleware of its own, beside the routes"),
        pytest.param('AVEVERIFY = {"VERIFIER": "routes.verifier"}', OPEN_ROUTES + """
from aveverify import Provider, Verifier
from aveverify.django import ave_required
verifier = Verifier(Provider.ave("app_1"))
urlpatterns = [path("", ave_required(lambda request: HttpResponse("secret")))]
""", "401 Unauthorized", id="a verifier of the module that is being imported"),
    ],
)  # fmt: skip
def test_a_project_that_is_right_passes_its_check_and_serves(
    tmp_path: Path, settings: str, routes: str, status: str
) -> None:
    check, asked = run_project(tmp_path, settings, routes)

    assert (check.returncode, asked.returncode) == (0, 0), check.stderr + asked.stderr
    assert asked.stdout.startswith(status)


def run_project(
    folder: Path, settings: str, routes: str
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """Run the checks of a project, and send it one request without a token."""
    (folder / "project_settings.py").write_text(SETTINGS + settings)
    (folder / "routes.py").write_text(routes)
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "project_settings", "PYTHONPATH": str(folder)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )

    return run("-m", "django", "check"), run("-c", ASK)
