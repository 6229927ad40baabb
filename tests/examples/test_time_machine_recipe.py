"""The recipe of `docs/testing.md` about time-machine."""

from __future__ import annotations

# region machine
import pytest
import time_machine

from aveverify import InvalidTokenError, Verifier
from aveverify.testing import FakeIssuer


def test_a_token_of_2030_expires_in_2030(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    with time_machine.travel("2030-01-01", tick=False) as traveller:
        token = ave_issuer.token()  # for an hour
        assert ave_verifier.verify(token).subject == "user_ada"
        traveller.shift(3600)
        with pytest.raises(InvalidTokenError):
            ave_verifier.verify(token)


# endregion
