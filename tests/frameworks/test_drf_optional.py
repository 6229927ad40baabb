"""REST framework: views that also serve requests without a token, where all others need one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from django.test import AsyncClient, override_settings
from django.urls import include, path
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIClient
from rest_framework.views import APIView

from aveverify import ConfigurationError, Verifier
from aveverify.django import ave_optional
from aveverify.drf import AveAuthentication, HasScope, OptionalAveAuthentication, exception_handler
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rest_framework.request import Request

OURS = "aveverify.django.AveAuthMiddleware"
everywhere = pytest.mark.parametrize("middleware", [[OURS], []], ids=["middleware", "alone"])


def name_of(request: Request) -> Response:
    """Say who asks."""
    return Response(getattr(request.auth, "subject", "nobody"))


class Private(APIView):
    """A view that needs a token."""

    authentication_classes: Any = (AveAuthentication,)
    permission_classes: Any = (AllowAny,)

    def get(self, request: Request) -> Response:
        """Say who asks."""
        return name_of(request)

    post = get


class Feed(Private):
    """A view that also serves requests without."""

    authentication_classes = (OptionalAveAuthentication,)


class Mixed(Private):
    """One with another class in front."""

    authentication_classes = (SessionAuthentication, OptionalAveAuthentication)


class Generic(GenericAPIView):  # type: ignore[type-arg] # of no model
    """A generic view."""

    authentication_classes = (OptionalAveAuthentication,)
    permission_classes = (IsAuthenticatedOrReadOnly,)

    def get(self, request: Request) -> Response:
        """Say who asks."""
        return name_of(request)

    post = get


class Notes(viewsets.ViewSet):
    """A view set of which one action is optional."""

    authentication_classes = (AveAuthentication,)
    permission_classes = (AllowAny,)

    def list(self, request: Request) -> Response:
        """Say who asks."""
        return name_of(request)

    @action(detail=False, authentication_classes=[OptionalAveAuthentication])
    def public(self, request: Request) -> Response:
        """Say who asks."""
        return name_of(request)


@api_view(["GET"])
@authentication_classes([OptionalAveAuthentication])
@permission_classes([AllowAny])
def function(request: Request) -> Response:
    """Say who asks."""
    return name_of(request)


class OwnOptional(OptionalAveAuthentication):
    """A class of the project."""


router = SimpleRouter(trailing_slash=False)
router.register("notes", Notes, basename="notes")
ROUTES = (
    path("private", Private.as_view()),
    path("feed", Feed.as_view()),
    path("mixed", Mixed.as_view()),
    path("generic", Generic.as_view()),
    path("function", function),
    path("given", Private.as_view(authentication_classes=[OwnOptional])),
    path("decorated", ave_optional(Private.as_view())),
    path("scoped", Feed.as_view(permission_classes=[HasScope("read")])),
    path("members", Feed.as_view(permission_classes=[IsAuthenticated])),
    path("api/", include(router.urls)),
)
OPTIONAL = ["/feed", "/mixed", "/generic", "/function", "/given", "/decorated", "/api/notes/public"]


def ask(  # noqa: PLR0913 - what a request and a project may differ in
    verifier: Verifier,
    where: str,
    *,
    middleware: Sequence[str],
    token: str | None = None,
    method: str = "get",
    is_async: bool = False,
    **settings: object,
) -> Any:
    """Send a request to a project in which a token is required."""
    headers = dict(bearer(token) if token else ())
    with override_settings(
        AVEVERIFY={"VERIFIER": verifier, "REQUIRED": True} | settings, MIDDLEWARE=list(middleware), ROOT_URLCONF=ROUTES
    ):
        if is_async:
            return asyncio.run(getattr(AsyncClient(), method)(where, headers=headers))
        return getattr(APIClient(), method)(where, headers=headers)


@everywhere
@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("where", OPTIONAL)
def test_an_optional_view_reads_a_token_if_there_is_one(
    shared_verifier: Verifier,
    tokens: dict[str, str],
    where: str,
    is_async: bool,  # noqa: FBT001 - a column
    middleware: list[str],
) -> None:
    """HTP-036: optional is for requests without a token, never for a bad one."""
    given: dict[str, Any] = {"middleware": middleware, "is_async": is_async}

    anonymous = ask(shared_verifier, where, **given)
    assert (anonymous.status_code, anonymous.json()) == (200, "nobody")
    assert ask(shared_verifier, where, token=tokens["good"], **given).json() == "ada"
    assert ask(shared_verifier, where, token=tokens["expired"], **given).status_code == 401
    assert ask(shared_verifier, where, token=tokens["padded_base64"], **given).status_code == 400


@everywhere
@pytest.mark.parametrize("where", ["/private", "/api/notes"])
def test_every_other_view_needs_a_token(
    shared_verifier: Verifier, tokens: dict[str, str], where: str, middleware: list[str]
) -> None:
    assert ask(shared_verifier, where, middleware=middleware).status_code == 401
    assert ask(shared_verifier, where, middleware=middleware, token=tokens["good"]).status_code == 200


@everywhere
def test_the_permissions_of_an_optional_view_decide_about_anonymous_requests(
    shared_verifier: Verifier, tokens: dict[str, str], middleware: list[str]
) -> None:
    def status(where: str, method: str = "get", token: str | None = None) -> int:
        return int(ask(shared_verifier, where, middleware=middleware, method=method, token=token).status_code)

    assert [status("/generic"), status("/generic", "post"), status("/generic", "post", tokens["good"])] == [
        200,
        401,
        200,
    ]
    assert [status("/scoped"), status("/scoped", token=tokens["good"]), status("/scoped", token=tokens["reader"])] == [
        401,
        403,
        200,
    ]
    assert [status("/members"), status("/members", token=tokens["good"])] == [401, 200]


@everywhere
def test_the_scopes_of_the_settings_hold_for_an_optional_view(
    shared_verifier: Verifier, tokens: dict[str, str], middleware: list[str]
) -> None:
    def status(token: str | None) -> int:
        return int(ask(shared_verifier, "/feed", middleware=middleware, token=token, SCOPES=["read"]).status_code)

    assert [status(None), status(tokens["good"]), status(tokens["reader"])] == [200, 403, 200]


def test_a_path_of_the_settings_may_be_optional_too(shared_verifier: Verifier) -> None:
    assert ask(shared_verifier, "/private", middleware=[OURS], OPTIONAL=["/private"]).status_code == 200


def test_classes_that_a_view_chooses_by_itself_are_not_seen_by_the_middleware(shared_verifier: Verifier) -> None:
    """It refuses what it does not know."""

    class Choosing(Private):
        def get_authenticators(self) -> list[Any]:
            return [OptionalAveAuthentication()]

        def get_exception_handler(self) -> Any:
            return exception_handler

    routes = (path("", Choosing.as_view()),)
    for middleware, status in (([OURS], 401), ([], 200)):
        with override_settings(
            AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True}, MIDDLEWARE=middleware, ROOT_URLCONF=routes
        ):
            assert APIClient().get("/").status_code == status


class Chosen(Feed):
    """A view whose class says that it is optional, and which chooses other authenticators where there is a POST."""

    chosen: ClassVar[list[type[BaseAuthentication]]] = [AveAuthentication]

    def get_authenticators(self) -> list[Any]:
        """Choose them."""
        request: Any = self.request
        return [one() for one in self.chosen] if request.method == "POST" else super().get_authenticators()


class ChosenAtSetup(Feed):
    """One that chooses them before."""

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Choose them."""
        super().setup(request, *args, **kwargs)
        if request.method == "POST":
            vars(self)["authentication_classes"] = (AveAuthentication,)


class Lazy(Private):
    """One that chooses its classes by a property."""

    @property
    def authentication_classes(self) -> Any:  # type: ignore[override] # the point of the test
        """Choose them."""
        return [OptionalAveAuthentication]


@everywhere
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(Chosen.as_view(), id="in get_authenticators"),
        pytest.param(ChosenAtSetup.as_view(), id="in setup"),
        pytest.param(Feed.as_view(authentication_classes=[OptionalAveAuthentication, AveAuthentication]), id="both"),
    ],
)
def test_htp_036_a_strict_authenticator_is_not_overruled_by_the_classes_of_its_view(
    view: Any, middleware: list[str], shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True},
        MIDDLEWARE=middleware,
        ROOT_URLCONF=(path("", view), path("marked", ave_optional(view))),
    ):
        assert APIClient().post("/").status_code == 401
        assert APIClient().post("/", headers=dict(bearer(tokens["good"]))).json() == "ada"
        # A mark still counts.
        assert APIClient().post("/marked").status_code == 200


@everywhere
def test_the_classes_of_a_view_open_it_where_they_are_the_ones_that_authenticate(
    middleware: list[str], shared_verifier: Verifier
) -> None:
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True},
        MIDDLEWARE=middleware,
        ROOT_URLCONF=(path("", Chosen.as_view()),),
    ):
        assert APIClient().get("/").json() == "nobody"


@pytest.mark.parametrize("chosen", [[], [SessionAuthentication]], ids=["none", "sessions"])
def test_htp_036_what_the_classes_of_a_view_have_opened_is_closed_where_none_of_ours_authenticates(
    chosen: list[Any], shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True},
        MIDDLEWARE=[OURS],
        ROOT_URLCONF=(path("", type("View", (Chosen,), {"chosen": chosen}).as_view()),),  # type: ignore[attr-defined]
    ):
        refused = APIClient().post("/")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert APIClient().post("/", headers=dict(bearer(tokens["good"]))).status_code == 200


def test_classes_that_are_a_property_are_not_known_to_the_middleware(shared_verifier: Verifier) -> None:
    settings = {
        "AVEVERIFY": {"VERIFIER": shared_verifier, "REQUIRED": True},
        "ROOT_URLCONF": (path("", Lazy.as_view()),),
    }

    with override_settings(MIDDLEWARE=[OURS], **settings):
        assert APIClient().get("/").status_code == 401
    with override_settings(MIDDLEWARE=[], **settings), pytest.raises(ConfigurationError, match="nothing guards"):
        APIClient().get("/")
