"""A certified OpenID provider, over real HTTP: its tokens and its rotations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from aveverify import InvalidTokenError, Provider, Reason, Verifier
from tests.real_issuer.provider import RealIssuer

# The first test waits for npm, too.
pytestmark = [pytest.mark.real_issuer, pytest.mark.timeout(300)]


@pytest.fixture(params=["RS256", "EdDSA"])
def client_id(request: pytest.FixtureRequest) -> str:
    """A client of the provider, one for each algorithm that the OIDC path allows."""
    return f"client-{request.param}"


@pytest.fixture
def verifier(real_issuer: RealIssuer, client_id: str) -> Iterator[Verifier]:
    """A new verifier, with the real fetcher and the real clock."""
    with closing(Verifier(Provider(issuer=real_issuer.issuer, application_id=client_id))) as fresh:
        yield fresh


def test_an_id_token_is_accepted(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    identity = verifier.verify(real_issuer.sign_in(client_id)["id_token"])

    assert identity.to_convex() == {
        "tokenIdentifier": f"{real_issuer.issuer}|grace",
        "issuer": real_issuer.issuer,
        "subject": "grace",
        "name": "Grace Hopper",
        "email": "grace@navy.example",
        "emailVerified": True,
        "updatedAt": "2023-11-14T22:13:20+00:00",
    }


def test_an_id_token_is_accepted_by_async_callers(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    identity = asyncio.run(verifier.verify_async(real_issuer.sign_in(client_id, user="ada")["id_token"]))

    assert (identity.subject, identity.email_verified) == ("ada", True)


def test_an_access_token_is_not_an_id_token(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    """Its `aud` names the client, so only `typ` tells the two apart (RFC 9068 §2.1)."""
    tokens = real_issuer.sign_in(client_id, resource="https://self.example")

    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(tokens["access_token"])
    assert caught.value.reason is Reason.TYPE_NOT_ALLOWED


def test_an_access_token_for_an_api_is_not_for_us(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    tokens = real_issuer.sign_in(client_id, resource="https://api.example")

    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(tokens["access_token"])
    assert caught.value.reason is Reason.AUDIENCE_MISMATCH


def test_the_api_itself_accepts_its_access_token(real_issuer: RealIssuer) -> None:
    """The JWK Set contains keys of four kinds; the verifier ignores those that it does not support (DV-13)."""
    token = real_issuer.sign_in("client-ES256", resource="https://api.example")["access_token"]
    provider = Provider.custom_jwt(
        issuer=real_issuer.issuer,
        jwks=f"{real_issuer.issuer}/jwks",
        algorithm="ES256",
        application_id="https://api.example",
    )

    with closing(Verifier(provider)) as verifier:
        assert verifier.verify(token).subject == "grace"


def test_a_new_key_beside_the_old_one_is_picked_up(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    old = real_issuer.sign_in(client_id)["id_token"]
    verifier.verify(old)

    real_issuer.change("soft")
    new = real_issuer.sign_in(client_id)["id_token"]

    assert verifier.verify(new) == verifier.verify(new)
    assert verifier.verify(old).subject == "grace"


def test_a_new_key_in_place_of_the_old_one_is_picked_up(
    real_issuer: RealIssuer, verifier: Verifier, client_id: str
) -> None:
    old = real_issuer.sign_in(client_id)["id_token"]
    verifier.verify(old)

    real_issuer.change("hard")
    new = real_issuer.sign_in(client_id)["id_token"]

    assert verifier.verify(new).subject == "grace"
    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(old)
    assert caught.value.reason is Reason.UNKNOWN_KEY


def test_a_new_key_under_the_old_id_is_picked_up(real_issuer: RealIssuer, verifier: Verifier, client_id: str) -> None:
    """The verifier sees a bad signature under a known key id; one refetch distinguishes it from a forgery (DV-15)."""
    old = real_issuer.sign_in(client_id)["id_token"]
    verifier.verify(old)

    real_issuer.change("same-kid")
    new = real_issuer.sign_in(client_id)["id_token"]
    before = real_issuer.key_requests()

    assert verifier.verify(new).subject == "grace"
    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(old)
    assert caught.value.reason is Reason.BAD_SIGNATURE
    assert real_issuer.key_requests() == before + 1
