"""REST framework: a refusal is one of its own errors, and its response a `Response` that a project may change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import path
from rest_framework import viewsets
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, ParseError, PermissionDenied
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer, StaticHTMLRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from aveverify import AuthRecord, KeysUnavailableError, Reason, Refusal, Verifier, problem_details
from aveverify.drf import AveAuthentication, HasScope, RefusedError, exception_handler
from aveverify.testing import FakeIssuer
from tests.frameworks.drf_fixtures import Ask, Who, handled, make_ask
from tests.http.django_client import PatientClient
from tests.http.http_fixtures import Request as Sent
from tests.http.http_fixtures import Server, bearer, http_scope, wsgi_environ

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify.asgi import ASGIApp

BROWSABLE = {
    "STATIC_URL": "/static/",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
}
SCOPED = {"permission_classes": [HasScope("read")]}


@pytest.fixture
def ask(shared_verifier: Verifier) -> Ask:
    return make_ask(shared_verifier)


def with_handler(handler: Callable[..., Response | None]) -> dict[str, Any]:
    """The member of a view that has an exception handler of the project."""

    def get_exception_handler(_self: APIView) -> Any:
        return handler

    return {"get_exception_handler": get_exception_handler}


# --- the exception --------------------------------------------------------------------------------------------------

KINDS = [
    pytest.param(
        None, {"permission_classes": [IsAuthenticated]}, 401, "unauthorized", None, NotAuthenticated, id="none"
    ),
    pytest.param("expired", {}, 401, "invalid_token", Reason.EXPIRED, AuthenticationFailed, id="bad"),
    pytest.param("good", SCOPED, 403, "insufficient_scope", Reason.INSUFFICIENT_SCOPE, PermissionDenied, id="scope"),
    pytest.param(
        "padded_base64", {}, 400, "invalid_request", Reason.MALFORMED_AUTHORIZATION, ParseError, id="malformed"
    ),
]


@pytest.mark.parametrize("first", [None, SessionAuthentication, BasicAuthentication])
@pytest.mark.parametrize(("kind", "members", "status", "code", "reason", "error_class"), KINDS)
def test_a_handler_of_the_project_sees_an_error_of_rest_framework_with_everything_on_it(  # noqa: PLR0913, PLR0917 - columns
    ask: Ask,
    tokens: dict[str, str],
    kind: str | None,
    members: dict[str, Any],
    status: int,
    code: str,
    reason: Reason | None,
    error_class: type[APIException],
    first: type | None,
) -> None:
    seen: list[RefusedError] = []

    def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
        assert isinstance(exc, RefusedError)
        seen.append(exc)
        return rest_exception_handler(exc, context)

    classes = [AveAuthentication] if first is None else [first, AveAuthentication]
    answer = ask(
        tokens[kind] if kind else None,
        settings={"REQUIRED": True},
        authentication_classes=classes,
        **(members | with_handler(handle)),
    )

    [refused] = seen
    assert isinstance(refused, error_class)
    assert (refused.reason, refused.refusal.reason) == (reason, reason)
    assert refused.error is refused.refusal.error
    assert (refused.get_codes(), refused.default_code) == (code, code)
    assert refused.get_full_details() == {"message": refused.refusal.description, "code": code}
    assert (answer.status_code, refused.status_code) == (status, status)
    assert answer.json() == {"detail": refused.refusal.description}
    assert (
        answer.headers["www-authenticate"] == refused.auth_header == dict(refused.refusal.headers)["www-authenticate"]
    )
    assert answer.headers["cache-control"] == "no-store"
    assert "Authorization" in answer.headers["vary"]
    assert refused.response.status_code == status
    assert refused.response is refused.response


def test_an_outage_is_an_error_with_the_time_to_wait(ask: Ask, issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-035."""
    issuer.go_down()
    seen: list[Any] = []

    def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
        seen.append(exc)
        return exception_handler(exc, context)

    answer = ask(issuer.token(), settings={"VERIFIER": verifier}, **with_handler(handle))

    [refused] = seen
    assert isinstance(refused.error, KeysUnavailableError)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(refused.wait))
    assert (refused.auth_header, "www-authenticate" in answer.headers) == (None, False)


# --- the response ---------------------------------------------------------------------------------------------------


def add_request_id(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The recipe of REST framework's own page, around our handler."""
    response = exception_handler(exc, context)
    assert response is None or isinstance(response, Response)
    if response is not None:
        response.data["request_id"] = "r1"
    return response


def add_status(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The same around REST framework's handler."""
    response = rest_exception_handler(exc, context)
    if response is not None:
        response.data["status_code"] = response.status_code
    return response


REFUSED = [
    pytest.param(None, {"permission_classes": [IsAuthenticated]}, id="none"),
    pytest.param("expired", {}, id="bad"),
    pytest.param("good", SCOPED, id="scope"),
    pytest.param("padded_base64", {}, id="malformed"),
]


@pytest.mark.parametrize(("kind", "members"), REFUSED)
def test_the_data_of_a_refusal_may_be_changed_and_its_head_stays(
    ask: Ask, tokens: dict[str, str], kind: str | None, members: dict[str, Any]
) -> None:
    token = tokens[kind] if kind else None

    plain = ask(token, **(members | {"get_exception_handler": handled}))
    changed = ask(token, **(members | with_handler(add_request_id)))

    assert changed.json() == plain.json() | {"request_id": "r1"}
    assert list(plain.json()) == ["error", "error_description"]
    assert changed.status_code == plain.status_code
    about_body = {"content-length"}
    assert {name: value for name, value in changed.headers.items() if name.lower() not in about_body} == {
        name: value for name, value in plain.headers.items() if name.lower() not in about_body
    }
    assert changed.headers["content-length"] == str(len(changed.content))


@pytest.mark.parametrize(("kind", "members"), REFUSED)
def test_a_recipe_around_the_handler_of_rest_framework_works(
    ask: Ask, tokens: dict[str, str], kind: str | None, members: dict[str, Any]
) -> None:
    answer = ask(tokens[kind] if kind else None, **(members | with_handler(add_status)))

    assert list(answer.json()) == ["detail", "status_code"]
    assert answer.json()["status_code"] == answer.status_code
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["cache-control"] == "no-store"


def test_a_handler_may_return_the_response_on_the_error(ask: Ask, tokens: dict[str, str]) -> None:
    def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
        if isinstance(exc, RefusedError):
            exc.response.data["message"] = "Please sign in again"
            return exc.response
        return rest_exception_handler(exc, context)

    answer = ask(tokens["expired"], **with_handler(handle))

    assert (answer.status_code, answer.json()["message"]) == (401, "Please sign in again")
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def bare(exc: Exception, _context: dict[str, Any]) -> Response | None:
    """A handler that forgets every header, as many do."""
    return Response({"message": str(exc)}, status=getattr(exc, "status_code", 500))


@pytest.mark.parametrize("first", [None, SessionAuthentication], ids=["alone", "behind sessions"])
@pytest.mark.parametrize(
    ("kind", "members", "challenge"),
    [
        pytest.param(None, {"permission_classes": [IsAuthenticated & HasScope("read")]}, "Bearer", id="none"),
        pytest.param(None, SCOPED, 'Bearer scope="read"', id="none, and a scope"),
        pytest.param("expired", {}, 'Bearer error="invalid_token"', id="bad"),
    ],
)
def test_a_401_has_its_challenge_whatever_a_handler_of_the_project_returns(  # noqa: PLR0913, PLR0917 - columns of a table
    ask: Ask,
    tokens: dict[str, str],
    kind: str | None,
    members: dict[str, Any],
    challenge: str,
    first: type | None,
) -> None:
    """RFC 9110 §15.5.2."""
    if first is not None:
        members = members | {"authentication_classes": [first, AveAuthentication]}

    answer = ask(tokens[kind] if kind else None, **(members | with_handler(bare)))

    if first is not None and challenge == "Bearer":
        # It is the refusal of REST framework's own permission, which the first class decides.
        assert (answer.status_code, "www-authenticate" in answer.headers) == (403, False)
    else:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].split(",")[0] == challenge
        assert answer.headers["cache-control"] == "no-store"


def test_a_handler_may_hide_what_a_token_may_not_see(ask: Ask, tokens: dict[str, str]) -> None:
    def hide(exc: Exception, context: dict[str, Any]) -> Response | None:
        if isinstance(exc, PermissionDenied):
            return Response({"detail": "Not found."}, status=404)
        return rest_exception_handler(exc, context)

    answer = ask(tokens["good"], **(SCOPED | with_handler(hide)))

    assert (answer.status_code, "www-authenticate" in answer.headers) == (404, False)


def test_a_view_may_catch_a_deferred_refusal(ask: Ask, tokens: dict[str, str]) -> None:
    def get(_self: APIView, request: Request) -> Response:
        try:
            return Response(request.user.is_authenticated)
        except RefusedError as refused:
            return Response(f"stranger, {refused.reason}")

    answer = ask(tokens["expired"], settings={"ON_INVALID": "defer"}, get=get)

    assert (answer.status_code, answer.json()) == (200, "stranger, EXPIRED")
    assert "www-authenticate" not in answer.headers


def test_an_outage_says_when_to_ask_again_whatever_a_handler_of_the_project_returns(
    ask: Ask, issuer: FakeIssuer, verifier: Verifier
) -> None:
    """HTP-035."""
    issuer.go_down()

    answer = ask(issuer.token(), settings={"VERIFIER": verifier}, **with_handler(bare))

    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)


def test_a_client_that_asks_for_html_gets_the_refusal_in_the_browsable_api(ask: Ask, tokens: dict[str, str]) -> None:
    members = {"get_exception_handler": handled, "renderer_classes": [JSONRenderer, BrowsableAPIRenderer]}

    with override_settings(**BROWSABLE):
        page = ask(tokens["expired"], headers={"Accept": "text/html"}, **members)

    assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b"invalid_token" in page.content
    assert page.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert set(page.headers["vary"].split(", ")) >= {"Accept", "Authorization"}
    assert page.headers["content-length"] == str(len(page.content))


class ShoutingRenderer(JSONRenderer):
    """A renderer of the project."""

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        """Write in capitals."""
        return bytes(super().render(data)).upper()


def test_a_renderer_of_the_project_renders_refusals_too(ask: Ask, tokens: dict[str, str]) -> None:
    answer = ask(tokens["expired"], get_exception_handler=handled, renderer_classes=[ShoutingRenderer])

    assert answer.json()["ERROR"] == "INVALID_TOKEN"


def test_what_a_callback_returns_is_sent(ask: Ask, tokens: dict[str, str]) -> None:
    def shorten(response: Response) -> None:
        response.content = b"no"

    def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
        response = exception_handler(exc, context)
        assert response is not None
        response.add_post_render_callback(shorten)
        return response

    answer = ask(tokens["expired"], **with_handler(handle))

    assert (answer.content, answer.headers["content-length"]) == (b"no", "2")
    assert answer.render() is answer


def test_the_response_to_head_has_no_body_and_the_length_of_the_other(ask: Ask, tokens: dict[str, str]) -> None:
    got = ask(tokens["expired"], get_exception_handler=handled)
    head = ask(tokens["expired"], get_exception_handler=handled, method="head")

    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))


# --- RENDER_REFUSAL -------------------------------------------------------------------------------------------------


def test_what_the_application_renders_is_sent_to_every_client(ask: Ask, tokens: dict[str, str]) -> None:
    members = {"get_exception_handler": handled, "renderer_classes": [StaticHTMLRenderer, JSONRenderer]}

    answer = ask(tokens["expired"], settings={"RENDER_REFUSAL": problem_details}, **members)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.data == answer.json()
    assert answer.json()["status"] == answer.status_code == 401


def test_an_object_that_the_application_renders_may_be_changed(ask: Ask, tokens: dict[str, str]) -> None:
    answer = ask(tokens["expired"], settings={"RENDER_REFUSAL": problem_details}, **with_handler(add_request_id))

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["title"], answer.json()["request_id"]) == ("Unauthorized", "r1")
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "rendered",
    [
        pytest.param(("text/plain", "no"), id="text"),
        pytest.param(("application/json", "[1]"), id="a list"),
        pytest.param(("application/json", "{"), id="no JSON"),
        pytest.param(("application/json", ""), id="nothing"),
    ],
)
def test_of_any_other_body_the_data_is_the_default_and_a_change_has_no_effect(
    ask: Ask, tokens: dict[str, str], rendered: tuple[str, str]
) -> None:
    def render(_refusal: Refusal) -> tuple[str, str]:
        return rendered

    answer = ask(tokens["expired"], settings={"RENDER_REFUSAL": render}, **with_handler(add_request_id))

    assert (answer.headers["content-type"], answer.content.decode()) == rendered
    assert answer.data["error"] == "invalid_token"


# --- who it was, for what stands in front ---------------------------------------------------------------------------


def record_of(verifier: Verifier, token: str | None, *, is_async: bool, **members: Any) -> tuple[int, AuthRecord]:
    """The status of a response, and what a log in front would know of the request."""
    sent = Sent(bearer(token) if token else ())
    view: Any = type("View", (Who,), members)
    with override_settings(AVEVERIFY={"VERIFIER": verifier}, ROOT_URLCONF=(path("", view.as_view()),)):
        if is_async:
            scope, client = http_scope(sent), PatientClient({"type": "http.request", "body": b"", "more_body": False})
            record = AuthRecord.begin(scope)
            client.call(cast("ASGIApp", ASGIHandler()), scope)
            return client.reply.status, record
        environ, server = wsgi_environ(sent), Server()
        record = AuthRecord.begin(environ)
        server.call(WSGIHandler(), environ)
        return server.reply.status, record


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("has_handler", [True, False], ids=["our handler", "rest framework's"])
@pytest.mark.parametrize(
    ("kind", "members", "status", "reason"),
    [
        pytest.param("good", {}, 200, None, id="accepted"),
        pytest.param("expired", {}, 401, Reason.EXPIRED, id="refused"),
        pytest.param("good", SCOPED, 403, Reason.INSUFFICIENT_SCOPE, id="a permission of ours"),
        pytest.param(None, SCOPED, 401, None, id="a permission of ours, no token"),
        pytest.param(None, {"permission_classes": [IsAuthenticated]}, 401, None, id="a permission of REST framework"),
    ],
)
def test_code_in_front_sees_who_it_was_or_why_it_was_refused(  # noqa: PLR0913, PLR0917 - columns of a table
    shared_verifier: Verifier,
    tokens: dict[str, str],
    kind: str | None,
    members: dict[str, Any],
    status: int,
    reason: Reason | None,
    has_handler: bool,  # noqa: FBT001 - a column
    is_async: bool,  # noqa: FBT001 - a column
) -> None:
    handling = {"get_exception_handler": handled} if has_handler else {}

    got, record = record_of(shared_verifier, tokens[kind] if kind else None, is_async=is_async, **(members | handling))

    assert got == status
    assert (record.identity.subject if record.identity else None) == ("ada" if kind == "good" else None)
    assert (record.refusal is None) == (status == 200)
    if record.refusal is not None:
        assert (record.refusal.status, record.refusal.reason) == (status, reason)


def test_a_permission_that_the_browsable_api_only_tries_refuses_no_request(
    shared_verifier: Verifier, tokens: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The page of a view has a form for each method that the user may use; so has the response to OPTIONS."""

    class Notes(viewsets.ViewSet):
        authentication_classes = (AveAuthentication,)
        renderer_classes = (BrowsableAPIRenderer,)

        def get_permissions(self) -> list[Any]:
            return [(AllowAny if self.action == "list" else HasScope("write"))()]

        def list(self, _request: Request) -> Response:
            return Response([])

        def create(self, _request: Request) -> Response:
            return Response([])

    environ = wsgi_environ(Sent((*bearer(tokens["good"]), ("Accept", "text/html"))))
    record, server = AuthRecord.begin(environ), Server()
    view = Notes.as_view({"get": "list", "post": "create"})
    with (
        override_settings(AVEVERIFY={"VERIFIER": shared_verifier}, ROOT_URLCONF=(path("", view),), **BROWSABLE),
        caplog.at_level(logging.INFO, logger="aveverify.http"),
    ):
        server.call(WSGIHandler(), environ)

    assert (server.reply.status, record.refusal) == (200, None)
    assert "refused" not in caplog.text
    assert b'name="_content"' not in b"".join(server.sent)
