"""REST framework: scopes and predicates as permissions, alone and combined, and how OpenAPI describes them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.permissions import NOT, AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request as DrfRequest
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIClient, APIRequestFactory

from aveverify import ConfigurationError, Identity, Verifier
from aveverify.drf import Allow, AveAuthentication, HasAnyScope, HasScope, HasScopes, OptionalAveAuthentication
from aveverify.drf._permissions import patch_negation
from aveverify.errors import Problem
from tests.frameworks.drf_fixtures import Ask, Who, make_ask
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify.testing import FakeIssuer


@pytest.fixture
def ask(shared_verifier: Verifier) -> Ask:
    return make_ask(shared_verifier)


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    return is_pro(identity)


class Never(BasePermission):
    """A permission of the project that refuses."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Refuse."""
        del request, view
        return False


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        pytest.param("admin", 200, id="one of the two"),
        pytest.param("editor", 200, id="the other"),
        pytest.param("editor admin", 200, id="both"),
        pytest.param("administrator", 403, id="a longer name"),
        pytest.param("", 403, id="none"),
        pytest.param(None, 401, id="no token"),
    ],
)
def test_one_of_several_scopes_is_enough(ask: Ask, shared_issuer: FakeIssuer, scope: str | None, status: int) -> None:
    token = None if scope is None else shared_issuer.token(scope=scope)

    answer = ask(token, permission_classes=[HasAnyScope("admin", "editor")])

    assert answer.status_code == status
    if status != 200:
        assert answer.headers["www-authenticate"].endswith('scope="admin editor"')


def test_scopes_stand_in_the_claims_of_the_settings(ask: Ask, shared_issuer: FakeIssuer) -> None:
    settings = {"SCOPE_CLAIMS": ["scp", "permissions"]}

    def statuses(*permissions: type[BasePermission]) -> list[int]:
        return [
            ask(shared_issuer.token(claims), settings=settings, permission_classes=permissions).status_code
            for claims in ({"scp": "read"}, {"permissions": ["read"]}, {"scope": "read"})
        ]

    assert statuses(HasScope("read")) == [200, 200, 403]
    assert statuses(HasAnyScope("write", "read")) == [200, 200, 403]


def test_a_challenge_names_the_scopes_of_the_settings_too(
    ask: Ask, shared_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6750 §3: a token with all of them is enough."""
    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        answer = ask(
            shared_issuer.token(scope="openid", permissions=["admin"]),
            settings={"SCOPES": ["openid"]},
            permission_classes=[HasAnyScope("admin", "editor")],
        )

    assert answer.headers["www-authenticate"].endswith('scope="openid admin editor"')
    assert "required openid, one of admin editor" in caplog.text


def test_openapi_describes_the_ways_to_have_enough_scopes(shared_verifier: Verifier) -> None:
    def ways(*permissions: Any, **settings: object) -> list[dict[str, list[str]]]:
        members = {"authentication_classes": [OptionalAveAuthentication], "serializer_class": None}
        view: Any = type("Described", (Who,), members | {"permission_classes": permissions})
        with override_settings(AVEVERIFY={"VERIFIER": shared_verifier} | settings):
            generator = SchemaGenerator(patterns=[path("who/", view.as_view())])  # type: ignore[no-untyped-call]
            document = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
        return [one for one in document["paths"]["/who/"]["get"]["security"] if "aveOpenId" in one]

    def of(*scopes: str) -> dict[str, list[str]]:
        return {"aveOpenId": list(scopes)}

    assert ways(HasAnyScope("admin", "editor")) == [of("admin"), of("editor")]
    assert ways(HasScopes("read", "write") | HasScope("admin")) == [of("read", "write"), of("admin")]
    assert ways(IsAuthenticated & HasScope("read")) == [of("read")]
    assert ways(HasScope("read"), HasAnyScope("admin", "read")) == [of("read", "admin"), of("read")]
    assert ways(IsAdminUser | HasScope("admin")) == [of(), of("admin")]
    assert ways(~HasScope("banned")) == [of()]
    assert ways(Allow(is_pro)) == [of()]
    assert ways(SCOPES=["openid"], ANY_SCOPES=["a", "b"]) == [of("openid", "a"), of("openid", "b")]


# --- predicates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("predicate", [is_pro, is_pro_later], ids=["function", "coroutine function"])
def test_a_predicate_is_a_permission(
    ask: Ask, shared_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture, predicate: Any
) -> None:
    permissions = [Allow(predicate)]

    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        answers = [
            ask(token, permission_classes=permissions)
            for token in (shared_issuer.token(plan="pro"), shared_issuer.token(plan="free"), None)
        ]

    assert [answer.status_code for answer in answers] == [200, 403, 401]
    challenge = answers[1].headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope"')
    assert "scope=" not in challenge.replace('error="insufficient_scope"', "")
    assert "NOT_ALLOWED" in caplog.text


@pytest.mark.parametrize("predicate", [None, "pro", lambda: True], ids=["nothing", "text", "no argument"])
def test_what_is_no_predicate_is_refused_when_the_permission_is_made(predicate: Any) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError) as caught:
        Allow(predicate)

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "predicate")


@pytest.mark.parametrize("make", [HasScopes, HasAnyScope], ids=["all", "any"])
def test_no_scopes_are_refused_when_the_permission_is_made(make: Any) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError):
        make()


def test_an_error_of_a_predicate_is_not_swallowed(ask: Ask, tokens: dict[str, str]) -> None:
    def fail(_identity: Identity) -> bool:
        message = "the database"
        raise LookupError(message)

    with pytest.raises(LookupError):
        ask(tokens["good"], permission_classes=[Allow(fail)])


# --- combinations ---------------------------------------------------------------------------------------------------

PRO: dict[str, Any] = {"plan": "pro", "scope": "read"}
FREE: dict[str, Any] = {"plan": "free", "scope": "read"}
COMBINED = [
    pytest.param(Allow(is_pro) & HasScope("read"), [200, 403], id="and"),
    pytest.param(Allow(is_pro) | HasScope("read"), [200, 200], id="or"),
    pytest.param(Allow(is_pro) | HasScope("write"), [200, 403], id="or, of which one"),
    pytest.param(~Allow(is_pro), [403, 200], id="not"),
    pytest.param(~HasScope("read"), [403, 403], id="not a scope"),
    pytest.param(Never | Allow(is_pro), [200, 403], id="or, with one of the project"),
    pytest.param((HasScope("write") & AllowAny) | Allow(is_pro), [200, 403], id="and within or"),
    pytest.param(AllowAny & (HasAnyScope("write", "admin") | Allow(is_pro)), [200, 403], id="or within and"),
]


@pytest.mark.parametrize(("permission", "statuses"), COMBINED)
def test_permissions_are_combined(ask: Ask, shared_issuer: FakeIssuer, permission: Any, statuses: list[int]) -> None:
    answers = [ask(shared_issuer.token(claims), permission_classes=[permission]) for claims in (PRO, FREE)]

    assert [answer.status_code for answer in answers] == statuses


@pytest.mark.parametrize(("permission", "statuses"), COMBINED)
def test_permissions_mean_the_same_for_an_object(
    ask: Ask, shared_issuer: FakeIssuer, permission: Any, statuses: list[int]
) -> None:
    def get(view: APIView, request: Request) -> Response:
        view.permission_classes = [permission]
        view.check_object_permissions(request, object())
        return Response("object")

    answers = [ask(shared_issuer.token(claims), get=get) for claims in (PRO, FREE)]

    assert [answer.status_code for answer in answers] == statuses


@pytest.mark.parametrize(
    "permission",
    [
        pytest.param(~HasScope("banned"), id="not"),
        pytest.param(~HasAnyScope("banned", "late"), id="not any"),
        pytest.param(~Allow(is_pro), id="not a predicate"),
        pytest.param(~(~HasScope("read")), id="not not"),
        pytest.param(~(HasScope("banned") | Allow(is_pro)), id="neither"),
        pytest.param(~(IsAdminUser & HasScope("banned")), id="not both, of which the other is asked first"),
        pytest.param(~HasScope("banned") | Never, id="or"),
        pytest.param(AllowAny & ~HasScope("banned"), id="and"),
    ],
)
def test_htp_036_not_denies_an_anonymous_request(ask: Ask, shared_issuer: FakeIssuer, permission: Any) -> None:
    """It has no scopes; that is no reason to admit it. REQUIRED does not hold here."""

    def get(view: APIView, request: Request) -> Response:
        view.permission_classes = [permission]
        view.check_object_permissions(request, object())
        return Response("object")

    assert [ask(permission_classes=[permission]).status_code, ask(get=get).status_code] == [401, 401]
    assert ask(shared_issuer.token(FREE), permission_classes=[permission]).status_code == 200


def test_not_of_another_permission_is_rest_frameworks_own(ask: Ask) -> None:
    decide = NOT.has_permission
    patch_negation()
    assert NOT.has_permission is decide
    assert ask(permission_classes=[~IsAuthenticated]).status_code == 200
    assert ask(permission_classes=[AllowAny | ~HasScope("banned")]).status_code == 200


@pytest.mark.parametrize(
    "permissions",
    [
        pytest.param([HasScope("write")], id="alone"),
        pytest.param([AllowAny, HasScope("write")], id="behind another"),
        pytest.param([IsAuthenticated & HasScope("write")], id="in an and"),
        pytest.param([AllowAny & (IsAuthenticated & HasScope("write"))], id="in an and within an and"),
    ],
)
def test_a_scope_without_which_there_is_no_way_in_is_named_by_the_challenge(
    ask: Ask, tokens: dict[str, str], permissions: list[Any]
) -> None:
    answer = ask(tokens["good"], permission_classes=permissions)

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].endswith('scope="write"')


@pytest.mark.parametrize("permission", [HasScope("write") | Never, ~HasScope("read")], ids=["or", "not"])
def test_behind_or_and_not_rest_framework_refuses(ask: Ask, tokens: dict[str, str], permission: Any) -> None:
    answer = ask(tokens["reader"], permission_classes=[permission])

    assert (answer.status_code, answer.data["detail"].code) == (403, "permission_denied")
    assert "www-authenticate" not in answer.headers


def test_a_view_may_make_its_permissions_for_each_request(ask: Ask, tokens: dict[str, str]) -> None:
    def get_permissions(_self: APIView) -> list[Any]:
        return [HasScope("write")()]

    def get_recreated(_self: APIView) -> list[Any]:
        return [Allow(lambda identity: identity.subject == "bob")()]

    named = ask(tokens["good"], get_permissions=get_permissions)
    # Two functions are not known to be the same, so REST framework writes the refusal.
    unnamed = ask(tokens["good"], get_permissions=get_recreated)

    assert named.headers["www-authenticate"].endswith('scope="write"')
    assert (unnamed.status_code, unnamed.data["detail"].code) == (403, "insufficient_scope")


class Notes(viewsets.ViewSet):
    """A view set whose actions have permissions of their own."""

    authentication_classes = (AveAuthentication,)
    permission_classes = (HasScope("read"),)

    def list(self, _request: Request) -> Response:
        """Return the notes."""
        return Response([])

    @action(detail=False, methods=["post"], permission_classes=[HasAnyScope("write", "admin")])
    def publish(self, _request: Request) -> Response:
        """Publish them."""
        return Response([])


@api_view(["GET"])
@authentication_classes([AveAuthentication])
@permission_classes([Allow(is_pro)])
def report(_request: Request) -> Response:
    """A view that is a function."""
    return Response([])


def test_view_sets_and_functions_have_permissions(shared_verifier: Verifier, shared_issuer: FakeIssuer) -> None:
    router = SimpleRouter(trailing_slash=False)
    router.register("notes", Notes, basename="notes")

    def status(method: str, where: str, claims: dict[str, object]) -> int:
        answer = getattr(APIClient(), method)(where, headers=dict(bearer(shared_issuer.token(claims))))
        return int(answer.status_code)

    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier}, ROOT_URLCONF=(*router.urls, path("report", report))
    ):
        assert [status("get", "/notes", {"scope": scope}) for scope in ("read", "write")] == [200, 403]
        assert [status("post", "/notes/publish", {"scope": scope}) for scope in ("admin", "read")] == [200, 403]
        assert [status("get", "/report", {"plan": plan}) for plan in ("pro", "free")] == [200, 403]


# --- users of other authentication classes --------------------------------------------------------------------------


class Robot(BaseAuthentication):
    """Lets a robot in, which has no token."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the robot."""
        del request
        return "robot", None


@pytest.mark.parametrize("permission", [HasScope("read"), HasAnyScope("read"), Allow(is_pro), Allow(lambda _: True)])
def test_a_user_without_a_token_has_no_scopes_and_no_identity(ask: Ask, permission: Any) -> None:
    """It is signed in, so that a new token would be of no use: 403."""
    answer = ask(authentication_classes=[Robot, AveAuthentication], permission_classes=[permission])

    assert answer.status_code == 403


def test_a_permission_may_be_asked_without_a_view(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """As a unit test of the project does."""
    permission = HasScope("read")()
    view: Any = None

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}):
        for kind, expected in (("reader", True), ("good", False)):
            inner = APIRequestFactory().get("/", headers=dict(bearer(tokens[kind])))
            request = DrfRequest(inner, authenticators=[AveAuthentication()])
            assert permission.has_permission(request, view) is expected


def test_a_project_may_extend_a_permission(ask: Ask, tokens: dict[str, str]) -> None:
    class OwnNotes(HasScope("read")):  # type: ignore[misc] # a base class that a call returns
        """Those of the user alone."""

        def has_object_permission(self, request: Request, view: APIView, obj: object) -> bool:
            """Compare the subject, too."""
            auth: Any = request.auth
            return bool(super().has_object_permission(request, view, obj) and obj == auth.subject)

    def get(view: APIView, request: Request) -> Response:
        view.check_object_permissions(request, request.query_params["of"])
        return Response("note")

    def status(token: str, of: str) -> int:
        answer = ask(token, permission_classes=[OwnNotes], get=get, query=f"?of={of}")
        return int(answer.status_code)

    assert [status(tokens["reader"], "ada"), status(tokens["reader"], "bob"), status(tokens["good"], "ada")] == [
        200,
        403,
        403,
    ]
