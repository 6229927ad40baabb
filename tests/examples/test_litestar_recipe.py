"""The recipe for Litestar that `docs/testing.md` shows."""

# region recipe
from litestar import Litestar, get
from litestar.testing import TestClient

from aveverify import Verifier
from aveverify.litestar import AveAuthPlugin, CurrentIdentity
from aveverify.testing import FakeIssuer


@get("/me")
async def me(identity: CurrentIdentity) -> str:
    return identity.subject


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    client = TestClient(Litestar([me], plugins=[AveAuthPlugin(ave_verifier, required=True)]))
    response = client.get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (response.status_code, response.text) == (200, "ada")


# endregion
