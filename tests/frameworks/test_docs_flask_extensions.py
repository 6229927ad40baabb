"""The table on the page of Flask: what shapes the body of a refusal, with the extensions that make views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.views import MethodView

from aveverify import Refusal, Verifier
from aveverify.flask import AveAuth, RefusedError
from tests.http.http_fixtures import bearer

# Not among the oldest versions that this package supports.
flask_restful: Any = pytest.importorskip("flask_restful")
flask_restx: Any = pytest.importorskip("flask_restx")
flask_smorest: Any = pytest.importorskip("flask_smorest")
apiflask: Any = pytest.importorskip("apiflask")

pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


def rendered(_refusal: Refusal) -> tuple[str, str]:
    return "application/json", '{"by": "render_refusal"}'


def handled(error: RefusedError) -> tuple[dict[str, str], int]:
    return {"by": "handler"}, int(error.code or 0)


def of_flask(app: Flask, ave: AveAuth) -> None:
    app.add_url_rule("/page", view_func=ave.required(lambda: ""))


def of_smorest(app: Flask, ave: AveAuth) -> None:
    app.config.update(API_TITLE="test", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    pages = flask_smorest.Blueprint("api", "api")

    @pages.route("/page")
    class _Page(MethodView):
        @ave.required
        def get(self) -> str:
            raise NotImplementedError

    flask_smorest.Api(app).register_blueprint(pages)


def resource(base: Any, ave: AveAuth) -> Any:
    """A resource of flask-restful or of flask-restx, which is its fork."""

    class Page(base):  # type: ignore[misc] # Any
        @ave.required
        def get(self) -> str:
            raise NotImplementedError

    return Page


def of_restful(app: Flask, ave: AveAuth) -> None:
    flask_restful.Api(app).add_resource(resource(flask_restful.Resource, ave), "/page")


def of_restx(app: Flask, ave: AveAuth) -> None:
    flask_restx.Api(app, doc=False).add_resource(resource(flask_restx.Resource, ave), "/page")


@pytest.mark.parametrize("kind", ["expired", None], ids=["a bad token", "no token"])
@pytest.mark.parametrize(
    ("make", "add", "by_handler", "by_rendering"),
    [
        pytest.param(Flask, of_flask, "handler", "render_refusal", id="Flask"),
        pytest.param(Flask, of_smorest, "handler", None, id="flask-smorest"),
        pytest.param(apiflask.APIFlask, of_flask, "handler", None, id="APIFlask"),
        pytest.param(Flask, of_restful, None, "render_refusal", id="flask-restful"),
        pytest.param(Flask, of_restx, None, None, id="flask-restx"),
    ],
)
def test_what_shapes_the_body_of_a_refusal(  # noqa: PLR0913, PLR0917 - columns of a table
    make: type[Flask],
    add: Callable[[Flask, AveAuth], None],
    by_handler: str | None,
    by_rendering: str | None,
    kind: str | None,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    headers = dict(bearer(tokens[kind])) if kind else {}

    def shape(*, handler: bool) -> str | None:
        app = make("shop")
        add(app, AveAuth(app, shared_verifier, render_refusal=None if handler else rendered))
        if handler:
            app.register_error_handler(RefusedError, handled)
        answer = app.test_client().get("/page", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        found: str | None = answer.get_json().get("by")
        return found

    assert (shape(handler=True), shape(handler=False)) == (by_handler, by_rendering)


def test_flask_restx_asks_the_handlers_of_its_own_api(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    app = Flask("shop")
    ave = AveAuth(app, shared_verifier)
    api = flask_restx.Api(app, doc=False)
    api.add_resource(resource(flask_restx.Resource, ave), "/page")
    api.errorhandler(RefusedError)(handled)

    for headers in (dict(bearer(tokens["expired"])), {}):
        answer = app.test_client().get("/page", headers=headers)
        assert (answer.status_code, answer.get_json()["by"]) == (401, "handler")
        assert answer.headers["www-authenticate"].startswith("Bearer")
