"""Refusals reach the exception handlers of a FastAPI application: those of its dependencies, and of a middleware."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, HTTPException, Security, WebSocket
from fastapi import Request as FastAPIRequest
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse, Response
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from aveverify import (
    AuthRecord,
    AveVerifyError,
    Identity,
    Reason,
    Refusal,
    current_identity,
    get_user_identity,
    problem_details,
    starlette,
)
from aveverify.fastapi import AveAuth, RefusedError
from aveverify.fastapi._openapi import ProblemBody
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeIssuer
from tests.frameworks.two_verifiers import behind_another_verifier
from tests.http.http_fixtures import bearer

ISSUER = FakeIssuer()
VERIFIER = ISSUER.verifier()
ave = AveAuth(VERIFIER)
Me = Annotated[Identity, Security(ave)]

EXPIRED = dict(bearer(ISSUER.forge("expired")))


def token(**claims: str) -> dict[str, str]:
    return dict(bearer(ISSUER.token({"sub": "ada"} | claims)))


def make_app(*, refuses: str, installs: bool, **settings: Any) -> FastAPI:
    """An application whose dependency refuses, or a middleware in front of it."""
    app = FastAPI(**settings)
    if installs:
        ave.install(app)
    if refuses == "middleware":
        app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=True)

    @app.get("/")
    def me(identity: Me) -> str:
        return identity.subject

    @app.websocket("/socket")
    async def socket(_websocket: WebSocket, _identity: Me) -> None:
        raise NotImplementedError

    return app


every_way = pytest.mark.parametrize(
    ("refuses", "installs"),
    [
        pytest.param("dependency", False, id="dependency"),
        pytest.param("dependency", True, id="dependency, installed"),
        pytest.param("middleware", False, id="middleware"),
        pytest.param("middleware", True, id="middleware, installed"),
    ],
)


def describe(_request: FastAPIRequest, error: Any) -> JSONResponse:
    assert isinstance(error, (RefusedError, StarletteHTTPException))
    reason = getattr(error, "reason", "no refusal")
    return JSONResponse({"mine": reason and str(reason)}, error.status_code, error.headers)


async def describe_later(request: FastAPIRequest, error: Any) -> JSONResponse:
    return describe(request, error)


@every_way
@pytest.mark.parametrize(
    "key",
    [
        pytest.param(HTTPException, id="FastAPI's class"),
        pytest.param(StarletteHTTPException, id="Starlette's class"),
        pytest.param(401, id="401"),
        pytest.param(RefusedError, id="RefusedError"),
        pytest.param(starlette.RefusedError, id="Starlette's RefusedError"),
    ],
)
@pytest.mark.parametrize("handler", [describe, describe_later], ids=["function", "coroutine function"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_the_application_answers_a_refusal(
    refuses: str, key: Any, handler: Any, when: str, *, installs: bool
) -> None:
    """Whether it is set before or after `install`."""
    settings = {"exception_handlers": {key: handler}} if when == "before" else {}
    app = make_app(refuses=refuses, installs=installs, **settings)
    if when == "after":
        app.exception_handler(key)(handler)
    client = TestClient(app)

    refused, anonymous = client.get("/", headers=EXPIRED), client.get("/")

    assert (refused.status_code, refused.json()) == (401, {"mine": "EXPIRED"})
    assert refused.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert (anonymous.status_code, anonymous.json()) == (401, {"mine": None})
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert refused.headers["cache-control"] == anonymous.headers["cache-control"] == "no-store"


@every_way
def test_without_a_handler_the_default_answers(refuses: str, *, installs: bool) -> None:
    """FastAPI has a handler of its own in every application, which counts as none."""
    app = make_app(refuses=refuses, installs=installs, exception_handlers={403: describe})

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, {"short": "stout"}, {"x-tea": "yes"})

    client = TestClient(app)
    refused, other = client.get("/", headers=EXPIRED), client.get("/teapot", headers=token())

    is_ours = installs or refuses == "middleware"
    assert set(refused.json()) == ({"error", "error_description"} if is_ours else {"detail"})
    assert (other.status_code, other.json(), other.headers["x-tea"]) == (418, {"detail": {"short": "stout"}}, "yes")


@every_way
def test_a_handler_that_passes_on_to_fastapis_own_is_the_applications(refuses: str, *, installs: bool) -> None:
    async def log_and_answer(request: FastAPIRequest, error: Any) -> Any:
        return await http_exception_handler(request, error)

    app = make_app(refuses=refuses, installs=installs)
    app.exception_handler(StarletteHTTPException)(log_and_answer)

    reply = TestClient(app).get("/", headers=EXPIRED)

    assert (reply.status_code, set(reply.json())) == (401, {"detail"})
    assert "www-authenticate" in reply.headers


def test_a_deferred_refusal_reaches_a_handler_of_fastapis_class() -> None:
    app = make_app(refuses="dependency", installs=True)
    app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=False, on_invalid="defer")

    @app.get("/asks")
    async def asks(request: FastAPIRequest) -> str:
        return str(request.user.subject)

    app.exception_handler(HTTPException)(describe)
    client = TestClient(app)

    for path in ("/", "/asks"):
        assert client.get(path, headers=EXPIRED).json() == {"mine": "EXPIRED"}


def test_a_refused_error_is_an_error_of_fastapi_and_of_starlette() -> None:
    seen: list[Any] = []

    def remember(_request: FastAPIRequest, error: Exception) -> JSONResponse:
        seen.append(error)
        return JSONResponse({})

    for refuses in ("dependency", "middleware"):
        app = make_app(refuses=refuses, installs=False)
        app.exception_handler(HTTPException)(remember)
        TestClient(app).get("/", headers=EXPIRED)

    for error in seen:
        assert isinstance(error, (HTTPException, starlette.RefusedError))
        assert type(error) is RefusedError
        assert isinstance(error.refusal, Refusal)
        assert isinstance(error.response, Response)
        assert error.error is not None
        assert error.reason is error.error.reason is Reason.EXPIRED
        assert (error.detail, error.headers) == (error.refusal.description, dict(error.refusal.headers))
    assert len(seen) == 2


def test_a_websocket_of_a_refused_dependency_has_the_response_of_the_handler() -> None:
    """HTP-029."""
    app = make_app(refuses="dependency", installs=True)
    app.exception_handler(HTTPException)(describe)

    with pytest.raises(WebSocketDenialResponse) as caught, TestClient(app).websocket_connect("/socket"):
        raise NotImplementedError

    assert (caught.value.status_code, caught.value.json()) == (401, {"mine": None})


# --- the body, and what OpenAPI says of it --------------------------------------------------------------------------


def test_rendered_refusals_are_documented_with_their_media_type() -> None:
    """RFC 9457."""
    problems = AveAuth(VERIFIER, render_refusal=problem_details)
    app = FastAPI()
    problems.install(app)
    app.add_api_route("/", lambda: None, dependencies=[Security(problems)], responses=problems.responses)
    client = TestClient(app)

    reply, documented = client.get("/"), client.get("/openapi.json").json()["paths"]["/"]["get"]["responses"]

    assert reply.headers["content-type"] == "application/problem+json"
    ProblemBody.model_validate(reply.json(), strict=True, extra="forbid")
    assert set(documented) >= {"400", "401", "403", "503"}
    for status in ("400", "401", "403", "503"):
        (media_type,) = documented[status]["content"]
        assert media_type == "application/problem+json"
        assert set(documented[status]["content"][media_type]["schema"]["properties"]) == set(reply.json())


def test_a_body_of_the_application_is_not_described() -> None:
    rendered = AveAuth(VERIFIER, render_refusal=lambda refusal: ("text/plain", refusal.error_code))
    app = FastAPI()
    rendered.install(app)
    app.add_api_route("/", lambda: None, dependencies=[Security(rendered)], responses=rendered.responses)
    client = TestClient(app)

    assert client.get("/").text == "unauthorized"
    assert "content" not in client.get("/openapi.json").json()["paths"]["/"]["get"]["responses"]["401"]


# --- for a log in front ---------------------------------------------------------------------------------------------


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
@pytest.mark.parametrize("in_front", [True, False], ids=["behind the middleware", "alone"])
@pytest.mark.parametrize(
    ("path", "headers", "subject", "refusal"),
    [
        pytest.param("/", token(), "ada", None, id="accepted"),
        pytest.param("/", EXPIRED, None, "EXPIRED", id="refused"),
        pytest.param("/", {}, None, "unauthorized", id="no credentials"),
        pytest.param("/optional", {}, None, None, id="optional"),
        pytest.param("/scope", token(), "ada", "INSUFFICIENT_SCOPE", id="scope missing"),
        pytest.param("/pro", token(), "ada", "NOT_ALLOWED", id="not allowed"),
        pytest.param("/user", token(), "ada", "UNKNOWN_USER", id="unknown user"),
    ],
)
def test_a_record_in_front_says_who_it_was_or_why_it_was_refused(  # noqa: PLR0913 - columns of a table
    path: str, headers: dict[str, str], subject: str | None, refusal: str | None, *, in_front: bool, installs: bool
) -> None:
    app = make_app(refuses="dependency", installs=installs)
    for name, dependency in {
        "/optional": ave.optional,
        "/scope": Security(ave, scopes=["write"]),
        "/pro": ave.allow(is_pro),
        "/user": ave.user(lambda _identity: None),
    }.items():
        depends = dependency if name == "/scope" else Security(dependency)
        app.add_api_route(name, lambda: None, dependencies=[depends])
    if in_front:
        app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=False)
    records: list[AuthRecord] = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        records.append(AuthRecord.begin(scope))
        await app(scope, receive, send)

    TestClient(server).get(path, headers=headers)

    (record,) = records
    found = record.refusal and (record.refusal.reason.value if record.refusal.reason else record.refusal.error_code)
    assert found == refusal
    assert (record.identity and record.identity.subject) == subject


# --- a handler that reads the identity ------------------------------------------------------------------------------


def read_in_every_way(request: FastAPIRequest) -> list[str]:
    """What a handler finds: the subject, "None", or the name of the error."""
    found: list[str] = []
    reads: tuple[Callable[[], Identity | None], ...] = (lambda: get_user_identity(request), current_identity.get)
    for read in reads:
        try:
            identity = read()
        except AveVerifyError as error:
            found.append(type(error).__name__)
        else:
            found.append("None" if identity is None else identity.subject)
    return found


@pytest.mark.parametrize("behind", [False, True], ids=["alone", "behind a middleware with another verifier"])
@pytest.mark.parametrize(
    ("headers", "options", "found"),
    [
        pytest.param(EXPIRED, {}, "InvalidTokenError", id="refused"),
        pytest.param(
            dict(bearer(ISSUER.token(sub="ada"))), {"scopes": ["write"]}, "InsufficientScopeError", id="scope"
        ),
        pytest.param({}, {}, "None", id="no credentials"),
    ],
)
def test_htp_044_a_handler_of_a_refused_request_finds_the_refusal_where_it_looks_for_the_identity(
    headers: dict[str, str], options: dict[str, Any], found: str, *, behind: bool
) -> None:
    """Neither an error about a missing middleware, nor the user whom a middleware in front knows."""
    app, dependency = FastAPI(), AveAuth(VERIFIER, **options)
    dependency.install(app)

    @app.get("/")
    def me(_identity: Annotated[Identity, Security(dependency)]) -> None:
        raise NotImplementedError

    @app.exception_handler(RefusedError)
    def answer(request: FastAPIRequest, error: RefusedError) -> JSONResponse:
        return JSONResponse(read_in_every_way(request), error.status_code, error.headers)

    client, cookies = behind_another_verifier(app) if behind else (TestClient(app), {})
    reply = client.get("/", headers={**headers, **cookies})

    assert reply.status_code in (401, 403)
    assert reply.json() == [found, found]


def test_a_handler_that_lets_the_refusal_pass_leaves_the_default_response(caplog: pytest.LogCaptureFixture) -> None:
    """HTP-036: a crash of the handler would be a 500 for every bad token."""
    app = make_app(refuses="dependency", installs=True)

    @app.exception_handler(RefusedError)
    def answer(request: FastAPIRequest, _error: RefusedError) -> JSONResponse:
        get_user_identity(request)
        raise NotImplementedError

    reply = TestClient(app).get("/", headers=EXPIRED)

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    assert reply.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert "an exception handler raised the refusal" in caplog.text


def test_the_refusal_of_another_token_in_a_handler_is_a_crash_of_the_handler() -> None:
    app = make_app(refuses="dependency", installs=True)

    @app.exception_handler(RefusedError)
    def answer(_request: FastAPIRequest, _error: RefusedError) -> JSONResponse:
        VERIFIER.verify("another")
        raise NotImplementedError

    assert TestClient(app, raise_server_exceptions=False).get("/", headers=EXPIRED).status_code == 500
