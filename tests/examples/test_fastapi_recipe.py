"""The recipe for FastAPI that `docs/testing.md` shows."""

# region recipe
from typing import Annotated

from fastapi import FastAPI, Security
from fastapi.testclient import TestClient

from aveverify import Identity, Verifier
from aveverify.fastapi import AveAuth
from aveverify.testing import FakeIssuer


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app, ave = FastAPI(), AveAuth(ave_verifier)

    @app.get("/me")
    async def me(identity: Annotated[Identity, Security(ave)]) -> str:
        return identity.subject

    response = TestClient(app).get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (response.status_code, response.json()) == (200, "ada")


# endregion
