"""Django: views that also serve requests without a token, where REQUIRED demands one of all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from aveverify import AuthRecord, Verifier
from aveverify.django import AveAuthMiddleware, ave_optional, ave_required
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Headers, Reply, Request, bearer

Send = Callable[..., Reply]
AnyView = Callable[..., Any]
over_both = pytest.mark.parametrize("send", [send_to_wsgi_handler, send_to_asgi_handler], ids=["WSGI", "ASGI"])


def who(request: HttpRequest, /, **_arguments: object) -> HttpResponse:
    """Say who asks."""
    identity = vars(request)["ave_identity"]
    return HttpResponse(identity.subject if identity else "nobody")


async def who_async(request: HttpRequest, /, **_arguments: object) -> HttpResponse:
    """Say the same."""
    return who(request)


class Feed(View):
    """Everyone may read, and only users may write; nothing but the middleware guards the second."""

    @ave_optional
    def get(self, request: HttpRequest) -> HttpResponse:
        """Read."""
        return who(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Write."""
        return HttpResponse(f"written by {who(request).content.decode()}")

    delete = post


class FeedAsync(View):
    """The same with coroutine functions."""

    @method_decorator(ave_optional)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Read."""
        return who(request)

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Write."""
        return who(request)


class Comments(View):
    """Everyone may write; every method guards itself."""

    @ave_optional
    def get(self, request: HttpRequest) -> HttpResponse:
        """Read."""
        return who(request)

    post = get

    @ave_required
    def delete(self, request: HttpRequest) -> HttpResponse:
        """Delete."""
        return who(request)


class Letters(View):
    """Everyone may write; nothing guards the other method."""

    @ave_optional
    def post(self, request: HttpRequest) -> HttpResponse:
        """Write."""
        return who(request)

    def delete(self, request: HttpRequest) -> HttpResponse:
        """Delete."""
        return who(request)


class OwnDispatch(Feed):
    """A class that may run anything."""

    def dispatch(self, request: HttpRequest, *_args: object, **_kwargs: object) -> HttpResponse:
        """Run another method."""
        return self.post(request)


class OwnSetup(Feed):
    """A class that takes its method from a parameter."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Change the method."""
        super().setup(request, *args, **kwargs)
        request.method = request.GET.get("do", request.method)


class Narrow(Feed):
    """A class that serves one method, unless a route says more."""

    http_method_names = ["get"]  # noqa: RUF012 - as Django writes it


def hiding(view: AnyView) -> AnyView:
    """A decorator that does not pass marks on."""

    def call(request: HttpRequest, **arguments: object) -> object:
        return view(request, **arguments)

    return call


@contextmanager
def project(
    verifier: Verifier, *routes: object, middleware: list[str] = MIDDLEWARE, **settings: object
) -> Iterator[None]:
    """A project that requires tokens, with these routes."""
    configured = {"VERIFIER": verifier, "REQUIRED": True} | settings
    with override_settings(AVEVERIFY=configured, MIDDLEWARE=middleware, ROOT_URLCONF=routes):
        yield


OPTIONAL = {
    "function": ave_optional(who),
    "coroutine function": ave_optional(who_async),
    "under decorators of Django": csrf_exempt(require_GET(cache_page(0)(ave_optional(who)))),
    "around a class": ave_optional(Feed.as_view()),
    "at a method": Feed.as_view(),
    "at a method, coroutine function": FeedAsync.as_view(),
    "at dispatch": method_decorator(ave_optional, name="dispatch")(type("Named", (Feed,), {})).as_view(),  # type: ignore[attr-defined]
    "with scopes": ave_optional(scopes=[], allow=lambda _identity: True)(who),
}
NOT_OPTIONAL = {
    "function": who,
    "required": ave_required(who),
    "required around optional": ave_required(ave_optional(who)),
    "hidden by a decorator": hiding(ave_optional(who)),
    "partial": partial(ave_optional(who)),
    "a class with a dispatch of its own": OwnDispatch.as_view(),
    "a class that is required as a whole": ave_required(Feed.as_view()),
}


@over_both
@pytest.mark.parametrize("view", OPTIONAL.values(), ids=OPTIONAL)
def test_a_view_that_is_marked_optional_serves_requests_without_a_token(
    view: AnyView, send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-036: a bad token is refused there, too."""
    with project(shared_verifier, path("", view)):
        assert send(Request()).body == b"nobody"
        assert send(Request(bearer(tokens["good"]))).body == b"ada"
        assert send(Request(bearer(tokens["expired"]))).status == 401
        assert send(Request((("Authorization", "Bearer a b"),))).status == 400


@over_both
@pytest.mark.parametrize("view", NOT_OPTIONAL.values(), ids=NOT_OPTIONAL)
def test_every_other_view_needs_a_token(view: AnyView, send: Send, shared_verifier: Verifier) -> None:
    with project(shared_verifier, path("", view)):
        assert send(Request()).status == 401


def test_what_is_no_view_needs_a_token(shared_verifier: Verifier) -> None:
    """The answer does not tell which paths exist."""
    with project(shared_verifier, path("", ave_optional(who))):
        assert send_to_wsgi_handler(Request(), PATH_INFO="/nowhere").status == 401
        assert send_to_asgi_handler(Request(), path="/nowhere").status == 401


METHODS = [
    pytest.param(Feed, "GET", (), "", 200, id="the method that is marked"),
    pytest.param(Feed, "HEAD", (), "", 200, id="HEAD runs the method of GET"),
    pytest.param(Feed, "POST", (), "", 401, id="another method"),
    pytest.param(Feed, "DELETE", (), "", 401, id="a third one"),
    pytest.param(Feed, "PUT", (), "", 401, id="no method of the class"),
    pytest.param(Feed, "OPTIONS", (), "", 401, id="OPTIONS without a mark"),
    pytest.param(Feed, "GET", (("X-HTTP-Method-Override", "DELETE"),), "", 401, id="HTP-027: overridden by a header"),
    pytest.param(Feed, "GET", (), "_method=DELETE", 401, id="HTP-027: overridden by a parameter"),
    pytest.param(Letters, "POST", (), "", 401, id="HTP-027: a form may override the method"),
    pytest.param(OwnSetup, "GET", (), "do=DELETE", 401, id="a class that takes its method from a parameter"),
    pytest.param(OwnSetup, "GET", (), "", 401, id="such a class without the parameter"),
    pytest.param(Comments, "POST", (), "", 200, id="a form in a class whose methods are all guarded"),
    pytest.param(Comments, "GET", (), "_method=DELETE", 200, id="an override in such a class"),
    pytest.param(Comments, "DELETE", (), "", 401, id="a required method"),
]


@over_both
def test_a_route_may_name_more_methods_than_its_class(send: Send, shared_verifier: Verifier) -> None:
    """A form may override the method by one that only the route names."""
    overriding = Request((("X-HTTP-Method-Override", "DELETE"),))

    with project(shared_verifier, path("", Narrow.as_view())):
        assert send(overriding).status == 200
    with project(shared_verifier, path("", Narrow.as_view(http_method_names=["get", "delete"]))):
        assert send(overriding).status == 401


@over_both
@pytest.mark.parametrize(("view", "method", "headers", "query", "status"), METHODS)
def test_a_mark_at_a_method_counts_for_that_method_alone(  # noqa: PLR0913, PLR0917 - columns of a table
    view: type[View], method: str, headers: Headers, query: str, status: int, send: Send, shared_verifier: Verifier
) -> None:
    with project(shared_verifier, path("", view.as_view())):
        assert send(Request(headers, method=method, query=query)).status == status


def make_moving(move: Callable[[HttpRequest], object]) -> AnyView:
    """A middleware, not ours, that changes a request."""

    def make(get_response: AnyView) -> AnyView:
        def serve(request: HttpRequest) -> object:
            move(request)
            return get_response(request)

        return serve

    return make


def to_secret(request: HttpRequest) -> None:
    """Lead to another path."""
    request.path_info = "/secret"


def to_other_routes(request: HttpRequest) -> None:
    """Lead to another list of routes."""
    request.urlconf = (path("", who),)  # type: ignore[assignment] # a module's name, its list, or this


def to_delete(request: HttpRequest) -> None:
    """Lead to another method."""
    request.method = "DELETE"


moving_path = make_moving(to_secret)
moving_routes = make_moving(to_other_routes)
moving_method = make_moving(to_delete)


@over_both
@pytest.mark.parametrize("moving", ["moving_path", "moving_routes", "moving_method"])
def test_the_view_that_runs_must_be_the_one_that_is_marked(moving: str, send: Send, shared_verifier: Verifier) -> None:
    """A middleware behind ours may lead the request to another view."""
    routes = path("", Feed.as_view()), path("secret", who)

    with project(shared_verifier, *routes, middleware=[*MIDDLEWARE, f"{__name__}.{moving}"]):
        assert send(Request()).status == 401
    with project(shared_verifier, *routes, middleware=[f"{__name__}.{moving}", *MIDDLEWARE]):
        assert send(Request()).status == 401


def to_feed(request: HttpRequest) -> None:
    """Choose the list of routes."""
    request.urlconf = (path("", ave_optional(who)),)  # type: ignore[assignment] # a module's name, its list, or this


choosing_routes = make_moving(to_feed)


def unregistered(get_response: AnyView) -> AnyView:
    """A function that calls our middleware: Django sees nothing of its other methods."""
    ours = AveAuthMiddleware(get_response)

    def serve(request: HttpRequest) -> Any:
        return ours(request)

    async def serve_async(request: HttpRequest) -> Any:
        return await cast("Any", ours(request))

    return serve_async if iscoroutinefunction(get_response) else serve


unregistered.async_capable = True  # type: ignore[attr-defined]


class Silent(AveAuthMiddleware):
    """A subclass that replaces what checks the views."""

    def process_view(self, *_arguments: object) -> None:
        """Do nothing."""

    async def _process_view_async(self, *_arguments: object) -> None:
        """Do nothing."""


class ToDelete:
    """A middleware that changes the method once the view is chosen."""

    sync_capable = async_capable = True

    def __init__(self, get_response: AnyView) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Serve."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_arguments: object) -> None:
        """Change it."""
        request.method = "DELETE"


@over_both
@pytest.mark.parametrize("ours", ["unregistered", "Silent"], ids=["in a function", "a subclass"])
@pytest.mark.parametrize("moving", ["moving_path", "moving_routes", "moving_method"])
def test_htp_036_the_view_is_checked_where_django_does_not_call_process_view(
    moving: str, ours: str, send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """A function that wraps our middleware, and a subclass of it, keep the views that are not marked closed."""
    routes = path("", Feed.as_view()), path("secret", who)
    middleware = [f"{__name__}.{ours}"]

    with project(shared_verifier, *routes, middleware=[*middleware, f"{__name__}.{moving}"]):
        refused = send(Request())
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert send(Request(bearer(tokens["good"]))).status == 200
    with project(shared_verifier, *routes, middleware=middleware):
        assert send(Request()).body == b"nobody"


@over_both
def test_no_other_middleware_answers_where_a_view_is_refused(send: Send, shared_verifier: Verifier) -> None:
    """CsrfViewMiddleware would answer 403, without a challenge."""
    middleware = [*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware", f"{__name__}.moving_path"]

    with project(shared_verifier, path("", ave_optional(who)), path("secret", who), middleware=middleware):
        assert send(Request(method="POST")).status == 401


@over_both
def test_the_method_is_checked_after_the_middleware_in_front_has_chosen_it(
    send: Send, shared_verifier: Verifier
) -> None:
    with project(shared_verifier, path("", Feed.as_view()), middleware=[f"{__name__}.ToDelete", *MIDDLEWARE]):
        assert send(Request()).status == 401


@over_both
def test_a_middleware_in_front_may_choose_the_routes(send: Send, shared_verifier: Verifier) -> None:
    with project(shared_verifier, path("", who), middleware=[f"{__name__}.choosing_routes", *MIDDLEWARE]):
        assert send(Request()).body == b"nobody"
    with project(shared_verifier, path("", who), middleware=[*MIDDLEWARE, f"{__name__}.choosing_routes"]):
        assert send(Request()).status == 401


def test_a_view_of_an_included_list_is_found(shared_verifier: Verifier) -> None:
    inner = ([path("<int:number>", ave_optional(who)), path("all", who)], "inner")

    with project(shared_verifier, path("feed/", include(inner))):
        statuses = [send_to_wsgi_handler(Request(), PATH_INFO=where).status for where in ("/feed/7", "/feed/all")]

    assert statuses == [200, 401]


@pytest.mark.parametrize("routes", [None, ()], ids=["no list", "an empty list"])
def test_a_project_without_routes_refuses_every_request_without_a_token(
    shared_verifier: Verifier, routes: object
) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True}, ROOT_URLCONF=routes):
        answer: Any = AveAuthMiddleware(who)(RequestFactory().get("/"))

    assert answer.status_code == 401


@over_both
def test_paths_may_be_optional_by_the_settings(send: Send, shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    with project(shared_verifier, path("", who), path("me", who), OPTIONAL=["/"]):
        assert send(Request()).body == b"nobody"
        assert send(Request(bearer(tokens["good"]))).body == b"ada"
        assert send(Request(bearer(tokens["expired"]))).status == 401
    with project(shared_verifier, path("", who), OPTIONAL=["/me"]):
        assert send(Request()).status == 401


RECORDS: list[AuthRecord] = []
recording = make_moving(lambda request: RECORDS.append(AuthRecord.begin(request)))


@over_both
def test_what_stands_in_front_is_told_of_the_refusal(send: Send, shared_verifier: Verifier) -> None:
    """HTP-037."""
    RECORDS.clear()
    middleware = [f"{__name__}.recording", *MIDDLEWARE, f"{__name__}.moving_path"]
    with project(shared_verifier, path("", ave_optional(who)), path("secret", who), middleware=middleware):
        assert send(Request()).status == 401

    assert [record.refusal and record.refusal.error_code for record in RECORDS] == ["unauthorized"]
