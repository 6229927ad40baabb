"""The recipes of `docs/testing.md` that hang on no framework."""

from __future__ import annotations

import pytest

from aveverify import InvalidTokenError, KeysUnavailableError, Reason, Verifier
from aveverify.testing import FakeClock, FakeIssuer

# region clock


def test_a_session_ends_with_its_token(ave_verifier: Verifier, ave_issuer: FakeIssuer, ave_clock: FakeClock) -> None:
    token = ave_issuer.token(exp=int(ave_clock.now()) + 60)
    assert ave_verifier.verify(token).subject == "user_ada"
    ave_clock.tick(seconds=60)
    with pytest.raises(InvalidTokenError) as caught:
        ave_verifier.verify(token)
    assert caught.value.reason is Reason.EXPIRED


# endregion
# region forge


@pytest.mark.parametrize(("flaw", "reason"), FakeIssuer.FLAWS.items())
def test_a_flawed_token_is_refused(ave_verifier: Verifier, ave_issuer: FakeIssuer, flaw: str, reason: Reason) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        ave_verifier.verify(ave_issuer.forge(flaw))
    assert caught.value.reason is reason


# endregion
# region outage


def test_an_outage_logs_nobody_out(ave_verifier: Verifier, ave_issuer: FakeIssuer, ave_clock: FakeClock) -> None:
    ave_verifier.warm_up()
    ave_issuer.go_down()
    ave_clock.tick(seconds=30 * 60)
    assert ave_verifier.verify(ave_issuer.token()).subject == "user_ada"
    ave_clock.tick(seconds=24 * 3600)
    with pytest.raises(KeysUnavailableError):
        ave_verifier.verify(ave_issuer.token())


# endregion
# region rotation


def test_a_rotation_is_seen_by_its_first_token(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    before = ave_issuer.token()
    assert ave_verifier.verify(before).subject == "user_ada"
    ave_issuer.rotate()
    assert ave_verifier.verify(ave_issuer.token()).subject == "user_ada"
    assert ave_verifier.verify(before).subject == "user_ada"


# endregion
