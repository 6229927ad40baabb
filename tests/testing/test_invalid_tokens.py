"""`FakeIssuer.forge`: every flaw is refused for exactly the reason that `FLAWS` promises."""

from __future__ import annotations

import json

import pytest

from aveverify import InvalidTokenError, Reason
from aveverify.testing import FakeClock, FakeIssuer
from aveverify.testing._keys import KeyAlgorithm
from tests.conftest import VerifyAny

each_flaw = pytest.mark.parametrize(("flaw", "reason"), FakeIssuer.FLAWS.items(), ids=list(FakeIssuer.FLAWS))

# What no token of an issuer in order can be refused for by `FakeIssuer.provider`: other kinds of provider, other
# errors, and states of a machine or of the key set. `FakeIssuer.scene` makes these.
OTHER_REASONS = {
    Reason.ISSUER_WITHOUT_SCHEME,
    Reason.KEY_ID_MISSING,
    Reason.AMBIGUOUS_KEY,
    Reason.KEY_NOT_SUITABLE,
    Reason.NOT_YET_VALID,
    Reason.ISSUED_IN_THE_FUTURE,
    Reason.NOT_AN_ID_TOKEN,
    Reason.REFUSED_BY_CHECK,
    Reason.UNKNOWN_USER,
    Reason.INACTIVE_USER,
    Reason.OTHER_USER,
    Reason.CLOCK_UNUSABLE,
    Reason.KEYS_UNAVAILABLE,
    Reason.MALFORMED_AUTHORIZATION,
    Reason.REPEATED_AUTHORIZATION,
    Reason.INSUFFICIENT_SCOPE,
    Reason.NOT_ALLOWED,
    Reason.MISCONFIGURED,
}


@each_flaw
@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_a_flaw_is_refused_for_its_reason(
    clock: FakeClock, verify_any: VerifyAny, algorithm: KeyAlgorithm, flaw: str, reason: Reason
) -> None:
    issuer = FakeIssuer(algorithms=(algorithm,), clock=clock)
    with issuer.verifier() as verifier, pytest.raises(InvalidTokenError) as caught:
        verify_any(verifier, issuer.forge(flaw))
    assert caught.value.reason is reason


@each_flaw
def test_the_reason_does_not_hang_on_the_form_of_the_issuer(clock: FakeClock, flaw: str, reason: Reason) -> None:
    issuer = FakeIssuer("http://localhost:1/tenant/", application_id="", algorithms=("EdDSA",), clock=clock)
    with issuer.verifier() as verifier:
        verifier.warm_up()
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(issuer.forge(flaw))
    assert caught.value.reason is reason


def test_every_reason_for_a_token_has_a_flaw() -> None:
    assert set(Reason) - set(FakeIssuer.FLAWS.values()) == OTHER_REASONS


def test_the_flaws_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        FakeIssuer.FLAWS["new"] = Reason.EXPIRED  # type: ignore[index]


def test_an_unknown_flaw_names_the_known_ones(issuer: FakeIssuer) -> None:
    with pytest.raises(ValueError, match="expired"):
        issuer.forge("no-such-flaw")


def test_an_outage_is_no_flaw_of_the_token(issuer: FakeIssuer) -> None:
    """Flaws are made without a look at the issuer's state, so they can be kept for an outage."""
    issuer.go_down()
    assert all(isinstance(issuer.forge(flaw), str) for flaw in FakeIssuer.FLAWS)
    assert (issuer.discovery_requests, issuer.jwks_requests) == (0, 0)


def test_flaws_are_json_friendly_names() -> None:
    assert json.loads(json.dumps(dict(FakeIssuer.FLAWS))) == {
        name: str(reason) for name, reason in FakeIssuer.FLAWS.items()
    }
