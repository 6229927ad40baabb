"""Refusals reach the exception handlers of a Starlette application; where none fits, the response is ours."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from aveverify import (
    AuthRecord,
    AveVerifyError,
    Identity,
    InvalidTokenError,
    Reason,
    Refusal,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify._http.rate_limited_log import ESCAPED_REFUSAL
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.asgi import get_live_connection
from aveverify.sources import Cookie
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware, RefusedError, exception_handlers
from aveverify.testing import FakeIssuer
from tests.frameworks.two_verifiers import behind_another_verifier, find_subjects
from tests.http.http_fixtures import Client, Request, bearer, http_scope, websocket_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request as StarletteRequest
    from starlette.types import ASGIApp, Receive, Scope, Send

Handlers = dict[Any, Any]


async def view(request: StarletteRequest) -> PlainTextResponse:
    identity = get_user_identity(request)
    return PlainTextResponse(identity.subject if identity else "anonymous")


ROUTES = [Route("/", view)]


def with_middleware(handlers: Handlers, verifier: Verifier, **options: Any) -> ASGIApp:
    middleware = [Middleware(AveAuthMiddleware, verifier=verifier, **options)]
    return Starlette(routes=ROUTES, middleware=middleware, exception_handlers=handlers)


def with_backend(handlers: Handlers, verifier: Verifier, **options: Any) -> ASGIApp:
    backend = AveAuthBackend(verifier, **options)
    middleware = [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)]
    return Starlette(routes=ROUTES, middleware=middleware, exception_handlers={**exception_handlers, **handlers})


def around(handlers: Handlers, verifier: Verifier, **options: Any) -> ASGIApp:
    """The middleware around an application, where nothing in the scope names it."""
    # Starlette's own middleware in between answers every exception that escapes.
    app = Starlette(routes=ROUTES, exception_handlers={**exception_handlers, **handlers})
    return AveAuthMiddleware(app, verifier, **options)


def mounted(handlers: Handlers, verifier: Verifier, **options: Any) -> ASGIApp:
    """The same as a mount of another application, whose handlers are not asked."""
    inner = around(handlers, verifier, **options)
    return Starlette(routes=[Mount("/", inner)], exception_handlers={HTTPException: not_asked})


def on_a_route(handlers: Handlers, verifier: Verifier, **options: Any) -> ASGIApp:
    middleware = [Middleware(AveAuthMiddleware, verifier=verifier, **options)]
    return Starlette(routes=[Route("/", view, middleware=middleware)], exception_handlers=handlers)


BUILDS = {
    "middleware": with_middleware,
    "backend": with_backend,
    "around": around,
    "mounted": mounted,
    "route": on_a_route,
}
every_build = pytest.mark.parametrize("build", BUILDS.values(), ids=list(BUILDS))


def describe(_request: StarletteRequest, error: RefusedError) -> JSONResponse:
    """A handler as an application has it: a body of its own, with the headers of the error."""
    reason = error.reason.value if error.reason else None
    return JSONResponse({"mine": [type(error).__name__, reason]}, error.status_code, error.headers)


async def describe_later(request: StarletteRequest, error: RefusedError) -> JSONResponse:
    return describe(request, error)


def not_asked(_request: StarletteRequest, _error: Exception) -> JSONResponse:
    raise NotImplementedError


KEYS = [
    pytest.param(RefusedError, id="RefusedError"),
    pytest.param(HTTPException, id="HTTPException"),
    pytest.param(401, id="401"),
]
KINDS = [pytest.param(None, None, id="no credentials"), pytest.param("expired", "EXPIRED", id="refused")]


@every_build
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("kind", "reason"), KINDS)
@pytest.mark.parametrize("handler", [describe, describe_later], ids=["function", "coroutine function"])
def test_a_handler_of_the_application_answers_a_refusal(  # noqa: PLR0913, PLR0917 - columns of a table
    build: Any,
    shared_verifier: Verifier,
    tokens: dict[str, str],
    on_invalid: str,
    key: Any,
    kind: str | None,
    reason: str | None,
    handler: Any,
) -> None:
    """Also a deferred one that escapes a view."""
    headers = dict(bearer(tokens[kind])) if kind else {}
    options = {"required": True, "on_invalid": on_invalid}

    ours = TestClient(build({}, shared_verifier, **options)).get("/", headers=headers)
    theirs = TestClient(build({key: handler}, shared_verifier, **options)).get("/", headers=headers)

    assert theirs.json() == {"mine": ["RefusedError", reason]}
    assert set(ours.json()) == {"error", "error_description"}
    about_body = {"content-type", "content-length"}
    assert theirs.status_code == ours.status_code == 401
    assert {name: value for name, value in theirs.headers.items() if name not in about_body} == {
        name: value for name, value in ours.headers.items() if name not in about_body
    }


@every_build
@pytest.mark.parametrize(
    "handlers",
    [
        pytest.param({}, id="none"),
        pytest.param({403: not_asked, 404: not_asked}, id="another status code"),
        pytest.param({Exception: not_asked, 500: not_asked}, id="what is for failures of the application"),
        pytest.param({type("Teapot", (HTTPException,), {}): not_asked}, id="another HTTPException"),
    ],
)
def test_without_a_handler_for_it_the_response_is_ours(
    build: Any, handlers: Handlers, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    reply = TestClient(build(handlers, shared_verifier, required=True)).get(
        "/", headers=dict(bearer(tokens["expired"]))
    )

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")


def test_a_handler_sees_every_kind_of_refusal(issuer: FakeIssuer, verifier: Verifier) -> None:
    seen: list[RefusedError] = []

    def remember(_request: StarletteRequest, error: RefusedError) -> PlainTextResponse:
        seen.append(error)
        return PlainTextResponse("", error.status_code)

    def ask(headers: dict[str, str], **options: Any) -> int:
        app = with_middleware({HTTPException: remember}, verifier, required=True, **options)
        return TestClient(app).get("/", headers=headers).status_code

    good = dict(bearer(issuer.token()))
    verifier.warm_up()
    statuses = [
        ask({}),
        ask({"Authorization": "Bearer"}),
        ask(dict(bearer(issuer.forge("expired")))),
        ask(good, scopes=["write"]),
        ask(good, allow=lambda _identity: False),
        ask(good, check=lambda _identity: "banned"),
        ask(good, load_user=lambda _identity: None),
        ask(good, load_user=lambda _identity: {"is_active": False}),
    ]
    with issuer.verifier() as cold:
        issuer.go_down()
        app = with_middleware({HTTPException: remember}, cold, required=True)
        statuses.append(TestClient(app).get("/", headers=good).status_code)

    assert statuses == [401, 400, 401, 403, 403, 401, 401, 401, 503]
    assert [error.reason for error in seen] == [
        None,
        Reason.MALFORMED_AUTHORIZATION,
        Reason.EXPIRED,
        Reason.INSUFFICIENT_SCOPE,
        Reason.NOT_ALLOWED,
        Reason.REFUSED_BY_CHECK,
        Reason.UNKNOWN_USER,
        Reason.INACTIVE_USER,
        Reason.KEYS_UNAVAILABLE,
    ]
    assert [error.status_code for error in seen] == statuses


def test_a_refused_error_carries_the_refusal_and_the_whole_response(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    seen: list[RefusedError] = []

    def remember(_request: StarletteRequest, error: RefusedError) -> PlainTextResponse:
        seen.append(error)
        return PlainTextResponse("")

    app = with_middleware({RefusedError: remember}, shared_verifier, required=True)
    TestClient(app).get("/", headers=dict(bearer(tokens["expired"])))
    (error,) = seen

    assert isinstance(error.refusal, Refusal)
    assert isinstance(error.response, Response)
    assert isinstance(error.error, InvalidTokenError)
    assert (error.reason, error.detail) == (error.error.reason, error.refusal.description)
    assert error.headers == dict(error.refusal.headers)
    assert {"content-type", "www-authenticate"} <= set(error.response.headers)
    assert tokens["expired"] not in f"{error!r} {error}"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (copy.reason, copy.response.body) == (error.reason, error.response.body)


def test_a_handler_may_send_our_response_and_change_it(shared_verifier: Verifier) -> None:
    """The body of `render_refusal`, too."""

    def send(_request: StarletteRequest, error: RefusedError) -> Response:
        error.response.headers["x-support"] = "yes"
        return error.response

    options: Any = {"required": True, "render_refusal": lambda refusal: ("text/x-refusal", refusal.error_code)}
    ours = TestClient(with_middleware({}, shared_verifier, **options)).get("/")
    theirs = TestClient(with_middleware({401: send}, shared_verifier, **options)).get("/")

    assert (theirs.status_code, theirs.text) == (ours.status_code, "unauthorized")
    assert dict(theirs.headers) == dict(ours.headers) | {"x-support": "yes"}


each_way_to_read = pytest.mark.parametrize(
    "read",
    [
        pytest.param(get_user_identity, id="the identity"),
        pytest.param(lambda request: request.user.subject, id="the user"),
        pytest.param(lambda request: request.auth.scopes, id="the scopes"),
        pytest.param(lambda request: get_live_connection(request).identity, id="the live identity"),
        pytest.param(lambda _request: current_identity.get(), id="the current identity"),
    ],
)


# --- what a handler finds -------------------------------------------------------------------------------------------


@every_build
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("expired", {}, id="refused"),
        pytest.param("good", {"load_user": lambda _identity: None}, id="HTP-044: refused by the application"),
        pytest.param("good", {"scopes": ["write"]}, id="scope missing"),
    ],
)
@each_way_to_read
def test_a_handler_finds_no_refused_user(  # noqa: PLR0913, PLR0917 - columns of a table
    build: Any,
    shared_verifier: Verifier,
    tokens: dict[str, str],
    kind: str,
    options: dict[str, Any],
    read: Callable[[StarletteRequest], object],
) -> None:
    """HTP-036: it gets the refusal as an exception. Where it lets that pass, the response is ours."""
    find_no_refused_user(partial(build, verifier=shared_verifier, required=True, **options), tokens[kind], read)


@each_way_to_read
def test_a_handler_finds_no_refused_user_where_responses_end_with_their_token(
    shared_verifier: Verifier, tokens: dict[str, str], read: Callable[[StarletteRequest], object]
) -> None:
    build = partial(
        with_middleware,
        verifier=shared_verifier,
        required=True,
        load_user=lambda _identity: None,
        end_expired_streams=True,
    )
    find_no_refused_user(build, tokens["good"], read)


def find_no_refused_user(build: Callable[..., Any], token: str, read: Callable[[StarletteRequest], object]) -> None:
    """Send a token that is refused to a handler that catches the refusal, and to one that lets it pass."""

    def handle(request: StarletteRequest, error: RefusedError) -> PlainTextResponse:
        with pytest.raises(AveVerifyError) as caught:
            read(request)
        assert caught.value is error.error
        return PlainTextResponse("caught", error.status_code)

    def fail(request: StarletteRequest, _error: RefusedError) -> PlainTextResponse:
        read(request)
        raise NotImplementedError

    found = [
        TestClient(build({HTTPException: handler})).get("/", headers=dict(bearer(token))) for handler in (handle, fail)
    ]

    assert found[0].text == "caught"
    assert set(found[1].json()) == {"error", "error_description"}
    assert found[1].status_code == found[0].status_code


@every_build
@pytest.mark.parametrize("kind", ["expired", None], ids=["refused", "no credentials"])
def test_htp_044_a_handler_finds_no_user_of_a_middleware_in_front(
    build: Any, shared_verifier: Verifier, tokens: dict[str, str], kind: str | None
) -> None:
    """Of another verifier, and whose responses end with their token."""
    found: list[str] = []

    def handle(request: StarletteRequest, error: RefusedError) -> Response:
        found.extend(find_subjects(request))
        return error.response

    refused = build({HTTPException: handle}, shared_verifier, required=True)
    headers = dict(bearer(tokens[kind])) if kind else {}
    client, cookie = behind_another_verifier(refused)

    assert client.get("/", headers=headers | cookie).status_code == 401
    assert found == (["InvalidTokenError"] if kind else ["None"]) * 3


@every_build
@pytest.mark.parametrize("lets_pass", [True, False], ids=["passes", "answers"])
def test_the_log_warns_of_a_handler_that_lets_the_refusal_pass(
    build: Any, shared_verifier: Verifier, tokens: dict[str, str], caplog: pytest.LogCaptureFixture, *, lets_pass: bool
) -> None:
    """Once for each request; the client sees the default response."""

    def handle(request: StarletteRequest, error: RefusedError) -> Response:
        return PlainTextResponse(request.user.display_name) if lets_pass else error.response

    client = TestClient(build({HTTPException: handle}, shared_verifier, required=True))
    with caplog.at_level("WARNING", "aveverify.http"):
        for _ in range(2):
            assert client.get("/", headers=dict(bearer(tokens["expired"]))).json()["error"] == "invalid_token"

    assert [record.getMessage() for record in caplog.records] == [ESCAPED_REFUSAL] * (2 if lets_pass else 0)
    assert all(record.levelname == "WARNING" for record in caplog.records)


@every_build
def test_without_credentials_a_handler_finds_an_anonymous_request(build: Any, shared_verifier: Verifier) -> None:
    def handle(request: StarletteRequest, _error: RefusedError) -> PlainTextResponse:
        return PlainTextResponse(f"{request.user.is_authenticated} {request.auth.scopes} {get_user_identity(request)}")

    reply = TestClient(build({HTTPException: handle}, shared_verifier, required=True)).get("/")

    assert reply.text == "False [] None"


def test_a_handler_has_the_application_and_the_current_identity(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def handle(request: StarletteRequest, error: RefusedError) -> PlainTextResponse:
        if error.error is not None:
            with pytest.raises(InvalidTokenError):
                current_identity.get()
            return PlainTextResponse(request.app.state.name)
        return PlainTextResponse(f"{current_identity.get()}")

    handlers: Handlers = {HTTPException: handle}
    app = Starlette(routes=ROUTES, exception_handlers=handlers)
    app.state.name = "inner"
    outer = Starlette(routes=[Mount("/", AveAuthMiddleware(app, shared_verifier, required=True))])

    assert TestClient(outer).get("/", headers=dict(bearer(tokens["expired"]))).text == "inner"
    assert TestClient(outer).get("/").text == "None"


def test_what_a_handler_writes_into_the_state_is_seen_in_front_and_nothing_planted_is_read(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-010."""
    planted = shared_verifier.verify(tokens["other"])

    def handle(request: StarletteRequest, _error: RefusedError) -> PlainTextResponse:
        request.state.handled = True
        return PlainTextResponse(f"{hasattr(request.state, 'identity')}")

    inner = with_middleware({HTTPException: handle}, shared_verifier, required=True)
    states: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"identity": planted}
        scope[IDENTITY_KEY] = scope["user"] = planted
        await inner(scope, receive, send)
        states.append(scope["state"])

    assert TestClient(app).get("/", headers=dict(bearer(tokens["expired"]))).text == "False"
    assert states == [{"identity": planted, "handled": True}]


def test_caches_learn_from_the_response_of_a_handler_by_which_headers_it_differs(shared_verifier: Verifier) -> None:
    """HTP-050."""

    def handle(_request: StarletteRequest, _error: RefusedError) -> PlainTextResponse:
        return PlainTextResponse("no", 401)

    cookie = Cookie("session", allowed_origins=["https://app.test"])
    app = with_middleware({401: handle}, shared_verifier, required=True, token_sources=[cookie])

    assert "Cookie" in TestClient(app).get("/").headers["vary"]


def test_a_handler_that_fails_is_a_failure_of_the_application(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def fail(_request: StarletteRequest, _error: RefusedError) -> PlainTextResponse:
        raise ConnectionRefusedError

    app = with_middleware({HTTPException: fail}, shared_verifier, required=True)
    client = TestClient(app, raise_server_exceptions=False)

    assert client.get("/", headers=dict(bearer(tokens["expired"]))).status_code == 500
    assert client.get("/").status_code == 500


# --- who is asked ---------------------------------------------------------------------------------------------------


def test_the_handlers_of_another_framework_are_not_asked(shared_verifier: Verifier) -> None:
    """Their signature is another one."""

    class Other:
        def __init__(self) -> None:
            self.exception_handlers = {HTTPException: not_asked, 401: not_asked}

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotImplementedError

    client = Client({"type": "http.request"})
    client.call(AveAuthMiddleware(app, shared_verifier, required=True), http_scope(app=Other()))

    assert (client.reply.status, client.reply.content["error"]) == (401, "unauthorized")


def test_an_application_that_is_not_starlettes_has_the_handlers_of_the_one_that_mounts_it(
    shared_verifier: Verifier,
) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotImplementedError

    mount = Mount("/", AveAuthMiddleware(app, shared_verifier, required=True))

    handlers: Handlers = {401: describe}
    reply = TestClient(Starlette(routes=[mount], exception_handlers=handlers)).get("/")

    assert reply.json() == {"mine": ["RefusedError", None]}


def test_a_websocket_is_refused_by_us_whatever_handlers_there_are(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-029."""

    async def talk(_websocket: object) -> None:
        raise NotImplementedError

    app = Starlette(
        routes=[WebSocketRoute("/", talk)],
        middleware=[Middleware(AveAuthMiddleware, verifier=shared_verifier, required=True)],
        exception_handlers={HTTPException: not_asked, 401: not_asked},
    )
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        TestClient(app).websocket_connect("/", headers=dict(bearer(tokens["expired"]))),
    ):
        raise NotImplementedError

    assert caught.value.json()["error"] == "invalid_token"


def test_without_on_error_starlette_answers_by_itself(shared_verifier: Verifier) -> None:
    backend = AveAuthBackend(shared_verifier, required=True)
    app = Starlette(routes=ROUTES, middleware=[Middleware(AuthenticationMiddleware, backend=backend)])

    assert TestClient(app).get("/").status_code == 400


# --- for a log in front ---------------------------------------------------------------------------------------------


def load(identity: Identity) -> str | None:
    return identity.subject if identity.subject == "ada" else None


@every_build
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize(
    ("kind", "subject", "reason"),
    [
        pytest.param("good", "ada", None, id="accepted"),
        pytest.param("expired", None, Reason.EXPIRED, id="refused"),
        pytest.param("other", None, Reason.UNKNOWN_USER, id="unknown user"),
        pytest.param(None, None, None, id="no credentials"),
    ],
)
def test_a_record_in_front_says_who_it_was_or_why_it_was_refused(  # noqa: PLR0913, PLR0917 - columns of a table
    build: Any,
    shared_verifier: Verifier,
    tokens: dict[str, str],
    on_invalid: str,
    kind: str | None,
    subject: str | None,
    reason: Reason | None,
) -> None:
    app = build({}, shared_verifier, required=True, load_user=load, on_invalid=on_invalid)
    scope = http_scope(Request(bearer(tokens[kind]) if kind else ()))
    record = AuthRecord.begin(scope)

    client = Client({"type": "http.request"})
    client.call(app, scope)

    assert (record.refusal is not None) == (client.reply.status == 401)
    assert (record.refusal and record.refusal.reason) == reason
    if record.refusal is None:
        assert record.identity is not None
        assert record.identity.subject == subject


@pytest.mark.parametrize("build", [with_middleware, with_backend], ids=["middleware", "backend"])
def test_a_record_of_a_websocket_says_why_it_was_refused(
    build: Any, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    record = AuthRecord.begin(scope := websocket_scope(bearer(tokens["expired"])))

    Client({"type": "websocket.connect"}).call(build({}, shared_verifier, required=True), scope)

    assert record.refusal is not None
    assert record.refusal.reason is Reason.EXPIRED
