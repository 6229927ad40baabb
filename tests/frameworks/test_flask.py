"""Flask: config, application factories, blueprints, async views, proxies, error handlers, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from flask import Blueprint, Flask, Response, copy_current_request_context, jsonify, request, stream_with_context
from flask.views import MethodView
from werkzeug.exceptions import Unauthorized
from werkzeug.test import Client, TestResponse

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Reason,
    Verifier,
    get_user_identity,
    wsgi,
)
from aveverify import current_identity as identity_of_context
from aveverify._http.auth_options import OnInvalid
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.errors import Problem
from aveverify.flask import AveAuth, current_identity, current_user
from aveverify.sources import AuthorizationHeader, Cookie
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.frameworks.error_frames import frames_of, functions_with
from tests.http.flask_client import new_app
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


@pytest.fixture
def app() -> Flask:
    return new_app()


@pytest.fixture
def ave(app: Flask, shared_verifier: Verifier) -> AveAuth:
    return AveAuth(app, shared_verifier)


def get(
    app: Flask, token: str | None = None, path: str = "/", *, environ_base: dict[str, object] | None = None
) -> TestResponse:
    """The response to a request with a token or without."""
    return app.test_client().get(path, headers=bearer(token) if token else (), environ_base=environ_base or {})


def who() -> str:
    """A view that answers with the subject of the request."""
    return current_identity.subject if current_identity else "anonymous"  # type: ignore[truthy-bool]


# --- installing -----------------------------------------------------------------------------------------------------


def test_an_extension_may_serve_several_applications_each_by_its_own_config() -> None:
    ours, theirs = FakeIssuer("https://ours.test"), FakeIssuer("https://theirs.test")
    ave = AveAuth()
    view = ave.required(who)

    def create_app(issuer: FakeIssuer) -> Flask:
        app = new_app(AVEVERIFY_VERIFIER=issuer.verifier())
        ave.init_app(app)
        app.add_url_rule("/", "who", view)
        return app

    first, second = create_app(ours), create_app(theirs)

    assert [get(app, ours.token(sub="ada")).status_code for app in (first, second)] == [200, 401]
    assert [get(app, theirs.token(sub="ada")).status_code for app in (first, second)] == [401, 200]


def test_two_extensions_in_one_application_are_refused(app: Flask, ave: AveAuth) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ave.init_app(app)

    assert caught.value.field == "app"


def test_the_config_of_the_application_takes_precedence_over_the_arguments(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app = new_app(AVEVERIFY_VERIFIER=shared_verifier, AVEVERIFY_REALM="config")
    AveAuth(app, FakeIssuer().verifier(), required=True, realm="argument")
    app.add_url_rule("/", "who", who)

    assert get(app, tokens["good"]).text == "ada"
    assert get(app).headers["www-authenticate"] == 'Bearer realm="config"'


def test_a_decorated_view_of_an_application_without_the_extension_raises_a_configuration_error(app: Flask) -> None:
    app.add_url_rule("/", "who", AveAuth().required(who))

    with pytest.raises(ConfigurationError) as caught:
        get(app)

    assert caught.value.problem is Problem.NO_MIDDLEWARE


def test_outside_of_a_request_the_proxies_raise_flasks_own_error() -> None:
    for proxy in (current_identity, current_user):
        with pytest.raises(RuntimeError, match="request context"):
            str(proxy.subject)


@pytest.mark.parametrize("method", ["required", "optional", "protect"])
def test_wrong_scopes_are_refused_when_the_view_is_decorated(ave: AveAuth, method: str) -> None:
    arguments = [Blueprint("b", "b")] if method == "protect" else []

    with pytest.raises(ConfigurationError) as caught:
        getattr(ave, method)(*arguments, scopes="read")

    assert caught.value.field == "scopes"


# --- once, and only when it is needed -------------------------------------------------------------------------------


def test_a_token_that_no_view_needs_is_not_verified(issuer: FakeIssuer, verifier: Verifier) -> None:
    app = new_app()
    AveAuth(app, verifier)
    app.add_url_rule("/", "hello", lambda: "hello")

    assert get(app, issuer.token()).text == "hello"
    assert issuer.jwks_requests == 0


def test_a_request_is_verified_once_however_often_its_identity_is_read(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    checked: list[Identity] = []
    app = new_app()
    ave = AveAuth(app, shared_verifier, required=True, check=checked.append)
    blueprint = ave.protect(Blueprint("api", "api"))

    @blueprint.get("/")
    @ave.required
    def view() -> str:
        assert get_user_identity(request) == current_identity
        return current_identity.subject

    app.register_blueprint(blueprint)

    assert get(app, tokens["good"]).text == "ada"
    assert len(checked) == 1


def test_the_check_of_the_application_refuses(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    app = new_app()
    app.add_url_rule("/", "who", AveAuth(app, shared_verifier, check=lambda _: "banned").required(who))

    assert get(app, tokens["good"]).status_code == 401


@pytest.mark.parametrize(("kind", "status"), [("good", 200), ("other", 401)])
def test_a_check_may_be_a_coroutine_function(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str, status: int
) -> None:
    async def check(identity: Identity) -> str | None:
        return None if identity.subject == "ada" else "not ada"

    app = new_app()
    AveAuth(app, shared_verifier, required=True, check=check)
    app.get("/")(lambda: "hello")

    assert app.test_client().get("/", headers=dict(bearer(tokens[kind]))).status_code == status


@pytest.mark.parametrize("planted", [None, "ada", object()], ids=["None", "text", "object"])
def test_an_identity_in_the_environ_of_the_server_is_overwritten(
    app: Flask, ave: AveAuth, tokens: dict[str, str], planted: object
) -> None:
    """HTP-010."""
    app.add_url_rule("/", "who", lambda: str(getattr(get_user_identity(request), "subject", None)))

    assert get(app, environ_base={IDENTITY_KEY: planted}).text == "None"
    assert get(app, tokens["other"], environ_base={IDENTITY_KEY: planted}).text == "grace"
    assert ave is not None


def test_requests_within_one_application_context_do_not_see_each_others_user(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    """HTP-038: a test may keep an application context open for several requests, and `g` with it."""
    ave.load_user(lambda identity: f"user {identity.subject}")
    app.add_url_rule("/", "who", ave.optional(lambda: f"{who()}, {current_user}"))

    with app.app_context():
        answers = [get(app, token).text for token in (tokens["good"], None, tokens["other"])]

    assert answers == ["ada, user ada", "anonymous, None", "grace, user grace"]


def test_a_request_context_of_a_test_knows_its_user(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    with app.test_request_context(headers=bearer(tokens["good"])):
        assert current_identity.subject == "ada"
    with app.test_request_context():
        assert not current_identity  # type: ignore[truthy-bool]
    assert ave is not None


# --- the identity of the context ------------------------------------------------------------------------------------


def context_subject() -> str | None:
    """The subject that `current_identity` gives, without the request."""
    identity = identity_of_context.get()
    return None if identity is None else identity.subject


def assert_no_request_is_served() -> None:
    with pytest.raises(ConfigurationError) as caught:
        identity_of_context.get()
    assert caught.value.problem is Problem.NO_REQUEST


@pytest.mark.parametrize("in_front", [False, True], ids=["alone", "behind a middleware"])
def test_of_nested_requests_the_innermost_counts(
    shared_verifier: Verifier, tokens: dict[str, str], *, in_front: bool
) -> None:
    """HTP-037."""
    app = new_app()
    seen: list[str | None] = []

    @app.get("/")
    @AveAuth(app, shared_verifier).required
    def view() -> str:
        with app.test_request_context(headers=bearer(tokens["other"])):
            seen.append(context_subject())
            with app.test_request_context():
                seen.append(context_subject())
        seen.append(context_subject())
        return "seen"

    if in_front:
        app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, shared_verifier, required=True)  # type: ignore[method-assign]

    assert get(app, tokens["good"]).text == "seen"
    assert seen == ["grace", None, "ada"]
    assert_no_request_is_served()


def test_the_extension_takes_precedence_over_a_middleware_in_front_of_it(shared_verifier: Verifier) -> None:
    """`current_identity` and `get_user_identity` agree."""
    issuer = FakeIssuer("https://front.test")
    app = new_app()
    AveAuth(app, shared_verifier, token_sources=[Cookie("session", allowed_origins=["https://app.test"])])
    app.add_url_rule("/", "view", lambda: f"{identity_of_context.get()} {get_user_identity(request)}")
    app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, issuer.verifier(), required=True)  # type: ignore[method-assign]

    assert get(app, issuer.token(sub="ada")).text == "None None"


def test_a_request_that_a_middleware_serves_within_a_view_has_its_own_identity(
    app: Flask, ave: AveAuth, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    seen: list[str | None] = []
    other = Flask("other")
    other.add_url_rule("/", "view", lambda: f"{context_subject()}")
    other.wsgi_app = wsgi.AveAuthMiddleware(other.wsgi_app, shared_verifier, required=True)  # type: ignore[method-assign]

    def bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(context_subject())
        return other.wsgi_app(environ, start_response)

    @app.get("/")
    @ave.required
    def view() -> str:
        inner = wsgi.AveAuthMiddleware(bare, shared_verifier, required=True)
        answer = Client(inner).get("/", headers=bearer(tokens["other"]))
        seen.extend([answer.text, context_subject()])
        return "seen"

    assert get(app, tokens["good"]).text == "seen"
    assert seen == ["grace", "grace", "ada"]


def test_an_application_without_the_extension_has_no_current_identity(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    @app.get("/")
    @ave.required
    def view() -> str:
        with new_app().test_request_context(headers=bearer(tokens["good"])):
            assert_no_request_is_served()
        return context_subject() or "anonymous"

    assert get(app, tokens["good"]).text == "ada"


@pytest.mark.parametrize("in_front", [False, True], ids=["alone", "behind a middleware"])
def test_of_requests_and_bound_identities_the_innermost_counts(
    shared_verifier: Verifier, tokens: dict[str, str], *, in_front: bool
) -> None:
    """HTP-037, whether or not anything has read the identity of the request before."""
    app = new_app()
    grace, seen = shared_verifier.verify(tokens["other"]), []

    @app.get("/")
    @AveAuth(app, shared_verifier).required
    def view() -> str:
        with identity_of_context.bind(grace):
            seen.append(context_subject())
            with identity_of_context.bind(None), app.test_request_context(headers=bearer(tokens["good"])):
                with identity_of_context.bind(None):
                    seen.append(context_subject())
                seen.append(context_subject())
            seen.append(context_subject())
        seen.append(context_subject())
        return "seen"

    if in_front:
        app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, shared_verifier, required=True)  # type: ignore[method-assign]

    with identity_of_context.bind(None):
        assert get(app, tokens["good"]).text == "seen"
        seen.append(context_subject())
    assert seen == ["grace", None, "ada", "grace", "ada", None]
    assert_no_request_is_served()


def test_what_is_bound_is_found_for_proxies_where_no_request_within_counts(
    app: Flask, ave: AveAuth, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    grace = shared_verifier.verify(tokens["other"])
    assert ave is not None

    with app.test_request_context(headers=bearer(tokens["good"])), identity_of_context.bind(grace):
        bound = identity_of_context.find_bound()
        assert bound is not None
        assert bound.identity is grace
        with app.test_request_context():
            assert identity_of_context.find_bound() is None
    with app.test_request_context(headers=bearer(tokens["good"])):
        assert identity_of_context.find_bound() is None


@pytest.mark.parametrize("in_front", [False, True], ids=["alone", "behind a middleware"])
def test_a_thread_with_flasks_context_has_the_identity_too(
    shared_verifier: Verifier, tokens: dict[str, str], *, in_front: bool
) -> None:
    app = new_app()
    seen: list[str | None] = []

    @app.get("/")
    @AveAuth(app, shared_verifier).required
    def view() -> str:
        thread = Thread(target=copy_current_request_context(lambda: seen.append(context_subject())))
        thread.start()
        thread.join()
        return "seen"

    if in_front:
        app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, shared_verifier, required=True)  # type: ignore[method-assign]

    assert get(app, tokens["good"]).text == "seen"
    assert seen == ["ada"]


@pytest.mark.parametrize("in_front", [False, True], ids=["alone", "behind a middleware"])
def test_a_stream_with_flasks_context_has_the_identity_while_it_runs(
    shared_verifier: Verifier, tokens: dict[str, str], *, in_front: bool
) -> None:
    """HTP-037."""
    app = new_app()

    @app.get("/")
    @AveAuth(app, shared_verifier).required
    def view() -> Response:
        def chunks() -> Iterator[str]:
            yield "hello "
            yield context_subject() or "anonymous"

        return Response(stream_with_context(chunks()))

    if in_front:
        app.wsgi_app = wsgi.AveAuthMiddleware(app.wsgi_app, shared_verifier, required=True)  # type: ignore[method-assign]

    assert get(app, tokens["good"]).text == "hello ada"
    assert_no_request_is_served()


# --- views ----------------------------------------------------------------------------------------------------------


def test_the_scopes_of_a_view_add_to_those_of_the_application(
    shared_verifier: Verifier, shared_issuer: FakeIssuer
) -> None:
    app = new_app()
    ave = AveAuth(app, shared_verifier, scopes=["read"])
    app.add_url_rule("/", "who", ave.required(scopes=["write"])(who))

    def ask(scope: str) -> TestResponse:
        return get(app, shared_issuer.token(sub="ada", scope=scope))

    assert [ask(scope).status_code for scope in ("read write", "read", "write")] == [200, 403, 403]
    assert ask("read").headers["www-authenticate"].endswith('scope="read write"')
    assert get(app).headers["www-authenticate"] == 'Bearer scope="read write"'


def test_a_required_view_does_not_run_with_a_bad_token_even_if_refusals_are_deferred(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-036: the view relies on the decorator, and does not read the identity."""
    app = new_app()
    app.add_url_rule("/", "view", AveAuth(app, shared_verifier, on_invalid="defer").required(lambda: "secret"))

    assert [get(app, tokens[kind]).status_code for kind in ("good", "expired")] == [200, 401]


def test_async_views(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    @app.get("/")
    @ave.required(scopes=["read"])
    async def view() -> str:
        return current_identity.subject

    assert get(app, tokens["reader"]).text == "ada"
    assert [get(app, token).status_code for token in (tokens["good"], None)] == [403, 401]


def test_views_of_classes(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    class View(MethodView):
        decorators: ClassVar[list[Any]] = [ave.required]

        def get(self, word: str) -> str:
            return f"{word} {current_identity.subject}"

    app.add_url_rule("/<word>", view_func=View.as_view("view"))

    assert get(app, tokens["good"], "/hello").text == "hello ada"
    assert get(app, path="/hello").status_code == 401


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
def test_all_views_of_a_protected_blueprint_are_guarded_and_no_others(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, required: bool
) -> None:
    blueprint = ave.protect(Blueprint("api", "api", url_prefix="/api"), scopes=["read"], required=required)
    blueprint.add_url_rule("/", "who", who)
    app.register_blueprint(blueprint)
    app.add_url_rule("/", "open", lambda: "open")

    answers = [get(app, token, "/api/").status_code for token in (tokens["reader"], tokens["good"], tokens["expired"])]
    assert answers == [200, 403, 401]
    assert get(app, path="/api/").status_code == (401 if required else 200)
    assert get(app).text == "open"


@pytest.mark.parametrize(
    ("automatic", "status"), [(True, 200), (False, 401)], ids=["answered by Flask", "answered by the view"]
)
def test_a_preflight_runs_no_view_of_a_protected_blueprint(
    app: Flask, ave: AveAuth, *, automatic: bool, status: int
) -> None:
    """HTP-027."""
    seen: list[str] = []
    blueprint = ave.protect(Blueprint("api", "api", url_prefix="/api"))

    def view() -> str:
        seen.append("ran")
        return "ran"

    blueprint.add_url_rule("/", "view", view, methods=["GET", "OPTIONS"], provide_automatic_options=automatic)
    app.register_blueprint(blueprint)

    answer = app.test_client().options(
        "/api/", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    )

    assert answer.status_code == status
    assert seen == []


def test_a_stream_knows_its_user(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    @app.get("/")
    @ave.required
    def view() -> Response:
        def chunks() -> Iterator[str]:
            yield "hello "
            yield current_identity.subject

        return Response(stream_with_context(chunks()))

    assert get(app, tokens["good"]).text == "hello ada"


def test_required_holds_for_every_path_that_is_not_exempt(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-012, HTP-019: even for paths without a route."""
    app = new_app(AVEVERIFY_REQUIRED=True, AVEVERIFY_EXEMPT=["/healthz", "/open/*"])
    ave = AveAuth(app, shared_verifier)
    for path in ("/", "/healthz", "/open/<name>"):
        app.add_url_rule(path, path, lambda **_: who())
    app.add_url_rule("/open/mine", "mine", ave.required(who))

    assert get(app, path="/healthz").text == "anonymous"
    assert get(app, tokens["expired"], "/open/page").text == "anonymous"
    assert [get(app, path=path).status_code for path in ("/", "/nowhere", "/healthz/", "//healthz")] == [401] * 4
    assert get(app, tokens["good"], "/open/mine").status_code == 401


def test_a_cookie_is_read_if_it_is_a_token_source(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-031."""
    cookie = Cookie("session", allowed_origins=["https://app.test"])
    app = new_app(AVEVERIFY_TOKEN_SOURCES=[AuthorizationHeader(), cookie])
    app.add_url_rule("/", "who", AveAuth(app, shared_verifier).required(who))
    client = app.test_client()
    client.set_cookie("session", tokens["good"])

    assert client.get("/", headers={"Origin": "https://app.test"}).text == "ada"
    assert client.get("/", headers={"Origin": "https://evil.test"}).status_code == 401


# --- users ----------------------------------------------------------------------------------------------------------


def test_the_user_of_the_application_is_loaded_once_before_a_view_that_takes_credentials(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    loaded: list[str] = []

    @ave.load_user
    def load_user(identity: Identity) -> dict[str, str]:
        loaded.append(identity.subject)
        return {"name": identity.subject.title()}

    app.add_url_rule("/", "user", ave.required(lambda: current_user["name"] + current_user["name"]))
    app.add_url_rule("/open", "open", lambda: "open")

    assert get(app, tokens["good"], "/open").text == "open"
    assert loaded == []
    assert get(app, tokens["good"]).text == "AdaAda"
    assert loaded == ["ada"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
def test_a_loader_may_be_a_coroutine_function(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, is_async: bool
) -> None:
    @ave.load_user
    async def load_user(identity: Identity) -> str:
        return identity.subject.upper()

    async def view() -> str:
        return str(current_user)

    app.add_url_rule("/", "user", ave.required(view) if is_async else ave.required(lambda: str(current_user)))

    assert get(app, tokens["good"]).text == "ADA"


def test_current_user_without_a_loader_raises_a_configuration_error(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    app.add_url_rule("/", "user", ave.required(lambda: str(current_user)))

    with pytest.raises(ConfigurationError) as caught:
        get(app, tokens["good"])

    assert caught.value.field == "load_user"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["before init_app", "after"])
def test_the_application_may_answer_refusals_by_itself(
    shared_verifier: Verifier, tokens: dict[str, str], *, before: bool
) -> None:
    app = new_app()
    ave = AveAuth()
    if not before:
        ave.init_app(new_app(AVEVERIFY_VERIFIER=shared_verifier))
        AveAuth(app, shared_verifier)
    app.register_error_handler(AveVerifyError, lambda error: (jsonify(ours=error.reason), error.http_status))
    app.register_error_handler(Unauthorized, lambda _: (jsonify(ours="anonymous"), 401))
    if before:
        AveAuth(app, shared_verifier)
    app.add_url_rule("/", "who", ave.required(who))

    assert get(app, tokens["expired"]).get_json() == {"ours": "EXPIRED"}
    assert get(app).get_json() == {"ours": "anonymous"}


@pytest.mark.parametrize("kind", ["expired", "bad_signature", "padded_base64", "good"])
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
def test_an_error_handler_finds_no_token_in_the_frames_of_a_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str, on_invalid: OnInvalid
) -> None:
    """A crash report shows the local variables of every frame; those of the verification hold the token."""
    app, found = new_app(), []
    ave = AveAuth(app, shared_verifier, on_invalid=on_invalid)

    @app.errorhandler(AveVerifyError)
    def report(error: Any) -> tuple[str, int]:
        assert frames_of(error.error) == []
        names = [frame.f_code.co_name for frame in frames_of(error)]
        found.append((names[-1], functions_with(tokens[kind], error)))
        return "", error.http_status

    app.add_url_rule("/", "guarded", ave.required(scopes=["read"])(who))
    app.add_url_rule("/lazy", "lazy", lambda: who() + who())
    statuses = [get(app, tokens[kind], path).status_code for path in ("/", "/lazy")]

    if kind == "good":
        assert (statuses, found) == ([403, 200], [("raise_denial", [])])
    else:
        assert statuses == [400 if kind == "padded_base64" else 401] * 2
        assert found == [("raise_denial", [])] * 2


def test_reading_the_identity_again_raises_the_refusal_without_the_frames_of_the_first_read(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    """A view that reads it in a loop must not fill the memory, nor a crash report show what the first reader held."""
    depths: set[int] = set()

    with app.test_request_context(headers=bearer(tokens["expired"])):
        for _ in range(5):
            with pytest.raises(InvalidTokenError) as caught:
                who()
            depths.add(len(frames_of(caught.value)))

    assert len(depths) == 1
    assert ave is not None


def test_a_handler_of_one_error_leaves_the_others(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    app.register_error_handler(InsufficientScopeError, lambda _: ("more!", 403))
    app.add_url_rule("/", "who", ave.required(scopes=["read"])(who))

    assert get(app, tokens["good"]).text == "more!"
    assert get(app, tokens["expired"]).get_json()["error"] == "invalid_token"


def test_the_refusal_of_another_token_is_not_answered(
    app: Flask, ave: AveAuth, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app.add_url_rule("/", "view", ave.required(lambda: shared_verifier.verify(tokens["bad_signature"]).subject))

    with pytest.raises(InvalidTokenError) as caught:
        get(app, tokens["good"])

    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_view_may_demand_scopes_by_itself(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    @app.get("/")
    @ave.required
    def view() -> str:
        raise InsufficientScopeError(("admin",))

    answer = get(app, tokens["good"])

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].endswith('scope="admin"')


def test_a_refusal_passes_the_after_request_hooks_of_the_application(app: Flask, ave: AveAuth) -> None:
    """HTP-028: an extension for CORS adds its headers behind the view."""

    @app.after_request
    def add(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://app.test"
        return response

    app.add_url_rule("/", "who", ave.required(who))

    assert get(app).headers["access-control-allow-origin"] == "https://app.test"


def test_a_token_is_refused_from_its_expiration_time_on(app: Flask) -> None:
    clock = FakeClock(now=NOW)
    issuer = FakeIssuer(clock=clock)
    app.add_url_rule("/", "who", AveAuth(app, issuer.verifier()).required(who))
    token = issuer.token(sub="ada", exp=clock.now() + 60)

    statuses = []
    for seconds in (59, 1, 1):
        clock.tick(seconds=seconds)
        statuses.append(get(app, token).status_code)

    assert statuses == [200, 401, 401]
