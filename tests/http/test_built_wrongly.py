"""HTP-043: what cannot be right is refused when it is built, at every integration, with the field and the mend.

Each row failed at the first request before, or let everyone in.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import FastAPI
from flask import Flask
from flask.sansio.app import App
from litestar import Litestar
from starlette.applications import Starlette

from aveverify import ConfigurationError, Identity, Provider, Verifier, asgi, fastapi, forward_auth, litestar, starlette
from aveverify import wsgi as wsgi_middleware
from aveverify.django._settings import current_settings
from aveverify.drf import HasScopes
from aveverify.errors import Problem
from aveverify.flask import AveAuth
from aveverify.sources import AuthorizationHeader, Cookie, QueryParameter, WebSocketProtocol
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.flask_client import new_app

Build = Callable[..., object]


async def app_asgi(_scope: object, _receive: object, _send: object) -> None:
    """An application of ASGI."""


def pass_on(scope: object, receive: object, send: object) -> Awaitable[None]:
    """The same, though no coroutine function."""
    return app_asgi(scope, receive, send)


def app_wsgi(_environ: object, _start_response: object) -> list[bytes]:
    """An application of WSGI."""
    return []


def build_flask_config(verifier: object, **options: object) -> object:
    """Build by the application's config."""
    return AveAuth(new_app(AVEVERIFY_VERIFIER=verifier, **{f"AVEVERIFY_{n.upper()}": v for n, v in options.items()}))


def build_django(verifier: object, **options: object) -> object:
    """Build by the settings."""
    names = {"load_user": "USER_LOADER"}
    settings = {names.get(name, name.upper()): value for name, value in options.items()}
    with override_settings(AVEVERIFY={"VERIFIER": verifier, **settings}):
        return current_settings.get()


def untyped(build: Any) -> Build:
    """An integration without its types: the arguments are wrong on purpose."""
    return build  # type: ignore[no-any-return]


def required(build: Any, *front: object) -> Build:
    """An integration that must be told `required`."""

    def built(verifier: object, **options: object) -> object:
        return build(*front, verifier, **({"required": True} | options))

    return built


MIDDLEWARES: dict[str, Build] = {
    "asgi": required(asgi.AveAuthMiddleware, app_asgi),
    "wsgi": required(wsgi_middleware.AveAuthMiddleware, app_wsgi),
    "starlette": required(starlette.AveAuthMiddleware, app_asgi),
    "starlette-backend": required(starlette.AveAuthBackend),
    "litestar": required(litestar.AveAuthMiddleware, app_asgi),
    "litestar-define": required(litestar.AveAuthMiddleware.define),
    "litestar-plugin": required(litestar.AveAuthPlugin),
}
OTHERS: dict[str, Build] = {
    "fastapi": untyped(fastapi.AveAuth),
    "forward-auth": untyped(forward_auth.make_app),
    "flask": lambda verifier, **options: untyped(AveAuth)(new_app(), verifier, **options),
    "flask-config": build_flask_config,
    "django": build_django,
}
INTEGRATIONS = MIDDLEWARES | OTHERS
# How a field is called at an integration whose settings stand in a framework.
LABELS = {"flask-config": "AVEVERIFY_{}", "django": 'AVEVERIFY["{}"]'}

every_integration = pytest.mark.parametrize("integration", list(INTEGRATIONS))


def named(integration: str, field: str) -> str:
    """How the integration names a field."""
    option, bracket, place = field.partition("[")
    names = {"load_user": "USER_LOADER"} if integration == "django" else {}
    return (
        f"{LABELS[integration].format(names.get(option, option.upper()))}{bracket}{place}"
        if integration in LABELS
        else field
    )


def refused(build: Callable[[], object]) -> ConfigurationError:
    """The error that it is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        build()
    return caught.value


# --- the verifier ---------------------------------------------------------------------------------------------------


@every_integration
@pytest.mark.parametrize(
    "stand_in",
    [
        pytest.param(Verifier, id="the class"),
        pytest.param(Provider.ave("app_1"), id="a provider"),
        pytest.param([Provider.ave("app_1")], id="a list of providers"),
        pytest.param("https://idp.example", id="text"),
        pytest.param(7, id="a number"),
        pytest.param(object(), id="an object"),
        pytest.param(Verifier(Provider.ave("app_1")).verify, id="its method"),
    ],
)
def test_htp_043_only_a_verifier_verifies(integration: str, stand_in: object) -> None:
    if integration == "django" and isinstance(stand_in, str):
        pytest.skip("text is a dotted path there")

    error = refused(lambda: INTEGRATIONS[integration](stand_in))

    # What can be called makes a verifier there.
    problems = {Problem.NOT_A_VERIFIER, Problem.OUT_OF_RANGE} if integration == "django" else {Problem.NOT_A_VERIFIER}
    assert error.problem in problems
    assert error.field == named(integration, "verifier")


def test_htp_043_the_application_of_the_operator_needs_a_verifier_too(shared_verifier: Verifier) -> None:
    make: Any = forward_auth.make_admin_app

    assert refused(lambda: make(Verifier)).problem is Problem.NOT_A_VERIFIER
    assert refused(lambda: make(shared_verifier, "metrics")).field == "render_metrics"


# --- names ----------------------------------------------------------------------------------------------------------


@every_integration
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("scope", "scopes"), ("Scopes", "scopes"), ("resource-metadata", "resource_metadata"), ("relam", "realm"),
        ("chek", "check"), ("scopess", "scopes"),
    ],
)  # fmt: skip
def test_htp_043_a_misspelt_option_is_refused_with_the_nearest_name(
    integration: str, written: str, meant: str, shared_verifier: Verifier
) -> None:
    if integration in LABELS and written.upper() == meant.upper():
        pytest.skip("a setting is written in capitals")

    error = refused(lambda: INTEGRATIONS[integration](shared_verifier, **{written: ["admin"]}))

    assert error.problem is Problem.UNKNOWN_OPTION
    assert error.field == named(integration, written)
    assert named(integration, meant) in str(error.detail)


@pytest.mark.parametrize("integration", list(MIDDLEWARES))
@pytest.mark.parametrize("written", ["require", "requires", "Required", "reqired"])
def test_htp_043_a_misspelt_required_is_named_and_not_reported_as_missing(
    integration: str, written: str, shared_verifier: Verifier
) -> None:
    builders: dict[str, Any] = {
        "asgi": (asgi.AveAuthMiddleware, app_asgi),
        "wsgi": (wsgi_middleware.AveAuthMiddleware, app_wsgi),
        "starlette": (starlette.AveAuthMiddleware, app_asgi),
        "starlette-backend": (starlette.AveAuthBackend,),
        "litestar": (litestar.AveAuthMiddleware, app_asgi),
        "litestar-define": (litestar.AveAuthMiddleware.define,),
        "litestar-plugin": (litestar.AveAuthPlugin,),
    }
    build, *front = builders[integration]

    error = refused(lambda: build(*front, shared_verifier, **{written: True}))

    assert (error.field, error.detail) == (written, "did you mean required?")


@pytest.mark.parametrize(
    "integration", ["asgi", "wsgi", "starlette", "starlette-backend", "litestar", "litestar-plugin"]
)
@pytest.mark.parametrize("written", ["on_invlaid", "exemt", "token_source"])
def test_htp_043_the_options_of_a_middleware_are_known_by_name(
    integration: str, written: str, shared_verifier: Verifier
) -> None:
    assert (
        refused(lambda: INTEGRATIONS[integration](shared_verifier, **{written: ()})).problem is Problem.UNKNOWN_OPTION
    )


@pytest.mark.parametrize("method", ["required", "optional", "protect"])
def test_htp_043_the_decorators_know_their_options(method: str) -> None:
    decorate: Any = getattr(AveAuth(), method)

    assert refused(lambda: decorate(scope=["read"])).detail == "did you mean scopes?"


@every_integration
def test_htp_043_an_option_that_is_like_no_other_is_refused_with_all_that_there_are(
    integration: str, shared_verifier: Verifier
) -> None:
    error = refused(lambda: INTEGRATIONS[integration](shared_verifier, zyzzyva=1))

    assert error.problem is Problem.UNKNOWN_OPTION
    detail = str(error.detail).lower()
    assert "did you mean" not in detail
    assert detail.startswith("known are ")
    assert {"realm", "scopes"} <= set(detail.removeprefix("known are ").split(", "))


@pytest.mark.parametrize("integration", ["flask-config", "django"])
@pytest.mark.parametrize("name", ["SCOPES", "AUTH_CONFIG", "ISSUER", "APPLICATION_ID", "RESOURCE_METADATA"])
@pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
def test_cfg_013_an_empty_setting_never_counts_as_unset(integration: str, name: str, value: str) -> None:
    settings: dict[str, object] = {"ISSUER": "https://idp.example", "APPLICATION_ID": "app", name: value}

    def build() -> object:
        if integration == "django":
            with override_settings(AVEVERIFY=settings):
                return current_settings.get()
        return AveAuth(new_app(**{f"AVEVERIFY_{one}": text for one, text in settings.items()}))

    error = refused(build)

    assert (error.problem, error.field) == (Problem.EMPTY, LABELS[integration].format(name))


@pytest.mark.parametrize("integration", ["flask-config", "django"])
def test_an_empty_realm_is_a_realm(integration: str, shared_verifier: Verifier) -> None:
    """RFC 9110 §11.5: a quoted string, which may be empty."""
    INTEGRATIONS[integration](shared_verifier, realm="")


def test_an_unknown_option_is_still_what_python_says_of_it(shared_verifier: Verifier) -> None:
    integration: Any = asgi.AveAuthMiddleware
    with pytest.raises(TypeError) as caught:
        integration(app_asgi, shared_verifier, require=True)

    error = copy.copy(caught.value)
    assert isinstance(error, ConfigurationError)
    assert str(error) == str(caught.value)


@pytest.mark.parametrize("make", [HasScopes, litestar.requires_scopes], ids=["drf", "litestar"])
def test_htp_043_a_demand_for_scopes_names_one(make: Callable[[], object]) -> None:
    assert refused(make).field == "scopes"


def test_htp_043_a_setting_is_named_by_text() -> None:
    with override_settings(AVEVERIFY={7: True}):
        assert refused(current_settings.get).problem is Problem.UNKNOWN_OPTION


# --- values ---------------------------------------------------------------------------------------------------------


@every_integration
@pytest.mark.parametrize("value", [None, 0, 1, "yes", "", "False", [], object], ids=repr)
def test_htp_043_required_is_true_or_false(integration: str, value: object, shared_verifier: Verifier) -> None:
    if integration == "fastapi":
        pytest.skip("a dependency is required or optional by its name")

    assert refused(lambda: INTEGRATIONS[integration](shared_verifier, required=value)).field == named(
        integration, "required"
    )


@pytest.mark.parametrize("integration", ["asgi", "starlette", "litestar", "litestar-define", "litestar-plugin"])
@pytest.mark.parametrize("value", [None, 0, 1, "yes"], ids=repr)
def test_htp_043_close_expired_is_true_or_false(integration: str, value: object, shared_verifier: Verifier) -> None:
    assert refused(lambda: INTEGRATIONS[integration](shared_verifier, close_expired=value)).field == "close_expired"


@every_integration
@pytest.mark.parametrize("value", ["admin", {"admin"}, ["admin "], [7], 7, None], ids=repr)
def test_htp_043_scopes_are_a_list(integration: str, value: object, shared_verifier: Verifier) -> None:
    assert refused(lambda: INTEGRATIONS[integration](shared_verifier, scopes=value)).field == named(
        integration, "scopes"
    )


ORIGINS = ["https://app.example"]


class Lookalike:
    """Has what a source has, but as a class."""

    is_ambient = False

    def read(self, head: object) -> None:
        """Find nothing."""


@every_integration
@pytest.mark.parametrize(
    ("sources", "place"),
    [
        pytest.param(["cookie"], "[0]", id="a word"),
        pytest.param([Cookie], "[0]", id="a class"),
        pytest.param([AuthorizationHeader(), Lookalike], "[1]", id="a class of the application"),
        pytest.param([None], "[0]", id="None"),
        pytest.param([AuthorizationHeader().read], "[0]", id="a method"),
        pytest.param([AuthorizationHeader(), AuthorizationHeader()], "[1]", id="a header twice"),
        pytest.param([WebSocketProtocol(), AuthorizationHeader(), WebSocketProtocol()], "[2]", id="a protocol twice"),
        pytest.param([QueryParameter("a"), QueryParameter("a")], "[1]", id="a parameter twice"),
        pytest.param(
            [Cookie("a", allowed_origins=ORIGINS), Cookie("a", allowed_origins=["https://b.example"])],
            "[1]",
            id="a cookie twice",
        ),
        pytest.param([one := Lookalike(), one], "[1]", id="the application's own twice"),
        pytest.param([], "", id="none"),
        pytest.param(AuthorizationHeader(), "", id="no list"),
        pytest.param({AuthorizationHeader()}, "", id="a set"),
        pytest.param("cookie", "", id="text"),
        pytest.param(None, "", id="nothing"),
    ],
)
def test_htp_043_sources_are_sources_each_of_them_once(
    integration: str, sources: object, place: str, shared_verifier: Verifier
) -> None:
    if integration == "forward-auth":
        pytest.skip("it reads what a proxy passes on, and nothing else")
    if integration == "django" and sources in ("cookie", ["cookie"]):
        pytest.skip("text is a dotted path there")

    assert refused(lambda: INTEGRATIONS[integration](shared_verifier, token_sources=sources)).field == named(
        integration, f"token_sources{place}"
    )


@pytest.mark.parametrize("integration", [integration for integration in INTEGRATIONS if integration != "forward-auth"])
def test_different_sources_may_stand_together(integration: str, shared_verifier: Verifier) -> None:
    sources = [
        AuthorizationHeader(), WebSocketProtocol(), QueryParameter("a"), QueryParameter("b"), Lookalike(), Lookalike(),
        Cookie("a", allowed_origins=ORIGINS), Cookie("b", allowed_origins=ORIGINS),
    ]  # fmt: skip

    INTEGRATIONS[integration](shared_verifier, token_sources=sources)


# --- functions of the application -----------------------------------------------------------------------------------


async def load_async(_identity: Identity) -> str:
    """A loader that is awaited."""
    return "user"


class Loads:
    """A loader that is an object."""

    def __call__(self, _identity: Identity) -> str:
        """Load."""
        return "user"


class LoadsAsync:
    """A loader that is an object and awaited."""

    async def __call__(self, _identity: Identity) -> str:
        """Load."""
        return "user"


def load_nothing() -> str:
    """A function without an argument."""
    return ""


def load_two(_request: object, _identity: Identity) -> str:
    """A function of two arguments."""
    return ""


def generate(identity: Identity) -> Iterator[Identity]:
    """A generator, which is never a verdict or a user."""
    yield identity


async def generate_async(identity: Identity) -> AsyncIterator[Identity]:
    """The same."""
    yield identity


NO_FUNCTIONS = [
    pytest.param(1, id="a number"),
    pytest.param("user", id="text"),
    pytest.param({}, id="a dictionary"),
    pytest.param(load_nothing, id="no argument"),
    pytest.param(load_two, id="two arguments"),
    pytest.param(generate, id="a generator"),
    pytest.param(generate_async, id="an asynchronous generator"),
]
LOADERS: dict[str, Build] = {
    **{
        integration: lambda verifier, loader, build=INTEGRATIONS[integration]: build(verifier, load_user=loader)
        for integration in (
            "starlette",
            "starlette-backend",
            "litestar",
            "litestar-define",
            "litestar-plugin",
            "django",
        )
    },
    "fastapi": lambda verifier, loader: untyped(fastapi.AveAuth(verifier).user)(loader),
    "fastapi-optional": lambda verifier, loader: untyped(fastapi.AveAuth(verifier).optional.user)(loader),
    "flask": lambda verifier, loader: untyped(AveAuth(new_app(), verifier).load_user)(loader),
}


@pytest.mark.parametrize("integration", list(LOADERS))
@pytest.mark.parametrize("loader", NO_FUNCTIONS)
def test_htp_043_load_user_is_a_function_of_an_identity(
    integration: str, loader: object, shared_verifier: Verifier
) -> None:
    if integration == "django" and isinstance(loader, str):
        pytest.skip("text is a dotted path there")

    assert refused(lambda: LOADERS[integration](shared_verifier, loader)).field == named(integration, "load_user")


@pytest.mark.parametrize("integration", ["fastapi", "fastapi-optional", "flask"])
def test_htp_043_a_loader_that_is_asked_for_is_not_none(integration: str, shared_verifier: Verifier) -> None:
    assert refused(lambda: LOADERS[integration](shared_verifier, None)).problem is Problem.MISSING


@pytest.mark.parametrize("integration", list(LOADERS))
@pytest.mark.parametrize("loader", [load_async, Loads(), LoadsAsync(), str, functools.partial(load_two, 1), {}.get])
def test_a_loader_is_anything_that_takes_an_identity(
    integration: str, loader: object, shared_verifier: Verifier
) -> None:
    LOADERS[integration](shared_verifier, loader)


@every_integration
@pytest.mark.parametrize("check", NO_FUNCTIONS)
def test_htp_043_check_is_a_function_of_an_identity(integration: str, check: object, shared_verifier: Verifier) -> None:
    if integration == "django" and isinstance(check, str):
        pytest.skip("text is a dotted path there")

    assert refused(lambda: INTEGRATIONS[integration](shared_verifier, check=check)).field == named(integration, "check")


# Flask and Django run a coroutine function to its end.
SYNCHRONOUS = ("wsgi",)


@every_integration
@pytest.mark.parametrize(
    "check",
    [load_async, LoadsAsync(), functools.partial(load_async), LoadsAsync().__call__],
    ids=["function", "object", "partial", "method"],
)
def test_htp_043_a_coroutine_function_needs_an_integration_that_can_await_it(
    integration: str, check: Callable[[Identity], Awaitable[object]], shared_verifier: Verifier
) -> None:
    """Django can: the same settings serve both of its worlds."""
    if integration in SYNCHRONOUS:
        error = refused(lambda: INTEGRATIONS[integration](shared_verifier, check=check))
        assert error.field == named(integration, "check")
        assert "coroutine" in str(error.detail)
    else:
        INTEGRATIONS[integration](shared_verifier, check=check)


@pytest.mark.parametrize("option", ["write_identity", "on_outcome"])
@pytest.mark.parametrize("value", [7, "text", load_nothing])
def test_htp_043_what_forward_auth_calls_can_be_called(option: str, value: object, shared_verifier: Verifier) -> None:
    make: Any = forward_auth.make_app

    assert refused(lambda: make(shared_verifier, **{option: value})).field == option


# --- the application behind it --------------------------------------------------------------------------------------


class QuartLike(App):
    """What Quart's application is: of Flask's family, and not Flask's."""

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        """Serve."""


class ClassOfWsgi:
    """PEP 3333: a class that is an application; its instances are iterables."""

    def __init__(self, environ: object, start_response: object) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        """Give nothing."""
        return iter(())


class ClassOfAsgi:
    """What Starlette's endpoints are: a class whose instances are awaited."""

    def __init__(self, scope: object, receive: object, send: object) -> None: ...

    def __await__(self) -> Iterator[None]:
        """Wait for nothing."""
        return iter(())


NO_APPS = [pytest.param(None, id="None"), pytest.param(7, id="a number"), pytest.param("main:app", id="text")]


@pytest.mark.parametrize(
    "integration", [asgi.AveAuthMiddleware, starlette.AveAuthMiddleware, litestar.AveAuthMiddleware]
)
@pytest.mark.parametrize(
    "app",
    [
        *NO_APPS,
        pytest.param(Flask("a"), id="Flask"),
        pytest.param(WSGIHandler.__new__(WSGIHandler), id="Django's WSGI"),
        pytest.param(app_wsgi, id="a WSGI function"),
        pytest.param(Starlette, id="the class Starlette"),
        pytest.param(FastAPI, id="the class FastAPI"),
        pytest.param(Flask, id="the class Flask"),
        pytest.param(load_nothing, id="a factory"),
    ],
)
def test_htp_043_an_asgi_middleware_stands_before_an_asgi_application(
    integration: Any,
    app: object,
    shared_verifier: Verifier,
) -> None:
    error = refused(lambda: integration(app, shared_verifier, required=True))

    assert (error.problem, error.field) == (Problem.NOT_AN_APPLICATION, "app")


@pytest.mark.parametrize(
    "app",
    [
        *NO_APPS,
        pytest.param(Starlette(), id="Starlette"),
        pytest.param(FastAPI(), id="FastAPI"),
        pytest.param(Litestar([], logging_config=None), id="Litestar"),
        pytest.param(ASGIHandler.__new__(ASGIHandler), id="Django's ASGI"),
        pytest.param(QuartLike.__new__(QuartLike), id="Quart"),
        pytest.param(app_asgi, id="an ASGI function"),
        pytest.param(functools.partial(app_asgi, None), id="a coroutine function of two arguments"),
        pytest.param(Flask, id="the class Flask"),
        pytest.param(Starlette, id="the class Starlette"),
        pytest.param(load_nothing, id="a factory"),
    ],
)
def test_htp_043_a_wsgi_middleware_stands_before_a_wsgi_application(app: Any, shared_verifier: Verifier) -> None:
    error = refused(lambda: wsgi_middleware.AveAuthMiddleware(app, shared_verifier, required=True))

    assert (error.problem, error.field) == (Problem.NOT_AN_APPLICATION, "app")


ASGI_INTEGRATIONS: list[Any] = [asgi.AveAuthMiddleware, starlette.AveAuthMiddleware, litestar.AveAuthMiddleware]
ASGI_APPS: list[Any] = [
    app_asgi, Starlette(), FastAPI(), Litestar([], logging_config=None), QuartLike.__new__(QuartLike), ClassOfAsgi,
    Starlette().__call__, functools.partial(app_asgi), pass_on, ASGIHandler.__new__(ASGIHandler),
    lambda *_arguments: None,
]  # fmt: skip
WSGI_APPS: list[Any] = [
    app_wsgi, Flask("a"), Flask("a").wsgi_app, ClassOfWsgi, functools.partial(app_wsgi),
    WSGIHandler.__new__(WSGIHandler), lambda *_arguments: [],
]  # fmt: skip


@pytest.mark.parametrize(
    ("integration", "app"),
    [
        *((integration, app) for integration in ASGI_INTEGRATIONS for app in ASGI_APPS),
        *((wsgi_middleware.AveAuthMiddleware, app) for app in WSGI_APPS),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_every_application_of_the_protocol_will_do(integration: Any, app: Any, shared_verifier: Verifier) -> None:
    integration(app, shared_verifier, required=True)


@pytest.mark.parametrize(
    "app",
    [QuartLike.__new__(QuartLike), Flask, Starlette(), 7, "main:app", app_wsgi, Verifier(Provider.ave("app_1"))],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_htp_043_the_extension_of_flask_is_for_flask(app: Any, shared_verifier: Verifier) -> None:
    error = refused(lambda: AveAuth(app, shared_verifier))

    assert (error.problem, error.field) == (Problem.NOT_AN_APPLICATION, "app")
