"""Step 5: only a key of the issuer makes a verified token."""

from __future__ import annotations

import pytest

from aveverify._core.jose.jwk import PublicKey, parse_public_key
from aveverify._core.jose.jws import UnverifiedToken
from aveverify._core.jose.jwt_claims import read_claims
from aveverify._core.jose.signature import verify_signature
from aveverify._core.rules.oidc import parse_token
from aveverify.errors import ProviderKind, Reason, Step
from tests.core.jose_factory import Signer, eddsa, es256, good_claims, refused, rs256

SIGNERS = pytest.mark.parametrize("signer", [rs256(), es256(), eddsa()], ids=["RS256", "ES256", "EdDSA"])


def key_of(signer: Signer) -> PublicKey:
    return parse_public_key(signer.jwk, strict=True)


def token_of(signer: Signer) -> UnverifiedToken:
    return parse_token(read_claims(signer.token(good_claims(plan="pro")).encode()))


@SIGNERS
def test_the_claims_of_a_signed_token_are_verified(signer: Signer) -> None:
    token = token_of(signer)

    verified = verify_signature(token, key_of(signer), "oidc")

    assert verified.claims == good_claims(plan="pro")
    assert verified.issuer == token.unverified.issuer
    assert verified.payload == token.unverified.payload


@pytest.mark.parametrize(("kind", "code"), [("oidc", "Unauthenticated"), ("customJwt", "InvalidAuthHeader")])
@SIGNERS
def test_a_wrong_signature_is_refused_with_the_code_of_the_path(signer: Signer, kind: ProviderKind, code: str) -> None:
    token = token_of(signer)

    error = refused(lambda: verify_signature(token._replace(signature=b""), key_of(signer), kind))

    assert (error.reason, error.rule, error.step) == (Reason.BAD_SIGNATURE, "RFC7515-5.2", Step.SIGNATURE)
    assert error.convex_code == code


@SIGNERS
def test_another_key_of_the_same_type_does_not_vouch(signer: Signer) -> None:
    """SIG-004."""
    other = {"RS256": rs256, "ES256": es256, "EdDSA": eddsa}[signer.alg]("other")

    assert refused(lambda: verify_signature(token_of(signer), key_of(other), "oidc")).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("key_signer", [rs256(), es256(), eddsa()], ids=["RSA", "EC", "OKP"])
@SIGNERS
def test_a_key_checks_by_its_own_algorithm_whatever_the_token_says(signer: Signer, key_signer: Signer) -> None:
    """RFC 8725 §3.1."""
    token, key = token_of(signer), key_of(key_signer)

    if signer is key_signer:
        verify_signature(token, key, "oidc")
    else:
        assert refused(lambda: verify_signature(token, key, "oidc")).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("signing_input", [b"", b"x"], ids=["nothing", "other bytes"])
def test_exactly_these_bytes_are_signed(signing_input: bytes) -> None:
    token = token_of(rs256())._replace(signing_input=signing_input)

    assert refused(lambda: verify_signature(token, key_of(rs256()), "oidc")).reason is Reason.BAD_SIGNATURE
