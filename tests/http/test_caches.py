"""HTP-050: no cache of a framework gives the page of one user to another, or to an anonymous client.

Three clients in turn send requests to every order of cache and integration, with the own caches of Django and Litestar.
Caches in front of an application, a site's cache or a proxy, read `Vary` and `Cache-Control`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.middleware.cache import UpdateCacheMiddleware
from django.template.response import SimpleTemplateResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.vary import vary_on_headers
from fastapi import FastAPI, Security, WebSocket
from fastapi import Request as FastApiRequest
from flask import Flask, stream_with_context
from flask import Response as FlaskResponse
from flask import request as flask_request
from litestar import Litestar, get, websocket
from litestar import Request as LitestarRequest
from litestar import WebSocket as WebSocketOfLitestar
from litestar import asgi as asgi_handler
from litestar.config.response_cache import ResponseCacheConfig
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from litestar.types import Receive as LitestarReceive  # noqa: TC002 - Litestar reads annotations
from litestar.types import Scope as LitestarScope  # noqa: TC002 - Litestar reads annotations
from litestar.types import Send as LitestarSend  # noqa: TC002 - Litestar reads annotations
from rest_framework.response import Response as DrfResponse
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient as StarletteClient
from werkzeug.test import Client as WsgiClient

from aveverify import AveVerifyError, ConfigurationError, Verifier, asgi, get_user_identity, wsgi
from aveverify import flask as ave_flask
from aveverify import starlette as ave_starlette
from aveverify._http.caching import make_private, mark, merge_vary, vary_of
from aveverify.django import ave_optional, ave_required
from aveverify.django._caches import patch_cache_middleware
from aveverify.django._settings import current_settings
from aveverify.drf import AveAuthentication
from aveverify.fastapi import AveAuth
from aveverify.litestar import AveAuthMiddleware, AveAuthPlugin, requires_authenticated, requires_scopes
from aveverify.litestar._routes import serve_identities_everywhere
from aveverify.sources import AuthorizationHeader, Cookie, QueryParameter, RequestHead, TokenSource, WebSocketProtocol
from aveverify.testing import FakeClock, FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

from tests.http.django_client import send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Client, Reply, Request, Server, bearer, http_scope, wsgi_environ

OURS = "aveverify.django.AveAuthMiddleware"
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
BOTH = "django.middleware.cache.CacheMiddleware"

ORIGIN = "https://app.test"
COOKIE = Cookie("session", allowed_origins=[ORIGIN])
VARY_OF_COOKIE = "Authorization, Cookie, Origin, Sec-Fetch-Site"


class Who(NamedTuple):
    """One who asks: the headers of the request, and the page that is theirs."""

    headers: dict[str, str]
    subject: str | None


Carry = Callable[[str], dict[str, str]]
CARRIERS: dict[str, Carry] = {
    "header": lambda token: {"Authorization": f"Bearer {token}"},
    "cookie": lambda token: {"Cookie": f"session={token}", "Sec-Fetch-Site": "same-origin"},
}
ORDERS = {
    "ada-first": ("ada", "grace", "anonymous", "ada"),
    "anonymous-first": ("anonymous", "grace", "ada", "anonymous"),
}


def page_of(request: Any) -> str:
    """A page that shows who asks."""
    identity = get_user_identity(request)
    return f"page of {identity.subject}" if identity else "anonymous page"


def page_for(who: Who) -> str:
    """The page that one of those who ask may see."""
    return f"page of {who.subject}" if who.subject else "anonymous page"


def plain(request: HttpRequest) -> HttpResponse:
    """A view behind the middleware, or under a decorator."""
    return HttpResponse(page_of(request))


async def plain_async(request: HttpRequest) -> HttpResponse:
    """The same, asynchronous."""
    return HttpResponse(page_of(request))


class Later(SimpleTemplateResponse):
    """A response that is rendered behind its view, and so stored later."""

    def __init__(self, page: str) -> None:
        super().__init__("page.html")
        self._page = page

    @property
    def rendered_content(self) -> str:
        """The page, in the place of a template."""
        return self._page


def rendered_later(request: HttpRequest) -> HttpResponse:
    """A view with such a response."""
    return Later(page_of(request))


class Shown(APIView):
    """A view of REST framework."""

    authentication_classes = (AveAuthentication,)
    permission_classes = ()

    def get(self, request: Any) -> DrfResponse:
        """Show who asks."""
        return DrfResponse(page_of(request))


class ShownFromCache(Shown):
    """A view whose method is behind the cache, and the authentication in front of it."""

    @method_decorator(cache_page(60))
    def get(self, request: Any) -> DrfResponse:
        """Show who asks."""
        return super().get(request)


class Order(NamedTuple):
    """One order of cache, integration and view."""

    view: Callable[..., Any]
    middleware: tuple[str, ...] = ()
    required: bool = False


cached = cache_page(60)
DJANGO_ORDERS = {
    "middleware-page": Order(cached(plain), (OURS,)),
    "middleware-page-async": Order(cached(plain_async), (OURS,)),
    "middleware-page-later": Order(cached(rendered_later), (OURS,)),
    "required-middleware-page": Order(cached(plain), (OURS,), required=True),
    "page-required": Order(cached(ave_required(plain)), required=True),
    "page-required-async": Order(cached(ave_required(plain_async)), required=True),
    "required-page": Order(ave_required(cached(plain)), required=True),
    "required-page-async": Order(ave_required(cached(plain_async)), required=True),
    "page-optional": Order(cached(ave_optional(plain))),
    "optional-page": Order(ave_optional(cached(plain))),
    "middleware-page-required": Order(cached(ave_required(plain)), (OURS,), required=True),
    "middleware-required-page": Order(ave_required(cached(plain)), (OURS,), required=True),
    "site-documented": Order(plain, (UPDATE, OURS, FETCH)),
    "site-documented-required": Order(ave_required(plain), (UPDATE, OURS, FETCH), required=True),
    "site-behind": Order(plain, (OURS, UPDATE, FETCH)),
    "site-in-front": Order(plain, (UPDATE, FETCH, OURS)),
    "site-in-front-required": Order(ave_required(plain), (UPDATE, FETCH, OURS), required=True),
    "site-mixed": Order(plain, (OURS, FETCH, UPDATE)),
    "site-one-behind": Order(plain, (OURS, BOTH)),
    "site-one-in-front": Order(plain, (BOTH, OURS)),
    "site-decorator": Order(ave_required(plain), (UPDATE, FETCH), required=True),
    "site-decorator-async": Order(ave_required(plain_async), (UPDATE, FETCH), required=True),
    "site-and-page": Order(cached(plain), (UPDATE, OURS, FETCH)),
    "drf-page": Order(cached(Shown.as_view())),
    "drf-method": Order(ShownFromCache.as_view()),
    "drf-site": Order(Shown.as_view(), (UPDATE, FETCH)),
    "drf-middleware-page": Order(cached(Shown.as_view()), (OURS,)),
    "public-page-required": Order(cached(ave_required(cache_control(public=True)(plain))), required=True),
    "public-required-page": Order(ave_required(cached(cache_control(public=True)(plain))), required=True),
    "max-age-page": Order(cached(cache_control(max_age=30)(plain)), (OURS,)),
    "vary-page": Order(cached(vary_on_headers("Accept-Language")(plain)), (OURS,)),
}


@contextmanager
def serve_django(order: Order, verifier: Verifier, **options: Any) -> Iterator[None]:
    """Configure Django for an order, with an empty cache."""
    cache.clear()
    settings = {"VERIFIER": verifier, "TOKEN_SOURCES": [AuthorizationHeader(), COOKIE], "REQUIRED": False, **options}
    if OURS in order.middleware and order.required and "site" not in str(order.middleware):
        settings["REQUIRED"] = order.required
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=list(order.middleware), ROOT_URLCONF=(path("", order.view),)):
        yield
    cache.clear()


ASK = {"wsgi": send_to_wsgi_handler, "asgi": send_to_asgi_handler}


def askers(tokens: dict[str, str], carry: Carry) -> dict[str, Who]:
    """Three who ask."""
    return {
        "ada": Who(carry(tokens["good"]), "ada"),
        "grace": Who(carry(tokens["other"]), "grace"),
        "anonymous": Who({}, None),
    }


@pytest.mark.parametrize("sequence", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("order", DJANGO_ORDERS.values(), ids=DJANGO_ORDERS)
def test_htp_050_no_page_of_djangos_cache_crosses_users(  # noqa: PLR0913, PLR0917 - what is asked, and how
    order: Order,
    carry: Carry,
    ask: Callable[[Request], Reply],
    sequence: tuple[str, ...],
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    people = askers(tokens, carry)
    with serve_django(order, shared_verifier):
        for name in sequence:
            who = people[name]
            reply = ask(Request(tuple(who.headers.items())))
            if who.subject is None and order.required:
                assert reply.status == 401
                assert reply.headers["cache-control"] == "no-store"
            else:
                # REST framework writes the page as JSON.
                assert (reply.status, reply.body.strip(b'"').decode()) == (200, page_for(who))
            assert names_in(VARY_OF_COOKIE) <= names_in(reply.headers["vary"])


def names_in(vary: str) -> set[str]:
    """The names in a `Vary`."""
    return {name.strip() for name in vary.split(",")}


class Silent:
    """A source that does not say what it reads: a header of its own."""

    is_ambient = False

    def read(self, head: RequestHead) -> bytes | None:
        """Read the header."""
        return next(iter(head.values(b"x-token")), None)


@pytest.mark.parametrize("sequence", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("order", DJANGO_ORDERS.values(), ids=DJANGO_ORDERS)
def test_htp_050_no_page_crosses_users_where_a_source_does_not_say_what_it_reads(
    order: Order, sequence: tuple[str, ...], shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    people = askers(tokens, lambda token: {"X-Token": token})
    with serve_django(order, shared_verifier, TOKEN_SOURCES=[Silent()]):
        for name in sequence:
            who = people[name]
            reply = get_django(who.headers)
            if who.subject is None and order.required:
                assert reply.status == 401
            else:
                assert (reply.status, reply.body.strip(b'"').decode()) == (200, page_for(who))
            assert "*" in names_in(reply.headers["vary"])


def get_django(headers: dict[str, str]) -> Reply:
    """Ask Django."""
    return send_to_wsgi_handler(Request(tuple(headers.items())))


@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize(
    "order",
    [order for name, order in DJANGO_ORDERS.items() if not name.startswith("public-page")],
    ids=[name for name in DJANGO_ORDERS if not name.startswith("public-page")],
)
def test_htp_050_no_page_of_djangos_cache_outlives_the_token(order: Order, carry: Carry, issuer: FakeIssuer) -> None:
    headers = carry(issuer.token(sub="ada"))
    clock = issuer.clock
    assert isinstance(clock, FakeClock)
    with issuer.verifier() as verifier, serve_django(order, verifier):
        assert get_django(headers).status == 200

        clock.tick(seconds=24 * 3600)

        assert get_django(headers).status == 401


def test_htp_050_an_anonymous_page_is_still_cached(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    calls: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        calls.append(page_of(request))
        return HttpResponse(calls[-1])

    with serve_django(Order(cached(view), (OURS,)), shared_verifier):
        for _ in range(2):
            assert get_django({}).body == b"anonymous page"
            assert get_django({"Authorization": f"Bearer {tokens['good']}"}).body == b"page of ada"

    assert calls == ["anonymous page", "page of ada", "page of ada"]


def test_htp_050_a_page_that_its_view_calls_public_is_kept_for_one_token(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    calls: list[str] = []

    @cache_control(public=True)
    def view(request: HttpRequest) -> HttpResponse:
        calls.append(page_of(request))
        return HttpResponse(calls[-1])

    with serve_django(Order(ave_required(cached(view)), required=True), shared_verifier):
        for kind in ("good", "other", "good", "other"):
            reply = get_django({"Authorization": f"Bearer {tokens[kind]}"})
            assert reply.body.decode() == f"page of {'ada' if kind == 'good' else 'grace'}"
            assert "private" not in reply.headers["cache-control"]

    assert calls == ["page of ada", "page of grace"]


@pytest.mark.parametrize("middleware", [(OURS,), (UPDATE, OURS, FETCH)], ids=["page", "site"])
def test_htp_050_the_page_of_a_deferred_refusal_is_for_no_other_request(
    middleware: tuple[str, ...], shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        try:
            return HttpResponse(page_of(request))
        except AveVerifyError:
            return HttpResponse("page of a refused token")

    order = Order(cached(view) if FETCH not in middleware else view, middleware)
    with serve_django(order, shared_verifier, ON_INVALID="defer"):
        for _ in range(2):
            assert get_django(dict(bearer(tokens["expired"]))).body == b"page of a refused token"
            assert get_django(dict(bearer(tokens["good"]))).body == b"page of ada"
            assert get_django({}).body == b"anonymous page"


def test_htp_050_what_is_exempt_says_nothing_of_credentials(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    with serve_django(Order(plain, (OURS,)), shared_verifier, EXEMPT=["/"]):
        headers = get_django({"Authorization": f"Bearer {tokens['good']}"}).headers

    assert "vary" not in headers
    assert "cache-control" not in headers


def test_htp_050_a_view_of_rest_framework_without_our_middleware_tells_caches_in_front(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with serve_django(Order(Shown.as_view()), shared_verifier, TOKEN_SOURCES=[AuthorizationHeader()]):
        assert [get_django(headers).headers["vary"] for headers in ({}, dict(bearer(tokens["good"])))] == [
            "Authorization",
            "Authorization",
        ]
        assert get_django(dict(bearer(tokens["expired"]))).headers["vary"] == "Authorization"


def test_htp_050_a_view_that_returns_no_response_is_told_so_by_django(shared_verifier: Verifier) -> None:
    def forgets(_request: HttpRequest) -> None:
        return None

    with (
        serve_django(Order(ave_optional(forgets)), shared_verifier),
        pytest.raises(ValueError, match="didn't return an HttpResponse"),
    ):
        get_django({})


def test_htp_050_teaching_djangos_cache_twice_changes_nothing(shared_verifier: Verifier) -> None:
    with serve_django(Order(plain, (OURS,)), shared_verifier):
        get_django({})
        once = UpdateCacheMiddleware.process_response
        patch_cache_middleware()

    assert UpdateCacheMiddleware.process_response is once


@pytest.mark.parametrize(
    ("middleware", "named"),
    [
        ([UPDATE, FETCH, OURS], [FETCH]),
        ([BOTH, OURS], [BOTH]),
        ([UPDATE, OURS, FETCH], []),
        ([OURS, UPDATE, FETCH], []),
        ([UPDATE, FETCH], []),
        (["nowhere.Middleware", "tests.http.test_caches.plain", OURS], []),
    ],
    ids=["site", "one", "documented", "behind", "without-ours", "other"],
)
def test_htp_050_a_cache_in_front_of_the_middleware_is_warned_of(
    middleware: list[str], named: list[str], shared_verifier: Verifier
) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, MIDDLEWARE=middleware):
        messages = [message.msg for message in run_checks() if message.id == "aveverify.W005"]

    assert [message.split(" ")[0] for message in messages] == named


# --- Litestar -------------------------------------------------------------------------------------------------------


class Caching(NamedTuple):
    """How a handler of Litestar is cached."""

    handler: dict[str, Any]
    config: ResponseCacheConfig = ResponseCacheConfig()


def key_of_path(request: LitestarRequest[Any, Any, Any]) -> str:
    """A key builder of an application."""
    return request.url.path


CACHING = {
    "seconds": Caching({"cache": 60}),
    "default": Caching({"cache": True}),
    "own-key": Caching({"cache": 60, "cache_key_builder": key_of_path}),
    "key-of-config": Caching({"cache": 60}, ResponseCacheConfig(key_builder=key_of_path)),
}
Install = Callable[[Verifier], dict[str, Any]]
OPTIONS: dict[str, Any] = {"required": False, "token_sources": [AuthorizationHeader(), COOKIE]}
INSTALL: dict[str, Install] = {
    "plugin": lambda verifier: {"plugins": [AveAuthPlugin(verifier, **OPTIONS)]},
    "middleware": lambda verifier: {"middleware": [AveAuthMiddleware.define(verifier, **OPTIONS)]},
}


def serve_litestar(caching: Caching, calls: list[str], **settings: Any) -> Litestar:
    """An application whose one handler is cached."""

    @get("/", media_type="text/plain", **caching.handler)
    async def shown(request: LitestarRequest[Any, Any, Any]) -> str:
        try:
            calls.append(page_of(request))
        except AveVerifyError:
            calls.append("page of a refused token")
        return calls[-1]

    return Litestar([shown], response_cache_config=caching.config, logging_config=None, **settings)


@pytest.mark.parametrize("sequence", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("install", INSTALL.values(), ids=INSTALL)
@pytest.mark.parametrize("caching", CACHING.values(), ids=CACHING)
def test_htp_050_no_page_of_litestars_cache_crosses_users(  # noqa: PLR0913, PLR0917 - what is asked, and how
    caching: Caching,
    install: Install,
    carry: Carry,
    sequence: tuple[str, ...],
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    calls: list[str] = []
    people = askers(tokens, carry)
    with TestClient(serve_litestar(caching, calls, **install(shared_verifier))) as client:
        for name in sequence * 2:
            answer = client.get("/", headers=people[name].headers)
            assert answer.text == page_for(people[name])
            assert answer.headers["vary"] == VARY_OF_COOKIE
            assert answer.headers.get("cache-control") == (None if people[name].subject is None else "private")

    # Once for each of the three, so that the cache is still one.
    assert sorted(calls) == ["anonymous page", "page of ada", "page of grace"]


def test_htp_050_the_cache_of_a_mounted_litestar_is_kept_apart_by_the_integration_in_front(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    calls: list[str] = []

    @websocket("/socket")
    async def listen(socket: WebSocketOfLitestar[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.close()

    mounted = serve_litestar(CACHING["own-key"], calls)
    mounted.register(listen)
    app = Litestar(
        [asgi_handler("/inner", is_mount=True, copy_scope=True)(cast("Any", mounted))],
        plugins=[AveAuthPlugin(shared_verifier, required=False)],
        logging_config=None,
    )
    people = askers(tokens, CARRIERS["header"])
    with TestClient(app) as client:
        for name in ORDERS["ada-first"] * 2:
            answer = client.get("/inner/", headers=people[name].headers)
            assert answer.text == page_for(people[name])


@pytest.mark.parametrize("copies", [True, False])
def test_htp_050_the_cache_of_a_litestar_behind_a_mounted_function_is_kept_apart(
    copies: bool,  # noqa: FBT001 - a column of a table
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    @get("/page", cache=60)
    async def page(request: LitestarRequest[Any, Any, Any]) -> str:
        identity = get_user_identity(request)
        return "none" if identity is None else identity.subject

    mounted = Litestar([page], logging_config=None)

    @asgi_handler("/inner", is_mount=True, copy_scope=copies)
    async def inner(scope: LitestarScope, receive: LitestarReceive, send: LitestarSend) -> None:
        await mounted(scope, receive, send)

    app = Litestar([inner], plugins=[AveAuthPlugin(shared_verifier, required=False)], logging_config=None)
    with TestClient(app) as client:
        for _ in range(2):
            answers = [client.get("/inner/page", headers=dict(bearer(tokens[kind]))).text for kind in ("good", "other")]
            assert [*answers, client.get("/inner/page").text] == ["ada", "grace", "none"]


def test_htp_050_teaching_litestars_routes_twice_changes_nothing() -> None:
    handle = HTTPRoute.handle

    serve_identities_everywhere()

    assert HTTPRoute.handle is handle


def test_htp_050_a_page_of_flask_that_is_asked_for_while_it_is_sent_is_marked(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app = Flask(__name__)
    ave_flask.AveAuth(app, shared_verifier, cache_headers=True, exempt=["/public"])

    def say() -> Iterator[str]:
        identity = get_user_identity(flask_request)
        yield "none" if identity is None else identity.subject

    @app.get("/")
    @app.get("/public")
    def page() -> FlaskResponse:
        return FlaskResponse(stream_with_context(say()))

    @app.get("/file")
    def file() -> FlaskResponse:
        return FlaskResponse(iter([b"file"]), direct_passthrough=True)

    client = app.test_client()
    mine = client.get("/", headers=dict(bearer(tokens["good"])))
    assert (mine.text, mine.headers["Vary"], mine.headers["Cache-Control"]) == ("ada", "Authorization", "private")
    for path_of_all in ("/public", "/file"):
        assert "Vary" not in client.get(path_of_all).headers


def test_htp_050_a_second_auth_of_fastapi_is_marked_by_what_it_reads(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    by_header, by_cookie = AveAuth(shared_verifier), AveAuth(shared_verifier, token_sources=[COOKIE])
    app = FastAPI()
    for auth in (by_header, by_cookie, by_cookie):
        auth.install(app)

    @app.get("/", dependencies=[Security(by_cookie)])
    def page() -> str:
        return "mine"

    answer = StarletteClient(app).get("/", headers={"Cookie": f"session={tokens['good']}", "Origin": ORIGIN})

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private")
    assert answer.headers["vary"] == "Cookie, Origin, Sec-Fetch-Site"


@pytest.mark.parametrize("install", INSTALL.values(), ids=INSTALL)
def test_htp_050_a_refused_token_gets_no_page_of_litestars_cache(
    install: Install, issuer: FakeIssuer, verifier: Verifier
) -> None:
    clock = issuer.clock
    assert isinstance(clock, FakeClock)
    headers = dict(bearer(issuer.token(sub="ada")))
    calls: list[str] = []
    with TestClient(serve_litestar(CACHING["seconds"], calls, **install(verifier))) as client:
        assert client.get("/", headers=headers).status_code == 200

        clock.tick(seconds=24 * 3600)

        assert client.get("/", headers=headers).status_code == 401


@pytest.mark.parametrize("guard", [requires_authenticated, requires_scopes("read")], ids=["authenticated", "scopes"])
def test_htp_050_a_guard_keeps_litestars_cache_apart_behind_the_raw_middleware(
    guard: Any,
    shared_issuer: FakeIssuer,
    shared_verifier: Verifier,
) -> None:
    calls: list[str] = []
    app: Any = serve_litestar(CACHING["seconds"], calls, guards=[guard])
    with TestClient(asgi.AveAuthMiddleware(app, shared_verifier, required=False)) as client:  # type: ignore[type-var]
        for subject in ("ada", "grace", "ada"):
            token = shared_issuer.token(sub=subject, scope="read")
            assert client.get("/", headers=dict(bearer(token))).text == f"page of {subject}"
        assert client.get("/").status_code == 401


def test_htp_050_litestar_caches_no_page_of_a_deferred_refusal(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    calls: list[str] = []
    plugin = AveAuthPlugin(shared_verifier, required=False, on_invalid="defer")
    with TestClient(serve_litestar(CACHING["seconds"], calls, plugins=[plugin])) as client:
        for _ in range(2):
            answer = client.get("/", headers=dict(bearer(tokens["expired"])))
            assert answer.text == "page of a refused token"
            assert answer.headers["cache-control"] == "private"

    assert len(calls) == 2


def test_htp_050_no_path_that_a_stranger_chooses_makes_the_key_of_a_user(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def key_of_query(request: LitestarRequest[Any, Any, Any]) -> str:
        return request.query_params.get("key", "")

    calls: list[str] = []
    caching = Caching({"cache": 60, "cache_key_builder": key_of_query})
    app = serve_litestar(caching, calls, plugins=[AveAuthPlugin(shared_verifier, required=False)])
    with TestClient(app) as client:
        assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "page of ada"
        store: Any = app.stores.get("response_cache")
        (key,) = store._store
        for chosen in (key, key.removesuffix("|")):
            assert client.get("/", params={"key": chosen}).text == "anonymous page"


def test_htp_050_a_handler_of_litestar_without_credentials_says_nothing_of_them(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    calls: list[str] = []
    caching = Caching({"cache": 60, "exclude_from_auth": True})
    plugin = AveAuthPlugin(shared_verifier, required=True)
    with TestClient(serve_litestar(caching, calls, plugins=[plugin])) as client:
        answers = [client.get("/", headers=dict(bearer(tokens["good"]))) for _ in range(2)]

    assert [answer.text for answer in answers] == ["anonymous page"] * 2
    assert not {"vary", "cache-control"} & set(answers[1].headers)
    assert len(calls) == 1


# --- caches in front of an application ------------------------------------------------------------------------------


def send_to_flask_app(verifier: Verifier, request: Request, **options: Any) -> Reply:
    """Ask Flask for a page with further headers."""
    app = Flask(__name__)
    ave_flask.AveAuth(app, verifier, **options)

    @app.get("/")
    def shown() -> tuple[str, list[tuple[str, str]]]:
        return page_of(flask_request), [("Vary", "Accept"), ("Vary", "accept-language"), ("Cache-Control", "max-age=5")]

    @app.get("/plain")
    def unasked() -> str:
        return "page of all"

    answer = app.test_client().get(f"/{request.query}", headers=list(request.headers))
    return Reply(answer.status_code, dict(answer.headers.to_wsgi_list()), answer.data)


def send_to_wsgi_app(verifier: Verifier, request: Request, **options: Any) -> Reply:
    """Ask a WSGI application for a page with further headers."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        page = page_of(environ).encode()
        headers = [("Vary", "Accept"), ("Vary", "accept-language"), ("Cache-Control", "max-age=5")]
        start_response("200 OK", headers)
        return [page]

    integration = wsgi.AveAuthMiddleware(app, verifier, **options)
    # As Werkzeug's client reads it, several headers of one name in one value.
    answer = WsgiClient(integration).get(f"/{request.query}", headers=list(request.headers))
    return Reply(answer.status_code, dict(answer.headers.to_wsgi_list()), answer.data)


def send_to_starlette_app(verifier: Verifier, request: Request, **options: Any) -> Reply:
    """Ask Starlette for a page with further headers."""

    async def shown(request: StarletteRequest) -> PlainTextResponse:
        response = PlainTextResponse(page_of(request))
        response.headers.append("Vary", "Accept")
        response.headers.append("Vary", "accept-language")
        response.headers["Cache-Control"] = "max-age=5"
        return response

    app = Starlette(
        routes=[Route("/{path:path}", shown)],
        middleware=[Middleware(ave_starlette.AveAuthMiddleware, verifier=verifier, **options)],
    )
    answer = StarletteClient(app).get(f"/{request.query}", headers=dict(request.headers))
    return Reply(answer.status_code, dict(answer.headers), answer.content)


def send_to_fastapi_app(verifier: Verifier, request: Request, **options: Any) -> Reply:
    """Ask FastAPI for a page with further headers."""
    app, cache_headers = FastAPI(), options.pop("cache_headers", None)
    options.pop("required")
    ave = AveAuth(verifier, **options)
    ave.install(app, cache_headers=cache_headers)

    @app.get("/", dependencies=[Security(ave.optional)])
    async def shown(request: FastApiRequest) -> PlainTextResponse:
        response = PlainTextResponse(page_of(request))
        response.headers.append("Vary", "Accept")
        response.headers.append("Vary", "accept-language")
        response.headers["Cache-Control"] = "max-age=5"
        return response

    @app.get("/plain")
    async def unasked() -> str:
        return "page of all"

    answer = StarletteClient(app).get(f"/{request.query}", headers=dict(request.headers))
    return Reply(answer.status_code, dict(answer.headers), answer.content)


AskApp = Callable[..., Reply]
APPS: dict[str, AskApp] = {
    "flask": send_to_flask_app,
    "wsgi": send_to_wsgi_app,
    "starlette": send_to_starlette_app,
    "fastapi": send_to_fastapi_app,
}


@pytest.fixture(params=list(APPS.values()), ids=list(APPS))
def send_to_app(request: pytest.FixtureRequest) -> AskApp:
    """Ask an application in front of which a cache may stand."""
    ask: AskApp = request.param
    return ask


@pytest.mark.parametrize(
    ("options", "vary"),
    [
        ({"cache_headers": True}, "Accept, accept-language, Authorization"),
        ({"token_sources": [AuthorizationHeader(), COOKIE]}, f"Accept, accept-language, {VARY_OF_COOKIE}"),
    ],
    ids=["by-choice", "with-a-cookie"],
)
def test_htp_050_answers_tell_caches_in_front_by_which_headers_they_differ(
    send_to_app: AskApp, options: dict[str, Any], vary: str, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    signed_in = send_to_app(shared_verifier, Request(bearer(tokens["good"])), required=False, **options)
    anonymous = send_to_app(shared_verifier, Request(), required=False, **options)
    refused = send_to_app(shared_verifier, Request(bearer(tokens["expired"])), required=False, **options)

    assert (signed_in.body, lower(signed_in)["vary"]) == (b"page of ada", vary)
    assert lower(signed_in)["cache-control"] == "max-age=5, private"
    assert (anonymous.body, lower(anonymous)["vary"]) == (b"anonymous page", vary)
    assert lower(anonymous)["cache-control"] == "max-age=5"
    assert (refused.status, lower(refused)["cache-control"]) == (401, "no-store")
    assert lower(refused)["vary"] == vary.removeprefix("Accept, accept-language, ")


def lower(reply: Reply) -> dict[str, str]:
    """The headers of a reply by their names in lower case."""
    return {name.lower(): value for name, value in reply.headers.items()}


def test_htp_050_by_default_the_answers_to_an_authorization_header_are_left_as_they_are(
    send_to_app: AskApp, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    reply = send_to_app(shared_verifier, Request(bearer(tokens["good"])), required=False)

    assert lower(reply)["cache-control"] == "max-age=5"
    assert "Authorization" not in lower(reply)["vary"]


@pytest.mark.parametrize("name", ["flask", "wsgi", "starlette"])
def test_htp_050_exempt_paths_say_nothing_of_credentials(
    name: str, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    request = Request(bearer(tokens["good"]))
    reply = APPS[name](shared_verifier, request, required=True, exempt=["/"], cache_headers=True)

    assert (reply.status, lower(reply)["cache-control"]) == (200, "max-age=5")
    assert "Authorization" not in lower(reply)["vary"]


@pytest.mark.parametrize("name", ["flask", "fastapi"])
def test_htp_050_where_no_credentials_were_looked_at_nothing_is_said(
    name: str, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    request = Request(bearer(tokens["good"]), query="plain")
    reply = APPS[name](shared_verifier, request, required=False, cache_headers=True)

    assert reply.status == 200
    assert not {"vary", "cache-control"} & set(lower(reply))


def test_htp_050_an_answer_that_is_begun_anew_is_marked_as_the_first(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        error = LookupError()
        start_response("404 Not Found", [], (LookupError, error, error.__traceback__))
        return [b"not found"]

    integration = wsgi.AveAuthMiddleware(app, shared_verifier, required=True, cache_headers=True)
    server = Server()
    server.call(integration, wsgi_environ(Request(bearer(tokens["good"]))))

    assert server.reply.status == 404
    assert server.reply.headers == {"vary": "Authorization", "cache-control": "private"}


def test_htp_050_an_asgi_answer_without_headers_is_marked(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    async def app(_scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    for given, headers in (
        ((), [(b"vary", b"Authorization")]),
        (bearer(tokens["good"]), [(b"vary", b"Authorization"), (b"cache-control", b"private")]),
    ):
        integration = asgi.AveAuthMiddleware(app, shared_verifier, required=False, cache_headers=True)
        client = Client()
        client.call(integration, http_scope(Request(given)))
        assert client.sent[0]["headers"] == headers


def test_htp_050_a_backend_of_starlette_cannot_mark_answers_and_says_so(shared_verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ave_starlette.AveAuthBackend(shared_verifier, required=False, cache_headers=True)

    assert caught.value.field == "cache_headers"


@pytest.mark.parametrize("value", ["yes", 1, 0], ids=["text", "one", "zero"])
def test_cache_headers_is_true_or_false(value: Any, shared_verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wsgi.AveAuthMiddleware(lambda _environ, _start: [], shared_verifier, required=True, cache_headers=value)

    assert caught.value.field == "cache_headers"


def test_htp_050_where_no_header_of_a_request_decides_none_is_named(shared_verifier: Verifier) -> None:
    with serve_django(Order(plain, (OURS,)), shared_verifier, TOKEN_SOURCES=[WebSocketProtocol()], REQUIRED=True):
        assert "vary" not in get_django({}).headers
    with serve_django(Order(plain, (OURS,)), shared_verifier, TOKEN_SOURCES=[WebSocketProtocol()]):
        assert "vary" not in get_django({}).headers


def test_htp_050_an_exempt_view_of_rest_framework_says_nothing_of_credentials(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with serve_django(Order(Shown.as_view()), shared_verifier, EXEMPT=["/"]):
        assert "vary" not in get_django(dict(bearer(tokens["good"]))).headers


def test_websockets_of_fastapi_are_left_as_they_are(shared_verifier: Verifier) -> None:
    app = FastAPI()
    AveAuth(shared_verifier).install(app, cache_headers=True)

    @app.websocket("/")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    with StarletteClient(app).websocket_connect("/") as connection:
        assert connection.receive_text() == "hello"


def test_htp_050_a_framework_with_a_cache_of_its_own_always_marks_answers(shared_verifier: Verifier) -> None:
    plugin = AveAuthPlugin(shared_verifier, required=True, cache_headers=False)
    settings = {"VERIFIER": shared_verifier, "CACHE_HEADERS": False}
    with override_settings(AVEVERIFY=settings), pytest.raises(ConfigurationError) as of_django:
        current_settings.get()
    with pytest.raises(ConfigurationError) as of_litestar:
        serve_litestar(CACHING["seconds"], [], plugins=[plugin])

    assert of_django.value.field == 'AVEVERIFY["CACHE_HEADERS"]'
    assert of_litestar.value.field == "cache_headers"


@pytest.mark.parametrize("chosen", [True, None])
def test_what_says_the_same_as_the_default_is_no_mistake(
    chosen: bool | None,  # noqa: FBT001 - of the settings
    shared_verifier: Verifier,
) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier, "CACHE_HEADERS": chosen}):
        assert current_settings.get().policy.verifier is shared_verifier


# --- the words of HTTP ----------------------------------------------------------------------------------------------


class Named:
    """A source that says what it reads."""

    is_ambient = False
    request_headers: Any = ("X-Token", "authorization")

    def read(self, head: RequestHead) -> bytes | None:
        """Read nothing."""
        assert not head.query_string
        return None


class Unnamed:
    """A source that does not say what it reads."""

    is_ambient = False

    def read(self, head: RequestHead) -> bytes | None:
        """Read nothing."""
        assert not head.query_string
        return None


class Overriding(AuthorizationHeader):
    """A source whose class says only what that of its base reads."""

    def read(self, head: RequestHead) -> bytes | None:
        """Read another header."""
        assert not head.query_string
        return None


class Inheriting(Cookie):
    """A source that reads as its base does."""


def named(headers: Any) -> Named:
    """A source that says so by itself."""
    source = Named()
    source.request_headers = headers
    return source


@pytest.mark.parametrize(
    ("sources", "vary"),
    [
        ([AuthorizationHeader()], "Authorization"),
        ([AuthorizationHeader(), WebSocketProtocol(), QueryParameter()], "Authorization"),
        ([WebSocketProtocol(), QueryParameter()], ""),
        ([COOKIE], "Cookie, Origin, Sec-Fetch-Site"),
        ([AuthorizationHeader(), COOKIE], VARY_OF_COOKIE),
        ([AuthorizationHeader(), Named()], "authorization, X-Token"),
        ([AuthorizationHeader(), Unnamed()], "*"),
        ([Overriding()], "*"),
        ([Inheriting("session", allowed_origins=[ORIGIN])], "Cookie, Origin, Sec-Fetch-Site"),
        ([named(("X-Other",))], "X-Other"),
        ([named(None)], "*"),
        ([AuthorizationHeader(), named(["*"])], "*"),
        ([SimpleNamespace(is_ambient=False, read=Unnamed().read)], "*"),
    ],
    ids=[
        "header", "default", "websocket", "cookie", "both", "named", "unnamed", "overriding", "inheriting", "own",
        "none", "any", "without-class",
    ],
)  # fmt: skip
def test_htp_050_vary_names_what_the_sources_read(sources: list[TokenSource], vary: str) -> None:
    assert vary_of(sources) == vary


@pytest.mark.parametrize(
    "headers", ["X-Token", ["X Token"], ["X-Token\r\nSet-Cookie: a=b"], ["X-Token\n"], [""], [1], {"X-Token": 1}]
)
def test_what_a_source_says_of_its_headers_is_a_list_of_names(headers: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        vary_of([named(headers)])

    assert caught.value.field == "token_sources"


@pytest.mark.parametrize(
    ("present", "merged"),
    [
        (None, "Authorization, Cookie"),
        ("", "Authorization, Cookie"),
        ("Accept", "Accept, Authorization, Cookie"),
        ("AUTHORIZATION,cookie", "AUTHORIZATION, cookie"),
        ("Accept,, accept ,Cookie", "Accept, Cookie, Authorization"),
        ("*", "*"),
        ("Accept, *", "*"),
    ],
)
def test_a_vary_keeps_what_it_named(present: str | None, merged: str) -> None:
    assert merge_vary(present, "Authorization, Cookie") == merged


def test_a_vary_of_anything_names_nothing_else() -> None:
    assert merge_vary("Accept", "*") == "*"


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (None, "private"),
        ("", "private"),
        ("max-age=60", "max-age=60, private"),
        ("No-Cache", "No-Cache, private"),
        ('private="Set-Cookie"', 'private="Set-Cookie", private'),
        ("must-revalidate", "must-revalidate, private"),
        ("Private", "Private"),
        ("max-age=60, PUBLIC", "max-age=60, PUBLIC"),
        ("no-store", "no-store"),
        ("s-maxage=5", "s-maxage=5"),
    ],
)
def test_htp_050_an_answer_to_credentials_is_private_unless_its_application_has_decided(
    present: str | None, said: str
) -> None:
    assert make_private(present) == said


def test_what_no_header_decides_is_not_named() -> None:
    assert mark([("X-One", "1")], "", is_personal=False) == [("X-One", "1")]
