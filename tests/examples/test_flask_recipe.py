"""The recipe for Flask that `docs/testing.md` shows."""

from __future__ import annotations

# region recipe
from flask import Flask

from aveverify import Verifier
from aveverify.flask import AveAuth, current_identity
from aveverify.testing import FakeIssuer


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    app = Flask(__name__)
    ave = AveAuth(app, ave_verifier)

    @app.get("/me")
    @ave.required
    def me() -> str:
        return current_identity.subject

    response = app.test_client().get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (response.status_code, response.text) == (200, "ada")


# endregion
