"""Flask: a refusal is an HTTP error of Werkzeug, which every handler of an application sees, with its reason."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, render_template_string
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Reason,
    Verifier,
    get_user_identity,
    problem_details,
)
from aveverify import current_identity as identity_of_context
from aveverify.errors import Problem
from aveverify.flask import AveAuth, RefusedError, current_identity
from tests.frameworks.flask_refusals import (
    WAYS,
    Refused,
    assert_refused,
    every_kind,
    every_way,
    get,
    keep_records,
    make_refused,
    new_view,
    protected_blueprint,
    read_identity,
)
from tests.http.flask_client import new_app
from tests.http.http_fixtures import bearer

STATUS_CLASSES: dict[int, type[HTTPException]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    503: ServiceUnavailable,
}
pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


@pytest.fixture
def app() -> Flask:
    return new_app()


@pytest.fixture
def ave(app: Flask, shared_verifier: Verifier) -> AveAuth:
    return AveAuth(app, shared_verifier)


# --- what handlers see ----------------------------------------------------------------------------------------------


@every_way
def test_without_a_handler_the_response_is_that_of_the_refusal(app: Flask, kind: str, way: str) -> None:
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)

    answer = app.test_client().get("/", headers=refused.headers)

    assert_refused(answer, refused)
    assert set(answer.get_json()) == {"error", "error_description"}


HANDLED = ["RefusedError", "status", "class", "HTTPException", "Exception", "our error", "root"]


def handled(by: str, refused: Refused) -> Any:
    """What a handler is registered for."""
    return {
        "RefusedError": RefusedError,
        "status": refused.status,
        "class": STATUS_CLASSES[refused.status],
        "HTTPException": HTTPException,
        "Exception": Exception,
        "our error": refused.error or RefusedError,
        # Missing credentials are no error of this package.
        "root": AveVerifyError if refused.error else Unauthorized,
    }[by]


def keep(seen: list[Exception], error: Exception, answer: Any) -> Any:
    """Keep an error, and give an answer."""
    seen.append(error)
    return answer


def crash() -> str:
    """A view that fails."""
    raise ZeroDivisionError


class Handler:
    """Keeps what it sees, and answers by itself."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, error: Any) -> Response:
        self.seen.append(error)
        return Response("ours", error.code, error.get_headers())


def assert_handled(handler: Handler, refused: Refused) -> None:
    """It has seen one refusal, with all that is known of it."""
    (error,) = handler.seen
    assert isinstance(error, RefusedError)
    assert isinstance(error, STATUS_CLASSES[refused.status])
    assert isinstance(error, refused.error or RefusedError)
    assert isinstance(error, AveVerifyError) == (refused.error is not None)
    assert type(error.error) is (refused.error or type(None))
    assert (error.reason, error.refusal.reason, error.code) == (refused.reason, refused.reason, refused.status)


@every_way
@pytest.mark.parametrize("by", HANDLED)
def test_every_handler_sees_every_refusal_with_its_reason(app: Flask, *, kind: str, way: str, by: str) -> None:
    refused, handler = make_refused(kind), Handler()
    WAYS[way](app, refused.verifier)
    app.register_error_handler(handled(by, refused), handler)

    answer = app.test_client().get("/", headers=refused.headers)

    assert answer.text == "ours"
    assert_refused(answer, refused)
    assert_handled(handler, refused)


@every_kind
@pytest.mark.parametrize("by", HANDLED)
def test_so_do_the_handlers_of_a_blueprint(app: Flask, *, kind: str, by: str) -> None:
    refused, handler = make_refused(kind), Handler()
    protected_blueprint(
        app,
        refused.verifier,
        prepare=lambda blueprint: blueprint.register_error_handler(handled(by, refused), handler),
    )

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)
    assert_handled(handler, refused)


@every_kind
def test_a_refusal_has_all_that_werkzeug_and_this_package_say_of_it(app: Flask, kind: str) -> None:
    refused = make_refused(kind)
    WAYS["decorated"](app, refused.verifier)

    with app.test_request_context(headers=refused.headers), pytest.raises(RefusedError) as caught:
        app.view_functions["view"]()

    error: Any = caught.value
    assert error.description == error.refusal.description
    assert str(error) == f"{refused.status} {error.name}: {error.description}"
    assert refused.reason is None or refused.reason.name not in repr(error)
    assert error.get_body() == error.response.get_data(as_text=True)
    assert dict(error.get_headers())["Content-Type"] == "application/json"
    if refused.error is not None:
        assert (error.rule, error.hint, error.convex_code) == (
            error.error.rule,
            error.error.hint,
            error.error.convex_code,
        )
        assert refused.reason is not None
        assert refused.reason.name in str(error.error)
    assert (error.retry_after is not None) == (refused.status == 503)
    assert [str(challenge).split(" ")[0] for challenge in error.www_authenticate] == (
        [] if refused.status == 503 else ["Bearer"]
    )
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(again), again.reason, again.get_body()) == (type(error), error.reason, error.get_body())


def test_the_facts_of_a_refused_token_stand_on_the_exception(app: Flask) -> None:
    refused = make_refused("refused")
    WAYS["lazy"](app, refused.verifier)

    with app.test_request_context(headers=refused.headers), pytest.raises(InvalidTokenError) as caught:
        read_identity()

    assert (caught.value.claim, caught.value.alg, caught.value.step) == (
        caught.value.error.claim,  # type: ignore[attr-defined] # of RefusedError
        caught.value.error.alg,  # type: ignore[attr-defined]
        caught.value.error.step,  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("read", ["request", "context"])
def test_what_needs_no_flask_raises_the_same(app: Flask, ave: AveAuth, tokens: dict[str, str], read: str) -> None:
    from flask import request  # noqa: PLC0415 - named like the parameter otherwise

    assert ave is not None
    app.get("/")(lambda: str(get_user_identity(request) if read == "request" else identity_of_context.get()))
    seen: list[Exception] = []
    app.register_error_handler(RefusedError, lambda error: keep(seen, error, error))

    assert app.test_client().get("/", headers=bearer(tokens["expired"])).status_code == 401
    assert [type(error).__mro__[1] for error in seen] == [RefusedError]


def test_the_identity_can_be_read_after_the_request_context_has_gone(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    assert ave is not None
    with app.test_request_context(headers=bearer(tokens["expired"])) as context:
        app.preprocess_request()
        environ = context.request.environ

    with pytest.raises(RefusedError):
        get_user_identity(environ)


# --- which handler --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", [AveVerifyError, InvalidTokenError, RefusedError])
@pytest.mark.parametrize("theirs", [401, HTTPException, Exception])
def test_a_handler_for_our_errors_is_asked_before_one_for_a_status(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, ours: type[Exception], theirs: Any
) -> None:
    app.register_error_handler(theirs, lambda _: ("theirs", 401))
    app.register_error_handler(ours, lambda _: ("ours", 401))
    app.get("/")(ave.required(new_view()))
    client = app.test_client()

    assert client.get("/", headers=bearer(tokens["expired"])).text == "ours"
    assert client.get("/").text == ("ours" if ours is RefusedError else "theirs")


def test_the_most_specific_of_our_handlers_is_asked(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    app.register_error_handler(AveVerifyError, lambda _: ("any error", 401))
    app.get("/")(ave.required(new_view()))
    ask = bearer(tokens["expired"])
    said = [app.test_client().get("/", headers=ask).text]
    for kind, text in ((RefusedError, "any refusal"), (InvalidTokenError, "a refused token")):
        app.error_handler_spec[None][None][kind] = lambda _, text=text: (text, 401)
        said.append(app.test_client().get("/", headers=ask).text)

    assert said == ["any error", "any refusal", "a refused token"]


def test_the_handler_of_a_blueprint_is_asked_first(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    blueprint = Blueprint("api", "api", url_prefix="/api")
    blueprint.register_error_handler(AveVerifyError, lambda _: ("blueprint", 401))
    app.register_error_handler(InvalidTokenError, lambda _: ("application", 401))
    for scaffold in (app, blueprint):
        scaffold.add_url_rule("/", "view", ave.required(new_view()))
    app.register_blueprint(blueprint)

    said = [app.test_client().get(path, headers=bearer(tokens["expired"])).text for path in ("/", "/api/")]

    assert said == ["application", "blueprint"]


def test_a_handler_may_be_a_coroutine_function(app: Flask, ave: AveAuth) -> None:
    @app.errorhandler(RefusedError)
    async def handle(error: RefusedError) -> tuple[str, int]:
        return f"{error.reason}", error.refusal.status

    app.get("/")(ave.required(new_view()))

    assert app.test_client().get("/").text == "None"


# --- status and challenge stay --------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("propagates", [None, True, False])
@pytest.mark.parametrize("traps", [False, True])
def test_no_config_makes_a_crash_of_a_refusal(
    app: Flask, *, kind: str, way: str, propagates: bool | None, traps: bool
) -> None:
    app.config.update(
        PROPAGATE_EXCEPTIONS=propagates, TRAP_HTTP_EXCEPTIONS=traps, TRAP_BAD_REQUEST_ERRORS=traps, TESTING=traps
    )
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


@every_way
def test_a_body_of_the_application_keeps_the_challenge(app: Flask, kind: str, way: str) -> None:
    """RFC 6750 §3: as Flask's own page on JSON errors writes it, without any header."""
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)
    app.register_error_handler(HTTPException, lambda error: ({"code": error.code, "name": error.name}, error.code))

    answer = app.test_client().get("/", headers=refused.headers)

    assert answer.get_json()["code"] == refused.status
    assert_refused(answer, refused)


@every_way
def test_a_handler_for_everything_does_not_make_a_crash_of_a_refusal(app: Flask, kind: str, way: str) -> None:
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)
    app.register_error_handler(Exception, lambda _: ("something went wrong", 500))

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


def test_headers_of_the_application_stay(app: Flask, ave: AveAuth) -> None:
    own = {"WWW-Authenticate": 'bearer realm="own"', "Cache-Control": "private", "Vary": "Cookie"}
    app.register_error_handler(RefusedError, lambda _: ("no", 401, own))
    app.get("/")(ave.required(new_view()))

    answer = app.test_client().get("/")

    assert answer.headers.getlist("www-authenticate") == ['bearer realm="own"']
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("private", "Cookie, Authorization")


def test_the_challenge_stands_beside_that_of_another_scheme(app: Flask, ave: AveAuth) -> None:
    app.register_error_handler(401, lambda _: ("no", 401, {"WWW-Authenticate": 'Basic realm="own"'}))
    app.get("/")(ave.required(new_view()))

    assert app.test_client().get("/").headers.getlist("www-authenticate") == ['Basic realm="own"', "Bearer"]


def test_another_status_is_another_response(app: Flask, ave: AveAuth) -> None:
    app.register_error_handler(401, lambda _: ("", 302, {"Location": "/login"}))
    app.get("/")(ave.required(new_view()))

    answer = app.test_client().get("/")

    assert (answer.status_code, "www-authenticate" in answer.headers) == (302, False)


@pytest.mark.parametrize("crashes", [False, True])
def test_a_view_that_catches_a_refusal_answers_as_it_likes(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, crashes: bool
) -> None:
    """A crash behind it is a crash."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert ave is not None

    @app.get("/")
    def view() -> str:
        for _ in range(3):
            with pytest.raises(InvalidTokenError):
                read_identity()
        return str(1 / (not crashes))

    answer = app.test_client().get("/", headers=bearer(tokens["expired"]))

    assert (answer.status_code, "www-authenticate" in answer.headers) == (500 if crashes else 200, False)


def test_the_body_of_problem_details_reaches_handlers(app: Flask, shared_verifier: Verifier) -> None:
    app.get("/")(AveAuth(app, shared_verifier, render_refusal=problem_details).required(new_view()))
    app.register_error_handler(HTTPException, lambda error: error)

    answer = app.test_client().get("/")

    assert (answer.content_type, answer.status_code) == ("application/problem+json", 401)


# --- what is no refusal of this request -----------------------------------------------------------------------------


@pytest.mark.parametrize("by", [AveVerifyError, InvalidTokenError, None])
def test_the_refusal_of_another_token_is_an_error_of_the_view(
    app: Flask, ave: AveAuth, shared_verifier: Verifier, tokens: dict[str, str], *, by: type[Exception] | None
) -> None:
    """A handler of the application sees it, as any error of a view; it is no HTTP error, and has no response."""
    seen: list[Exception] = []
    if by is not None:
        app.register_error_handler(by, lambda error: keep(seen, error, ("theirs", 502)))
    app.get("/")(ave.required(lambda: shared_verifier.verify(tokens["bad_signature"]).subject))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    answer = app.test_client().get("/", headers=bearer(tokens["good"]))

    assert answer.status_code == (500 if by is None else 502)
    assert "www-authenticate" not in answer.headers
    assert not any(isinstance(error, HTTPException) for error in seen)


@pytest.mark.parametrize("where", ["application", "blueprint"])
@pytest.mark.parametrize("own", [False, True], ids=["without a handler of its own", "with one"])
@pytest.mark.parametrize("by", [AveVerifyError, ValueError])
def test_no_handler_answers_a_wrong_configuration_unless_it_was_made_for_one(  # noqa: PLR0913 - columns of a table
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, where: str, own: bool, by: type[Exception]
) -> None:
    """A mistake of the programmer must not become a 401 that nobody sees in a log."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    blueprint = Blueprint("api", "api")
    scaffold = app if where == "application" else blueprint
    scaffold.register_error_handler(by, lambda _: ("swallowed", 401))
    if own:
        app.register_error_handler(ConfigurationError, lambda error: (error.field, 500))

    @scaffold.get("/")
    @ave.required
    def view() -> str:
        from aveverify.flask import current_user  # noqa: PLC0415 - it has no loader

        return str(current_user)

    if scaffold is blueprint:
        app.register_blueprint(blueprint)

    answer = app.test_client().get("/", headers=bearer(tokens["good"]))

    assert answer.status_code == 500
    assert (answer.text == "load_user") == own


@pytest.mark.parametrize("forgotten", ["init_app", "route"])
def test_a_handler_does_not_hide_that_the_extension_guards_nothing(
    app: Flask, shared_verifier: Verifier, forgotten: str, caplog: pytest.LogCaptureFixture
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(AveVerifyError, lambda _: ("swallowed", 401))
    if forgotten == "init_app":
        app.get("/")(AveAuth().required(new_view()))
    else:
        AveAuth(None, shared_verifier, required=True).required(app.get("/")(lambda: "open"))

    with caplog.at_level(logging.ERROR):
        statuses = [get(app).status_code for _ in range(2)]

    assert statuses == [500, 500]
    assert "ConfigurationError" in caplog.text


# --- in error handlers, pages and hooks -----------------------------------------------------------------------------


@pytest.mark.parametrize("propagates", [True, False])
@pytest.mark.parametrize("path", ["/nowhere", "/crash"])
def test_an_error_page_that_reads_the_identity_refuses_a_bad_token(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, path: str, propagates: bool
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = propagates
    assert ave is not None
    app.get("/crash")(crash)
    for error in (NotFound, ZeroDivisionError):
        app.register_error_handler(error, lambda _: (f"sorry, {read_identity()}", 404))

    def ask(kind: str) -> tuple[int, str]:
        answer = app.test_client().get(path, headers=bearer(tokens[kind]))
        return answer.status_code, answer.text[:10]

    assert ask("good") == (404, "sorry, ada")
    assert ask("expired") == (401, '{"error": ')


def test_the_page_of_a_server_error_that_reads_the_identity_refuses_a_bad_token(
    app: Flask, ave: AveAuth, tokens: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert ave is not None
    app.get("/")(crash)
    app.register_error_handler(InternalServerError, lambda _: (f"sorry, {read_identity()}", 500))

    with caplog.at_level(logging.ERROR):
        statuses = [
            app.test_client().get("/", headers=bearer(tokens[kind])).status_code for kind in ("good", "expired")
        ]

    assert statuses == [500, 401]
    assert caplog.text.count("\nZeroDivisionError") == 2


@pytest.mark.parametrize("by", [401, RefusedError])
def test_the_page_of_a_refusal_that_reads_the_identity_is_the_plain_refusal(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, by: Any
) -> None:
    app.register_error_handler(by, lambda _: (render_template_string("{{ current_identity.name }}, sign in"), 401))
    app.get("/")(ave.required(new_view()))
    client = app.test_client()

    assert client.get("/").text == ", sign in"
    refused = client.get("/", headers=bearer(tokens["expired"]))
    assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_token")


def test_a_hook_behind_the_view_that_reads_the_identity_refuses_a_bad_token(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    assert ave is not None
    app.register_error_handler(RefusedError, lambda error: ("ours", error.refusal.status))

    @app.after_request
    def name_user(response: Response) -> Response:
        response.headers["X-User"] = read_identity()
        return response

    app.get("/")(lambda: "public")
    client = app.test_client()

    assert client.get("/", headers=bearer(tokens["good"])).headers["x-user"] == "ada"
    refused = client.get("/", headers=bearer(tokens["expired"]))
    assert (refused.status_code, refused.text) == (401, "ours")


def test_a_crash_stays_a_crash(app: Flask, ave: AveAuth) -> None:
    assert ave is not None
    app.get("/")(crash)

    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/")


# --- scopes that a view demands by itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("decorated", [True, False])
def test_scopes_that_a_view_demands_by_itself_are_a_refusal_too(
    app: Flask, ave: AveAuth, tokens: dict[str, str], caplog: pytest.LogCaptureFixture, *, decorated: bool
) -> None:
    def view() -> str:
        assert current_identity.subject == "ada"
        raise InsufficientScopeError(("admin",))

    app.get("/")(ave.required(view) if decorated else view)
    records = keep_records(app)

    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        answer = get(app, tokens["good"])

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].endswith('scope="admin"')
    assert [record.refusal and record.refusal.reason for record in records] == [Reason.INSUFFICIENT_SCOPE]
    assert caplog.text.count("refused: INSUFFICIENT_SCOPE") == 1


def test_an_application_without_the_extension_sees_the_error_itself(app: Flask, shared_verifier: Verifier) -> None:
    """It has no challenge to give."""
    waiting = AveAuth(None, shared_verifier)
    app.get("/guarded")(waiting.required(new_view()))
    app.add_url_rule("/", "demand", _demand_scope)
    with pytest.raises(ConfigurationError) as caught:
        app.test_client().get("/guarded")
    assert caught.value.problem is Problem.NO_MIDDLEWARE

    with pytest.raises(InsufficientScopeError) as bare:
        app.test_client().get("/")
    assert not isinstance(bare.value, RefusedError)
    waiting.init_app(new_app())


def _demand_scope() -> str:
    raise InsufficientScopeError(("admin",))


def test_a_refused_identity_inside_the_loader_is_the_refusal_of_the_request(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    @ave.load_user
    def load_user(_identity: Identity) -> str:
        raise InvalidTokenError(Reason.UNKNOWN_USER, rule="HTP-044")

    app.get("/")(ave.required(new_view()))

    answer = app.test_client().get("/", headers=bearer(tokens["good"]))

    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
