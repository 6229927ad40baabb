"""Ways to ask a FastAPI application: by the dependency, with and without `required`, and behind the middleware."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Security
from fastapi import Request as FastAPIRequest
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from aveverify import Identity, Verifier, get_user_identity
from aveverify._http.app_user import LoadUser
from aveverify.fastapi import AveAuth
from aveverify.starlette import AveAuthMiddleware
from tests.http.http_fixtures import METHODS, Integration, LeftOut, Reply, Request, View, kept
from tests.http.starlette_client import send_through_test_client


@kept
def app_with_dependency(
    verifier: Verifier,
    view: View,
    *,
    required: bool,
    on_invalid: str = "reject",
    **options: Any,
) -> FastAPI:
    """An application whose view depends on the identity, and on its own user where there is a loader."""
    assert on_invalid == "reject", "a row that should be left out"
    load_user: LoadUser[Any] | None = options.pop("load_user", None)
    ave = AveAuth(verifier, **options)
    app = FastAPI()
    ave.install(app)

    auth = ave if required else ave.optional
    depends = Security(auth)

    async def endpoint(request: FastAPIRequest, identity: Identity | None = depends) -> PlainTextResponse:
        assert identity is get_user_identity(request)
        return PlainTextResponse(view(request))

    dependencies = [] if load_user is None else [Security(auth.user(load_user))]
    app.add_api_route("/", endpoint, methods=list(METHODS), dependencies=dependencies)
    return app


@kept
def app_behind_middleware(verifier: Verifier, view: View, **options: Any) -> FastAPI:
    """An application behind the middleware; the dependency takes what the middleware has found."""
    ave = AveAuth(verifier)
    app = FastAPI(middleware=[Middleware(AveAuthMiddleware, verifier=verifier, **options)])

    async def endpoint(request: FastAPIRequest) -> PlainTextResponse:
        return PlainTextResponse(view(request))

    # A dependency would raise what is deferred before the view runs.
    dependencies = [] if options.get("on_invalid") == "defer" else [Security(ave.optional)]
    app.add_api_route("/", endpoint, methods=list(METHODS), dependencies=dependencies)
    return app


def send_to_dependency(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application whose view depends on the identity."""
    return send_through_test_client(app_with_dependency(verifier, view, **options), request)


def send_to_behind_middleware(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an application behind the middleware."""
    return send_through_test_client(app_behind_middleware(verifier, view, **options), request)


INTEGRATIONS: dict[str, Integration] = {
    "fastapi-dependency": send_to_dependency,
    "fastapi-behind-middleware": send_to_behind_middleware,
}
NOT_DEFERRED: tuple[tuple[str, dict[str, object]], ...] = (
    ("*", {"on_invalid": "defer"}),
    ("test_a_deferred_refusal_is_raised_when_somebody_asks_for_the_current_identity", {}),
    ("test_a_deferred_refusal_of_a_user_is_raised_when_a_view_asks", {}),
    ("test_a_deferred_refusal_that_escapes_becomes_the_answer", {}),
    ("test_a_view_may_answer_a_deferred_refusal_by_itself", {}),
    ("test_a_view_learns_of_missing_keys_when_it_asks", {}),
    ("test_a_request_whose_view_does_not_ask_goes_on", {}),
    ("test_good_tokens_and_anonymous_visitors_pass_where_refusals_are_deferred", {}),
    ("test_what_is_no_token_is_never_deferred", {}),
)
LEFT_OUT = [
    *(
        LeftOut("fastapi-dependency", test, {}, "a dependency knows no paths; `optional` of it takes none")
        for test in ("test_an_optional_path_reads_a_token_if_there_is_one", "test_every_other_path_needs_a_token")
    ),
    *(
        LeftOut(
            "fastapi-dependency", test, parameters, "a dependency asks for the identity itself, so it defers nothing"
        )
        for test, parameters in NOT_DEFERRED
    ),
]
