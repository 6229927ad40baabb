"""Which exception handler of a Litestar application answers a refusal, and what it may do."""

from __future__ import annotations

from typing import Any, cast

import pytest
from litestar import Controller, Litestar, Request, Response, Router, get
from litestar.datastructures import State  # noqa: TC002 - Litestar evaluates annotations
from litestar.exceptions import (
    ClientException,
    HTTPException,
    LitestarException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
    ServiceUnavailableException,
)
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.testing import TestClient

from aveverify import Identity, InvalidTokenError, Reason, Verifier, get_user_identity
from aveverify._http.rate_limited_log import ESCAPED_REFUSAL
from aveverify.errors import AveVerifyError
from aveverify.litestar import (
    AveAuthPlugin,
    RefusedError,
    requires_scopes,
)
from aveverify.testing import FakeIssuer
from tests.frameworks.litestar_refusals import (
    CASES,
    HANDLERS,
    Case,
    Handler,
    check,
    each_case,
    headers_of,
    index,
    make_app,
    some_cases,
)
from tests.frameworks.two_verifiers import behind_another_verifier, find_subjects
from tests.http.http_fixtures import bearer


@pytest.fixture
def handler() -> Handler:
    return Handler()


# --- whose handler answers ------------------------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize(
    "key",
    [HTTPException, RefusedError, LitestarException, "status"],
    ids=["HTTPException", "RefusedError", "LitestarException", "status"],
)
def test_a_handler_of_the_application_answers_every_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case, key: Any
) -> None:
    app = make_app(
        shared_verifier, case, exception_handlers={case.status if key == "status" else key: cast("Any", handler)}
    )

    answer = TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert (answer.status_code, answer.text) == (418, "own")
    check(handler.refused, case)


@each_case
def test_without_a_handler_every_refusal_has_challenge_and_body(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    """HTP-034."""
    answer = TestClient(make_app(shared_verifier, case)).get(case.path, headers=headers_of(tokens, case.token))

    assert answer.status_code == case.status
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Authorization"
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "error_description"}


@each_case
@pytest.mark.parametrize("key", [Exception, 500, AveVerifyError], ids=["Exception", "500", "AveVerifyError"])
def test_a_handler_of_failures_answers_no_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case, key: Any
) -> None:
    """One that answers 500 to everything must not make a failure of a refusal. AveVerifyError is what views raise."""
    app = make_app(shared_verifier, case, exception_handlers={key: cast("Any", handler)})

    answer = TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    is_raised = key is AveVerifyError and case.options.get("on_invalid") == "defer"
    assert answer.status_code == (418 if is_raised else case.status)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(CASES["malformed"], ClientException, id="400"),
        pytest.param(CASES["refused"], NotAuthorizedException, id="401"),
        pytest.param(CASES["guard"], NotAuthorizedException, id="401 of a guard"),
        pytest.param(CASES["deferred, user"], NotAuthorizedException, id="401, deferred"),
        pytest.param(CASES["scope missing"], PermissionDeniedException, id="403"),
        pytest.param(CASES["guard, scope"], PermissionDeniedException, id="403 of a guard"),
    ],
)
def test_a_refusal_is_of_the_class_that_litestar_gives_to_its_status(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case, kind: type[HTTPException]
) -> None:
    app = make_app(shared_verifier, case, exception_handlers={kind: cast("Any", handler)})

    answer = TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert answer.status_code == 418
    check(handler.refused, case)


def test_unavailable_keys_are_a_service_that_is_unavailable(handler: Handler) -> None:
    issuer = FakeIssuer()
    token = issuer.token()
    issuer.go_down()
    plugin = AveAuthPlugin(issuer.verifier(), required=True)
    own: Any = {ServiceUnavailableException: handler}
    app = Litestar([index], plugins=[plugin], exception_handlers=own, logging_config=None)

    answer = TestClient(app).get("/", headers=dict(bearer(token)))

    assert answer.status_code == 418
    check(handler.refused, Case("/", "", 503, Reason.KEYS_UNAVAILABLE, {}))
    assert "retry-after" in (handler.refused.headers or {})


LAYERS = ["application", "router", "controller", "handler"]


@some_cases
@pytest.mark.parametrize("layer", LAYERS)
def test_a_handler_may_stand_on_any_layer(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case, layer: str
) -> None:
    on: dict[str, Any] = {name: {HTTPException: handler} if name == layer else {} for name in LAYERS}
    guards: list[Any] = [requires_scopes("read")] if case.path == "/readers" else []

    class Pages(Controller):
        path = "/pages"
        exception_handlers = on["controller"]

        @get(guards=guards, exception_handlers=on["handler"])
        async def page(self, request: Request[Identity, frozenset[str], State]) -> str:
            return request.user.subject

    router = Router("/api", route_handlers=[Pages], exception_handlers=on["router"])
    app = make_app(shared_verifier, case, handlers=[router, index], exception_handlers=on["application"])
    client = TestClient(app)

    assert client.get("/api/pages", headers=headers_of(tokens, case.token)).status_code == 418
    check(handler.refused, case)
    # Beside that layer, all is as without it.
    if case.path == "/" and layer != "application":
        assert client.get("/", headers=headers_of(tokens, case.token)).status_code == case.status


def test_the_handler_that_is_nearest_answers(shared_verifier: Verifier, handler: Handler) -> None:
    far = Handler()

    @get("/near", exception_handlers={HTTPException: cast("Any", handler)})
    async def near() -> str:
        raise NotImplementedError

    own: Any = {HTTPException: far}
    TestClient(make_app(shared_verifier, CASES["refused"], handlers=[near], exception_handlers=own)).get("/near")

    assert (len(handler.errors), len(far.errors)) == (1, 0)


@some_cases
@pytest.mark.parametrize("is_first", [True, False], ids=["before", "behind"])
def test_problem_details_of_litestar_are_its_own_plugins(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case, *, is_first: bool
) -> None:
    """RFC 9457; the challenge stays."""
    plugins = [
        AveAuthPlugin(shared_verifier, **({"required": True} | case.options)),
        ProblemDetailsPlugin(ProblemDetailsConfig(enable_for_all_http_exceptions=True)),
    ]
    app = Litestar(HANDLERS, plugins=plugins[::-1] if is_first else plugins, logging_config=None)

    answer = TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert answer.status_code == answer.json()["status"] == case.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["cache-control"] == "no-store"


@some_cases
def test_a_plugin_may_set_a_handler_after_this_one(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case
) -> None:
    def install(config: Any) -> Any:
        config.exception_handlers[HTTPException] = handler
        return config

    app = make_app(shared_verifier, case, on_app_init=[install])

    assert TestClient(app).get(case.path, headers=headers_of(tokens, case.token)).status_code == 418


def test_other_errors_of_the_application_are_answered_as_without_the_plugin(
    shared_verifier: Verifier, handler: Handler
) -> None:
    @get("/broken", exclude_from_auth=True)
    async def broken() -> str:
        raise LookupError

    own: Any = {Exception: handler}
    client = TestClient(make_app(shared_verifier, CASES["refused"], handlers=[broken, index], exception_handlers=own))

    assert [client.get(path).status_code for path in ("/none", "/broken", "/")] == [418, 418, 401]
    assert [type(error) for error in handler.errors] == [NotFoundException, LookupError]


def test_a_handler_of_verification_errors_gets_the_deferred_one_of_a_view(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler
) -> None:
    app = make_app(
        shared_verifier, CASES["deferred, user"], exception_handlers={InvalidTokenError: cast("Any", handler)}
    )

    assert TestClient(app).get("/user", headers=headers_of(tokens, "expired")).status_code == 418
    assert [type(error) for error in handler.errors] == [InvalidTokenError]


# --- what a handler may do ------------------------------------------------------------------------------------------


@some_cases
def test_a_handler_may_change_the_response_and_return_it(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    def answer_refused(_request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
        error.response.set_header("x-lost", "each reading is a new response")
        response = error.response
        response.set_header("x-reason", error.refusal.error_code)
        response.content += b"\n"
        return response

    own: Any = {RefusedError: answer_refused}
    headers = headers_of(tokens, case.token)
    plain = TestClient(make_app(shared_verifier, case)).get(case.path, headers=headers)
    changed = TestClient(make_app(shared_verifier, case, exception_handlers=own)).get(case.path, headers=headers)

    assert changed.status_code == plain.status_code
    assert changed.content == plain.content + b"\n"
    assert dict(changed.headers) == dict(plain.headers) | {
        "x-reason": plain.json()["error"],
        "content-length": str(len(changed.content)),
    }


@some_cases
def test_a_handler_may_hide_that_there_is_anything(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    def hide(_request: Request[Any, Any, Any], _error: RefusedError) -> Response[str]:
        raise NotFoundException

    app = make_app(shared_verifier, case, exception_handlers={RefusedError: cast("Any", hide)})

    assert TestClient(app).get(case.path, headers=headers_of(tokens, case.token)).status_code == 404


def find_users(request: Request[Any, Any, Any]) -> list[str]:
    """What a handler reads of a user."""
    found: list[str] = []
    for read in (
        lambda: request.user.subject if request.user is not None else "nobody",
        lambda: sorted(request.auth),
        lambda: get_user_identity(request),
        lambda: request.state.identity,
    ):
        try:
            found.append(str(read()))
        except (AveVerifyError, AttributeError) as error:
            found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("name", ["refused", "banned", "unknown user", "deferred, user", "deferred, unknown user"])
def test_htp_044_a_handler_finds_the_refusal_where_the_user_would_be(
    shared_verifier: Verifier, tokens: dict[str, str], name: str
) -> None:
    found: list[list[str]] = []

    def answer(request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
        found.append(find_users(request))
        return error.response

    case = CASES[name]
    app = make_app(shared_verifier, case, exception_handlers={401: cast("Any", answer)})
    TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert found == [["InvalidTokenError", "InvalidTokenError", "InvalidTokenError", "AttributeError"]]


@pytest.mark.parametrize("name", ["refused", "banned", "unknown user", "deferred, user", "deferred, guard"])
@pytest.mark.parametrize("is_own", [True, False], ids=["own refusal", "another error"])
def test_a_handler_that_lets_the_refusal_pass_has_not_answered(
    shared_verifier: Verifier, tokens: dict[str, str], name: str, *, is_own: bool
) -> None:
    def answer(request: Request[Any, Any, Any], _error: RefusedError) -> Response[str]:
        if is_own:
            return Response(f"bye {request.user.subject}")
        raise InvalidTokenError(Reason.EXPIRED, rule="another token")

    case = CASES[name]
    headers = headers_of(tokens, case.token)
    plain = TestClient(make_app(shared_verifier, case)).get(case.path, headers=headers)
    app = make_app(shared_verifier, case, exception_handlers={RefusedError: cast("Any", answer)})

    found = TestClient(app).get(case.path, headers=headers)

    if is_own:
        assert (found.status_code, found.content) == (plain.status_code, plain.content)
        assert found.headers == plain.headers
    else:
        assert found.status_code == 500


@pytest.mark.parametrize("name", ["no credentials", "guard", "dependency"])
def test_a_handler_finds_an_anonymous_request_where_there_are_no_credentials(
    shared_verifier: Verifier, name: str
) -> None:
    found: list[list[str]] = []

    def answer(request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
        found.append(find_users(request)[:3])
        return error.response

    case = CASES[name]
    TestClient(make_app(shared_verifier, case, exception_handlers={401: cast("Any", answer)})).get(case.path)

    assert found == [["nobody", "[]", "None"]]


# --- what a handler finds in all ways -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "no credentials",
        "refused",
        "malformed",
        "scope missing",
        "not allowed",
        "banned",
        "unknown user",
        "deferred, user",
        "deferred, unknown user",
        "deferred, guard",
        "guard",
    ],
)
@pytest.mark.parametrize("is_behind", [False, True], ids=["alone", "behind another verifier"])
def test_htp_044_all_ways_to_the_identity_give_a_handler_the_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], name: str, *, is_behind: bool
) -> None:
    """Neither the refused user nor that of a middleware in front, whose responses end with their token."""
    found: list[str] = []

    def answer(request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
        found.extend(find_subjects(request))
        return error.response

    case = CASES[name]
    app: Any = make_app(shared_verifier, case, exception_handlers={HTTPException: cast("Any", answer)})
    client, cookie = behind_another_verifier(app) if is_behind else (TestClient(app), {})

    reply = client.get(case.path, headers=headers_of(tokens, case.token) | cookie)

    assert (reply.status_code, set(reply.json())) == (case.status, {"error", "error_description"})
    kinds = {400: "InvalidRequestError", 401: "InvalidTokenError", 403: "InsufficientScopeError"}
    assert found == [kinds[case.status] if case.reason else "None"] * 3


@pytest.mark.parametrize("name", ["refused", "unknown user", "deferred, user", "deferred, guard"])
@pytest.mark.parametrize("lets_pass", [True, False], ids=["passes", "answers"])
def test_the_log_warns_of_a_handler_that_lets_the_refusal_pass(
    shared_verifier: Verifier, tokens: dict[str, str], caplog: pytest.LogCaptureFixture, name: str, *, lets_pass: bool
) -> None:
    """Once for each request; the client sees the default response."""

    def answer(request: Request[Any, Any, Any], error: RefusedError) -> Response[Any]:
        return Response(request.user.subject) if lets_pass else error.response

    case = CASES[name]
    client = TestClient(make_app(shared_verifier, case, exception_handlers={401: cast("Any", answer)}))
    with caplog.at_level("WARNING", "aveverify.http"):
        for _ in range(2):
            reply = client.get(case.path, headers=headers_of(tokens, case.token))
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")

    assert [record.getMessage() for record in caplog.records] == [ESCAPED_REFUSAL] * (2 if lets_pass else 0)
