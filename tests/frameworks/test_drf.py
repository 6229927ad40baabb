"""REST framework: `request.user` and `request.auth`, permissions, exceptions, OpenAPI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request as DrfRequest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from aveverify import (
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Provider,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify.drf import AveAuthentication, HasScope, HasScopes, RefusedError
from aveverify.errors import Problem
from aveverify.sources import AuthorizationHeader, Cookie
from aveverify.testing import FakeIssuer
from tests.frameworks.drf_fixtures import Ask, Who, handled, make_ask
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from rest_framework.views import APIView


@pytest.fixture
def ask(shared_verifier: Verifier) -> Ask:
    return make_ask(shared_verifier)


def run_program(program: str, folder: Path) -> str:
    """What a program prints, in an interpreter and a folder of its own."""
    completed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


# --- user and identity ----------------------------------------------------------------------------------------------


def test_the_current_identity_is_that_of_the_middleware_in_front(ask: Ask, tokens: dict[str, str]) -> None:
    def get(self: Who, request: DrfRequest) -> Response:
        del self
        identity = current_identity.get()
        assert identity == request.auth
        return Response([identity.subject if identity is not None else None])

    middleware = ["aveverify.django.AveAuthMiddleware"]

    assert [ask(token, get=get, middleware=middleware).json() for token in (tokens["good"], None)] == [["ada"], [None]]


def test_without_the_middleware_current_identity_raises(ask: Ask, tokens: dict[str, str]) -> None:
    """HTP-037: REST framework does not tell when a request ends, so the next one would see this identity."""

    def get(self: Who, request: DrfRequest) -> Response:
        del self
        assert request.auth is not None
        return Response(current_identity.get())

    with pytest.raises(ConfigurationError) as caught:
        ask(tokens["good"], get=get)
    assert caught.value.problem is Problem.NO_REQUEST


def test_user_and_auth_are_the_identity(ask: Ask, tokens: dict[str, str]) -> None:
    assert ask(tokens["good"]).json() == ["ada", "ada"]
    assert ask().json() == ["AnonymousUser", None]


def test_the_user_is_that_of_the_loader(ask: Ask, tokens: dict[str, str]) -> None:
    assert ask(tokens["good"], settings={"USER_LOADER": lambda identity: identity.subject.upper()}).json() == [
        "ADA",
        "ada",
    ]


def test_a_request_is_verified_once_behind_the_middleware(ask: Ask, tokens: dict[str, str]) -> None:
    checked: list[Identity] = []

    answer = ask(
        tokens["good"],
        settings={"CHECK": checked.append},
        middleware=["aveverify.django.AveAuthMiddleware"],
        permission_classes=[IsAuthenticated],
    )

    assert answer.json() == ["ada", "ada"]
    assert len(checked) == 1


def test_the_next_authentication_class_gets_the_anonymous_requests(ask: Ask, tokens: dict[str, str]) -> None:
    class Other(SessionAuthentication):
        def authenticate(self, _request: DrfRequest) -> tuple[Any, Any]:
            return "ada of another class", None

    classes = [AveAuthentication, Other]

    assert ask(authentication_classes=classes).json() == ["ada of another class", None]
    assert ask(tokens["good"], authentication_classes=classes).json() == ["ada", "ada"]
    assert ask(tokens["expired"], authentication_classes=classes).status_code == 401


# --- refusals without our exception handler -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "status", "error"),
    [
        pytest.param("expired", {}, 401, "invalid_token", id="expired"),
        pytest.param("padded_base64", {}, 400, "invalid_request", id="malformed"),
        pytest.param("good", {"SCOPES": ["read"]}, 403, "insufficient_scope", id="scope"),
        pytest.param(None, {"REQUIRED": True}, 401, "unauthorized", id="anonymous"),
    ],
)
@pytest.mark.parametrize("first", [None, SessionAuthentication], ids=["alone", "behind sessions"])
def test_without_our_exception_handler_a_refusal_has_the_body_of_rest_framework_and_the_head_of_rfc_6750(  # noqa: PLR0913, PLR0917 - columns of a table
    ask: Ask,
    tokens: dict[str, str],
    kind: str | None,
    settings: dict[str, Any],
    status: int,
    error: str,
    first: type[SessionAuthentication] | None,
) -> None:
    """HTP-034: even where sessions come first, which makes REST framework's own 401 a 403."""
    classes = [AveAuthentication] if first is None else [first, AveAuthentication]

    answer = ask(
        tokens[kind] if kind else None,
        settings=settings,
        authentication_classes=classes,
        renderer_classes=[JSONRenderer, BrowsableAPIRenderer],
    )

    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert answer.data["detail"].code == error
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.headers["vary"].split(", ")) >= {"Accept", "Authorization"}
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer" if kind is None else f'Bearer error="{error}"')


def test_unavailable_keys_are_a_503_without_a_challenge(ask: Ask, issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-035."""
    issuer.go_down()

    answer = ask(issuer.token(), settings={"VERIFIER": verifier})

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "www-authenticate" not in answer.headers
    assert answer.data["detail"].code == "temporarily_unavailable"


def test_missing_credentials_of_a_permission_are_a_401_with_a_bare_challenge(ask: Ask) -> None:
    answer = ask(settings={"REALM": "place"}, permission_classes=[IsAuthenticated])

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="place"')


def test_a_deferred_refusal_is_raised_when_the_view_reads_the_identity(ask: Ask, tokens: dict[str, str]) -> None:
    """HTP-036: a bad token is never an anonymous user."""

    def look(_self: APIView, request: DrfRequest) -> Response:
        identity: Any = request.auth
        return Response(identity.subject)

    def do_not_look(_self: APIView, _request: DrfRequest) -> Response:
        return Response("public")

    deferring = {"ON_INVALID": "defer"}

    assert ask(tokens["expired"], settings=deferring, get=do_not_look).json() == "public"
    for members in (
        {},
        {"permission_classes": [IsAuthenticated]},
        {"permission_classes": [HasScope("read")]},
        {"get": look},
    ):
        answer = ask(tokens["expired"], settings=deferring, **members)
        assert (answer.status_code, answer.data["detail"].code) == (401, "invalid_token")
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_the_authentication_class_works_without_a_view(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    request = DrfRequest(APIRequestFactory().get("/", headers=dict(bearer(tokens["expired"]))))

    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier}), pytest.raises(RefusedError) as caught:
        AveAuthentication().authenticate(request)
    with override_settings(AVEVERIFY={"VERIFIER": shared_verifier, "REALM": "place"}):
        anonymous = DrfRequest(APIRequestFactory().get("/"))
        assert AveAuthentication().authenticate_header(anonymous) == 'Bearer realm="place"'

    assert caught.value.status_code == 401


def test_a_token_from_a_cookie_needs_the_csrf_check(ask: Ask, tokens: dict[str, str]) -> None:
    """HTP-031: the views of REST framework are exempt from Django's own check."""
    sources = [AuthorizationHeader(), Cookie("session", allowed_origins=["https://app.test"])]
    headers = {"Origin": "https://app.test", "Cookie": f"session={tokens['good']}"}

    def status(method: str, token: str | None = None) -> int:
        with override_settings(CSRF_TRUSTED_ORIGINS=["https://app.test"]):
            answer = ask(token, settings={"TOKEN_SOURCES": sources}, method=method, headers=headers)
        code: int = answer.status_code
        return code

    assert [status("get"), status("post"), status("post", tokens["other"])] == [200, 403, 200]


# --- permissions ----------------------------------------------------------------------------------------------------


def test_a_scope_is_a_permission(ask: Ask, tokens: dict[str, str]) -> None:
    permissions = [HasScope("read")]

    assert ask(tokens["reader"], permission_classes=permissions).status_code == 200
    lacking = ask(tokens["good"], permission_classes=permissions)
    assert (lacking.status_code, lacking.data["detail"].code) == (403, "insufficient_scope")
    assert lacking.headers["www-authenticate"].endswith('scope="read"')
    anonymous = ask(permission_classes=permissions)
    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, 'Bearer scope="read"')


def test_several_scopes_are_demanded_together(ask: Ask, shared_issuer: FakeIssuer) -> None:
    permissions = [HasScopes("read", "write")]

    statuses = [
        ask(shared_issuer.token(scope=scope), permission_classes=permissions).status_code
        for scope in ("write read", "read", "readwrite")
    ]

    assert statuses == [200, 403, 403]


def test_scopes_may_be_combined_with_other_permissions(ask: Ask, tokens: dict[str, str]) -> None:
    either = [HasScope("write") | HasScope("read")]
    both = [IsAuthenticated & HasScope("write")]

    assert ask(tokens["reader"], permission_classes=either).status_code == 200
    assert [ask(tokens[kind], permission_classes=both).status_code for kind in ("reader", "good")] == [403, 403]
    assert ask(permission_classes=both).status_code == 401
    assert ask(permission_classes=[AllowAny | HasScope("write")]).status_code == 200


def test_wrong_scopes_are_refused_when_the_permission_is_made() -> None:
    with pytest.raises(ConfigurationError) as caught:
        HasScope("read write")

    assert caught.value.field == "scopes"


# --- with our exception handler -------------------------------------------------------------------------------------


def test_every_refusal_is_answered_byte_for_byte(ask: Ask, tokens: dict[str, str]) -> None:
    """HTP-034, except `Allow`, which every response of REST framework has."""
    description = "The access token is invalid, expired or not meant for this service"

    answer = ask(tokens["expired"], get_exception_handler=handled)

    assert answer.content.decode() == f'{{"error": "invalid_token", "error_description": "{description}"}}'
    assert {name.lower(): text for name, text in answer.headers.items()} == {
        "allow": "GET, POST, HEAD, OPTIONS",
        "content-type": "application/json",
        "content-length": str(len(answer.content)),
        "cache-control": "no-store",
        "vary": "Authorization",
        "www-authenticate": f'Bearer error="invalid_token", error_description="{description}"',
    }


def test_missing_credentials_are_answered_by_rfc_6750(ask: Ask) -> None:
    answer = ask(permission_classes=[IsAuthenticated], get_exception_handler=handled)

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("classes", [[], [SessionAuthentication]], ids=["none", "another"])
def test_missing_credentials_of_others_are_left_to_rest_framework(ask: Ask, classes: list[Any]) -> None:
    answer = ask(authentication_classes=classes, permission_classes=[IsAuthenticated], get_exception_handler=handled)

    assert (answer.status_code, list(answer.json())) == (403, ["detail"])


def test_errors_of_get_user_identity_are_answered_and_those_of_other_tokens_are_not(
    ask: Ask, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    def get(_self: APIView, request: DrfRequest) -> Response:
        get_user_identity(request)
        raise InsufficientScopeError(("admin",))

    def verify_another(_self: APIView, _request: DrfRequest) -> Response:
        return Response(shared_verifier.verify(tokens["expired"]).subject)

    deferring = {"ON_INVALID": "defer"}
    members = {"settings": deferring, "get_exception_handler": handled}

    assert ask(tokens["expired"], get=get, **members).status_code == 401
    assert ask(tokens["good"], get=get, **members).headers["www-authenticate"].endswith('scope="admin"')
    with pytest.raises(InvalidTokenError):
        ask(tokens["good"], get=verify_another, **members)


def test_other_exceptions_are_left_to_rest_framework(ask: Ask, tokens: dict[str, str]) -> None:
    def get(_self: APIView, _request: DrfRequest) -> Response:
        raise PermissionDenied

    answer = ask(tokens["good"], get=get, get_exception_handler=handled)

    assert (answer.status_code, list(answer.json())) == (403, ["detail"])


WRITE_AND_REFUSE = """
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"],
    AVEVERIFY={"ISSUER": "https://idp.example", "APPLICATION_ID": "app"},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "notes.db", "ATOMIC_REQUESTS": True}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    REST_FRAMEWORK={"EXCEPTION_HANDLER": "aveverify.drf.exception_handler"},
    ROOT_URLCONF=__name__,
)
import django
django.setup()
from django.db import connection
from django.test import Client
from django.urls import path
from rest_framework.views import APIView
from aveverify import InsufficientScopeError
from aveverify.drf import AveAuthentication

class Write(APIView):
    authentication_classes = [AveAuthentication]

    def get(self, request):
        connection.cursor().execute("INSERT INTO notes VALUES (1)")
        raise InsufficientScopeError(("admin",))

urlpatterns = [path("", Write.as_view())]
connection.cursor().execute("CREATE TABLE notes (number INTEGER)")
answer = Client().get("/")
print(answer.status_code, connection.cursor().execute("SELECT count(*) FROM notes").fetchone()[0])
"""


def test_what_a_view_wrote_before_its_refusal_is_rolled_back(tmp_path: Path) -> None:
    """With `ATOMIC_REQUESTS`, as REST framework's own exception handler does for every exception."""
    assert run_program(WRITE_AND_REFUSE, tmp_path).split() == ["403", "0"]


# --- OpenAPI --------------------------------------------------------------------------------------------------------


def schema_of(verifier: Verifier, **settings: object) -> dict[str, Any]:
    """The OpenAPI document of a view that demands a scope."""

    class Described(Who):
        permission_classes = (HasScope("read"),)
        serializer_class = None

    with override_settings(AVEVERIFY={"VERIFIER": verifier} | settings):
        generator = SchemaGenerator(patterns=[path("who/", Described.as_view())])  # type: ignore[no-untyped-call]
        document: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
        return document


def test_openapi_names_the_scopes_of_the_settings_and_of_the_permissions(shared_verifier: Verifier) -> None:
    schema = schema_of(shared_verifier, SCOPES=["openid"])

    assert schema["paths"]["/who/"]["get"]["security"] == [
        {"aveBearer": []},
        {"aveOpenId": ["openid", "read"]},
    ]


def test_openapi_names_the_discovery_document_of_every_issuer() -> None:
    with Verifier(Provider.ave("app_1"), Provider(issuer="https://idp.example", application_id="app")) as verifier:
        schema = schema_of(verifier)

    assert list(schema["components"]["securitySchemes"]) == ["aveBearer", "aveOpenId", "aveOpenId1"]
    assert schema["paths"]["/who/"]["get"]["security"] == [
        {"aveBearer": []},
        {"aveOpenId": ["read"]},
        {"aveOpenId1": ["read"]},
    ]


def test_the_authentication_class_works_without_drf_spectacular(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "drf_spectacular.extensions")
    monkeypatch.delitem(sys.modules, "aveverify.drf._schema", raising=False)

    AveAuthentication()

    assert "aveverify.drf._schema" not in sys.modules


def test_drf_spectacular_is_not_imported_by_this_package(tmp_path: Path) -> None:
    program = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
import django
django.setup()
from aveverify.drf import AveAuthentication
AveAuthentication()
import json
print(json.dumps([name for name in sys.modules if "spectacular" in name or name == "aveverify.drf._schema"]))
"""
    assert json.loads(run_program(program, tmp_path)) == []


def test_settings_may_name_the_class_whatever_is_imported_first(tmp_path: Path) -> None:
    """The views of REST framework import what the settings name, in the middle of the import of this module."""
    program = """
from django.conf import settings
name = "aveverify.drf.AveAuthentication"
settings.configure(REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [name]})
from aveverify.drf import AveAuthentication, HasScope
from rest_framework.views import APIView
assert APIView.authentication_classes == [AveAuthentication]
"""
    assert run_program(program, tmp_path) == ""
