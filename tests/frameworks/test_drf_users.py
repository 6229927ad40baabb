"""REST framework without users of the project: permissions, throttles and tests that ask a user of Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import (
    DjangoModelPermissions,
    DjangoModelPermissionsOrAnonReadOnly,
    DjangoObjectPermissions,
    IsAdminUser,
    IsAuthenticated,
    IsAuthenticatedOrReadOnly,
)
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle, UserRateThrottle

from aveverify import Identity, Verifier, get_user_identity
from aveverify.django import IdentityUser
from aveverify.drf import Allow, HasAnyScope, HasScope
from tests.frameworks.drf_fixtures import Ask, Who, make_ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify.testing import FakeIssuer


@pytest.fixture
def ask(shared_verifier: Verifier) -> Ask:
    return make_ask(shared_verifier)


@pytest.fixture
def ada(shared_verifier: Verifier, tokens: dict[str, str]) -> Identity:
    return shared_verifier.verify(tokens["reader"])


# --- permissions of REST framework ----------------------------------------------------------------------------------


@pytest.mark.parametrize("middleware", [None, ["aveverify.django.AveAuthMiddleware"]], ids=["alone", "middleware"])
@pytest.mark.parametrize(
    ("permission", "get", "post", "anonymous"),
    [
        pytest.param(IsAuthenticated, 200, 200, 401, id="authenticated"),
        pytest.param(IsAdminUser, 403, 403, 401, id="staff"),
        pytest.param(IsAuthenticatedOrReadOnly, 200, 200, 200, id="authenticated or read only"),
        pytest.param(DjangoModelPermissions, 200, 403, 401, id="permissions of a model"),
        pytest.param(DjangoModelPermissionsOrAnonReadOnly, 200, 403, 200, id="of a model, or read only"),
        pytest.param(DjangoObjectPermissions, 200, 403, 401, id="permissions of an object"),
    ],
)
def test_a_token_is_a_user_without_permissions_of_django(  # noqa: PLR0913, PLR0917 - columns of a table
    ask: Ask,
    tokens: dict[str, str],
    permission: type,
    get: int,
    post: int,
    anonymous: int,
    middleware: list[str] | None,
) -> None:
    members = {"permission_classes": [permission], "queryset": User.objects.all(), "middleware": middleware}

    assert ask(tokens["good"], **members).status_code == get
    assert ask(tokens["good"], method="post", **members).status_code == post
    assert ask(**members).status_code == anonymous


def test_an_object_that_needs_a_permission_is_not_found(ask: Ask, tokens: dict[str, str]) -> None:
    """As REST framework answers every user who may not even read it."""

    class OfReaders(DjangoObjectPermissions):
        perms_map = DjangoObjectPermissions.perms_map | {"GET": ["auth.view_user"]}

    def get(view: APIView, request: Request) -> Response:
        view.permission_classes = [OfReaders]
        view.check_object_permissions(request, User(pk=1))
        raise NotImplementedError

    assert ask(tokens["good"], get=get, queryset=User.objects.all()).status_code == 404


# --- throttles ------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


class Daily(UserRateThrottle):
    """One request a day for each user."""

    rate = "1/day"


class DailyScoped(ScopedRateThrottle):
    """The same for each part of the API."""

    THROTTLE_RATES = {"notes": "1/day"}  # noqa: RUF012 - as REST framework declares it


class DailyAnonymous(AnonRateThrottle):
    """The same for each address without a user."""

    rate = "1/day"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("throttle", [Daily, DailyScoped], ids=["user", "scope"])
def test_a_throttle_counts_each_user_of_a_token_by_itself(ask: Ask, shared_issuer: FakeIssuer, throttle: type) -> None:
    members = {"throttle_classes": [throttle], "throttle_scope": "notes"}

    statuses = [
        ask(None if subject is None else shared_issuer.token(sub=subject), **members).status_code
        for subject in ("ada", "bob", None, "ada", "bob", None)
    ]

    assert statuses == [200, 200, 200, 429, 429, 429]


@pytest.mark.usefixtures("empty_cache")
def test_a_throttle_of_the_anonymous_leaves_tokens_alone(ask: Ask, tokens: dict[str, str]) -> None:
    statuses = [
        ask(token, throttle_classes=[DailyAnonymous]).status_code
        for token in (None, None, tokens["good"], tokens["good"])
    ]

    assert statuses == [200, 429, 200, 200]


@pytest.mark.usefixtures("empty_cache")
def test_a_throttled_request_is_no_refusal_of_its_token(ask: Ask, tokens: dict[str, str]) -> None:
    answers = [ask(tokens["good"], throttle_classes=[Daily]) for _ in range(2)]

    assert answers[1].status_code == 429
    assert "www-authenticate" not in answers[1].headers


# --- users that a test forces ---------------------------------------------------------------------------------------


def status_of(verifier: Verifier, *permissions: type, **forced: Any) -> int:
    """The status of a view with these permissions for a forced user."""
    view: Any = type("View", (Who,), {"permission_classes": permissions, "queryset": User.objects.all()})
    client = APIClient()
    client.force_authenticate(**forced)
    with override_settings(AVEVERIFY={"VERIFIER": verifier}, ROOT_URLCONF=(path("", view.as_view()),)):
        return int(client.post("/").status_code)


@pytest.mark.parametrize("form", ["user", "token", "both", "user of a token"])
@pytest.mark.parametrize(
    ("permission", "status"),
    [
        pytest.param(HasScope("read"), 200, id="its scope"),
        pytest.param(HasScope("write"), 403, id="another scope"),
        pytest.param(HasAnyScope("write", "read"), 200, id="one of two"),
        pytest.param(Allow(lambda identity: identity.subject == "ada"), 200, id="a predicate"),
        pytest.param(IsAdminUser, 403, id="staff"),
        pytest.param(DjangoModelPermissions, 403, id="permissions of a model"),
    ],
)
def test_a_forced_identity_counts_as_its_token_would(
    shared_verifier: Verifier, ada: Identity, permission: type, status: int, form: str
) -> None:
    forced: dict[str, Any] = {
        "user": {"user": ada},
        "token": {"token": ada},
        "both": {"user": ada, "token": ada},
        "user of a token": {"user": IdentityUser(ada), "token": ada},
    }[form]
    if form == "token" and permission is IsAdminUser:
        # Without a user REST framework asks nothing of it.
        assert status_of(shared_verifier, IsAuthenticated, **forced) == 403

    assert status_of(shared_verifier, permission, **forced) == status


@pytest.mark.parametrize("permission", [HasScope("read"), HasAnyScope("read"), Allow(lambda _: True)])
def test_a_forced_user_without_an_identity_has_no_scopes(shared_verifier: Verifier, permission: type) -> None:
    assert status_of(shared_verifier, permission, user=User(username="bob")) == 403
    assert status_of(shared_verifier, permission, user=User(username="bob"), token="some other token") == 403
    assert status_of(shared_verifier, IsAuthenticated, user=User(username="bob")) == 200


@pytest.mark.usefixtures("empty_cache")
def test_a_forced_identity_is_throttled_by_its_token_identifier(shared_verifier: Verifier, ada: Identity) -> None:
    view: Any = type("View", (Who,), {"throttle_classes": [Daily]})
    client = APIClient()
    client.force_authenticate(user=cast("Any", ada))

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, ROOT_URLCONF=(path("", view.as_view()),)):
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("forced", ["user", "token"])
def test_a_view_finds_a_forced_identity_where_it_finds_that_of_a_token(
    shared_verifier: Verifier, ada: Identity, forced: str
) -> None:
    seen: list[Identity | None] = []

    def get(_self: APIView, request: Request) -> Response:
        seen.extend((get_user_identity(request), request.auth, request.ave_identity))  # type: ignore[arg-type, attr-defined]
        return Response()

    request = APIRequestFactory().get("/")
    force_authenticate(request, **{forced: ada})  # type: ignore[arg-type] # an identity is a user, and a token
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        view: Any = type("View", (Who,), {"get": get})
        view.as_view()(request)

    assert seen == [ada, ada, ada]


def test_a_refusal_of_a_forced_identity_does_not_ask_for_the_scopes_of_the_settings(
    shared_verifier: Verifier, ada: Identity
) -> None:
    """Whether the token holds those, its authentication would have decided, which the test has replaced."""
    view: Any = type("View", (Who,), {"permission_classes": [HasScope("read")]})
    client = APIClient()
    client.force_authenticate(user=cast("Any", ada))

    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "SCOPES": ["openid"]}, ROOT_URLCONF=(path("", view.as_view()),)
    ):
        assert client.get("/").status_code == 200
