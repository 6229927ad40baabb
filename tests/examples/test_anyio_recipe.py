"""The recipe of `docs/testing.md` about asynchronous tests."""

from __future__ import annotations

# region anyio
import pytest

from aveverify import Verifier
from aveverify.testing import FakeIssuer


@pytest.mark.anyio
async def test_a_user_is_known(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    assert (await ave_verifier.verify_async(ave_issuer.token(sub="ada"))).subject == "ada"


# endregion
