"""REST framework: the token beside sessions, passwords and other authentication classes, in any order."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    RemoteUserAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.response import Response
from rest_framework.views import APIView

from aveverify import Identity, Verifier
from aveverify.django import IdentityUser
from aveverify.drf import AveAuthentication, HasScope
from aveverify.drf._requests import patch_request
from aveverify.sources import Cookie
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from rest_framework.request import Request

SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
OURS = "aveverify.django.AveAuthMiddleware"
BOB = User(pk=7, username="bob", password="unusable")
# What a request ends with: the user, and the subject of `request.auth`.
TOKEN, SESSION, NOBODY = ["ada", "ada"], ["bob", None], ["", None]


class Backend:
    """The users of the project: bob, without a database."""

    def authenticate(self, request: HttpRequest, **credentials: str) -> User | None:
        """Accept bob's password, and what a web server says of him."""
        del request
        return BOB if {"secret", "bob"} & {credentials.get("password"), credentials.get("remote_user")} else None

    def get_user(self, user_id: int) -> User | None:
        """Return bob."""
        return BOB if user_id == BOB.pk else None


class OwnSessions(BaseAuthentication):
    """A class that many projects write: the user of Django's request, without a check of CSRF."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Return the user."""
        user = request._request.user
        return (user, None) if user.is_active else None


class QuietSessions(SessionAuthentication):
    """Another one."""

    def enforce_csrf(self, request: Request) -> None:
        """Enforce nothing."""


class Who(APIView):
    """Answers with the user and the identity."""

    authentication_classes: Any = ()
    permission_classes: Any = ()

    def get(self, request: Request) -> Response:
        """Answer with both."""
        user: Any = request.user
        name = user.subject if isinstance(user, Identity) else user.username
        return Response([name, request.auth.subject if isinstance(request.auth, Identity) else None])

    post = get


def load(identity: Identity) -> User:
    """The project's own user of a token."""
    return User(pk=1, username=identity.subject)


def session_cookie() -> str:
    """The cookie of a session in which bob has signed in."""
    store = SessionStore()
    store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(BOB.pk), f"{__name__}.Backend"
    store[HASH_SESSION_KEY] = BOB.get_session_auth_hash()
    store.save()
    assert store.session_key is not None
    return store.session_key


def ask(  # noqa: PLR0913 - what a request and a project may differ in
    verifier: Verifier,
    classes: list[Any],
    *,
    token: str | None = None,
    has_session: bool = False,
    has_middleware: bool = True,
    has_loader: bool = False,
    is_async: bool = False,
    method: str = "get",
    headers: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    **members: object,
) -> Any:
    """Send a request through Django's own middlewares, and ours or not."""
    view: Any = type("View", (Who,), {"authentication_classes": classes} | members)
    configured = {"VERIFIER": verifier} | ({"USER_LOADER": load} if has_loader else {}) | dict(settings or {})
    given = dict(bearer(token) if token else ()) | dict(headers or {})

    async def send_async() -> Any:
        client = AsyncClient(enforce_csrf_checks=True)
        if has_session:
            client.cookies["sessionid"] = session_cookie()
        return await getattr(client, method)("/", headers=given)

    with override_settings(
        AVEVERIFY=configured,
        AUTHENTICATION_BACKENDS=[f"{__name__}.Backend"],
        MIDDLEWARE=[*SESSIONS, *([OURS] if has_middleware else [])],
        ROOT_URLCONF=(path("", view.as_view()),),
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ):
        if is_async:
            return asyncio.run(send_async())
        client = Client(enforce_csrf_checks=True)
        if has_session:
            client.cookies["sessionid"] = session_cookie()
        return getattr(client, method)("/", headers=given)


ORDERS = [
    pytest.param([SessionAuthentication, AveAuthentication], id="sessions first"),
    pytest.param([AveAuthentication, SessionAuthentication], id="ours first"),
    pytest.param([BasicAuthentication, TokenAuthentication, SessionAuthentication, AveAuthentication], id="ours last"),
    pytest.param([QuietSessions, AveAuthentication], id="a subclass of sessions first"),
    pytest.param([OwnSessions, AveAuthentication], id="a class of the project first"),
    pytest.param([RemoteUserAuthentication, SessionAuthentication, AveAuthentication], id="the server first"),
]
in_any_order = pytest.mark.parametrize("classes", ORDERS)
with_and_without_middleware = pytest.mark.parametrize("has_middleware", [True, False], ids=["middleware", "alone"])
with_and_without_loader = pytest.mark.parametrize("has_loader", [True, False], ids=["loader", "no loader"])
both_protocols = pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])


@both_protocols
@with_and_without_loader
@with_and_without_middleware
@in_any_order
def test_a_good_token_gives_its_user_and_its_identity(  # noqa: PLR0913, PLR0917 - columns of a table
    shared_verifier: Verifier,
    tokens: dict[str, str],
    classes: list[Any],
    has_middleware: bool,  # noqa: FBT001 - a column
    has_loader: bool,  # noqa: FBT001 - a column
    is_async: bool,  # noqa: FBT001 - a column
) -> None:
    world = {"has_middleware": has_middleware, "has_loader": has_loader, "is_async": is_async}

    for method in ("get", "post"):
        answer = ask(shared_verifier, classes, token=tokens["good"], method=method, **world)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()) == (200, TOKEN)


@both_protocols
@with_and_without_loader
@with_and_without_middleware
@in_any_order
def test_a_session_is_what_it_is_without_us_where_no_token_is(
    shared_verifier: Verifier,
    classes: list[Any],
    has_middleware: bool,  # noqa: FBT001 - a column
    has_loader: bool,  # noqa: FBT001 - a column
    is_async: bool,  # noqa: FBT001 - a column
) -> None:
    world = {"has_middleware": has_middleware, "has_loader": has_loader, "is_async": is_async}

    assert ask(shared_verifier, classes, has_session=True, **world).json() == SESSION  # type: ignore[arg-type]
    assert ask(shared_verifier, classes, **world).json() == NOBODY  # type: ignore[arg-type]
    is_checked = SessionAuthentication in classes
    posted = ask(shared_verifier, classes, has_session=True, method="post", **world)  # type: ignore[arg-type]
    assert posted.status_code == (403 if is_checked else 200)
    assert not is_checked or "CSRF" in posted.json()["detail"]


@both_protocols
@with_and_without_loader
@in_any_order
def test_behind_the_middleware_the_token_wins_over_a_session(
    shared_verifier: Verifier,
    tokens: dict[str, str],
    classes: list[Any],
    has_loader: bool,  # noqa: FBT001 - a column
    is_async: bool,  # noqa: FBT001 - a column
) -> None:
    for method in ("get", "post"):
        answer = ask(
            shared_verifier,
            classes,
            token=tokens["good"],
            has_session=True,
            has_loader=has_loader,
            is_async=is_async,
            method=method,
        )
        assert (answer.status_code, answer.json()) == (200, TOKEN)


@in_any_order
def test_without_the_middleware_the_first_class_that_finds_a_user_wins(
    shared_verifier: Verifier, tokens: dict[str, str], classes: list[Any]
) -> None:
    """As REST framework has it."""
    answer = ask(shared_verifier, classes, token=tokens["good"], has_session=True, has_middleware=False)

    assert answer.json() == (TOKEN if classes[0] is AveAuthentication else SESSION)


@with_and_without_middleware
@in_any_order
def test_a_bad_token_is_refused_without_a_session(
    shared_verifier: Verifier,
    tokens: dict[str, str],
    classes: list[Any],
    has_middleware: bool,  # noqa: FBT001 - a column
) -> None:
    """HTP-036."""
    answer = ask(shared_verifier, classes, token=tokens["expired"], has_middleware=has_middleware)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


@in_any_order
def test_behind_the_middleware_no_session_hides_a_deferred_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], classes: list[Any]
) -> None:
    """HTP-036: a bad token is refused when the view asks who it was."""
    deferring = {"ON_INVALID": "defer"}

    def do_not_look(_self: APIView, _request: Request) -> Response:
        return Response("public")

    given: dict[str, Any] = {"token": tokens["expired"], "has_session": True, "settings": deferring}
    assert ask(shared_verifier, classes, get=do_not_look, **given).json() == "public"
    assert ask(shared_verifier, classes, **given).status_code == 401


@with_and_without_middleware
@in_any_order
def test_a_token_in_a_cookie_is_checked_for_csrf_whichever_class_stands_first(
    shared_verifier: Verifier,
    tokens: dict[str, str],
    classes: list[Any],
    has_middleware: bool,  # noqa: FBT001 - a column
) -> None:
    """HTP-031."""
    given: dict[str, Any] = {
        "headers": {"Origin": "https://app.test", "Cookie": f"token={tokens['good']}"},
        "settings": {"TOKEN_SOURCES": [Cookie("token", allowed_origins=["https://app.test"])]},
        "has_middleware": has_middleware,
    }
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://app.test"]):
        assert ask(shared_verifier, classes, **given).json() == TOKEN
        refused = ask(shared_verifier, classes, method="post", **given)

    assert (refused.status_code, "CSRF" in refused.json()["detail"]) == (403, True)


def test_a_password_is_asked_where_no_token_is(shared_verifier: Verifier) -> None:
    password = base64.b64encode(b"bob:secret").decode()
    wrong = base64.b64encode(b"bob:other").decode()

    def answer(classes: list[Any], password: str) -> Any:
        return ask(shared_verifier, classes, headers={"Authorization": f"Basic {password}"})

    for classes in ([BasicAuthentication, AveAuthentication], [AveAuthentication, BasicAuthentication]):
        assert answer(classes, password).json() == SESSION
        assert answer(classes, wrong).status_code == 401


def test_scopes_are_asked_of_the_token_whichever_class_stands_first(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def status(**given: Any) -> int:
        classes = [SessionAuthentication, AveAuthentication]
        code: int = ask(shared_verifier, classes, permission_classes=[HasScope("read")], **given).status_code
        return code

    assert [status(token=tokens[kind], has_loader=True) for kind in ("reader", "good")] == [200, 403]
    # The user of a session has no token: to sign in again would not help.
    assert status(has_session=True) == 403
    assert status() == 401


def test_without_a_loader_the_user_is_an_identity_user(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    def get(_self: APIView, request: Request) -> Response:
        user, auth = cast("Any", (request.user, request.auth))
        return Response([type(user).__name__, user == auth, user.pk == auth.token_identifier])

    for has_middleware in (True, False):
        answer = ask(shared_verifier, [AveAuthentication], token=tokens["good"], has_middleware=has_middleware, get=get)
        assert answer.json() == [IdentityUser.__name__, True, True]


def test_requests_are_prepared_once() -> None:
    from rest_framework.request import Request as Prepared  # noqa: PLC0415 - the class itself

    before = Prepared.__init__
    patch_request()

    assert Prepared.__init__ is before
