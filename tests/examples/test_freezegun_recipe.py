"""The recipe of `docs/testing.md` about freezegun."""

from __future__ import annotations

# region freezegun
import pytest
from freezegun import freeze_time

from aveverify import InvalidTokenError, Verifier
from aveverify.testing import FakeIssuer


def test_a_token_of_2030_expires_in_2030(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    with freeze_time("2030-01-01") as frozen:
        token = ave_issuer.token()  # for an hour
        assert ave_verifier.verify(token).subject == "user_ada"
        frozen.tick(3600)
        with pytest.raises(InvalidTokenError):
            ave_verifier.verify(token)


# endregion
