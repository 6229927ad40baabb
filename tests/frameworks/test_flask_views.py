"""HTP-043: Flask never serves a decorated view without its guard, however the view was registered."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, request_started
from flask.views import MethodView, View

from aveverify import ConfigurationError, Provider, Verifier
from aveverify._http.option_checks import layers
from aveverify.errors import Problem
from aveverify.flask import AveAuth
from aveverify.testing import FakeIssuer
from tests.http.flask_client import new_app
from tests.http.http_fixtures import bearer

Decorate = Callable[[Any], Any]
AnyView = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


@pytest.fixture
def app() -> Flask:
    return new_app()


@pytest.fixture
def ave(app: Flask, shared_verifier: Verifier) -> AveAuth:
    return AveAuth(app, shared_verifier)


def new_view(text: str = "secret") -> Callable[..., str]:
    """A new view for each test, because decorated views are remembered."""

    def view(*_arguments: object, **_words: object) -> str:
        return text

    return view


def with_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that uses `functools.wraps`."""

    @functools.wraps(view)
    def inner(*args: object, **kwargs: object) -> object:
        return view(*args, **kwargs)

    return inner


def without_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator without `functools.wraps`."""

    def inner(*args: object, **kwargs: object) -> object:
        return view(*args, **kwargs)

    return inner


def refused(app: Flask, path: str = "/", token: str | None = None) -> ConfigurationError:
    """The error that a request raises."""
    with pytest.raises(ConfigurationError) as caught:
        app.test_client().get(path, headers=bearer(token) if token else ())
    return caught.value


DECORATORS: dict[str, Callable[[AveAuth], Decorate]] = {
    "required": lambda ave: ave.required,
    "required()": lambda ave: ave.required(),
    "scopes": lambda ave: ave.required(scopes=["admin"]),
    "optional": lambda ave: ave.optional,
}
every_decorator = pytest.mark.parametrize("decorator", list(DECORATORS))


def on_app(app: Flask, view: AnyView) -> AnyView:
    """Register as `@app.get` does."""
    return app.get("/", endpoint="view")(view)


def by_rule(app: Flask, view: Callable[..., Any]) -> object:
    """Register by hand."""
    app.add_url_rule("/", "view", view)
    return view


def on_blueprint(app: Flask, view: Callable[..., Any]) -> object:
    """Register in a blueprint that is registered later."""
    blueprint = Blueprint("api", "api")
    blueprint.get("/", endpoint="view")(view)
    app.register_blueprint(blueprint)
    return view


def on_nested_blueprint(app: Flask, view: Callable[..., Any]) -> object:
    """Register in a blueprint of a blueprint."""
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    inner.route("/", endpoint="view")(view)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return view


ROUTES = {"app": on_app, "rule": by_rule, "blueprint": on_blueprint, "nested": on_nested_blueprint}


# --- above the route ------------------------------------------------------------------------------------------------


@every_decorator
@pytest.mark.parametrize("route", list(ROUTES))
def test_htp_043_a_decorator_above_the_route_is_refused_at_the_first_request(
    app: Flask, ave: AveAuth, tokens: dict[str, str], route: str, decorator: str
) -> None:
    view = new_view()
    ROUTES[route](app, view)
    DECORATORS[decorator](ave)(view)

    for token in (None, tokens["good"], tokens["good"]):
        error = refused(app, token=token)
        assert error.problem is Problem.UNGUARDED_VIEW
        assert "view" in error.field


def test_htp_043_without_propagation_it_is_a_500_for_everyone(ave: AveAuth, app: Flask, tokens: dict[str, str]) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    ave.required(on_app(app, new_view()))
    app.add_url_rule("/other", "other", new_view("open"))

    for path in ("/", "/other", "/nowhere"):
        answer = app.test_client().get(path, headers=bearer(tokens["good"]))
        assert (answer.status_code, b"secret" in answer.data) == (500, False)


@every_decorator
def test_a_decorator_below_the_route_guards(app: Flask, ave: AveAuth, tokens: dict[str, str], decorator: str) -> None:
    on_app(app, DECORATORS[decorator](ave)(new_view()))

    answer = app.test_client().get("/", headers=bearer(tokens["expired"]))

    assert answer.status_code == 401


@pytest.mark.parametrize("between", [with_wraps, without_wraps, functools.partial], ids=["wraps", "bare", "partial"])
@pytest.mark.parametrize("beyond", [with_wraps, without_wraps, functools.partial], ids=["wraps", "bare", "partial"])
def test_htp_043_other_decorators_do_not_hide_it(app: Flask, ave: AveAuth, between: Decorate, beyond: Decorate) -> None:
    """`@ave.required`, `@between`, `@app.get`, `@beyond`, `def view`, from above."""
    ave.required(between(on_app(app, beyond(new_view()))))

    assert refused(app).problem is Problem.UNGUARDED_VIEW


@pytest.mark.parametrize("above", [with_wraps, without_wraps, functools.partial], ids=["wraps", "bare", "partial"])
@pytest.mark.parametrize("below", [with_wraps, without_wraps, functools.partial], ids=["wraps", "bare", "partial"])
def test_other_decorators_may_stand_around_a_guard(
    app: Flask, ave: AveAuth, tokens: dict[str, str], above: Decorate, below: Decorate
) -> None:
    on_app(app, above(ave.required(below(new_view()))))

    client = app.test_client()
    assert client.get("/").status_code == 401
    assert client.get("/", headers=bearer(tokens["good"])).text == "secret"


def test_a_route_that_registers_a_wrapper_of_the_view_is_seen_through(app: Flask, ave: AveAuth) -> None:
    """Extensions register a function of their own around the view, and return the view."""
    view = new_view()
    on_app(app, with_wraps(view))
    ave.required(view)

    assert refused(app).problem is Problem.UNGUARDED_VIEW


def test_htp_043_a_further_guard_above_the_route_is_not_lost(app: Flask, ave: AveAuth) -> None:
    """The scope would not be checked."""
    ave.required(scopes=["admin"])(on_app(app, ave.required(new_view())))

    assert refused(app).problem is Problem.UNGUARDED_VIEW


def test_two_guards_below_the_route_are_both_asked(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    on_app(app, ave.required(scopes=["read"])(ave.required(new_view())))

    client = app.test_client()
    codes = [client.get("/", headers=bearer(tokens[name])).status_code for name in ("good", "reader")]
    assert codes == [403, 200]


@pytest.mark.parametrize("bare_first", [True, False])
def test_htp_043_a_view_that_is_registered_with_and_without_its_guard_is_refused(
    app: Flask, ave: AveAuth, *, bare_first: bool
) -> None:
    """Nothing tells it from `@ave.required` between two routes; a public view is a function of its own."""
    view = new_view()
    registered: dict[str, Any] = {"bare": view, "guarded": ave.required(view)}
    for name in registered if bare_first else reversed(registered):
        app.add_url_rule(f"/{name}", name, registered[name])

    for path in ("/bare", "/guarded"):
        assert refused(app, path).field == "the view 'bare'"


def test_htp_043_functions_that_run_before_requests_are_checked_too(app: Flask, ave: AveAuth) -> None:
    """`@ave.required` above `@app.before_request` would guard nothing, below it guards everything."""
    ave.required(app.before_request(new_view()))
    app.add_url_rule("/", "view", new_view())

    assert refused(app).problem is Problem.UNGUARDED_VIEW


def test_a_guard_that_runs_before_requests_guards_them_all(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    app.before_request(ave.required(lambda: None))
    app.add_url_rule("/", "view", new_view())

    client = app.test_client()
    assert [client.get("/").status_code, client.get("/", headers=bearer(tokens["good"])).status_code] == [401, 200]


def test_a_registered_view_may_be_replaced_by_a_guarded_one(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    on_app(app, new_view())
    guarded: Any = ave.required(app.view_functions["view"])
    app.view_functions["view"] = guarded

    client = app.test_client()
    assert [client.get("/").status_code, client.get("/", headers=bearer(tokens["good"])).status_code] == [401, 200]


def test_a_view_that_calls_another_one_is_not_taken_for_its_decorator(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    public = new_view("public")
    app.add_url_rule("/public", "public", public)

    @app.get("/private")
    @ave.required
    def private() -> str:
        later()
        return public()

    def later() -> None: ...

    client = app.test_client()
    assert [client.get(path).status_code for path in ("/public", "/private")] == [200, 401]
    assert client.get("/private", headers=bearer(tokens["good"])).text == "public"


def test_htp_043_a_decorator_that_runs_while_a_wrapper_is_still_empty_is_no_error(app: Flask, ave: AveAuth) -> None:
    def wrapper(*_arguments: object) -> str:
        return str(never)

    ave.required(wrapper)
    if "never" in app.config:
        never = 1

    app.add_url_rule("/", "view", new_view("open"))
    assert app.test_client().get("/").text == "open"


class Counter:
    """A view that is an object, and one that is a method."""

    def __call__(self) -> str:
        """Answer."""
        return "secret"

    def view(self) -> str:
        """Answer."""
        return "secret"


class Slotted:
    """A view that no weak reference can be made of."""

    __slots__ = ()

    def __call__(self) -> str:
        """Answer."""
        return "secret"


@pytest.mark.parametrize("view", [Counter(), Counter().view], ids=["object", "method"])
def test_htp_043_views_that_are_no_functions_are_seen(app: Flask, ave: AveAuth, view: Callable[[], str]) -> None:
    app.add_url_rule("/", "view", view)
    ave.required(functools.partial(view))

    assert refused(app).field == "the view 'view'"


class Endless:
    """A view that has every attribute, each of them another one."""

    def __call__(self) -> str:
        """Answer."""
        return "secret"

    def __getattr__(self, name: str) -> Endless:
        return Endless()


def test_unwrapping_a_view_with_every_attribute_ends() -> None:
    assert 1 <= len(list(layers(Endless()))) <= 100


def test_a_view_without_weak_references_is_guarded_like_any_other(app: Flask, ave: AveAuth) -> None:
    app.add_url_rule("/", "view", with_wraps(ave.required(functools.partial(Slotted()))))

    assert app.test_client().get("/").status_code == 401


def test_htp_043_views_of_classes(app: Flask, ave: AveAuth) -> None:
    class Page(MethodView):
        def get(self) -> str:
            return "secret"

    view = Page.as_view("page")
    app.add_url_rule("/", view_func=view)
    ave.required(view)

    assert refused(app).field == "the view 'page'"


def test_two_views_of_one_class_are_two(app: Flask, ave: AveAuth) -> None:
    class Page(View):
        def dispatch_request(self) -> str:
            return "page"

    app.add_url_rule("/open", view_func=Page.as_view("open"))
    guarded: Any = ave.required(Page.as_view("guarded"))
    app.add_url_rule("/", view_func=guarded)

    client = app.test_client()
    assert [client.get(path).status_code for path in ("/open", "/")] == [200, 401]


# --- what cannot be decorated ---------------------------------------------------------------------------------------


@every_decorator
@pytest.mark.parametrize("view", [MethodView, View, "admin", ["admin"], 7, Blueprint("b", "b")], ids=repr)
def test_htp_043_only_a_view_can_be_decorated(ave: AveAuth, view: object, decorator: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DECORATORS[decorator](ave)(view)

    assert caught.value.problem is Problem.NOT_A_VIEW


@pytest.mark.parametrize("view", [new_view(), 7, None, Provider.ave("app_1")], ids=["a view", "7", "None", "provider"])
def test_htp_043_only_a_blueprint_is_protected_as_a_whole(ave: AveAuth, view: object) -> None:
    untyped: Any = ave
    with pytest.raises(ConfigurationError) as caught:
        untyped.protect(view)

    assert caught.value.field == "blueprint"


@pytest.mark.parametrize("value", [None, 0, 1, "no"])
def test_htp_043_protect_takes_only_true_or_false(ave: AveAuth, value: object) -> None:
    untyped: Any = ave
    with pytest.raises(ConfigurationError) as caught:
        untyped.protect(Blueprint("b", "b"), required=value)

    assert caught.value.field == "required"


def test_htp_043_a_blueprint_is_protected_before_it_is_registered(app: Flask, ave: AveAuth) -> None:
    blueprint = Blueprint("api", "api")
    app.register_blueprint(blueprint)

    with pytest.raises(ConfigurationError) as caught:
        ave.protect(blueprint)

    assert "before it is registered" in str(caught.value)


def test_htp_043_views_that_come_after_protect_are_protected_and_those_of_nested_blueprints(
    app: Flask, ave: AveAuth
) -> None:
    outer, inner = ave.protect(Blueprint("outer", "outer")), Blueprint("inner", "inner", url_prefix="/inner")
    outer.register_blueprint(inner)
    outer.add_url_rule("/", "view", new_view())
    inner.add_url_rule("/", "view", new_view())
    app.register_blueprint(outer)

    client = app.test_client()
    assert [client.get(path).status_code for path in ("/", "/inner/")] == [401, 401]


@pytest.mark.parametrize(
    "name", ["AVEVERFIY_REQUIRED", "AVE_VERIFY_REQUIRED", "AVEVERIFY_REQUIERD", "AVEVERIFYREQUIRED"]
)
def test_htp_043_a_config_of_a_misspelt_prefix_is_refused(name: str, shared_verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AveAuth(new_app(**{name: True}), shared_verifier)

    assert (caught.value.field, caught.value.detail) == (name, "did you mean AVEVERIFY_REQUIRED?")


# --- an extension in no application ---------------------------------------------------------------------------------


@pytest.mark.parametrize("route", list(ROUTES))
@pytest.mark.parametrize("decorator", ["required", "optional"])
def test_htp_043_an_extension_that_was_never_installed_serves_nothing_openly(
    app: Flask, route: str, decorator: str
) -> None:
    """The extension is garbage by the time of the request, like a local variable of a factory."""
    view = new_view()
    ROUTES[route](app, view)
    DECORATORS[decorator](AveAuth())(view)
    del view
    gc.collect()

    assert refused(app).problem is Problem.UNGUARDED_VIEW


def test_htp_043_a_guarded_view_of_an_application_without_the_extension_is_refused(app: Flask) -> None:
    on_app(app, AveAuth().required(new_view()))

    assert refused(app).problem is Problem.NO_MIDDLEWARE


def test_htp_043_a_protected_blueprint_of_an_application_without_the_extension_is_refused(app: Flask) -> None:
    blueprint = AveAuth().protect(Blueprint("api", "api"))
    blueprint.add_url_rule("/", "view", new_view())
    app.register_blueprint(blueprint)

    assert refused(app).problem is Problem.NO_MIDDLEWARE


def test_htp_043_an_extension_that_requires_tokens_and_was_never_installed_is_refused(
    app: Flask, shared_verifier: Verifier
) -> None:
    ave = AveAuth(None, shared_verifier, required=True)
    app.add_url_rule("/", "view", new_view())

    assert refused(app).problem is Problem.NOT_ENFORCED
    assert ave._state.requires_all


def test_htp_043_config_of_an_extension_that_was_never_installed_is_refused(shared_verifier: Verifier) -> None:
    app = new_app(AVEVERIFY_REQUIRED=True)
    ave = AveAuth(None, shared_verifier)
    app.add_url_rule("/", "view", new_view())

    error = refused(app)
    assert error.problem is Problem.NOT_ENFORCED
    assert "init_app" in str(error)
    ave.init_app(new_app())


def test_an_application_that_has_nothing_to_do_with_the_extension_is_left_alone(app: Flask) -> None:
    ave = AveAuth()
    ave.required(new_view())
    app.add_url_rule("/", "view", new_view("open"))

    assert app.test_client().get("/").text == "open"


def test_htp_043_the_decorators_of_another_extension_count_too(app: Flask, ave: AveAuth) -> None:
    """Two modules with an `AveAuth` each, of which one is installed."""
    other = AveAuth()
    other.required(on_app(app, new_view()))

    assert refused(app).problem is Problem.UNGUARDED_VIEW
    assert ave is not other


def test_a_view_that_is_guarded_in_one_application_may_be_public_in_another(
    app: Flask, ave: AveAuth, shared_verifier: Verifier
) -> None:
    view, other = new_view("open"), AveAuth()
    on_app(app, other.required(view))
    assert app.test_client().get("/").status_code == 401

    second = new_app()
    AveAuth(second, shared_verifier)
    on_app(second, view)
    assert second.test_client().get("/").text == "open"
    assert ave is not other


def test_htp_043_a_factory_that_installs_last_finds_it_at_once() -> None:
    app, ave = new_app(AVEVERIFY_VERIFIER=FakeIssuer().verifier()), AveAuth()
    ave.required(on_app(app, new_view()))

    with pytest.raises(ConfigurationError) as caught:
        ave.init_app(app)

    assert caught.value.problem is Problem.UNGUARDED_VIEW


def test_a_request_costs_nothing_more_once_every_extension_is_installed(shared_verifier: Verifier) -> None:
    # An extension of another test may be gone without an application, and with it the last that is watched.
    AveAuth(new_app(), shared_verifier)
    before = dict(request_started.receivers)
    ave = AveAuth()
    during = dict(request_started.receivers)
    ave.init_app(new_app(AVEVERIFY_VERIFIER=shared_verifier))

    assert len(during) == len(before) + 1
    assert dict(request_started.receivers) == before
