"""What sees the refusals of Litestar beside exception handlers: hooks, logs, and what stands around."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import pytest
from litestar import Litestar, Request, Response, Router, route
from litestar.datastructures import State  # noqa: TC002 - Litestar evaluates annotations
from litestar.exceptions import HTTPException
from litestar.logging import LoggingConfig
from litestar.testing import TestClient

from aveverify import AuthRecord, Identity, Verifier
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.litestar import AveAuthMiddleware, RefusedError, exception_handlers, requires_authenticated
from tests.frameworks.error_frames import functions_with
from tests.frameworks.litestar_refusals import (
    CASES,
    Case,
    Handler,
    check,
    each_case,
    headers_of,
    index,
    make_app,
    members,
    readers,
    some_cases,
    user_of,
)
from tests.http import http_fixtures
from tests.http.http_fixtures import Client, http_scope

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

# Earlier versions of Litestar do not know the option.
SILENCES = [False, True] if "disable_stack_trace" in inspect.signature(LoggingConfig).parameters else [False]


@pytest.fixture
def handler() -> Handler:
    return Handler()


@each_case
def test_a_hook_sees_every_refusal_once(shared_verifier: Verifier, tokens: dict[str, str], case: Case) -> None:
    seen: list[Exception] = []

    async def hook(error: Exception, _scope: Scope) -> None:
        seen.append(error)

    app = make_app(shared_verifier, case, after_exception=[hook])
    TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    (refused,) = seen
    assert isinstance(refused, RefusedError)
    check(refused, case)


@each_case
@pytest.mark.parametrize("silences", SILENCES, ids=["enabled", "disabled"][: len(SILENCES)])
def test_litestar_logs_refusals_as_other_errors_of_their_status(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case, *, silences: bool
) -> None:
    """Where an application wants a traceback of every exception, it may leave statuses out. ERR-004."""
    logged: list[str] = []

    def record(_logger: object, _scope: object, lines: list[str]) -> None:
        logged.append("".join(lines))

    options: dict[str, Any] = {"disable_stack_trace": {case.status}} if silences else {}
    logs = LoggingConfig(
        log_exceptions="always",
        exception_logging_handler=record,
        configure_root_logger=False,
        **options,
    )
    app = make_app(shared_verifier, case, logging_config=logs)

    TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert len(logged) == (0 if silences else 1)
    assert tokens.get(case.token or "", "two words") not in "".join(logged)


@each_case
def test_err_004_no_frame_of_this_package_holds_the_token(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    """A crash report of a hook shows the local variables; the scope itself is Litestar's own."""
    seen: list[Exception] = []

    async def hook(error: Exception, _scope: Scope) -> None:
        seen.append(error)

    token = tokens.get(case.token or "", "two words")
    TestClient(make_app(shared_verifier, case, after_exception=[hook])).get(
        case.path, headers=headers_of(tokens, case.token)
    )

    for error in (seen[0], getattr(seen[0], "error", None)):
        if error is not None:
            assert not {"verify", "verify_async", "authenticate_async", "read_token"} & set(
                functions_with(token, error)
            )


# --- what stands around ---------------------------------------------------------------------------------------------


class Stamp:
    """A middleware that counts what passes, and stamps every response."""

    def __init__(self, app: ASGIApp, seen: list[int]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._seen.append(message["status"])
                message["headers"] = [*message["headers"], (b"x-stamp", b"1")]
            await send(message)

        await self._app(scope, receive, stamp)


@some_cases
@pytest.mark.parametrize("is_own", [True, False], ids=["own handler", "default"])
def test_middleware_in_front_sees_the_response(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, case: Case, *, is_own: bool
) -> None:
    seen: list[int] = []
    auth = AveAuthMiddleware.define(shared_verifier, **({"required": True} | case.options))
    app = Litestar(
        [Router("/", route_handlers=[index, members, readers, user_of], middleware=[auth])],
        middleware=[lambda app: Stamp(app, seen)],
        exception_handlers={**exception_handlers, **({HTTPException: cast("Any", handler)} if is_own else {})},
        logging_config=None,
    )

    answer = TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    assert answer.headers["x-stamp"] == "1"
    assert seen == [answer.status_code] == [418 if is_own else case.status]


@pytest.mark.parametrize("name", ["no credentials", "refused", "malformed", "scope missing", "banned", "unknown user"])
def test_the_middleware_alone_answers_as_with_the_plugin(
    shared_verifier: Verifier, tokens: dict[str, str], name: str
) -> None:
    case = CASES[name]
    middleware = AveAuthMiddleware.define(shared_verifier, **({"required": True} | case.options))
    alone = Litestar([index], middleware=[middleware], logging_config=None)
    headers = headers_of(tokens, case.token)

    found = TestClient(alone).get("/", headers=headers)

    expected = TestClient(make_app(shared_verifier, case)).get("/", headers=headers)
    assert (found.status_code, found.content, dict(found.headers)) == (
        expected.status_code,
        expected.content,
        dict(expected.headers),
    )


@pytest.mark.parametrize("name", ["no credentials", "refused"])
def test_behind_the_middleware_alone_the_handlers_of_the_application_answer(
    shared_verifier: Verifier, tokens: dict[str, str], handler: Handler, name: str
) -> None:
    case = CASES[name]
    middleware = AveAuthMiddleware.define(shared_verifier, required=True)
    own: Any = {HTTPException: handler}
    app = Litestar([index], middleware=[middleware], exception_handlers=own, logging_config=None)

    assert TestClient(app).get("/", headers=headers_of(tokens, case.token)).status_code == 418
    check(handler.refused, case)


@pytest.mark.parametrize("name", ["no credentials", "refused"])
def test_around_a_whole_application_no_handler_is_known(
    shared_verifier: Verifier, tokens: dict[str, str], name: str
) -> None:
    """Where no router of Litestar stands in front, the middleware answers itself."""
    case = CASES[name]
    app = AveAuthMiddleware(Litestar([], logging_config=None), shared_verifier, required=True)

    answer = TestClient(cast("Any", app)).get("/", headers=headers_of(tokens, case.token))

    assert (answer.status_code, set(answer.json())) == (case.status, {"error", "error_description"})


@pytest.mark.parametrize("name", ["no credentials", "guard", "deferred, user"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_gets_the_head_alone(shared_verifier: Verifier, tokens: dict[str, str], name: str, method: str) -> None:
    """RFC 9110 §9.3.2: as ASGI has it, not as a client shows it."""
    case = CASES[name]
    guards = [requires_authenticated] if name == "guard" else []

    @route("/", http_method=["GET", "HEAD"], guards=guards)
    async def page(request: Request[Identity, frozenset[str], State]) -> Response[None]:
        assert request.user.subject
        raise NotImplementedError

    app = make_app(shared_verifier, case, handlers=[page])
    client = Client({"type": "http.request"})
    token = tuple(headers_of(tokens, case.token).items())

    client.call(app, http_scope(http_fixtures.Request(token, method=method)))  # type: ignore[arg-type] # Litestar's scope is a typed dictionary

    assert client.reply.status == 401
    assert int(client.reply.headers["content-length"]) > 0
    assert len(client.reply.body) == (0 if method == "HEAD" else int(client.reply.headers["content-length"]))


@each_case
def test_what_stands_in_front_of_the_application_learns_the_reason(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    records: list[AuthRecord] = []
    inner = make_app(shared_verifier, case)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        records.append(AuthRecord.begin(scope))
        await inner(scope, receive, send)

    TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    (record,) = records
    assert record.refusal is not None
    assert (record.refusal.status, record.refusal.reason) == (case.status, case.reason)


@some_cases
def test_what_stands_in_front_sees_what_a_handler_writes(
    shared_verifier: Verifier, tokens: dict[str, str], case: Case
) -> None:
    scopes: list[Any] = []

    def answer_refused(request: Request[Any, Any, Any], error: RefusedError) -> Response[bytes]:
        request.state.answered = error.status_code
        return error.response

    inner = make_app(shared_verifier, case, exception_handlers={RefusedError: cast("Any", answer_refused)})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await inner(scope, receive, send)

    TestClient(app).get(case.path, headers=headers_of(tokens, case.token))

    (scope,) = scopes
    assert scope["state"]["answered"] == case.status
    assert scope["path_template"] == case.path
    assert not {"user", "auth", IDENTITY_KEY} & set(scope)
