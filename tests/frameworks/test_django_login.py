"""Django: what demands a signed-in user takes a good token for one, and refuses as before; no user is ever missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.admin.sites import AdminSite
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.decorators import (
    login_not_required,
    login_required,
    permission_required,
    user_passes_test,
)
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from django.views import View

from aveverify import Identity, Verifier
from aveverify.django import IdentityUser, ave_optional, ave_required
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Headers, Reply, Request, bearer

AnyView = Callable[..., Any]
Ask = Callable[..., tuple[int, str]]

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
OURS = MIDDLEWARE[0]
BOB = User(pk=7, username="bob", password="unusable")
ORDERS = {
    "ours last": [SESSIONS, AUTHENTICATION, LOGIN, OURS],
    "ours before LoginRequiredMiddleware": [SESSIONS, AUTHENTICATION, OURS, LOGIN],
    "ours first": [OURS, SESSIONS, AUTHENTICATION, LOGIN],
}


class Backend:
    """The users of the project: bob, without a database."""

    def get_user(self, user_id: int) -> User | None:
        """Return bob."""
        return BOB if user_id == BOB.pk else None

    async def aget_user(self, user_id: int) -> User | None:
        """Return bob."""
        return self.get_user(user_id)


class Record:
    """A user that the project's loader finds."""

    is_authenticated = True
    is_staff = False

    def __init__(self, identity: Identity) -> None:
        self._name = identity.subject

    def get_username(self) -> str:
        """Return the name."""
        return f"record of {self._name}"


async def load_record(identity: Identity) -> Record:
    """Find a user in another way."""
    return Record(identity)


def who(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse(request.user.get_username())


async def who_async(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse((await request.auser()).get_username())


class Page(View):
    """The same of a class."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class PageAsync(View):
    """The same with a coroutine function."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return await who_async(request)


def session_of_bob() -> Headers:
    """The cookie with which bob is signed in."""
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(BOB.pk), f"{__name__}.Backend"
    session[HASH_SESSION_KEY] = BOB.get_session_auth_hash()
    session.save()
    return (("Cookie", f"sessionid={session.session_key}"),)


def sight(reply: Reply) -> tuple[int, str]:
    """The status, and where it leads or what it says."""
    return reply.status, reply.headers.get("location", reply.body.decode())


@pytest.fixture(params=["WSGI", "ASGI"])
def ask(request: pytest.FixtureRequest) -> Callable[..., tuple[int, str]]:
    """Send a request over WSGI, or over ASGI."""
    handler = send_to_wsgi_handler if request.param == "WSGI" else send_to_asgi_handler
    return lambda *headers: sight(handler(Request(tuple(header for pair in headers for header in pair))))


@contextmanager
def project(verifier: Verifier, view: AnyView, middleware: list[str], **settings: object) -> Iterator[None]:
    """A project with users, sessions and one view."""
    with override_settings(
        AVEVERIFY={"VERIFIER": verifier} | settings,
        AUTHENTICATION_BACKENDS=[f"{__name__}.Backend"],
        LOGIN_URL="/login",
        MIDDLEWARE=middleware,
        ROOT_URLCONF=(path("", view),),
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ):
        yield


VIEWS = {"function": who, "coroutine function": who_async, "class": Page.as_view(), "async class": PageAsync.as_view()}
TO_LOGIN = (302, "/login?next=/")
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
orders = pytest.mark.parametrize("middleware", ORDERS.values(), ids=ORDERS)


@views
@orders
@pytest.mark.parametrize("loader", [None, Record, load_record], ids=["no loader", "loader", "async loader"])
def test_a_good_token_is_a_login_for_djangos_middleware(  # noqa: PLR0913, PLR0917 - columns of a table
    view: AnyView,
    middleware: list[str],
    loader: AnyView | None,
    ask: Ask,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    settings = {} if loader is None else {"USER_LOADER": loader}
    name = shared_verifier.verify(tokens["good"]).token_identifier if loader is None else "record of ada"

    with project(shared_verifier, view, middleware, **settings):
        assert ask(bearer(tokens["good"])) == (200, name)
        assert ask() == TO_LOGIN
        assert ask(bearer(tokens["expired"]))[0] == 401
        assert ask(session_of_bob()) == (200, "bob")


@views
@orders
def test_a_session_names_the_user_where_the_project_loads_none_of_the_token(
    view: AnyView, middleware: list[str], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with project(shared_verifier, view, middleware):
        assert ask(bearer(tokens["good"]), session_of_bob()) == (200, "bob")


@views
def test_the_user_of_the_loader_replaces_that_of_a_session(
    view: AnyView, ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with project(shared_verifier, view, ORDERS["ours last"], USER_LOADER=Record):
        assert ask(bearer(tokens["good"]), session_of_bob()) == (200, "record of ada")


@pytest.mark.parametrize("middleware", [[OURS], [OURS, SESSIONS, AUTHENTICATION]], ids=["alone", "with sessions"])
@views
def test_without_a_loader_the_user_is_the_identity(
    view: AnyView, middleware: list[str], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    identity = shared_verifier.verify(tokens["good"])

    with project(shared_verifier, view, middleware):
        assert ask(bearer(tokens["good"])) == (200, identity.token_identifier)


@pytest.mark.parametrize("middleware", [[], [OURS], ORDERS["ours last"][:2]], ids=["alone", "ours", "sessions"])
def test_a_decorated_view_has_the_user_too(
    middleware: list[str], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def show(request: Any) -> HttpResponse:
        assert isinstance(request.user, Identity)
        assert request.user == request.ave_identity
        return HttpResponse(request.user.__class__.__name__)

    with project(shared_verifier, ave_required(show), middleware):
        assert ask(bearer(tokens["good"])) == (200, IdentityUser.__name__)


def test_no_session_is_read_unless_the_user_is_asked_for(
    shared_verifier: Verifier, tokens: dict[str, str], ask: Ask
) -> None:
    def blind(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(request.session.accessed))

    with project(shared_verifier, blind, [SESSIONS, AUTHENTICATION, OURS]):
        assert ask(bearer(tokens["good"]), session_of_bob()) == (200, "False")


@orders
def test_the_admin_stays_closed(
    middleware: list[str], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-044: a token makes no staff."""

    def has_permission(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(AdminSite().has_permission(request)))

    with project(shared_verifier, has_permission, middleware):
        assert ask(bearer(tokens["good"])) == (200, "False")
    with project(shared_verifier, staff_member_required(who, login_url="/login"), middleware):
        assert ask(bearer(tokens["good"])) == TO_LOGIN


def is_staff(user: Any) -> bool:
    """Tell whether a user works here."""
    return bool(user.is_staff or user.is_superuser)


def is_editor(user: Any) -> bool:
    """Tell whether a user is in a group; the manager of no groups asks no database."""
    return not user.groups.filter(name="editors").query.is_empty()


GUARDS = {
    "login_required": (login_required, True),
    "user_passes_test, of every user": (user_passes_test(lambda user: user.is_authenticated), True),
    "user_passes_test, of staff": (user_passes_test(is_staff), False),
    "user_passes_test, of a group": (user_passes_test(is_editor), False),
    "permission_required": (permission_required("auth.add_user"), False),
    "permission_required, nothing": (permission_required([]), True),
}
MIXINS = {
    "LoginRequiredMixin": (LoginRequiredMixin, {}, 200),
    "PermissionRequiredMixin": (PermissionRequiredMixin, {"permission_required": "auth.add_user"}, 403),
    "UserPassesTestMixin": (UserPassesTestMixin, {"test_func": lambda self: self.request.user.is_staff}, 403),
}


@pytest.mark.parametrize("view", [who, who_async], ids=["sync", "async"])
@pytest.mark.parametrize(("guard", "passes"), GUARDS.values(), ids=GUARDS)
def test_djangos_own_decorators_ask_the_user_of_a_token(  # noqa: PLR0913 - columns of a table
    guard: AnyView, view: AnyView, ask: Ask, shared_verifier: Verifier, tokens: dict[str, str], *, passes: bool
) -> None:
    with project(shared_verifier, guard(view), [SESSIONS, AUTHENTICATION, OURS]):
        status, text = ask(bearer(tokens["good"]))
        assert (status == 200, (status, text) == TO_LOGIN) == (passes, not passes)


@pytest.mark.parametrize(("mixin", "members", "status"), MIXINS.values(), ids=MIXINS)
def test_djangos_own_mixins_ask_the_user_of_a_token(  # noqa: PLR0913, PLR0917 - columns of a table
    mixin: type, members: dict[str, Any], status: int, ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    view: Any = type("Guarded", (mixin, Page), members)

    with project(shared_verifier, view.as_view(), [SESSIONS, AUTHENTICATION, OURS]):
        assert ask(bearer(tokens["good"]))[0] == status
        assert ask() == TO_LOGIN


def test_a_class_of_coroutine_functions_may_need_a_login(
    ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    view: Any = type("Guarded", (LoginRequiredMixin, PageAsync), {})

    with project(shared_verifier, view.as_view(), [SESSIONS, AUTHENTICATION, OURS]):
        assert ask(bearer(tokens["good"]))[0] == 200


@pytest.mark.parametrize("middleware", [ORDERS["ours last"], ORDERS["ours last"][:3]], ids=["with ours", "without"])
@pytest.mark.parametrize("decorate", [ave_required, ave_optional], ids=["required", "optional"])
@pytest.mark.parametrize("shape", ["function", "around", "dispatch"])
def test_djangos_middleware_leaves_our_views_to_our_decorators(
    decorate: AnyView, shape: str, middleware: list[str], ask: Ask, shared_verifier: Verifier
) -> None:
    def show(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("shown")

    shown = {
        "function": lambda: decorate(show),
        "around": lambda: decorate(type("Whole", (View,), {"get": lambda _self, request: show(request)}).as_view()),  # type: ignore[attr-defined]
        "dispatch": lambda: type(
            "Whole", (View,), {"dispatch": decorate(lambda _self, request: show(request))}
        ).as_view(),  # type: ignore[attr-defined]
    }
    with project(shared_verifier, shown[shape](), middleware):
        assert ask()[0] == (401 if decorate is ave_required else 200)


def test_a_method_that_is_decorated_leaves_the_others_to_djangos_middleware(shared_verifier: Verifier) -> None:
    class Half(Page):
        @ave_optional
        def post(self, request: HttpRequest) -> HttpResponse:
            raise NotImplementedError

    with project(shared_verifier, Half.as_view(), ORDERS["ours last"]):
        assert [Client().get("/").status_code, Client().post("/").status_code] == [302, 302]


def test_a_view_that_needs_no_login_is_served_as_before(ask: Ask, shared_verifier: Verifier) -> None:
    # The decorator marks the function itself.
    view = login_not_required(lambda request: who(request))  # noqa: PLW0108 - as above

    with project(shared_verifier, view, ORDERS["ours last"]):
        assert ask() == (200, "")


class Impersonation:
    """A middleware of the project that lets a user act as another one."""

    def __init__(self, get_response: AnyView) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> object:
        """Replace the user."""
        request.user = SimpleLazyObject(lambda: BOB)  # type: ignore[assignment] # as AuthenticationMiddleware does
        return self._get_response(request)


def forget(get_response: AnyView) -> AnyView:
    """A middleware that signs everyone out."""

    def serve(request: HttpRequest) -> object:
        request.user = AnonymousUser()
        del request.auser
        return get_response(request)

    return serve


@pytest.mark.parametrize("settings", [{}, {"USER_LOADER": Record}], ids=["no loader", "loader"])
def test_a_user_that_a_middleware_behind_ours_sets_stays(
    settings: dict[str, object], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    middleware = [SESSIONS, AUTHENTICATION, OURS, f"{__name__}.Impersonation"]

    with project(shared_verifier, who, middleware, **settings):
        assert ask(bearer(tokens["good"])) == (200, "bob")


@views
def test_a_token_is_a_user_where_something_behind_ours_has_set_an_anonymous_one(
    view: AnyView, ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with project(shared_verifier, view, [OURS, f"{__name__}.forget"], USER_LOADER=Record):
        assert ask(bearer(tokens["good"])) == (200, "record of ada")


@pytest.mark.parametrize("loader", [None, Record], ids=["no loader", "loader"])
def test_a_deferred_refusal_is_no_login(
    loader: AnyView | None, ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-036."""
    settings = {} if loader is None else {"USER_LOADER": loader}

    with project(
        shared_verifier, login_required(who), [SESSIONS, AUTHENTICATION, OURS], ON_INVALID="defer", **settings
    ):
        status, _ = ask(bearer(tokens["expired"]))

    assert status == (302 if loader is None else 401)


@views
@orders
def test_a_deferred_refusal_is_answered_before_djangos_middleware_asks_for_the_user(
    view: AnyView, middleware: list[str], ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with project(shared_verifier, view, middleware, ON_INVALID="defer", USER_LOADER=Record):
        assert ask(bearer(tokens["expired"]))[0] == 401
        assert ask(bearer(tokens["good"])) == (200, "record of ada")


def pass_on(get_response: AnyView) -> AnyView:
    """A middleware that is a function, and does nothing."""
    return get_response


def test_a_deferred_refusal_reaches_the_view_where_nothing_else_asks(
    ask: Ask, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("shown")

    settings = {"ON_INVALID": "defer", "USER_LOADER": Record}
    with project(shared_verifier, view, [f"{__name__}.pass_on", SESSIONS, AUTHENTICATION, OURS], **settings):
        assert ask(bearer(tokens["expired"])) == (200, "shown")


def test_a_request_has_both_ways_to_the_user(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """Both give equal users, whichever is asked first."""
    seen: list[Any] = []

    async def both(request: HttpRequest) -> HttpResponse:
        seen.extend([request.user, await request.auser()])
        return HttpResponse()

    with project(shared_verifier, both, [OURS]):
        send_to_asgi_handler(Request(bearer(tokens["good"])))

    assert seen[0] == seen[1]
    assert [isinstance(one, IdentityUser) for one in seen] == [True, True]
