"""Flask: an error handler that asks who the user is changes nothing about the refusal that it answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, render_template_string, request
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound

from aveverify import AveVerifyError, Verifier, get_user_identity
from aveverify import current_identity as identity_of_context
from aveverify.flask import AveAuth, RefusedError, current_identity, current_user
from tests.frameworks.flask_refusals import (
    WAYS,
    assert_refused,
    every_kind,
    every_way,
    get,
    make_refused,
    new_view,
    protected_blueprint,
)
from tests.http.flask_client import new_app

# Every way to ask for the identity where Flask serves a request.
READS: dict[str, Callable[[], object]] = {
    "attribute": lambda: current_identity.subject,
    "truth": lambda: bool(current_identity),
    "of the context": identity_of_context.get,
    "of the request": lambda: get_user_identity(request),
    "of the environ": lambda: get_user_identity(request.environ),
    "user": lambda: current_user.name,
    "template": lambda: render_template_string("{{ current_identity.subject }}"),
}
every_read = pytest.mark.parametrize("read", list(READS))

pytestmark = pytest.mark.usefixtures("only_our_own_extensions")


@pytest.fixture
def app() -> Flask:
    return new_app(PROPAGATE_EXCEPTIONS=False)


def careful(read: str, status: int = 500) -> Callable[[Exception], tuple[str, int]]:
    """An error handler that logs who the user is, if that is known, and answers with one status."""

    def handle(_error: Exception) -> tuple[str, int]:
        for _ in range(2):
            with suppress(Exception):
                READS[read]()
        return "something went wrong", status

    return handle


@every_way
@every_read
def test_a_handler_that_reads_the_identity_does_not_make_a_crash_of_a_refusal(
    app: Flask, *, kind: str, way: str, read: str
) -> None:
    """HTP-036; RFC 6750 §3."""
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)
    app.register_error_handler(Exception, careful(read))

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


@every_way
@pytest.mark.parametrize("by", [HTTPException, RefusedError, AveVerifyError, "status"])
def test_nor_does_a_handler_that_flask_asks_before_one_for_everything(
    app: Flask, *, kind: str, way: str, by: Any
) -> None:
    refused = make_refused(kind)
    WAYS[way](app, refused.verifier)
    app.register_error_handler(refused.status if by == "status" else by, careful("attribute"))

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


@every_kind
@every_read
def test_nor_does_a_handler_of_a_blueprint(app: Flask, *, kind: str, read: str) -> None:
    refused = make_refused(kind)

    def prepare(blueprint: Blueprint) -> None:
        blueprint.register_error_handler(Exception, careful(read))

    protected_blueprint(app, refused.verifier, prepare=prepare)

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


@every_kind
@every_read
def test_nor_does_an_extension_that_answers_in_front_of_flask(app: Flask, *, kind: str, read: str) -> None:
    refused = make_refused(kind)
    WAYS["decorated"](app, refused.verifier)
    answer = careful(read)

    def handle_user_exception(error: Exception) -> Response:
        return app.make_response(answer(error))

    app.handle_user_exception = handle_user_exception  # type: ignore[method-assign, assignment]

    assert_refused(app.test_client().get("/", headers=refused.headers), refused)


@every_read
def test_a_handler_that_crashes_after_it_has_read_the_identity_leaves_the_refusal(
    app: Flask, shared_verifier: Verifier, tokens: dict[str, str], read: str
) -> None:
    def handle(error: Exception) -> str:
        careful(read)(error)
        return str(1 // 0)

    app.get("/")(AveAuth(app, shared_verifier).required(new_view()))
    app.register_error_handler(RefusedError, handle)

    answer = get(app, tokens["expired"])

    assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)


@every_read
@pytest.mark.parametrize(
    ("path", "by", "status"),
    [("/nowhere", NotFound, 404), ("/crash", Exception, 500), ("/crash", InternalServerError, 500)],
    ids=["no such page", "crash", "page of a crash"],
)
def test_a_handler_of_another_error_may_read_the_identity_of_a_bad_token(  # noqa: PLR0913 - columns of a table
    app: Flask, shared_verifier: Verifier, tokens: dict[str, str], *, read: str, path: str, by: Any, status: int
) -> None:
    """Nothing has refused the request: a crash stays one."""
    AveAuth(app, shared_verifier)
    app.get("/crash", endpoint="crash")(lambda: str(1 // 0))
    app.register_error_handler(by, careful(read, status))

    answer = get(app, tokens["expired"], path)

    assert (answer.status_code, answer.text) == (status, "something went wrong")
    assert "www-authenticate" not in answer.headers


@every_read
def test_htp_044_a_handler_learns_nothing_of_a_user_whom_the_loader_refuses(
    app: Flask, shared_verifier: Verifier, tokens: dict[str, str], read: str
) -> None:
    ave, learnt = AveAuth(app, shared_verifier), list[object]()
    ave.load_user(lambda _identity: None)

    @app.errorhandler(Exception)
    def handle(_error: Exception) -> tuple[str, int]:
        with suppress(RefusedError):
            learnt.append(READS[read]())
        return "something went wrong", 500

    app.get("/")(ave.required(new_view()))

    answer = get(app, tokens["good"])

    assert (answer.status_code, learnt) == (401, [])
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
