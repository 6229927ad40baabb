"""Django: views over WSGI and ASGI, `request.user`, CSRF, system checks, settings that tests override."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from typing import Any, cast

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.checks import run_checks
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from aveverify import (
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Provider,
    Reason,
    Verifier,
    asgi,
    current_identity,
    get_user_identity,
)
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.django import AveAuthMiddleware, ave_optional, ave_required
from aveverify.django._settings import current_settings
from aveverify.errors import Problem
from aveverify.sources import AuthorizationHeader, Cookie
from aveverify.testing import FakeIssuer
from tests.frameworks.error_frames import functions_with
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, PatientClient, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import RecordingView, Request, bearer, http_scope

AnyView = Callable[..., Any]
Get = Callable[..., HttpResponse]
Serve = Callable[..., AbstractContextManager[None]]

DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
SOURCES = [AuthorizationHeader(), Cookie("session", allowed_origins=["https://app.test"])]
LOADED: list[str] = []


class UserRecord:
    """A user of the application."""

    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.name = name


def load_user(identity: Identity) -> UserRecord | None:
    """Find a user; grace is not known."""
    LOADED.append(identity.subject)
    return UserRecord(identity.subject.title()) if identity.subject != "grace" else None


async def load_user_async(identity: Identity) -> UserRecord | None:
    """Find a user in the same way."""
    return load_user(identity)


async def check_async(identity: Identity) -> str | None:
    """Refuse grace."""
    return "banned" if identity.subject == "grace" else None


def refuse_all(_identity: Identity) -> str:
    """Refuse every identity."""
    return "closed for today"


def make_verifier() -> Verifier:
    """A verifier of another issuer."""
    return Verifier(Provider.ave("app_other"))


@pytest.fixture(autouse=True)
def _forget_loaded() -> None:
    LOADED.clear()


@pytest.fixture
def serve(shared_verifier: Verifier) -> Serve:
    """Serve one view behind the middleware, or behind other ones."""

    @contextmanager
    def serve(view: Callable[..., Any], *, middleware: list[str] = MIDDLEWARE, **settings: object) -> Iterator[None]:
        configured = {"VERIFIER": shared_verifier} | settings
        with override_settings(AVEVERIFY=configured, MIDDLEWARE=middleware, ROOT_URLCONF=(path("", view),)):
            yield

    return serve


def get(token: str | None = None) -> HttpResponse:
    """Ask through Django's test client."""
    response: HttpResponse = cast("Any", Client(headers=dict(bearer(token)) if token else None)).get("/")
    return response


def get_async(token: str | None = None) -> HttpResponse:
    """Ask through Django's asynchronous test client."""

    async def ask() -> HttpResponse:
        response: HttpResponse = await cast("Any", AsyncClient()).get(
            "/", headers=dict(bearer(token)) if token else None
        )
        return response

    return asyncio.run(ask())


def who(request: HttpRequest) -> HttpResponse:
    """A view that answers with the subject of the request."""
    return HttpResponse(str(getattr(vars(request)["ave_identity"], "subject", None)))


async def who_async(request: HttpRequest) -> HttpResponse:
    """The same."""
    return who(request)


wsgi_and_asgi = pytest.mark.parametrize(("get", "who"), [(get, who), (get_async, who_async)], ids=["sync", "async"])


# --- identity -------------------------------------------------------------------------------------------------------


@wsgi_and_asgi
def test_the_request_has_the_identity(serve: Serve, get: Get, who: AnyView, tokens: dict[str, str]) -> None:
    with serve(who):
        assert [get(token).content for token in (tokens["good"], None, tokens["other"])] == [b"ada", b"None", b"grace"]
        assert get(tokens["expired"]).status_code == 401


@wsgi_and_asgi
def test_a_request_is_verified_once_by_middleware_and_decorator(
    serve: Serve,
    get: Get,
    who: AnyView,
    tokens: dict[str, str],
) -> None:
    checked: list[Identity] = []

    with serve(ave_optional(ave_required(who)), CHECK=checked.append):
        assert get(tokens["good"]).content == b"ada"

    assert len(checked) == 1


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_an_identity_in_the_scope_or_environ_of_the_server_is_overwritten(
    serve: Serve, protocol: str, tokens: dict[str, str]
) -> None:
    """HTP-010; and over both protocols `get_user_identity` takes the request itself."""
    observer = RecordingView()
    ask = send_to_wsgi_handler if protocol == "wsgi" else send_to_asgi_handler

    with serve(lambda request: HttpResponse(observer(request))):
        ask(Request(), **{IDENTITY_KEY: "planted"})
        ask(Request(bearer(tokens["good"])), **{IDENTITY_KEY: object()})

    assert observer.seen == [None, "ada"]


@pytest.mark.parametrize("kind", ["good", "expired", None])
def test_the_scope_of_the_server_is_not_changed(serve: Serve, kind: str | None, tokens: dict[str, str]) -> None:
    """A server may keep its scope, for its own log or the next request: no identity is left in it."""
    scope = http_scope(Request(bearer(tokens[kind]) if kind else ()), state={"mine": object()})
    before, seen = dict(scope), []

    def view(request: ASGIRequest) -> HttpResponse:
        seen.append(IDENTITY_KEY in request.scope and request.scope["state"] is scope["state"])
        return HttpResponse()

    with serve(view, ON_INVALID="defer"):
        PatientClient({"type": "http.request"}).call(cast("asgi.ASGIApp", ASGIHandler()), scope)

    assert seen == [True]
    assert scope == before


@wsgi_and_asgi
def test_the_context_knows_the_identity_while_the_view_runs(
    serve: Serve,
    get: Get,
    who: AnyView,
    tokens: dict[str, str],
) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        identity = current_identity.get()
        return HttpResponse(identity.subject if identity is not None else "anonymous")

    with serve(view if get is globals()["get"] else sync_to_async(view)):
        assert [get(token).content for token in (tokens["good"], None)] == [b"ada", b"anonymous"]
    with pytest.raises(ConfigurationError):
        current_identity.get()
    assert callable(who)


@wsgi_and_asgi
def test_reading_the_identity_raises_a_deferred_refusal(
    serve: Serve,
    get: Get,
    who: AnyView,
    tokens: dict[str, str],
) -> None:
    """HTTP-09: until then, `request.ave_identity` is neither an identity nor None."""
    seen: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        identity: Identity | None = vars(request)["ave_identity"]
        seen.append(identity is None)
        return HttpResponse(identity.subject if identity else "anonymous")

    with serve(view, ON_INVALID="defer"):
        assert get(tokens["expired"]).status_code == 401
    assert seen == [False]
    assert callable(who)


def test_a_bare_request_of_a_unit_test_is_verified_by_the_decorator(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    request = HttpRequest()
    request.method = "GET"
    request.META |= {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": f"Bearer {tokens['good']}"}

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        assert ave_required(who)(request).content == b"ada"


@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory])
def test_requests_of_djangos_factories_are_verified_by_the_decorator(
    factory: type[RequestFactory | AsyncRequestFactory],
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    request = factory().get("/", headers=dict(bearer(tokens["good"])))

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        ave_required(who)(request)

    identity = get_user_identity(request)
    assert identity is not None
    assert identity.subject == "ada"


# --- decorators -----------------------------------------------------------------------------------------------------


def test_a_decorated_view_has_the_current_identity_until_it_ends(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-037: however it ends, and not longer; a view within a view is its own."""
    seen: list[Identity | None] = []

    @ave_optional
    def inner(_request: HttpRequest) -> HttpResponse:
        seen.append(current_identity.get())
        return HttpResponse()

    @ave_required
    def outer(request: HttpRequest) -> HttpResponse:
        inner(RequestFactory().get("/"))
        seen.append(current_identity.get())
        raise LookupError(request.path)

    @ave_required
    async def outer_async(request: HttpRequest) -> HttpResponse:
        outer(request)
        raise NotImplementedError

    async def serve(request: HttpRequest) -> None:
        with pytest.raises(LookupError):
            await outer_async(request)
        assert_no_request_is_served()

    request = RequestFactory().get("/", headers=dict(bearer(tokens["good"])))
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        with pytest.raises(LookupError):
            outer(request)
        assert_no_request_is_served()
        asyncio.run(serve(request))

    assert [identity and identity.subject for identity in seen] == [None, "ada"] * 2


def assert_no_request_is_served() -> None:
    with pytest.raises(ConfigurationError) as caught:
        current_identity.get()
    assert caught.value.problem is Problem.NO_REQUEST


@wsgi_and_asgi
def test_the_scopes_of_a_view_add_to_those_of_the_settings(
    serve: Serve,
    get: Get,
    who: AnyView,
    shared_issuer: FakeIssuer,
) -> None:
    def ask(scope: str) -> HttpResponse:
        return get(shared_issuer.token(sub="ada", scope=scope))

    for middleware in ([], MIDDLEWARE):
        with serve(ave_required(scopes=["write"])(who), middleware=middleware, SCOPES=["read"]):
            assert [ask(scope).status_code for scope in ("read write", "read", "write")] == [200, 403, 403]
            assert ask("read").headers["www-authenticate"].endswith('scope="read write"')
            assert get().headers["www-authenticate"] == 'Bearer scope="read write"'


@wsgi_and_asgi
def test_a_required_view_does_not_run_with_a_bad_token_even_if_refusals_are_deferred(
    serve: Serve,
    get: Get,
    who: AnyView,
    tokens: dict[str, str],
) -> None:
    """HTP-036: the view relies on the decorator, and does not read the identity."""
    ran: list[str] = []

    def view(_request: HttpRequest) -> HttpResponse:
        ran.append("view")
        return HttpResponse("secret")

    async def view_async(request: HttpRequest) -> HttpResponse:
        return view(request)

    for middleware in ([], MIDDLEWARE):
        with serve(ave_required(view_async if who is who_async else view), middleware=middleware, ON_INVALID="defer"):
            assert [get(tokens[kind]).status_code for kind in ("good", "expired")] == [200, 401]
    assert ran == ["view", "view"]


def test_views_of_classes_by_method_or_as_a_whole(serve: Serve, tokens: dict[str, str]) -> None:
    class ByMethod(View):
        @method_decorator(ave_required)
        def get(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    class Whole(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    for view, ask in ((ByMethod.as_view(), get), (ave_required(Whole.as_view()), get_async)):
        with serve(view, middleware=[]):
            assert ask(tokens["good"]).content == b"ada"
            assert ask().status_code == 401


def test_wrong_scopes_are_refused_when_the_view_is_decorated() -> None:
    for decorator in (ave_required, ave_optional):
        with pytest.raises(ConfigurationError) as caught:
            decorator(scopes="read")
        assert caught.value.field == "scopes"


@wsgi_and_asgi
@pytest.mark.parametrize("behind", ["middleware", "decorator"])
def test_only_refusals_of_this_request_become_answers(  # noqa: PLR0913, PLR0917 - fixtures
    serve: Serve,
    get: Get,
    who: AnyView,
    behind: str,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    """A view may demand scopes by itself; the refusal of some other token is not this client's."""
    errors: list[Exception] = [InsufficientScopeError(("admin",))]

    def view(_request: HttpRequest) -> HttpResponse:
        if errors:
            raise errors.pop()
        shared_verifier.verify(tokens["bad_signature"])
        raise NotImplementedError

    async def view_async(_request: HttpRequest) -> HttpResponse:
        if errors:
            raise errors.pop()
        await shared_verifier.verify_async(tokens["bad_signature"])
        raise NotImplementedError

    plain = view_async if who is who_async else view
    served = ave_optional(plain) if behind == "decorator" else plain
    with serve(served, middleware=[] if behind == "decorator" else MIDDLEWARE):
        answer = get(tokens["good"])
        assert (answer.status_code, answer.headers["www-authenticate"][-14:]) == (403, ' scope="admin"')
        with pytest.raises(InvalidTokenError) as caught:
            get(tokens["good"])
    assert caught.value.reason is Reason.BAD_SIGNATURE


@wsgi_and_asgi
@pytest.mark.parametrize("kind", ["expired", "bad_signature"])
def test_a_middleware_finds_no_token_in_the_frames_of_a_refusal(
    serve: Serve,
    get: Get,
    who: AnyView,
    kind: str,
    tokens: dict[str, str],
) -> None:
    """A crash report shows the local variables of every frame; those of the verification hold the token."""
    found: list[list[str]] = []

    class Report:
        """A middleware behind ours, which sees the exceptions of views first."""

        sync_capable = async_capable = True

        def __init__(self, get_response: AnyView) -> None:
            self._get_response = get_response
            if iscoroutinefunction(get_response):
                markcoroutinefunction(self)

        def __call__(self, request: HttpRequest) -> object:
            return self._get_response(request)

        def process_exception(self, _request: HttpRequest, error: Exception) -> None:
            assert isinstance(error, InvalidTokenError)
            found.append(functions_with(tokens[kind], error))

    globals()["Report"] = Report
    with serve(who, middleware=[*MIDDLEWARE, "tests.frameworks.test_django.Report"], ON_INVALID="defer"):
        assert get(tokens[kind]).status_code == 401
    assert found == [[]]


def test_no_token_is_read_on_exempt_paths(serve: Serve, tokens: dict[str, str]) -> None:
    """HTP-026: the path counts without its prefix."""
    with serve(who, REQUIRED=True, EXEMPT=["/"]):
        assert send_to_wsgi_handler(Request(bearer(tokens["expired"])), SCRIPT_NAME="/api").body == b"None"
        assert send_to_asgi_handler(Request(), path="/api/", root_path="/api").body == b"None"
    with serve(who, REQUIRED=True, EXEMPT=["/api/"]):
        assert send_to_wsgi_handler(Request(), SCRIPT_NAME="/api").status == 401
        assert send_to_asgi_handler(Request(), path="/api/", root_path="/api").status == 401


# --- users ----------------------------------------------------------------------------------------------------------


def named(request: HttpRequest) -> HttpResponse:
    """A view that answers with the name of its user, twice."""
    user: Any = request.user
    return HttpResponse(f"{user.name} {user.name}" if user.is_authenticated else "anonymous")


async def named_async(request: HttpRequest) -> HttpResponse:
    """The same."""
    users: list[Any] = [await request.auser(), await request.auser(), request.user]
    return HttpResponse(" ".join(user.name for user in users[1:]) if users[0].is_authenticated else "anonymous")


@pytest.mark.parametrize("loader", ["load_user", "load_user_async"])
@pytest.mark.parametrize(("get", "view"), [(get, named), (get_async, named_async)], ids=["sync", "async"])
def test_the_user_is_loaded_once_before_any_view(
    serve: Serve,
    loader: str,
    get: Get,
    view: AnyView,
    tokens: dict[str, str],
) -> None:
    with serve(ave_required(view), USER_LOADER=f"tests.frameworks.test_django.{loader}"):
        assert get(tokens["good"]).content == b"Ada Ada"
        assert LOADED == ["ada"]
        assert get(tokens["other"]).status_code == 401
        assert LOADED == ["ada", "grace"]


@wsgi_and_asgi
def test_a_user_of_an_exempt_path_is_not_loaded(serve: Serve, get: Get, who: AnyView, tokens: dict[str, str]) -> None:
    """HTP-044: nothing is read there."""
    with serve(who, USER_LOADER=load_user, EXEMPT=["/"]):
        assert [get(tokens[kind]).content for kind in ("good", "other")] == [b"None", b"None"]
    assert LOADED == []


def test_the_user_of_an_anonymous_request_is_left_alone(serve: Serve, tokens: dict[str, str]) -> None:
    def set_user(get_response: AnyView) -> AnyView:
        def middleware(request: HttpRequest) -> object:
            request.user = AnonymousUser()
            return get_response(request)

        return middleware

    globals()["set_user"] = set_user
    with serve(named, middleware=["tests.frameworks.test_django.set_user", *MIDDLEWARE], USER_LOADER=load_user):
        assert [get(token).content for token in (None, tokens["good"])] == [b"anonymous", b"Ada Ada"]


def test_reading_the_user_raises_a_deferred_refusal(serve: Serve, tokens: dict[str, str]) -> None:
    with serve(named, ON_INVALID="defer", USER_LOADER=load_user):
        assert get(tokens["expired"]).status_code == 401
    assert LOADED == []


def test_a_check_may_be_a_coroutine_function(
    serve: Serve,
    tokens: dict[str, str],
) -> None:
    with serve(who_async, CHECK="tests.frameworks.test_django.check_async"):
        assert [get_async(tokens[kind]).status_code for kind in ("good", "other")] == [200, 401]
    with serve(who, CHECK=check_async):
        assert [get(tokens[kind]).status_code for kind in ("good", "other")] == [200, 401]


# --- CSRF -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["csrf", "ave"])
def test_csrf_is_checked_unless_the_token_comes_in_a_header(serve: Serve, first: str, tokens: dict[str, str]) -> None:
    """No other site can make a browser send an Authorization header; a cookie it can (HTP-031)."""
    order = ["django.middleware.csrf.CsrfViewMiddleware", *MIDDLEWARE]
    origin = {"origin": "https://app.test"}
    with (
        serve(who, middleware=order if first == "csrf" else order[::-1], TOKEN_SOURCES=SOURCES),
        override_settings(CSRF_TRUSTED_ORIGINS=["https://app.test"]),
    ):
        client = Client(enforce_csrf_checks=True)
        assert client.post("/").status_code == 403
        assert client.post("/", headers=dict(bearer(tokens["good"]))).content == b"ada"
        assert client.post("/", headers=dict(bearer(tokens["expired"]))).status_code == 401
        client.cookies["session"] = tokens["good"]
        assert client.get("/", headers=origin).content == b"ada"
        assert client.post("/", headers=origin).status_code == 403
        assert client.post("/", headers=origin | dict(bearer(tokens["other"]))).content == b"grace"


# --- settings -------------------------------------------------------------------------------------------------------


def test_overridden_settings_take_effect_at_once(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    client = Client(headers=dict(bearer(tokens["good"])))
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", who),)
    ):
        assert client.get("/").content == b"ada"
        with override_settings(AVEVERIFY={"VERIFIER": "tests.frameworks.test_django.make_verifier"}):
            assert client.get("/").status_code == 401
        with override_settings(
            AVEVERIFY={"VERIFIER": shared_verifier, "CHECK": "tests.frameworks.test_django.refuse_all"}
        ):
            assert client.get("/").status_code == 401
        assert client.get("/").content == b"ada"


def test_only_a_verifier_that_was_made_here_is_closed_with_its_settings(shared_verifier: Verifier) -> None:
    with override_settings(AVEVERIFY={"ISSUER": "https://idp.example", "APPLICATION_ID": "app"}):
        made = current_settings.get().policy.verifier
        assert current_settings.get().policy.verifier is made
        made.status()
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        current_settings.get()

    shared_verifier.status()
    with pytest.raises(ConfigurationError) as caught:
        made.status()
    assert caught.value.problem is Problem.CLOSED


def test_overriding_another_setting_keeps_the_policy(shared_verifier: Verifier) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        rules = current_settings.get()
        with override_settings(USE_TZ=False):
            assert current_settings.get() is rules


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        pytest.param(None, "AVEVERIFY", id="nothing"),
        pytest.param(["ISSUER"], "AVEVERIFY", id="a list"),
        pytest.param({"VERIFIER": "tests.nowhere"}, 'AVEVERIFY["VERIFIER"]', id="no such module"),
        pytest.param({"VERIFIER": "tests.frameworks.test_django.none"}, 'AVEVERIFY["VERIFIER"]', id="no such name"),
        pytest.param({"TOKEN_SOURCES": ["nowhere"]}, 'AVEVERIFY["TOKEN_SOURCES"]', id="no dotted path"),
        pytest.param({"USER_LOADER": 7}, 'AVEVERIFY["USER_LOADER"]', id="no function"),
    ],
)
def test_a_server_with_wrong_settings_does_not_start(settings: object, field: str) -> None:
    with override_settings(AVEVERIFY=settings), pytest.raises(ConfigurationError) as caught:
        AveAuthMiddleware(who)

    assert caught.value.field == field


def test_sources_may_be_dotted_paths(serve: Serve, tokens: dict[str, str]) -> None:
    for sources in ("tests.frameworks.test_django.SOURCES", [SOURCES[0], "tests.frameworks.test_django.COOKIE"]):
        with serve(who, TOKEN_SOURCES=sources):
            client = Client(headers={"origin": "https://app.test"})
            client.cookies["session"] = tokens["good"]
            assert client.get("/").content == b"ada"


COOKIE = SOURCES[1]


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        pytest.param({"ISSUER": "https://idp.example", "APPLICATION_ID": "app"}, [], id="good"),
        pytest.param(None, ["aveverify.E001"], id="missing"),
        pytest.param({}, ["aveverify.E001"], id="no verifier"),
        pytest.param({"ISSUER": "https://idp.example"}, ["aveverify.E001"], id="half a verifier"),
        pytest.param({"VERIFIER": "tests.nowhere"}, ["aveverify.E002"], id="no such module"),
        pytest.param({"ISSUER": "idp", "APPLICATION_ID": "app"}, ["aveverify.E002"], id="no URL"),
    ],
)
def test_the_system_checks_report_wrong_settings(settings: object, ids: list[str]) -> None:
    with override_settings(AVEVERIFY=settings):
        found = [message for message in run_checks(tags=["security"]) if str(message.id).startswith("aveverify")]

    assert [message.id for message in found] == ids
    assert all("AVEVERIFY" in message.msg for message in found)


@pytest.mark.parametrize(
    ("order", "loader", "ids"),
    [
        pytest.param([DJANGOS, *MIDDLEWARE], load_user, [], id="as it should be"),
        pytest.param([*MIDDLEWARE, DJANGOS], load_user, ["aveverify.W001"], id="the other way round"),
        pytest.param([*MIDDLEWARE], load_user, [], id="without Django's"),
        pytest.param([*MIDDLEWARE, DJANGOS], None, [], id="without a loader"),
    ],
)
def test_the_system_checks_warn_of_a_user_that_would_be_replaced(
    order: list[str], loader: object, ids: list[str]
) -> None:
    configured = {"ISSUER": "https://idp.example", "APPLICATION_ID": "app"} | (
        {"USER_LOADER": loader} if loader is not None else {}
    )
    with override_settings(AVEVERIFY=configured, MIDDLEWARE=order):
        found = [message.id for message in run_checks(tags=["security"]) if str(message.id).startswith("aveverify")]

    assert found == ids


# --- WSGI and ASGI ----------------------------------------------------------------------------------------------------


def test_the_middleware_is_asynchronous_if_the_next_one_is(shared_verifier: Verifier) -> None:
    """Otherwise Django would put a thread between them."""
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        assert iscoroutinefunction(AveAuthMiddleware(who_async))
        assert not iscoroutinefunction(AveAuthMiddleware(who))


@wsgi_and_asgi
def test_a_request_is_verified_on_the_thread_that_serves_it(
    serve: Serve,
    get: Get,
    who: AnyView,
    tokens: dict[str, str],
) -> None:
    threads: list[int] = []

    def note(_identity: Identity) -> None:
        threads.append(get_ident())

    async def note_async(identity: Identity) -> None:
        note(identity)

    with serve(who, CHECK=note if get is not get_async else note_async):
        get(tokens["good"])

    assert threads == [get_ident()]
