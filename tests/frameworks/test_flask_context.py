"""Flask: the identity in templates and outside of requests, and the verifier of an application."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask, render_template_string

from aveverify import ConfigurationError, Identity, InvalidTokenError, Provider, Reason, Verifier
from aveverify import current_identity as identity_of_context
from aveverify.errors import Problem
from aveverify.flask import AveAuth, current_identity, current_user, get_verifier
from tests.frameworks.flask_refusals import get
from tests.http.flask_client import new_app

pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


@pytest.fixture
def app() -> Flask:
    return new_app()


@pytest.fixture
def ave(app: Flask, shared_verifier: Verifier) -> AveAuth:
    return AveAuth(app, shared_verifier)


@pytest.fixture
def ada(shared_verifier: Verifier, tokens: dict[str, str]) -> Identity:
    return shared_verifier.verify(tokens["good"])


# --- templates ------------------------------------------------------------------------------------------------------

PAGE = "{% if current_identity %}hello {{ current_identity.subject }}{% else %}hello stranger{% endif %}"


@pytest.mark.parametrize("decorated", [True, False])
def test_a_template_knows_the_identity(app: Flask, ave: AveAuth, tokens: dict[str, str], *, decorated: bool) -> None:
    def view() -> str:
        return render_template_string(PAGE)

    app.get("/")(ave.optional(view) if decorated else view)

    assert [get(app, token).text for token in (tokens["good"], None)] == ["hello ada", "hello stranger"]
    assert get(app, tokens["expired"]).status_code == 401


@pytest.mark.parametrize(
    "page",
    [
        "{{ current_identity.name }}",
        "{{ current_identity }}",
        "{{ current_identity['name'] }}",
        "{{ current_identity.name|default('stranger') }}",
        "{{ current_identity or 'stranger' }}",
        "{% if current_identity is defined and current_identity %}{% endif %}",
        "{{ 'name' in current_identity }}",
    ],
)
def test_no_expression_of_a_template_swallows_a_refusal(
    app: Flask, ave: AveAuth, tokens: dict[str, str], page: str
) -> None:
    assert ave is not None
    app.get("/")(lambda: render_template_string(page))

    answer = get(app, tokens["expired"])

    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")


def test_a_template_that_does_not_ask_verifies_nothing(app: Flask, tokens: dict[str, str]) -> None:
    asked: list[Identity] = []
    AveAuth(app, Verifier(Provider.ave("app_1")), check=asked.append)
    app.get("/")(lambda: render_template_string("public"))

    assert get(app, tokens["expired"]).text == "public"
    assert asked == []


def test_a_view_may_give_the_template_another_value_of_that_name(app: Flask, ave: AveAuth) -> None:
    assert ave is not None
    app.get("/")(lambda: render_template_string(PAGE, current_identity={"subject": "grace"}))

    assert get(app).text == "hello grace"


def test_the_user_of_flask_login_stays_that_of_flask_login(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    flask_login: Any = pytest.importorskip("flask_login")
    app.secret_key = "s"
    login = flask_login.LoginManager(app)
    login.request_loader(lambda _: None)
    ave.load_user(lambda identity: identity.subject)
    app.get("/")(lambda: render_template_string("{{ current_user.is_authenticated }} {{ current_identity.subject }}"))

    assert get(app, tokens["good"]).text == "False ada"


# --- outside of requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_app", [False, True], ids=["nothing", "an application context"])
def test_a_bound_identity_stands_in_the_proxies(app: Flask, ave: AveAuth, ada: Identity, *, with_app: bool) -> None:
    """A command, a worker, a test."""
    assert ave is not None
    context: Any = app.app_context() if with_app else nullcontext()

    with context, identity_of_context.bind(ada):
        assert current_identity.subject == "ada"
        assert current_identity == ada
        with identity_of_context.bind(None):
            assert not current_identity  # type: ignore[truthy-bool]
            assert current_user == None  # noqa: E711 - a proxy
        assert current_identity == ada


def test_a_command_runs_with_a_bound_identity(app: Flask, ave: AveAuth, ada: Identity) -> None:
    ave.load_user(lambda identity: identity.subject.title())

    @app.cli.command("report")
    @identity_of_context.bind(ada)
    def report() -> None:
        print(f"for {current_user}, {current_identity.subject}")  # noqa: T201 - what the command prints

    assert app.test_cli_runner().invoke(args=["report"]).output == "for Ada, ada\n"


def test_the_user_of_a_bound_identity_is_loaded_once(app: Flask, ave: AveAuth, ada: Identity) -> None:
    loaded: list[str] = []
    ave.load_user(lambda identity: loaded.append(identity.subject) or {"name": identity.subject})  # type: ignore[func-returns-value] # None

    with app.app_context(), identity_of_context.bind(ada):
        assert current_user["name"] + current_user["name"] == "adaada"
        with identity_of_context.bind(ada):
            assert current_user["name"] == "ada"

    assert loaded == ["ada", "ada"]


def test_a_bound_identity_whose_user_is_not_admitted_has_no_user(app: Flask, ave: AveAuth, ada: Identity) -> None:
    ave.load_user(lambda _identity: None)

    with app.app_context(), identity_of_context.bind(ada), pytest.raises(InvalidTokenError) as caught:
        str(current_user)

    assert caught.value.reason is Reason.UNKNOWN_USER


def test_a_bound_user_needs_a_loader(app: Flask, ave: AveAuth, ada: Identity) -> None:
    assert ave is not None
    with app.app_context(), identity_of_context.bind(ada), pytest.raises(ConfigurationError) as caught:
        str(current_user)

    assert caught.value.field == "load_user"


def test_an_identity_that_a_view_binds_counts_within_the_block(
    app: Flask, ave: AveAuth, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    grace = shared_verifier.verify(tokens["other"])
    ave.load_user(lambda identity: identity.subject.upper())

    @app.get("/")
    @ave.required
    def view() -> str:
        with identity_of_context.bind(grace):
            inner = f"{current_identity.subject} {current_user}"
            with app.test_request_context():
                inner += f" {bool(current_identity)} {current_user}"
        return f"{inner} {current_identity.subject} {current_user}"

    assert get(app, tokens["good"]).text == "grace GRACE False None ada ADA"


@pytest.mark.parametrize("with_app", [False, True], ids=["nothing", "an application context"])
def test_without_a_request_the_proxies_name_both_ways_out(app: Flask, ave: AveAuth, *, with_app: bool) -> None:
    assert ave is not None
    context: Any = app.app_context() if with_app else nullcontext()

    for proxy in (current_identity, current_user):
        with context, pytest.raises(ConfigurationError) as caught:
            str(proxy.subject)
        assert caught.value.problem is Problem.NO_REQUEST
        assert isinstance(caught.value, RuntimeError)
        for words in ("no request is served", "current_identity.bind(identity)", "test_request_context()"):
            assert words in str(caught.value)


def test_without_a_request_the_proxies_are_false_and_can_be_shown_like_those_of_flask() -> None:
    """Debuggers, test runners and shells look at every name of a module."""
    assert not current_identity  # type: ignore[truthy-bool]
    assert not current_user
    assert "unbound" in repr(current_identity)
    assert not isinstance(current_identity, Identity)


# --- the verifier ---------------------------------------------------------------------------------------------------


def test_the_verifier_of_the_settings_can_be_had() -> None:
    app = new_app(AVEVERIFY_ISSUER="https://idp.example", AVEVERIFY_APPLICATION_ID="my-client-id")
    ave = AveAuth(app)

    with app.app_context():
        assert get_verifier() is ave.verifier
        assert get_verifier().providers[0].issuer == "https://idp.example"
    with app.test_request_context():
        assert get_verifier() is ave.verifier


def test_each_application_has_its_own_verifier(shared_verifier: Verifier) -> None:
    other = Verifier(Provider.ave("app_1"))
    ave = AveAuth(None, shared_verifier)
    apps = new_app(), new_app(AVEVERIFY_VERIFIER=other)
    for app in apps:
        ave.init_app(app)

    found = []
    for app in apps:
        with app.app_context():
            found.append((get_verifier(), ave.verifier))

    assert found == [(shared_verifier, shared_verifier), (other, other)]


def test_outside_of_an_application_the_verifier_is_that_of_the_only_one_or_the_given_one(
    shared_verifier: Verifier,
) -> None:
    other = Verifier(Provider.ave("app_1"))
    ave = AveAuth(None, shared_verifier)
    assert ave.verifier is shared_verifier

    app = new_app(AVEVERIFY_VERIFIER=other)
    ave.init_app(app)
    assert ave.verifier is other
    second = new_app()
    ave.init_app(second)
    assert ave.verifier is shared_verifier


def test_several_applications_without_a_given_verifier_are_told_apart_by_their_context(
    shared_verifier: Verifier,
) -> None:
    ave = AveAuth()
    with pytest.raises(ConfigurationError) as caught:
        str(ave.verifier)
    assert (caught.value.problem, caught.value.field) == (Problem.MISSING, "verifier")
    apps = [new_app(AVEVERIFY_VERIFIER=shared_verifier) for _ in range(2)]
    for app in apps:
        ave.init_app(app)
    with pytest.raises(ConfigurationError):
        str(ave.verifier)
    with apps[1].app_context():
        assert ave.verifier is shared_verifier
    with pytest.raises(RuntimeError, match="application context"):
        get_verifier()


def test_an_application_without_the_extension_has_no_verifier() -> None:
    with new_app().app_context(), pytest.raises(ConfigurationError) as caught:
        get_verifier()

    assert caught.value.problem is Problem.NO_MIDDLEWARE
