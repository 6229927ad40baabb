"""The recipe of `docs/testing.md` about a rotation."""

from __future__ import annotations

# region rotation
from aveverify import Verifier
from aveverify.testing import FakeIssuer


def test_the_first_token_of_a_rotation_is_accepted(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    before = ave_issuer.token()
    assert ave_verifier.verify(before).subject == "user_ada"
    ave_issuer.rotate()
    assert ave_verifier.verify(ave_issuer.token()).subject == "user_ada"
    assert ave_verifier.verify(before).subject == "user_ada"


# endregion
