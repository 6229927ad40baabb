"""How a Litestar application answers refusals by itself: its exception handlers, its hooks, its other plugins."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from litestar import Controller, Litestar, Request, Response, Router, asgi, get, route
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
from litestar.logging import LoggingConfig
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.testing import TestClient

from aveverify import AuthRecord, Identity, InvalidTokenError, Reason, Refusal, Verifier, get_user_identity
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.errors import AveVerifyError
from aveverify.litestar import (
    AveAuthMiddleware,
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    RefusedError,
    exception_handlers,
    requires_authenticated,
    requires_scopes,
)
from aveverify.testing import FakeIssuer
from tests.frameworks.error_frames import functions_with
from tests.http import http_fixtures
from tests.http.http_fixtures import Client, bearer, http_scope

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send


@get("/")
async def index(optional_identity: OptionalIdentity) -> str:
    return "anonymous" if optional_identity is None else optional_identity.subject


@get("/me")
async def me(identity: CurrentIdentity) -> str:
    return identity.subject


@get("/members", guards=[requires_authenticated])
async def members() -> str:
    raise NotImplementedError


@get("/readers", guards=[requires_scopes("read")])
async def readers() -> str:
    raise NotImplementedError


@get("/user")
async def user_of(request: Request[Identity, frozenset[str], State]) -> str:
    return request.user.subject


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    del receive, send
    get_user_identity(scope)


HANDLERS = [index, me, members, readers, user_of, mounted]


class Case(NamedTuple):
    """A request that is refused.

    Attributes:
        path: Where it goes.
        token: The kind of its token.
        status: That of the refusal.
        reason: Its reason.
        options: Those of the plugin.
    """

    path: str
    token: str | None
    status: int
    reason: Reason | None
    options: dict[str, Any]


def nobody(_identity: Identity) -> None:
    """Find no user of any identity."""


def defer(**options: Any) -> dict[str, Any]:
    return {"on_invalid": "defer", "required": False} | options


CASES = {
    "no credentials": Case("/", None, 401, None, {}),
    "refused": Case("/", "expired", 401, Reason.EXPIRED, {}),
    "malformed": Case("/", "two words", 400, Reason.MALFORMED_AUTHORIZATION, {}),
    "scope missing": Case("/", "good", 403, Reason.INSUFFICIENT_SCOPE, {"scopes": ["write"]}),
    "not allowed": Case("/", "good", 403, Reason.NOT_ALLOWED, {"allow": lambda _identity: False}),
    "unknown user": Case("/", "good", 401, Reason.UNKNOWN_USER, {"load_user": nobody}),
    "banned": Case("/", "good", 401, Reason.REFUSED_BY_CHECK, {"check": lambda _identity: "banned"}),
    "guard": Case("/members", None, 401, None, {"required": False}),
    "guard, scope": Case("/readers", "good", 403, Reason.INSUFFICIENT_SCOPE, {"required": False}),
    "dependency": Case("/me", None, 401, None, {"required": False}),
    "deferred, dependency": Case("/me", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, guard": Case("/members", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, user": Case("/user", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, unknown user": Case("/user", "good", 401, Reason.UNKNOWN_USER, defer(load_user=nobody)),
    "deferred, scope missing": Case("/user", "good", 403, Reason.INSUFFICIENT_SCOPE, defer(scopes=["write"])),
    "deferred, mounted application": Case("/mounted", "expired", 401, Reason.EXPIRED, defer()),
}
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
# A few, where the kind of the refusal makes no difference.
some_cases = pytest.mark.parametrize(
    "case",
    [pytest.param(CASES[name], id=name) for name in ("no credentials", "refused", "guard, scope", "deferred, user")],
)


# Earlier versions of Litestar do not know the option.
SILENCES = [False, True] if "disable_stack_trace" in inspect.signature(LoggingConfig).parameters else [False]


class Handler:
    """An exception handler that answers 418, and remembers the errors."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def __call__(self, _request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        self.errors.append(error)
        return Response("own", status_code=418, media_type="text/plain")

    def __deepcopy__(self, _memo: object) -> Handler:
        # Litestar copies the handlers of a layer.
        return self

    @property
    def refused(self) -> RefusedError:
        """The one error, a refusal."""
        (error,) = self.errors
        assert isinstance(error, RefusedError)
        return error


@pytest.fixture
def handler() -> Handler:
    return Handler()


def make_app(verifier: Verifier, case: Case, *, handlers: Any = HANDLERS, **settings: Any) -> Litestar:
    plugin = AveAuthPlugin(verifier, **({"required": True} | case.options))
    return Litestar(handlers, plugins=[plugin], **({"logging_config": None} | settings))


def headers_of(tokens: dict[str, str], kind: str | None) -> dict[str, str]:
    return {} if kind is None else {"Authorization": f"Bearer {tokens.get(kind, kind)}"}


def check(refused: RefusedError, case: Case) -> None:
    """What an exception handler finds at a refusal."""
    assert refused.reason is case.reason
    assert isinstance(refused.refusal, Refusal)
    assert refused.refusal.reason is case.reason
    assert refused.refusal.status == refused.status_code == case.status
    assert refused.detail == refused.refusal.description
    assert refused.headers == dict(refused.refusal.headers)
    if case.reason is None:
        assert refused.error is None
    else:
        assert isinstance(refused.error, AveVerifyError)
        assert refused.error.reason is case.reason


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
