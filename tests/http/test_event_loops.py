"""Applications under asyncio and under trio: without keys, after a rotation, and with code of their own that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest
from anyio.lowlevel import checkpoint
from fastapi import FastAPI, Security
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Identity, Verifier, asgi, current_identity, fastapi, forward_auth, litestar, starlette
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import asgi_app

if TYPE_CHECKING:
    from starlette.requests import Request

MakeApp = Callable[[Verifier], Any]


def subject() -> str:
    identity = current_identity.get()
    return identity.subject if identity else "anonymous"


async def check(_identity: Identity) -> None:
    """A check that waits under whichever event loop it runs."""
    await checkpoint()


async def load_user(identity: Identity) -> str:
    await checkpoint()
    return identity.subject


def make_asgi(verifier: Verifier) -> Any:
    return asgi.AveAuthMiddleware(asgi_app(lambda _: subject()), verifier, required=True, check=check)


def make_starlette(verifier: Verifier) -> Any:
    async def view(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user)

    app = Starlette(routes=[Route("/auth", view)])
    return starlette.AveAuthMiddleware(app, verifier, required=True, load_user=load_user, check=check)


def make_fastapi(verifier: Verifier) -> Any:
    app, ave = FastAPI(), fastapi.AveAuth(verifier, check=check)
    ave.install(app)

    # Not asynchronous, so FastAPI runs it in a thread.
    @app.get("/auth", response_class=PlainTextResponse)
    def view(_identity: Identity = Security(ave)) -> str:  # noqa: B008, FAST002 - a local cannot stand in a type
        return subject()

    return app


def make_litestar(verifier: Verifier) -> Any:
    @get("/auth", sync_to_thread=True)
    def view() -> str:
        return subject()

    return Litestar([view], plugins=[litestar.AveAuthPlugin(verifier, required=True, check=check)], logging_config=None)


def make_forward_auth(verifier: Verifier) -> Any:
    return forward_auth.make_app(verifier, required=True, check=check)


APPS: dict[str, MakeApp] = {
    "asgi": make_asgi,
    "starlette": make_starlette,
    "fastapi": make_fastapi,
    "litestar": make_litestar,
    "forward auth": make_forward_auth,
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("make_app", APPS.values(), ids=APPS)
def test_a_request_waits_for_keys_and_for_code_of_the_application_under_each_event_loop(
    issuer: FakeIssuer, make_app: MakeApp, backend: Literal["asyncio", "trio"]
) -> None:
    """ROT-002."""

    def ask(token: str) -> tuple[int, str]:
        response = client.get("/auth", headers={"Authorization": f"Bearer {token}"})
        return response.status_code, response.headers.get("x-ave-subject") or response.text

    with issuer.verifier() as verifier:
        client = TestClient(make_app(verifier), backend=backend)
        assert ask(issuer.token(sub="ada")) == (200, "ada")
        issuer.rotate(keep_old=False)
        assert ask(issuer.token(sub="grace")) == (200, "grace")
        assert ask(issuer.forge("expired"))[0] == 401
        issuer.go_down()
        issuer.rotate(keep_old=False)
        assert ask(issuer.token(sub="joan"))[0] == 503
