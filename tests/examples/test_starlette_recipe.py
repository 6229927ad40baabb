"""The recipe for Starlette that `docs/testing.md` shows."""

from __future__ import annotations

# region recipe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aveverify import Verifier
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeIssuer


async def me(request: Request) -> JSONResponse:
    return JSONResponse(request.user.to_convex())


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app = AveAuthMiddleware(Starlette(routes=[Route("/me", me)]), verifier=ave_verifier, required=True)
    response = TestClient(app).get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (response.status_code, response.json()["subject"]) == (200, "ada")


# endregion
