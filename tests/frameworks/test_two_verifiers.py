"""Behind a middleware with another verifier, an application has its own user, in every way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Security
from fastapi import Request as FastAPIRequest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

import aveverify.litestar
import aveverify.starlette
from aveverify import Verifier, asgi
from aveverify.fastapi import AveAuth
from tests.frameworks.two_verifiers import behind_another_verifier, find_subjects
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from starlette.requests import Request


async def view(request: Request) -> JSONResponse:
    return JSONResponse(find_subjects(request))


def asgi_app(verifier: Verifier, **options: Any) -> Any:
    return asgi.AveAuthMiddleware(Starlette(routes=[Route("/", view)]), verifier, required=False, **options)


def starlette_app(verifier: Verifier, **options: Any) -> Any:
    own = Middleware(aveverify.starlette.AveAuthMiddleware, verifier=verifier, required=False, **options)
    return Starlette(routes=[Route("/", view)], middleware=[own])


def litestar_app(verifier: Verifier, **options: Any) -> Any:
    @litestar_get("/")
    async def look(request: LitestarRequest[Any, Any, Any]) -> list[str]:
        return find_subjects(request)

    plugin = aveverify.litestar.AveAuthPlugin(verifier, required=False, **options)
    return Litestar([look], plugins=[plugin], logging_config=None)


def fastapi_app(verifier: Verifier, **options: Any) -> Any:
    app = FastAPI()
    ave = AveAuth(verifier)
    ave.install(app, **options)

    @app.get("/", dependencies=[Security(ave.optional)])
    async def look(request: FastAPIRequest) -> list[str]:
        return find_subjects(request)

    return app


@pytest.mark.parametrize("build", [asgi_app, starlette_app, litestar_app, fastapi_app])
@pytest.mark.parametrize("ends_streams", [False, True], ids=["streams go on", "streams end"])
def test_htp_010_the_user_of_a_middleware_in_front_is_not_the_applications(
    build: Any, shared_verifier: Verifier, tokens: dict[str, str], *, ends_streams: bool
) -> None:
    """Nor is the end of its token that of the request."""
    client, cookie = behind_another_verifier(build(shared_verifier, end_expired_streams=ends_streams))

    reply = client.get("/", headers=dict(bearer(tokens["good"])) | cookie)

    assert reply.json() == ["ada"] * 3


@pytest.mark.parametrize("build", [asgi_app, starlette_app, litestar_app])
@pytest.mark.parametrize("ends_streams", [False, True], ids=["streams go on", "streams end"])
def test_htp_010_an_anonymous_request_of_the_application_has_no_user_of_a_middleware_in_front(
    build: Any, shared_verifier: Verifier, *, ends_streams: bool
) -> None:
    client, cookie = behind_another_verifier(build(shared_verifier, end_expired_streams=ends_streams))

    assert client.get("/", headers=cookie).json() == ["None"] * 3
