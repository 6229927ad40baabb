"""The recipe of `docs/testing.md` about flawed tokens."""

from __future__ import annotations

# region forge
import pytest

from aveverify import InvalidTokenError, Reason, Verifier
from aveverify.testing import FakeIssuer


@pytest.mark.parametrize(("flaw", "reason"), FakeIssuer.FLAWS.items())
def test_a_flawed_token_is_refused(ave_verifier: Verifier, ave_issuer: FakeIssuer, flaw: str, reason: Reason) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        ave_verifier.verify(ave_issuer.forge(flaw))
    assert caught.value.reason is reason


# endregion
