"""Django: the decorators at methods and classes, synchronous and not, over WSGI and ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.generic import TemplateView
from rest_framework.views import APIView

from aveverify import ConfigurationError, Verifier, current_identity
from aveverify.django import ave_optional, ave_required
from aveverify.errors import Problem
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Reply, Request, bearer

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase
    from rest_framework.request import Request as DrfRequest

Send = Callable[..., Reply]
AnyView = Callable[..., Any]


def who(request: Any) -> HttpResponse:
    """Say who asks, by the request and by the context."""
    found = current_identity.get()
    assert found == request.ave_identity
    return HttpResponse(found.subject if found is not None else "nobody")


class Direct(View):
    """The decorator at a method."""

    @ave_required
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class DirectAsync(View):
    """The same at a coroutine function."""

    @ave_required
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class OtherNames(View):
    """The names of the parameters do not matter."""

    @ave_required(scopes=[])
    def get(this, asked: HttpRequest) -> HttpResponse:  # noqa: N805 - the point of the test
        """Answer."""
        return who(asked)


class Through(View):
    """Through `method_decorator`."""

    @method_decorator(ave_required)
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class ThroughAsync(View):
    """The same at a coroutine function."""

    @method_decorator(ave_required)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class ThroughSeveral(View):
    """With other decorators around it and under it."""

    @method_decorator([cache_page(0), ave_required, cache_page(0)])
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class Plain(View):
    """A class without a decorator."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class PlainAsync(View):
    """The same with a coroutine function."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return who(request)


class Dispatch(Plain):
    """The decorator at `dispatch`."""

    @ave_required
    def dispatch(  # type: ignore[override] # it is called by position
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Lead to a method."""
        return super().dispatch(request, *args, **kwargs)


class DispatchAsync(PlainAsync):
    """The same in front of a coroutine function."""

    @ave_required
    def dispatch(  # type: ignore[override] # it is called by position
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Lead to a method."""
        return super().dispatch(request, *args, **kwargs)


CLASSES: dict[str, Any] = {
    "at a method": Direct,
    "at a coroutine function": DirectAsync,
    "other names": OtherNames,
    "method_decorator": Through,
    "method_decorator, coroutine function": ThroughAsync,
    "method_decorator, several": ThroughSeveral,
    "name=dispatch": method_decorator(ave_required, name="dispatch")(type("Named", (Plain,), {})),
    "name=dispatch, coroutine function": method_decorator(ave_required, name="dispatch")(
        type("NamedAsync", (PlainAsync,), {})
    ),
    "name=get": method_decorator(ave_required, name="get")(type("Get", (Plain,), {})),
    "name=get, coroutine function": method_decorator(ave_required, name="get")(type("GetAsync", (PlainAsync,), {})),
    "at dispatch": Dispatch,
    "at dispatch, coroutine function": DispatchAsync,
}
VIEWS = {
    **{name: view.as_view() for name, view in CLASSES.items()},
    "around the class": ave_required(Plain.as_view()),
    "around the class, coroutine function": ave_required(PlainAsync.as_view()),
}
over_both = pytest.mark.parametrize("send", [send_to_wsgi_handler, send_to_asgi_handler], ids=["WSGI", "ASGI"])


@over_both
@pytest.mark.parametrize("middleware", [[], MIDDLEWARE], ids=["alone", "behind the middleware"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_method_is_guarded_wherever_the_decorator_stands(
    view: AnyView, middleware: list[str], send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def ask(kind: str | None) -> tuple[int, bytes | None]:
        reply = send(Request(bearer(tokens[kind]) if kind else ()))
        return reply.status, reply.body if reply.status == 200 else None

    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier}, MIDDLEWARE=middleware, ROOT_URLCONF=(path("", view),)
    ):
        assert [ask(kind) for kind in ("good", None, "expired")] == [(200, b"ada"), (401, None), (401, None)]


@over_both
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_dispatch_may_answer_by_itself(
    send: Send, shared_verifier: Verifier, tokens: dict[str, str], *, is_async: bool
) -> None:
    parent: Any = PlainAsync if is_async else Plain

    class Closed(parent):  # type: ignore[misc] # one of two
        @ave_required
        def dispatch(self, request: HttpRequest) -> HttpResponse:
            del request
            return HttpResponse("closed", status=410)

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, ROOT_URLCONF=(path("", Closed.as_view()),)):
        assert send(Request(bearer(tokens["good"]))).status == 410
        assert send(Request()).status == 401


@over_both
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_refusal_that_a_method_raises_is_answered(
    send: Send, shared_verifier: Verifier, tokens: dict[str, str], *, is_async: bool
) -> None:
    class Deferred(View):
        @ave_optional
        def get(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    class DeferredAsync(View):
        @ave_optional
        async def get(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    view = DeferredAsync if is_async else Deferred
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "ON_INVALID": "defer"}, ROOT_URLCONF=(path("", view.as_view()),)
    ):
        assert send(Request(bearer(tokens["expired"]))).status == 401
        assert send(Request()).body == b"nobody"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)], ids=len)
def test_htp_043_what_is_called_without_a_request_does_not_run(arguments: tuple[int, ...], *, is_async: bool) -> None:
    def view(*_arguments: object) -> HttpResponse:
        raise NotImplementedError

    async def view_async(*_arguments: object) -> HttpResponse:
        raise NotImplementedError

    guard: Any = ave_required(view_async if is_async else view)
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(guard(*arguments)) if is_async else guard(*arguments)

    assert caught.value.problem is Problem.NOT_A_VIEW
    assert "as_view()" in str(caught.value)


def test_a_request_may_be_passed_by_its_name(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    view: Any = ave_required(who)

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        assert view(request=RequestFactory().get("/", headers=dict(bearer(tokens["good"])))).content == b"ada"


def test_a_method_of_another_class_is_guarded_too(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """Such as a page of the admin."""

    class Pages:
        @ave_required
        def page(self, request: HttpRequest) -> HttpResponse:
            return who(request)

        @ave_required
        async def page_async(self, request: HttpRequest) -> HttpResponse:
            return who(request)

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        headers = dict(bearer(tokens["good"]))
        assert Pages().page(RequestFactory().get("/", headers=headers)).content == b"ada"
        assert asyncio.run(Pages().page_async(AsyncRequestFactory().get("/", headers=headers))).content == b"ada"
        assert Pages().page(RequestFactory().get("/")).status_code == 401


@over_both
@pytest.mark.parametrize("decorate", [ave_required, method_decorator(ave_required)], ids=["direct", "method_decorator"])
def test_a_method_of_rest_framework_sees_the_identity_of_its_request(
    decorate: Any, send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def get(_self: APIView, request: DrfRequest) -> HttpResponse:
        return who(request)

    members = {"get": decorate(get), "authentication_classes": (), "permission_classes": ()}
    view: Any = type("Api", (APIView,), members)
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, ROOT_URLCONF=(path("", view.as_view()),)):
        assert send(Request(bearer(tokens["good"]))).body == b"ada"
        assert send(Request()).status == 401


def test_a_generic_view_keeps_its_own_attributes(shared_verifier: Verifier) -> None:
    class Page(TemplateView):
        template_name = "none.html"

        @ave_required
        def get(  # type: ignore[override] # it is called by position
            self, request: HttpRequest, *args: Any, **kwargs: Any
        ) -> HttpResponse:
            raise NotImplementedError

    assert Page.get.__name__ == "get"
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        assert Page.as_view()(RequestFactory().get("/")).status_code == 401
