"""HTP-044: the application's user of a good token, beyond the rows that the contract has for every integration."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
import subprocess
import sys
import types
from collections.abc import AsyncGenerator, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from fastapi import FastAPI, Security
from fastapi import Request as FastAPIRequest
from flask import Blueprint, Flask, request
from litestar import WebSocket as LitestarWebSocket
from litestar import websocket
from litestar.testing import TestClient as LitestarClient
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.authentication import UnauthenticatedUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket  # noqa: TC002 - FastAPI reads annotations
from werkzeug.local import LocalProxy

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    Identity,
    InvalidTokenError,
    Reason,
    Verifier,
    asgi,
    get_user_identity,
)
from aveverify import current_identity as identity_of_context
from aveverify._http.app_calls import AppCalls
from aveverify._http.app_user import LoadUser, Users, find_user, find_user_now
from aveverify.asgi import get_live_connection
from aveverify.django import ave_required
from aveverify.drf import AveAuthentication
from aveverify.errors import Hint
from aveverify.fastapi import AveAuth as FastAPIAuth
from aveverify.flask import AveAuth as FlaskAuth
from aveverify.flask import current_identity, current_user
from aveverify.litestar import AveAuthPlugin
from aveverify.sources import AuthorizationHeader
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware
from aveverify.testing import FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE
from tests.http.http_fixtures import bearer

Admit = Callable[[Any], object]


def admit_now(identity: Identity) -> Admit:
    """Load a user from synchronous code."""
    return lambda user: find_user_now(lambda _identity: user, identity, AppCalls(async_to_sync))


def admit_later(identity: Identity) -> Admit:
    """Load a user in an event loop."""
    return lambda user: asyncio.run(find_user(lambda _identity: user, identity))


@pytest.fixture
def identity(shared_verifier: Verifier, tokens: dict[str, str]) -> Identity:
    return shared_verifier.verify(tokens["good"])


@pytest.fixture(params=[admit_now, admit_later], ids=["sync", "async"])
def authenticate(request: pytest.FixtureRequest, identity: Identity) -> Admit:
    """Each way to load a user."""
    result: Admit = request.param(identity)
    return result


# --- what a user says of itself -------------------------------------------------------------------------------------


async def answer(value: object) -> object:
    """Give a value, later."""
    await asyncio.sleep(0)
    return value


@types.coroutine
def old_coroutine() -> Generator[None]:
    """Find no user, as coroutines were written before `async def`."""
    yield


class ByMethod:
    """Says it by methods, as the users of old Django and Flask-Login do."""

    def __init__(self, *, active: object = True, authenticated: object = True) -> None:
        self._active = active
        self._authenticated = authenticated

    def is_active(self) -> object:
        """Give what was given."""
        return self._active

    def is_authenticated(self) -> object:
        """Give what was given."""
        return self._authenticated


class Later:
    """Says it by a coroutine function."""

    def __init__(self, *, active: object) -> None:
        self._active = active

    async def is_active(self) -> object:
        """Give what was given."""
        return await answer(self._active)


class LaterProperty:
    """Says it by a property that has to be awaited."""

    def __init__(self, *, active: object) -> None:
        self._active = active

    @property
    async def is_active(self) -> object:
        """Give what was given."""
        return await answer(self._active)


class Broken:
    """Fails of an AttributeError inside a property."""

    @property
    def is_active(self) -> bool:
        """Fail."""
        return bool(self.profile.is_active)  # type: ignore[attr-defined]


class Unset:
    """Declares a slot and never fills it."""

    __slots__ = ("is_active",)


class Raising:
    """Fails of something else."""

    @property
    def is_active(self) -> bool:
        """Fail."""
        raise ConnectionRefusedError


class Wrapper:
    """Passes on what it does not know."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> object:
        """Ask the wrapped one."""
        return getattr(self._wrapped, name)


def row_of(text: str) -> sqlite3.Row:
    """A row of a database, which is like a dictionary and is none."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        found: sqlite3.Row = connection.execute(text).fetchone()
    finally:
        connection.close()
    return found


ADMITTED = {
    "an attribute": lambda: SimpleNamespace(is_active=True),
    "a number": lambda: SimpleNamespace(is_active=1),
    "nothing": lambda: SimpleNamespace(name="ada"),
    "text": lambda: "ada",
    "empty text": lambda: "",
    "zero": lambda: 0,
    "methods": ByMethod,
    "a coroutine function": lambda: Later(active=True),
    "a property to await": lambda: LaterProperty(active=True),
    "a dictionary": lambda: {"is_active": True},
    "a dictionary that says nothing": lambda: {"name": "ada"},
    "a row": lambda: row_of("select 1 as is_active"),
    "a row that says nothing": lambda: row_of("select 'is_active' as name"),
    "a wrapper": lambda: Wrapper(SimpleNamespace(is_active=True)),
    "a wrapper of what says nothing": lambda: Wrapper(SimpleNamespace()),
    "a lazy object": lambda: SimpleLazyObject(lambda: SimpleNamespace(is_active=True)),
    "a proxy": lambda: LocalProxy(lambda: SimpleNamespace(is_active=True)),
    "a lazy object that says nothing": lambda: SimpleLazyObject(lambda: SimpleNamespace(name="ada")),
}
REFUSED = {
    "None": (lambda: None, Reason.UNKNOWN_USER),
    "False": (lambda: False, Reason.UNKNOWN_USER),
    "None of a coroutine that is a generator": (old_coroutine, Reason.UNKNOWN_USER),
    "Django's anonymous user": (AnonymousUser, Reason.UNKNOWN_USER),
    "Starlette's anonymous user": (UnauthenticatedUser, Reason.UNKNOWN_USER),
    "anonymous by a method": (lambda: ByMethod(authenticated=False), Reason.UNKNOWN_USER),
    "a lazy None": (lambda: SimpleLazyObject(lambda: None), Reason.UNKNOWN_USER),
    "a proxy of None": (lambda: LocalProxy(lambda: None), Reason.UNKNOWN_USER),
    "a lazy False": (lambda: SimpleLazyObject(lambda: False), Reason.UNKNOWN_USER),
    "a lazy anonymous user": (lambda: SimpleLazyObject(AnonymousUser), Reason.UNKNOWN_USER),
    "False in an attribute": (lambda: SimpleNamespace(is_active=False), Reason.INACTIVE_USER),
    "None in an attribute": (lambda: SimpleNamespace(is_active=None), Reason.INACTIVE_USER),
    "zero in an attribute": (lambda: SimpleNamespace(is_active=0), Reason.INACTIVE_USER),
    "empty text in an attribute": (lambda: SimpleNamespace(is_active=""), Reason.INACTIVE_USER),
    "a method": (lambda: ByMethod(active=False), Reason.INACTIVE_USER),
    "a method that says nothing": (lambda: ByMethod(active=None), Reason.INACTIVE_USER),
    "a coroutine function": (lambda: Later(active=False), Reason.INACTIVE_USER),
    "a property to await": (lambda: LaterProperty(active=False), Reason.INACTIVE_USER),
    "a dictionary": (lambda: {"is_active": False}, Reason.INACTIVE_USER),
    "a row": (lambda: row_of("select 0 as is_active"), Reason.INACTIVE_USER),
    "a row with null": (lambda: row_of("select null as is_active"), Reason.INACTIVE_USER),
    "a wrapper": (lambda: Wrapper(SimpleNamespace(is_active=False)), Reason.INACTIVE_USER),
    "a lazy object": (lambda: SimpleLazyObject(lambda: SimpleNamespace(is_active=False)), Reason.INACTIVE_USER),
    "a proxy": (lambda: LocalProxy(lambda: SimpleNamespace(is_active=False)), Reason.INACTIVE_USER),
    "a lazy dictionary": (lambda: SimpleLazyObject(lambda: {"is_active": False}), Reason.INACTIVE_USER),
}
FAILING = {
    "an AttributeError inside": (Broken, AttributeError),
    "a slot without a value": (Unset, AttributeError),
    "a lazy object that fails inside": (lambda: SimpleLazyObject(Broken), AttributeError),
    "a proxy that fails inside": (lambda: LocalProxy(Broken), AttributeError),
    "another error": (Raising, ConnectionRefusedError),
}


@pytest.mark.parametrize("make", ADMITTED.values(), ids=list(ADMITTED))
def test_htp_044_a_user_that_does_not_say_no_is_admitted(authenticate: Admit, make: Callable[[], object]) -> None:
    user = make()

    assert authenticate(user) is user


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_htp_044_a_user_that_is_none_or_inactive_is_refused(
    authenticate: Admit, make: Callable[[], object], reason: Reason
) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        authenticate(make())

    assert (caught.value.reason, caught.value.rule) == (reason, "HTP-044")
    assert caught.value.convex_code == "Unauthenticated"
    assert caught.value.hint is (Hint.NO_USER if reason is Reason.UNKNOWN_USER else None)


@pytest.mark.parametrize(("make", "error"), FAILING.values(), ids=list(FAILING))
def test_htp_044_a_user_that_cannot_say_it_is_an_error_of_the_application(
    authenticate: Admit, make: Callable[[], object], error: type[Exception]
) -> None:
    """An absent attribute admits, so one that only looks absent must not pass for it."""
    with pytest.raises(error):
        authenticate(make())


def test_htp_044_a_forgotten_await_admits_no_user(authenticate: Admit) -> None:
    """A coroutine has no `is_active`, and would pass for an active user."""
    never_awaited = answer(None)

    with pytest.raises(ConfigurationError) as caught:
        authenticate(answer(never_awaited))

    assert caught.value.field == "load_user"
    never_awaited.close()


@pytest.mark.parametrize("record", [[], (), {}, set(), frozenset()], ids=repr)
def test_htp_044_an_empty_record_is_no_user(record: object, authenticate: Admit) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        authenticate(record)

    assert caught.value.reason is Reason.UNKNOWN_USER


async def yield_later() -> AsyncGenerator[None]:
    """Find no user."""
    yield


@pytest.mark.parametrize("make", [lambda: (user for user in [None]), yield_later])
def test_htp_044_a_loader_that_yields_admits_no_user(make: Callable[[], object], authenticate: Admit) -> None:
    with pytest.raises(ConfigurationError, match="not yield one"):
        authenticate(make())


@pytest.mark.parametrize("path_of_auth", ["other sources", "other verifier"])
@pytest.mark.parametrize("is_optional", [False, True])
@pytest.mark.parametrize("rule", ["unknown", "inactive", "check", "scopes"])
def test_htp_044_no_dependency_of_fastapi_admits_whom_the_middleware_in_front_has_refused(
    path_of_auth: str,
    is_optional: bool,  # noqa: FBT001 - a column of a table
    rule: str,
    issuer: FakeIssuer,
) -> None:
    rules: dict[str, dict[str, Any]] = {
        "unknown": {"load_user": lambda _identity: None},
        "inactive": {"load_user": lambda _identity: SimpleNamespace(is_active=False)},
        "check": {"check": lambda _identity: "banned"},
        "scopes": {"scopes": ["admin"]},
    }
    with issuer.verifier() as verifier, issuer.verifier() as another:
        if path_of_auth == "other verifier":
            auth = FastAPIAuth(another)
        else:
            auth = FastAPIAuth(verifier, token_sources=[AuthorizationHeader()])
        app = FastAPI()
        app.add_middleware(AveAuthMiddleware, verifier=verifier, required=True, on_invalid="defer", **rules[rule])

        @app.get("/", dependencies=[Security(auth.optional if is_optional else auth)])
        def view() -> str:
            return "served"

        answer = TestClient(app).get("/", headers=dict(bearer(issuer.token())))

    assert answer.status_code == (403 if rule == "scopes" else 401)


def test_another_verifier_of_fastapi_may_know_a_token_that_the_middleware_does_not(issuer: FakeIssuer) -> None:
    stranger = FakeIssuer("https://other.test", clock=issuer.clock)
    with issuer.verifier() as verifier, stranger.verifier() as another:
        auth = FastAPIAuth(another)
        app = FastAPI()
        app.add_middleware(AveAuthMiddleware, verifier=verifier, required=True, on_invalid="defer")

        @app.get("/", dependencies=[Security(auth)])
        def view() -> str:
            return "served"

        answer = TestClient(app).get("/", headers=dict(bearer(stranger.token())))

    assert answer.json() == "served"


def test_a_coroutine_that_nothing_can_run_is_closed(identity: Identity) -> None:
    loading = answer("ada")

    async def load() -> object:
        load_user: LoadUser[object] = lambda _identity: loading  # noqa: E731 - for its type
        return find_user_now(load_user, identity, AppCalls(async_to_sync))

    with pytest.raises(RuntimeError, match="event loop"):
        asyncio.run(load())
    assert inspect.getcoroutinestate(loading) == inspect.CORO_CLOSED


# --- once for all layers, and what the loader itself sees -----------------------------------------------------------


class Loader:
    """Finds a user who is active or not, and remembers what it was asked."""

    def __init__(self, *, is_active: bool = True, look: Callable[[], object] = lambda: None) -> None:
        self.is_active = is_active
        self.asked: list[str] = []
        self.seen: list[object] = []
        self._look = look

    def __call__(self, identity: Identity) -> SimpleNamespace:
        """Load it."""
        self.asked.append(identity.subject)
        self.seen.append(self._look())
        return SimpleNamespace(
            name=identity.subject.title(), is_active=self.is_active, is_authenticated=True, pk=identity.subject
        )


def flask_app(verifier: Verifier, load_user: Any, **options: Any) -> tuple[Flask, FlaskAuth]:
    """A Flask application with the extension and a loader."""
    app = Flask("tests.http")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    ave = FlaskAuth(app, verifier, **options)
    ave.load_user(load_user)
    return app, ave


def test_htp_044_the_layers_of_flask_load_a_user_once(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    loader = Loader()
    app, ave = flask_app(shared_verifier, loader, required=True)
    blueprint = ave.protect(Blueprint("api", "api"))

    @blueprint.get("/")
    @ave.required
    def view() -> str:
        return f"{current_user.name} {current_user.name} {current_identity.subject}"

    app.register_blueprint(blueprint)

    assert app.test_client().get("/", headers=bearer(tokens["good"])).text == "Ada Ada ada"
    assert loader.asked == ["ada"]


@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda: current_user.name, id="the user"),
        pytest.param(lambda: current_identity.subject, id="the identity"),
        pytest.param(lambda: get_user_identity(request), id="the identity of the request"),
        pytest.param(identity_of_context.get, id="the identity of the context"),
    ],
)
def test_htp_044_a_bare_view_of_flask_learns_of_it_when_it_asks(
    shared_verifier: Verifier, tokens: dict[str, str], look: Callable[[], object], on_invalid: str
) -> None:
    """No identity is left behind: a handler of the refusal that asks again is refused again."""
    caught: list[Reason] = []
    app, _ = flask_app(shared_verifier, Loader(is_active=False), on_invalid=on_invalid)
    app.add_url_rule("/", "view", lambda: str(look()))

    @app.errorhandler(InvalidTokenError)
    def handle(error: InvalidTokenError) -> tuple[str, int]:
        with pytest.raises(InvalidTokenError):
            look()
        caught.append(error.reason)
        return "handled", 401

    assert app.test_client().get("/", headers=bearer(tokens["good"])).text == "handled"
    assert caught == [Reason.INACTIVE_USER]


@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize("way", ["decorator", "blueprint"])
def test_htp_044_a_view_of_flask_that_relies_on_a_user_never_runs_without(
    shared_verifier: Verifier, tokens: dict[str, str], way: str, on_invalid: str
) -> None:
    app, ave = flask_app(shared_verifier, Loader(is_active=False), on_invalid=on_invalid)

    def view() -> str:
        raise NotImplementedError

    if way == "decorator":
        app.add_url_rule("/", "view", ave.required(view))
    else:
        blueprint = ave.protect(Blueprint("api", "api"))
        blueprint.add_url_rule("/", "view", view)
        app.register_blueprint(blueprint)

    answer = app.test_client().get("/", headers=bearer(tokens["good"]))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda: current_identity.subject, id="the proxy"),
        pytest.param(lambda: get_user_identity(request).subject, id="the request"),  # type: ignore[union-attr]
        pytest.param(lambda: identity_of_context.get().subject, id="the context"),  # type: ignore[union-attr]
    ],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_loader_of_flask_may_ask_for_the_identity_that_it_is_given(
    shared_verifier: Verifier, tokens: dict[str, str], look: Callable[[], object], *, is_async: bool
) -> None:
    """A log filter that names the user, for instance, must not call the loader again."""
    loader = Loader(look=look)

    async def load_user(identity: Identity) -> object:
        return loader(identity)

    app, ave = flask_app(shared_verifier, load_user if is_async else loader)
    app.add_url_rule("/", "view", ave.required(lambda: current_user.name))

    assert app.test_client().get("/", headers=bearer(tokens["good"])).text == "Ada"
    assert (loader.asked, loader.seen) == (["ada"], ["ada"])


def test_a_thread_beside_the_loader_does_not_see_an_identity_that_is_not_yet_admitted(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-044: the request of a context is that of its threads, too."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - for this test alone

    from flask import copy_current_request_context  # noqa: PLC0415 - as above

    found: list[object] = []
    beside: list[Any] = []

    def load(_identity: Identity) -> object:
        if not found:
            found.append(None)
            found[0] = beside[0].submit(beside[1]).exception()
        return SimpleNamespace(is_active=False)

    app, _ = flask_app(shared_verifier, load)

    @app.get("/")
    def view() -> str:
        with ThreadPoolExecutor(1) as pool:
            beside.extend([pool, copy_current_request_context(lambda: current_identity.subject)])
            return str(current_user)

    assert app.test_client().get("/", headers=bearer(tokens["good"])).status_code == 401
    assert isinstance(found[0], InvalidTokenError)


class Api(APIView):
    """Says which user asks."""

    authentication_classes: Any = (AveAuthentication,)
    permission_classes: Any = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        """Answer with the user and the identity."""
        return Response([request.user.name, request.auth.subject])


def test_htp_044_middleware_decorator_and_rest_framework_load_a_user_once(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    loader = Loader()
    settings = {"VERIFIER": shared_verifier, "USER_LOADER": loader}
    with override_settings(
        AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", ave_required(Api.as_view())),)
    ):
        answer: Any = Client().get("/", headers=dict(bearer(tokens["good"])))

    assert answer.json() == ["Ada", "ada"]
    assert loader.asked == ["ada"]


@pytest.mark.parametrize("is_active", [True, False], ids=["active", "inactive"])
def test_a_loader_of_django_may_ask_for_the_identity_of_its_context(
    shared_verifier: Verifier, tokens: dict[str, str], *, is_active: bool
) -> None:
    def look() -> object:
        found = identity_of_context.get()
        return found.subject if found else None

    async def ask() -> Any:
        return await AsyncClient().get("/", headers=dict(bearer(tokens["good"])))

    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("served")

    loader = Loader(is_active=is_active, look=look)
    settings = {"VERIFIER": shared_verifier, "USER_LOADER": loader}
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", view),)):
        answers = [Client().get("/", headers=dict(bearer(tokens["good"]))), asyncio.run(ask())]

    assert [answer.status_code for answer in answers] == [200 if is_active else 401] * 2
    assert loader.seen == ["ada", "ada"]
    with pytest.raises(ConfigurationError):
        identity_of_context.get()


@pytest.mark.parametrize("user", [None, SimpleNamespace(is_active=False)], ids=["unknown", "inactive"])
@pytest.mark.parametrize("first", [[], [SessionAuthentication]], ids=["alone", "behind sessions"])
@pytest.mark.parametrize("permission", [AllowAny, IsAuthenticated])
@pytest.mark.parametrize("middleware", [[], MIDDLEWARE], ids=["alone", "behind the middleware"])
def test_htp_044_rest_framework_answers_401_with_our_challenge(  # noqa: PLR0913, PLR0917 - columns of a table
    shared_verifier: Verifier,
    tokens: dict[str, str],
    user: object,
    first: list[type],
    permission: type,
    middleware: list[str],
) -> None:
    members = {"authentication_classes": [*first, AveAuthentication], "permission_classes": [permission]}
    settings = {"VERIFIER": shared_verifier, "USER_LOADER": lambda _identity: user}
    urls = (path("", type("View", (Api,), members).as_view()),)  # type: ignore[attr-defined]
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=middleware, ROOT_URLCONF=urls):
        answer: Any = Client().get("/", headers=dict(bearer(tokens["good"])))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("look", ["user", "auser", "ave_identity"])
def test_htp_044_whatever_a_view_of_django_looks_at_a_deferred_refusal_is_raised(
    shared_verifier: Verifier, tokens: dict[str, str], look: str
) -> None:
    async def view(request: Any) -> HttpResponse:
        found = await request.auser() if look == "auser" else getattr(request, look)
        return HttpResponse(str(found))

    async def ask() -> Any:
        return await AsyncClient().get("/", headers=dict(bearer(tokens["good"])))

    settings = {"VERIFIER": shared_verifier, "USER_LOADER": Loader(is_active=False), "ON_INVALID": "defer"}
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", view),)):
        assert asyncio.run(ask()).status_code == 401


def test_htp_044_users_in_the_database_of_django_are_refused_as_soon_as_they_are_disabled() -> None:
    """With Django's own users, as a project has them: tests.http.django_users, an interpreter of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.http.django_users"], check=True, capture_output=True, text=True, timeout=60
    )

    rows = json.loads(result.stdout)
    assert len(rows) == 16
    assert {tuple(row[1:]) for row in rows} == {
        ("active", 200, "ada"),
        ("active again", 200, "ada"),
        ("inactive", 401, None),
        ("deleted", 401, None),
    }


# --- what is left in the scope --------------------------------------------------------------------------------------


def test_htp_044_middleware_around_the_backend_finds_no_refused_user(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    backend = AveAuthBackend(shared_verifier, required=False, load_user=Loader(is_active=False))
    scopes: list[Any] = []

    async def view(_request: object) -> PlainTextResponse:
        raise NotImplementedError

    inner = Starlette(
        routes=[Route("/", view)],
        middleware=[Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)],
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        scopes.append(scope)

    with TestClient(app) as client:
        assert client.get("/", headers=dict(bearer(tokens["good"]))).status_code == 401
    for scope in scopes:
        with pytest.raises(ConfigurationError):
            get_user_identity(scope)


@pytest.mark.parametrize("in_front", [True, False], ids=["behind the middleware", "alone"])
def test_htp_044_a_handler_of_fastapi_finds_no_refused_user(
    shared_verifier: Verifier, tokens: dict[str, str], *, in_front: bool
) -> None:
    ave = FastAPIAuth(shared_verifier)
    app = FastAPI()
    caught: list[Reason] = []

    def view(_identity: Any = Security(ave), _user: Any = Security(ave.user(Loader(is_active=False)))) -> None:  # noqa: B008 - as FastAPI
        raise NotImplementedError

    async def handle(request: FastAPIRequest, error: Exception) -> JSONResponse:
        for look in (get_user_identity, lambda request: request.user.name, lambda request: request.auth.scopes):
            with pytest.raises(AveVerifyError) as refused:
                look(request)
            caught.append(refused.value.reason)
        assert not hasattr(request.state, "identity")
        return JSONResponse(str(error), 401)

    app.add_api_route("/", view)
    app.add_exception_handler(401, handle)
    if in_front:
        app.add_middleware(AveAuthMiddleware, verifier=shared_verifier, required=False)

    assert TestClient(app).get("/", headers=dict(bearer(tokens["good"]))).status_code == 401
    assert caught == [Reason.INACTIVE_USER] * 3


# --- a further token of a WebSocket ---------------------------------------------------------------------------------


class Accounts:
    """Knows everybody; a test disables one between two tokens."""

    def __init__(self) -> None:
        self.disabled: set[str] = set()

    async def load(self, identity: Identity) -> SimpleNamespace:
        """Load a user."""
        return SimpleNamespace(name=identity.subject, is_active=identity.subject not in self.disabled)


def test_htp_044_a_websocket_of_starlette_goes_on_as_it_was(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    accounts = Accounts()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        accounts.disabled.add("grace")
        with pytest.raises(InvalidTokenError) as caught:
            await get_live_connection(websocket).reauthenticate(tokens["other"], allow_other_user=True)
        identity = get_user_identity(websocket)
        assert identity is not None
        await websocket.send_text(f"{caught.value.reason}, still {websocket.user.name} and {identity.subject}")
        await websocket.close()

    middleware = [Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True, load_user=accounts.load)]
    client = TestClient(Starlette(routes=[WebSocketRoute("/", endpoint)], middleware=middleware))
    with client.websocket_connect("/", headers=dict(bearer(tokens["good"]))) as session:
        assert session.receive_text() == "INACTIVE_USER, still ada and ada"


def test_htp_044_a_websocket_of_litestar_goes_on_as_it_was(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    from litestar import Litestar  # noqa: PLC0415 - for this test alone

    accounts = Accounts()

    @websocket("/")
    async def endpoint(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        accounts.disabled.add("ada")
        with pytest.raises(InvalidTokenError) as caught:
            await get_live_connection(socket).reauthenticate(tokens["reader"])
        await socket.send_text(f"{caught.value.reason}, still {socket.user.name}")
        await socket.close()

    plugin = AveAuthPlugin(shared_verifier, required=True, load_user=accounts.load)
    with (
        LitestarClient(Litestar([endpoint], plugins=[plugin], logging_config=None)) as client,
        client.websocket_connect("/", headers=dict(bearer(tokens["good"]))) as session,
    ):
        assert session.receive_text() == "INACTIVE_USER, still ada"


@pytest.mark.parametrize("replaced", [False, True], ids=["dependency", "replaced dependency"])
def test_htp_044_a_websocket_of_fastapi_puts_a_further_token_before_the_loader_of_its_user(
    shared_verifier: Verifier, tokens: dict[str, str], identity: Identity, *, replaced: bool
) -> None:
    accounts = Accounts()
    ave = FastAPIAuth(shared_verifier)
    app = FastAPI()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, user: Any = Security(ave.user(accounts.load))) -> None:  # noqa: B008 - as FastAPI
        await websocket.accept()
        accounts.disabled.add("ada")
        try:
            await get_live_connection(websocket).reauthenticate(tokens["reader"])
        except InvalidTokenError as error:
            await websocket.send_text(f"{error.reason}, still {user.name}")
        else:
            await websocket.send_text(f"no loader has refused {user.name}")
        await websocket.close()

    if replaced:
        app.dependency_overrides[ave] = lambda: identity
    app.add_middleware(AveAuthMiddleware, verifier=shared_verifier, required=False)

    headers = {} if replaced else dict(bearer(tokens["good"]))
    with TestClient(app).websocket_connect("/", headers=headers) as session:
        assert session.receive_text() == ("no loader has refused ada" if replaced else "INACTIVE_USER, still ada")


async def say_who(websocket: WebSocket) -> None:
    """Take tokens and say, for each, what came of it and who the user is by then."""
    await websocket.accept()
    async for token in websocket.iter_text():
        try:
            await get_live_connection(websocket).reauthenticate(token, allow_other_user=True)
            outcome = "accepted"
        except InvalidTokenError as error:
            outcome = error.reason.value
        shown = get_user_identity(websocket)
        user = websocket.scope.get("user", shown)
        await websocket.send_text(f"{outcome} {shown.subject if shown else None} {user.subject if user else None}")


def test_htp_046_a_further_token_counts_for_every_integration_in_front(issuer: FakeIssuer) -> None:
    with issuer.verifier() as verifier:
        app = Starlette(
            routes=[WebSocketRoute("/", say_who)],
            middleware=[
                Middleware(AveAuthMiddleware, verifier=verifier, required=True, load_user=only_present),
                Middleware(asgi.AveAuthMiddleware, verifier=verifier, required=False),
            ],
        )
        headers = dict(bearer(issuer.token(sub="ada")))
        with TestClient(app) as client, client.websocket_connect("/", headers=headers) as session:
            session.send_text(issuer.token(sub="gone"))
            assert session.receive_text() == "UNKNOWN_USER ada ada"
            session.send_text(issuer.token(sub="grace"))
            assert session.receive_text() == "accepted grace grace"


def only_present(identity: Identity) -> Identity | None:
    """Find the user of every identity but one."""
    return None if identity.subject == "gone" else identity


def test_htp_044_a_loader_of_fastapi_is_asked_about_a_further_token_of_another_verifier_of_the_same_user(
    issuer: FakeIssuer,
) -> None:
    with issuer.verifier() as verifier, issuer.verifier() as another:
        app, auth = FastAPI(), FastAPIAuth(another)
        app.add_middleware(asgi.AveAuthMiddleware, verifier=verifier, required=True)
        app.websocket("/", dependencies=[Security(auth.user(only_present))])(say_who)
        headers = dict(bearer(issuer.token(sub="ada")))
        with TestClient(app) as client, client.websocket_connect("/", headers=headers) as session:
            session.send_text(issuer.token(sub="gone"))
            assert session.receive_text() == "UNKNOWN_USER ada ada"
            session.send_text(issuer.token(sub="grace"))
            assert session.receive_text() == "accepted grace grace"


@pytest.mark.parametrize("is_active", [True, False], ids=["active", "inactive"])
def test_htp_044_a_websocket_of_an_inactive_user_is_denied(
    shared_verifier: Verifier, tokens: dict[str, str], *, is_active: bool
) -> None:
    from starlette.testclient import WebSocketDenialResponse  # noqa: PLC0415 - for this test alone

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.name)
        await websocket.close()

    middleware = [
        Middleware(
            AveAuthMiddleware,
            verifier=shared_verifier,
            required=False,
            on_invalid="defer",
            load_user=Loader(is_active=is_active),
        )
    ]
    client = TestClient(Starlette(routes=[WebSocketRoute("/", endpoint)], middleware=middleware))
    if is_active:
        with client.websocket_connect("/", headers=dict(bearer(tokens["good"]))) as session:
            assert session.receive_text() == "Ada"
    else:
        with (
            pytest.raises(WebSocketDenialResponse) as caught,
            client.websocket_connect("/", headers=dict(bearer(tokens["good"]))),
        ):
            raise NotImplementedError
        assert caught.value.status_code == 401


def test_without_threads_of_its_own_an_integration_calls_a_loader_where_it_is(identity: Identity) -> None:
    users = Users(lambda found: found.subject, AppCalls())

    assert asyncio.run(users.find_async(identity)) == users.find(identity) == identity.subject
