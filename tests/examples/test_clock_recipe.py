"""The recipe of `docs/testing.md` about a session and the clock."""

from __future__ import annotations

# region clock
import pytest

from aveverify import InvalidTokenError, Reason, Verifier
from aveverify.testing import FakeClock, FakeIssuer


def test_a_session_ends_with_its_token(ave_verifier: Verifier, ave_issuer: FakeIssuer, ave_clock: FakeClock) -> None:
    token = ave_issuer.token(exp=int(ave_clock.now()) + 60)
    assert ave_verifier.verify(token).subject == "user_ada"
    ave_clock.tick(seconds=60)
    with pytest.raises(InvalidTokenError) as caught:
        ave_verifier.verify(token)
    assert caught.value.reason is Reason.EXPIRED


# endregion
