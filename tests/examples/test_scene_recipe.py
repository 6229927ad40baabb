"""The recipe of `docs/testing.md` that asks one application for every reason."""

from __future__ import annotations

# region scenes
import pytest

from aveverify import Reason
from aveverify.testing import FakeIssuer
from tests.examples.guarded import make_client


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_my_app_gives_every_refusal_its_status(ave_issuer: FakeIssuer, reason: Reason) -> None:
    with ave_issuer.scene(reason) as scene:
        client = make_client(scene.verifier, **scene.options)
        answer = client.get("/me", headers=list(scene.headers))
    # OTHER_USER happens on an open WebSocket: this request is the good one that opens it.
    assert answer.status_code == (200 if reason is Reason.OTHER_USER else scene.status)


# endregion
