"""The types of `request` in the views of Django."""

from __future__ import annotations

from typing import assert_type

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from aveverify import Identity, get_user_identity
from aveverify.django import AveOptionalRequest, AveRequest, ave_optional, ave_required


@ave_required
def bare(request: AveRequest, number: int) -> JsonResponse:
    """Behind `ave_required` there is an identity."""
    assert_type(request.ave_identity, Identity)
    assert_type(get_user_identity(request), Identity | None)
    return JsonResponse({"number": number})


@ave_required(scopes=["read"])
async def with_scopes(request: AveRequest) -> HttpResponse:
    """A coroutine function stays one."""
    return HttpResponse(request.ave_identity.subject)


@ave_optional
def optional(request: AveOptionalRequest) -> HttpResponse:
    """Behind `ave_optional` there may be none."""
    assert_type(request.ave_identity, Identity | None)
    return HttpResponse(request.ave_identity.subject)  # type: ignore[union-attr]


@ave_optional
def plain(request: HttpRequest) -> HttpResponse:
    """A view may leave the type of its request as it is."""
    return HttpResponse(request.path)


@ave_optional  # type: ignore[arg-type]
def too_trusting(request: AveRequest) -> HttpResponse:
    """A view that needs an identity cannot be optional."""
    return HttpResponse(request.ave_identity.subject)


class Page(View):
    """A view of a class."""

    @method_decorator(ave_required)
    def get(self, request: AveRequest) -> HttpResponse:
        """Its request is typed, too."""
        return HttpResponse(request.ave_identity.subject)


urlpatterns = [
    path("<int:number>", bare),
    path("scopes", with_scopes),
    path("optional", optional),
    path("plain", plain),
    path("page", Page.as_view()),
]


async def check(request: HttpRequest) -> None:
    """The types that come out."""
    assert_type(bare(request, 7), JsonResponse)
    assert_type(await with_scopes(request), HttpResponse)
    bare(request, "seven")  # type: ignore[arg-type]
    ave_required(scope="read")  # type: ignore[call-overload]


class Direct(View):
    """A view of a class, with the decorators at its methods."""

    @ave_required
    def get(self, request: AveRequest, number: int) -> HttpResponse:
        """There is an identity."""
        assert_type(request.ave_identity, Identity)
        return HttpResponse(number)

    @ave_optional(any_scopes=["read", "admin"])
    async def post(self, request: AveOptionalRequest) -> JsonResponse:
        """There may be none."""
        assert_type(request.ave_identity, Identity | None)
        return JsonResponse({})

    @ave_optional  # type: ignore[arg-type]
    def put(self, request: AveRequest) -> HttpResponse:  # type: ignore[misc]
        """A method that needs an identity cannot be optional."""
        return HttpResponse(request.ave_identity.subject)


async def is_pro(identity: Identity) -> bool:
    """A predicate."""
    return bool(identity.get("plan") == "pro")


@ave_required(allow=is_pro)
def for_pros(request: AveRequest) -> JsonResponse:
    """A view for some users."""
    return JsonResponse(dict(request.ave_identity.to_convex()))


async def check_methods(request: HttpRequest) -> None:
    """The types that come out."""
    assert_type(Direct().get(request, 7), HttpResponse)
    assert_type(await Direct().post(request), JsonResponse)
    assert_type(for_pros(request), JsonResponse)
    ave_required(allow=7)  # type: ignore[call-overload]
