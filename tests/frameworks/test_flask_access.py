"""Flask: whom a view admits: everybody where the rest is required, one of several scopes, what a predicate says."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask, request
from flask.views import MethodView, View

from aveverify import ConfigurationError, Identity, Reason, Verifier
from aveverify.errors import Problem
from aveverify.flask import AveAuth
from aveverify.testing import FakeIssuer
from tests.frameworks.flask_refusals import get, keep_records
from tests.frameworks.test_flask import who as who_asks
from tests.http.flask_client import new_app
from tests.http.http_fixtures import bearer

Decorate = Callable[[Any], Any]


def new_view(*_views: object) -> Callable[..., str]:
    """A new view for each use, because decorated views are remembered."""

    def who() -> str:
        return who_asks()

    return who


def with_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that uses `functools.wraps`."""

    @functools.wraps(view)
    def inner(*args: object, **kwargs: object) -> object:
        return view(*args, **kwargs)

    return inner


pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


@pytest.fixture
def app() -> Flask:
    return new_app(AVEVERIFY_REQUIRED=True)


@pytest.fixture
def ave(app: Flask, shared_verifier: Verifier) -> AveAuth:
    return AveAuth(app, shared_verifier)


def statuses(app: Flask, tokens: dict[str, str], path: str = "/") -> list[int]:
    """Without a token, with a good one, with a bad one."""
    return [get(app, token, path).status_code for token in (None, tokens["good"], tokens["expired"])]


# --- optional where the rest is required ----------------------------------------------------------------------------


async def who_asks_later() -> str:
    return who_asks()


def as_coroutine_function(_view: object) -> Any:
    """An asynchronous view."""
    return who_asks_later


BELOW: dict[str, Decorate] = {
    "bare": new_view,
    "wraps": with_wraps,
    "partial": functools.partial,
    "async": as_coroutine_function,
}


@pytest.mark.parametrize("above", [None, with_wraps, functools.partial], ids=["bare", "wraps", "partial"])
@pytest.mark.parametrize("below", list(BELOW))
def test_an_optional_view_admits_anonymous_requests_and_no_bad_token(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, above: Decorate | None, below: str
) -> None:
    """HTP-036."""
    guard = ave.optional(BELOW[below](new_view()))
    app.add_url_rule("/", "view", guard if above is None else above(guard))
    app.add_url_rule("/rest", "rest", new_view())

    assert statuses(app, tokens) == [200, 200, 401]
    assert get(app).text == "anonymous"
    assert statuses(app, tokens, "/rest") == [401, 200, 401]


def test_paths_without_a_view_and_other_methods_need_a_token(app: Flask, ave: AveAuth, tokens: dict[str, str]) -> None:
    """HTP-012."""
    app.get("/", strict_slashes=False)(ave.optional(new_view()))

    assert statuses(app, tokens, "/nowhere") == [401, 404, 401]
    assert app.test_client().post("/").status_code == 401


@pytest.mark.parametrize("method", ["get", "head"])
def test_views_of_classes_may_be_optional(app: Flask, ave: AveAuth, method: str) -> None:
    class Whole(MethodView):
        decorators: ClassVar[list[Any]] = [ave.optional]

        def get(self) -> str:
            return who_asks()

    class OneMethod(MethodView):
        @ave.optional
        def get(self) -> str:
            return who_asks()

        def post(self) -> str:
            return who_asks()

    class Dispatching(View):
        methods: ClassVar[list[str]] = ["GET", "HEAD"]

        @ave.optional
        def dispatch_request(self) -> str:
            return who_asks()

    class Closed(MethodView):
        def get(self) -> str:
            return who_asks()

    for kind in (Whole, OneMethod, Dispatching, Closed):
        app.add_url_rule(f"/{kind.__name__}", view_func=kind.as_view(kind.__name__))
    client = app.test_client()

    codes = [client.open(f"/{name}", method=method).status_code for name in ("Whole", "OneMethod", "Dispatching")]
    assert codes == [200, 200, 200]
    assert client.open("/Closed", method=method).status_code == 401
    assert client.post("/OneMethod").status_code == 401


BASES = {
    "Flask": "flask.views:MethodView",
    "flask-restful": "flask_restful:Resource",
    "flask-restx": "flask_restx:Resource",
}
every_base = pytest.mark.parametrize("base", list(BASES))


def import_base(base: str) -> Any:
    """A class whose methods serve the methods of HTTP. Only Flask is among the oldest versions that are supported."""
    module, _, name = BASES[base].partition(":")
    return getattr(pytest.importorskip(module), name)


def run_named_method(self: Any, **values: object) -> Any:
    """A `dispatch_request` that runs the method that the query names, as forms of HTML need it."""
    return getattr(self, request.args.get("_method", request.method).lower())(**values)


def make_items(ave: AveAuth, *bases: Any, **members: object) -> Any:
    """A class with an optional method for lists, and one that deletes."""

    class Items(*bases):  # type: ignore[misc] # Any
        @ave.optional
        def get(self) -> str:
            return who_asks()

        def delete(self) -> str:
            return "deleted"

    return type("Items", (Items,), members)


@every_base
def test_one_method_of_a_class_may_be_optional(app: Flask, ave: AveAuth, *, base: str) -> None:
    """HTP-036."""
    app.add_url_rule("/", view_func=make_items(ave, import_base(base)).as_view("items"))
    client = app.test_client()

    codes = [client.open("/", method=method).status_code for method in ("GET", "HEAD", "DELETE", "OPTIONS")]

    assert codes == [200, 200, 401, 401]


def test_a_method_may_be_optional_where_no_library_of_resources_is_loaded(
    app: Flask, ave: AveAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flask_restful", "flask_restx"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    app.add_url_rule("/", view_func=make_items(ave, MethodView).as_view("items"))

    class Own(make_items(ave, MethodView)):  # type: ignore[misc]
        """A class that selects its method by itself."""

        def dispatch_request(self, **arguments: Any) -> Any:
            return super().dispatch_request(**arguments)

    app.add_url_rule("/own", view_func=Own.as_view("own"))

    assert [app.test_client().open("/", method=method).status_code for method in ("GET", "DELETE")] == [200, 401]
    assert [app.test_client().open("/own", method=method).status_code for method in ("GET", "DELETE")] == [401, 401]


@every_base
@pytest.mark.parametrize("named_in", ["query", "header"])
def test_htp_027_a_request_that_names_another_method_does_not_run_a_closed_one(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, base: str, named_in: str
) -> None:
    @app.before_request
    def override() -> None:
        named = request.args.get("_method") or request.headers.get("X-HTTP-Method-Override")
        request.method = (named or request.method).upper()

    app.add_url_rule("/", view_func=make_items(ave, import_base(base)).as_view("items"))
    path = "/?_method=delete" if named_in == "query" else "/"
    headers = {} if named_in == "query" else {"X-HTTP-Method-Override": "delete"}
    client = app.test_client()

    assert client.get(path, headers=headers).status_code == 401
    assert "deleted" in client.get(path, headers=headers | dict(bearer(tokens["good"]))).text
    assert get(app).status_code == 200


@pytest.mark.parametrize("where", ["class", "base class", "class in front", "assigned", "calls Flask's"])
@every_base
def test_htp_036_a_class_that_selects_its_methods_by_itself_opens_none_of_them_alone(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, base: str, where: str
) -> None:
    """HTP-027: it may run another method than that of the request, a closed one."""
    theirs = import_base(base)

    class Front:
        dispatch_request = run_named_method

    def change_method(self: Any, **values: object) -> Any:
        request.method = request.args.get("_method", request.method).upper()
        return theirs.dispatch_request(self, **values)

    views = {
        "class": lambda: make_items(ave, theirs, dispatch_request=run_named_method),
        "base class": lambda: make_items(ave, type("Base", (theirs,), {"dispatch_request": run_named_method})),
        "class in front": lambda: make_items(ave, Front, theirs),
        "assigned": lambda: make_items(ave, theirs),
        "calls Flask's": lambda: make_items(ave, theirs, dispatch_request=change_method),
    }
    view = views[where]()
    app.add_url_rule("/", view_func=view.as_view("items"))
    if where == "assigned":
        view.dispatch_request = functools.partialmethod(run_named_method)

    assert statuses(app, tokens, "/?_method=delete") == [401, 200, 401]
    assert statuses(app, tokens) == [401, 200, 401]


@every_base
def test_a_dispatch_request_of_the_application_may_be_optional_as_a_whole(
    app: Flask, ave: AveAuth, tokens: dict[str, str], *, base: str
) -> None:
    view = make_items(ave, import_base(base), dispatch_request=ave.optional(run_named_method))
    app.add_url_rule("/", view_func=view.as_view("items"))

    assert statuses(app, tokens, "/?_method=delete") == statuses(app, tokens) == [200, 200, 401]


def test_an_optional_blueprint_admits_anonymous_requests_where_the_rest_is_required(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    blueprint = ave.protect(Blueprint("feed", "feed", url_prefix="/feed"), required=False)
    nested = Blueprint("nested", "nested", url_prefix="/nested")
    strict = ave.protect(Blueprint("strict", "strict", url_prefix="/strict"))
    for each in (blueprint, nested, strict):
        each.get("/")(new_view())
        each.get("/mine", endpoint="mine")(ave.required(new_view()))
    blueprint.register_blueprint(nested)
    blueprint.register_blueprint(strict)
    app.register_blueprint(blueprint)
    app.get("/")(new_view())

    assert statuses(app, tokens, "/feed/") == statuses(app, tokens, "/feed/nested/") == [200, 200, 401]
    for path in ("/", "/feed/mine", "/feed/nested/mine", "/feed/strict/", "/feed/nowhere"):
        assert get(app, path=path).status_code == 401


def test_a_required_guard_around_or_within_an_optional_one_counts(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    app.add_url_rule("/around", "around", ave.required(ave.optional(new_view())))
    app.add_url_rule("/within", "within", ave.optional(ave.required(new_view())))

    assert statuses(app, tokens, "/around") == statuses(app, tokens, "/within") == [401, 200, 401]


def test_the_scopes_of_guards_around_each_other_are_all_demanded(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    app.add_url_rule("/", "view", ave.required(ave.required(scopes=["read"])(new_view())))

    assert [get(app, tokens[kind]).status_code for kind in ("good", "reader")] == [403, 200]


def test_a_view_that_only_looks_like_a_decorator_of_an_optional_one_stays_closed(
    app: Flask, ave: AveAuth, tokens: dict[str, str]
) -> None:
    """HTP-043: it takes every argument and holds on to an optional view; nobody has opened it."""
    greeting = ave.optional(new_view())
    app.add_url_rule("/greeting", "greeting", greeting)

    @app.get("/secret")
    def secret(*_arguments: object, **_words: object) -> str:
        return "secret" if _words else greeting()

    assert statuses(app, tokens, "/secret") == [401, 200, 401]


def test_optional_paths_and_views_without_credentials_may_be_deferred(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app = new_app(AVEVERIFY_REQUIRED=True, AVEVERIFY_OPTIONAL=["/feed/*"], AVEVERIFY_ON_INVALID="defer")
    ave = AveAuth(app, shared_verifier)
    app.get("/feed/<name>")(lambda name: f"{name} for {who_asks()}")
    app.get("/public", endpoint="public")(ave.optional(lambda: "public"))

    assert get(app, path="/feed/news").text == "news for anonymous"
    assert statuses(app, tokens, "/feed/news") == [200, 200, 401]
    assert statuses(app, tokens, "/public") == [200, 200, 200]


# --- one of several scopes, a predicate -----------------------------------------------------------------------------


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    return is_pro(identity)


@pytest.mark.parametrize("way", ["required", "optional", "protect"])
@pytest.mark.parametrize("allow", [is_pro, is_pro_later], ids=["function", "coroutine function"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
def test_a_predicate_decides_about_one_view(
    shared_verifier: Verifier, shared_issuer: FakeIssuer, *, way: str, allow: Any, is_async: bool
) -> None:
    app = new_app()
    ave = AveAuth(app, shared_verifier)

    async def who_async() -> str:
        return who_asks()

    view: Any = who_async if is_async else new_view()
    if way == "protect":
        blueprint = ave.protect(Blueprint("api", "api"), allow=allow, required=False)
        blueprint.add_url_rule("/", "view", view)
        app.register_blueprint(blueprint)
    else:
        app.add_url_rule("/", "view", getattr(ave, way)(allow=allow)(view))
    app.add_url_rule("/rest", "rest", ave.required(new_view()))
    records = keep_records(app)
    free, pro = (shared_issuer.token(sub="ada", plan=plan) for plan in ("free", "pro"))

    assert [get(app, token).status_code for token in (pro, free, None)] == [200, 403, 401 if way == "required" else 200]
    assert get(app, free, "/rest").status_code == 200
    assert 'error="insufficient_scope"' in get(app, free).headers["www-authenticate"]
    assert [record.refusal and record.refusal.reason for record in records[:2]] == [None, Reason.NOT_ALLOWED]
    assert [record.identity is not None for record in records[:3]] == [True, True, False]


@pytest.mark.parametrize("way", ["required", "optional", "protect"])
def test_one_of_several_scopes_is_enough_for_one_view(
    shared_verifier: Verifier, shared_issuer: FakeIssuer, way: str
) -> None:
    app = new_app()
    ave = AveAuth(app, shared_verifier, scopes=["read"])
    demand: dict[str, Any] = {"scopes": ["write"], "any_scopes": ["admin", "editor"]}
    if way == "protect":
        blueprint = ave.protect(Blueprint("api", "api"), **demand)
        blueprint.add_url_rule("/", "view", new_view())
        app.register_blueprint(blueprint)
    else:
        app.add_url_rule("/", "view", getattr(ave, way)(**demand)(new_view()))
    records = keep_records(app)

    def ask(scope: str) -> int:
        return get(app, shared_issuer.token(sub="ada", scope=scope)).status_code

    assert [ask(f"read write{more}") for more in (" admin", " editor", "", " other")] == [200, 200, 403, 403]
    assert [ask(scope) for scope in ("read admin", "write admin")] == [403, 403]
    assert [record.refusal and record.refusal.reason for record in records] == [None] * 2 + [
        Reason.INSUFFICIENT_SCOPE
    ] * 4
    refused = get(app, shared_issuer.token(sub="ada", scope="read"))
    assert refused.headers["www-authenticate"].endswith('scope="read write admin editor"')


@pytest.mark.parametrize("method", ["required", "optional", "protect"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("any_scopes", "admin"), ("any_scopes", [7]), ("allow", "pro"), ("allow", lambda: True)],
    ids=["text", "number", "text as predicate", "no argument"],
)
def test_htp_043_what_cannot_be_demanded_is_refused_when_the_view_is_decorated(
    ave: AveAuth, method: str, option: str, value: object
) -> None:
    arguments = [Blueprint("b", "b")] if method == "protect" else []

    with pytest.raises(ConfigurationError) as caught:
        getattr(ave, method)(*arguments, **{option: value})

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, option)


def test_a_predicate_is_asked_about_whom_the_loader_has_admitted(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app = new_app()
    asked: list[str] = []

    def allow(identity: Identity) -> bool:
        asked.append(identity.subject)
        return True

    ave = AveAuth(app, shared_verifier)
    ave.load_user(lambda identity: identity.subject if identity.subject == "ada" else None)
    app.add_url_rule("/", "view", ave.required(allow=allow)(new_view()))

    assert [get(app, tokens[kind]).status_code for kind in ("good", "other", "expired")] == [200, 401, 401]
    assert asked == ["ada"]
