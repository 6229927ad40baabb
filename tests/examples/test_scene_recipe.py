"""The recipe of `docs/testing.md` that provokes every reason in one application."""

from __future__ import annotations

# region scenes
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Reason
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeIssuer


async def me(request: Request) -> JSONResponse:
    return JSONResponse(request.user.to_convex())


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_my_app_answers_every_refusal_with_its_status(ave_issuer: FakeIssuer, reason: Reason) -> None:
    with ave_issuer.scene(reason) as scene:
        app = AveAuthMiddleware(
            Starlette(routes=[Route("/me", me)]), verifier=scene.verifier, required=True, **scene.options
        )
        response = TestClient(app, raise_server_exceptions=False).get("/me", headers=list(scene.headers))
    # OTHER_USER happens on an open WebSocket: this request is the good one that opens it.
    assert response.status_code == (200 if reason is Reason.OTHER_USER else scene.status)


# endregion
