"""The recipe of `docs/testing.md` about an outage."""

from __future__ import annotations

# region outage
import pytest

from aveverify import KeysUnavailableError, Verifier
from aveverify.testing import FakeClock, FakeIssuer


def test_an_outage_signs_no_user_out(ave_verifier: Verifier, ave_issuer: FakeIssuer, ave_clock: FakeClock) -> None:
    ave_verifier.warm_up()
    ave_issuer.go_down()
    ave_clock.tick(seconds=30 * 60)
    assert ave_verifier.verify(ave_issuer.token()).subject == "user_ada"
    ave_clock.tick(seconds=24 * 3600)
    with pytest.raises(KeysUnavailableError):
        ave_verifier.verify(ave_issuer.token())
    ave_issuer.come_up()
    ave_clock.tick(seconds=60)
    assert ave_verifier.verify(ave_issuer.token()).subject == "user_ada"


# endregion
