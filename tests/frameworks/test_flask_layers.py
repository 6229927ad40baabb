"""Flask: what is put around a view keeps status and challenge of every refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from aveverify import InsufficientScopeError, Verifier
from aveverify.flask import AveAuth, RefusedError, current_identity
from tests.frameworks.flask_refusals import ROWS, Refused, assert_refused, get, make_refused, read_identity
from tests.http.flask_client import new_app

# Not among the oldest versions that this package supports.
flask_restful: Any = pytest.importorskip("flask_restful")
flask_restx: Any = pytest.importorskip("flask_restx")
flask_smorest: Any = pytest.importorskip("flask_smorest")
apiflask: Any = pytest.importorskip("apiflask")

Body = Callable[[], str]
Decorate = Callable[[Any], Any]
Layer = Callable[[Flask, Decorate | None, Decorate | None, Body], None]


pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


def as_is(view: Any) -> Any:
    """No decorator."""
    return view


def with_restful(app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body) -> None:
    """A resource of flask-restful."""

    class Resource(flask_restful.Resource):  # type: ignore[misc] # Any
        method_decorators: ClassVar[list[Any]] = [decorate] if decorate else []

        def get(self) -> dict[str, str]:
            return {"body": body()}

    if protect is None:
        flask_restful.Api(app).add_resource(Resource, "/view")
        return
    blueprint = protect(Blueprint("api", "api"))
    flask_restful.Api(blueprint).add_resource(Resource, "/view")
    app.register_blueprint(blueprint)


def with_restx(app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body) -> None:
    """A resource of flask-restx."""

    class Resource(flask_restx.Resource):  # type: ignore[misc] # Any
        @(decorate or as_is)
        def get(self) -> dict[str, str]:
            return {"body": body()}

    blueprint = (protect or as_is)(Blueprint("api", "api"))
    flask_restx.Api(blueprint, doc=False).add_resource(Resource, "/view")
    app.register_blueprint(blueprint)


def with_restx_in_app(app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body) -> None:
    """The same without a blueprint, where there is none to protect."""
    if protect is not None:
        with_restx(app, decorate, protect, body)
        return

    class Resource(flask_restx.Resource):  # type: ignore[misc] # Any
        method_decorators: ClassVar[list[Any]] = [decorate] if decorate else []

        def get(self) -> dict[str, str]:
            return {"body": body()}

    flask_restx.Api(app, doc=False).add_resource(Resource, "/view")


def with_smorest(app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body) -> None:
    """A view of flask-smorest."""
    app.config.update(API_TITLE="test", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    api = flask_smorest.Api(app)
    blueprint = (protect or as_is)(flask_smorest.Blueprint("api", "api"))

    @blueprint.route("/view")
    class _Page(MethodView):
        @(decorate or as_is)
        def get(self) -> dict[str, str]:
            return {"body": body()}

    api.register_blueprint(blueprint)


def with_apiflask(app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body) -> None:
    """A view of APIFlask."""
    blueprint = (protect or as_is)(apiflask.APIBlueprint("api", "api"))

    def view() -> dict[str, str]:
        return {"body": body()}

    blueprint.get("/view")((decorate or as_is)(view))

    app.register_blueprint(blueprint)


def with_a_layer_that_catches_everything(
    app: Flask, decorate: Decorate | None, protect: Decorate | None, body: Body
) -> None:
    """A decorator that answers every exception with a 500, as JSON-RPC does."""
    blueprint = (protect or as_is)(Blueprint("api", "api"))
    inner = (decorate or as_is)(lambda: body())  # noqa: PLW0108 - a new one, because decorated views are remembered

    def view() -> tuple[str, int] | str:
        try:
            return str(inner())
        except RefusedError as error:
            # What the identity is read for is the view's business; see the tests of refusals.
            if decorate is None:
                raise
            return f"{error}", 500

    blueprint.get("/view")(view)
    app.register_blueprint(blueprint)


LAYERS: dict[str, Layer] = {
    "flask-restful": with_restful,
    "flask-restx": with_restx,
    "flask-restx in the application": with_restx_in_app,
    "flask-smorest": with_smorest,
    "APIFlask": with_apiflask,
    "a layer that catches everything": with_a_layer_that_catches_everything,
}
every_layer = pytest.mark.parametrize("layer", list(LAYERS))


def make_app(layer: str, **config: object) -> Flask:
    """An application for a layer, with its own class where the layer has one."""
    app = apiflask.APIFlask("tests.http") if layer == "APIFlask" else Flask("tests.http")
    app.config.update(config)
    return app


def build(layer: str, way: str, verifier: Verifier, body: Body = read_identity, **config: object) -> Flask:
    """An application whose view is refused in one way, within a layer."""
    app = make_app(layer, **config)
    scopes = ["read"]
    if way in ("config", "deferred"):
        app.config["AVEVERIFY_REQUIRED"] = True
    if way in ("config", "deferred", "lazy"):
        app.config["AVEVERIFY_SCOPES"] = scopes
    if way == "deferred":
        app.config["AVEVERIFY_ON_INVALID"] = "defer"
    ave = AveAuth(app, verifier)
    LAYERS[layer](
        app,
        ave.required(scopes=scopes) if way == "decorated" else None,
        (lambda blueprint: ave.protect(blueprint, scopes=scopes)) if way == "blueprint" else None,
        body,
    )
    return app


@every_layer
@pytest.mark.parametrize(("kind", "way"), ROWS)
@pytest.mark.parametrize("propagates", [None, True], ids=["", "propagating"])
def test_every_refusal_keeps_status_and_challenge(layer: str, kind: str, way: str, *, propagates: bool | None) -> None:
    refused: Refused = make_refused(kind)
    app = build(layer, way, refused.verifier, PROPAGATE_EXCEPTIONS=propagates)

    assert_refused(app.test_client().get("/view", headers=refused.headers), refused)


@every_layer
@pytest.mark.parametrize("way", ["decorated", "blueprint", "lazy"])
def test_accepted_tokens_pass(layer: str, way: str, shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    answer = get(build(layer, way, shared_verifier), tokens["reader"], "/view")

    assert (answer.status_code, "ada" in answer.text) == (200, True)


@every_layer
def test_a_predicate_and_a_scope_that_the_view_demands_are_refusals_there_too(
    layer: str, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def demand() -> str:
        raise InsufficientScopeError(("admin",))

    app = build(layer, "decorated", shared_verifier, demand)
    answer = get(app, tokens["reader"], "/view")
    assert (answer.status_code, 'scope="admin"' in answer.headers["www-authenticate"]) == (403, True)

    other = make_app(layer)
    ave = AveAuth(other, shared_verifier)
    LAYERS[layer](other, ave.required(allow=lambda _identity: False), None, read_identity)
    assert get(other, tokens["good"], "/view").status_code == 403


@every_layer
def test_one_handler_of_the_application_answers_what_the_layer_lets_pass(
    layer: str, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """The extension is installed behind the layer here, so it is asked first."""
    app = make_app(layer)
    waiting = AveAuth(None, shared_verifier)
    LAYERS[layer](app, waiting.required, None, lambda: current_identity.subject)
    waiting.init_app(app)
    app.register_error_handler(RefusedError, lambda error: ({"reason": error.reason}, error.refusal.status))
    if layer == "a layer that catches everything":
        assert get(app, tokens["expired"], "/view").status_code == 401
        return

    answers = [get(app, token, "/view") for token in (tokens["expired"], None)]

    assert [(answer.status_code, answer.get_json()) for answer in answers] == [
        (401, {"reason": "EXPIRED"}),
        (401, {"reason": None}),
    ]
    assert all("www-authenticate" in answer.headers for answer in answers)


def test_the_pages_of_an_api_that_nothing_protects_are_served() -> None:
    app = new_app()
    flask_restx.Api(app)
    AveAuth(app, make_refused("refused").verifier)

    assert get(app, path="/swagger.json").status_code == 200
