"""Flipping any one bit of an accepted token refuses it (SIG-001; SIG-002; RFC 7515 §5.2)."""

from __future__ import annotations

import pytest

from aveverify import InvalidTokenError, Verifier
from tests.core.jose_factory import Signer, custom_jwt_verifier, decode, eddsa, encode, es256, oidc_verifier, rs256


def oidc_token(signer: Signer) -> tuple[Verifier, str]:
    return oidc_verifier(signer.jwk, token_cache_size=0), signer.token()


def custom_jwt_token(signer: Signer) -> tuple[Verifier, str]:
    return custom_jwt_verifier(signer.jwk, algorithm=signer.alg, token_cache_size=0), signer.token()


CASES = [
    pytest.param(oidc_token, rs256(), id="oidc, RS256"),
    pytest.param(oidc_token, eddsa(), id="oidc, EdDSA"),
    pytest.param(custom_jwt_token, rs256(), id="customJwt, RS256"),
    pytest.param(custom_jwt_token, es256(), id="customJwt, ES256"),
]


def accepted(verifier: Verifier, token: bytes) -> bool:
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return False
    return True


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("make", "signer"), CASES)
def test_every_bit_of_the_text_counts(make: object, signer: Signer) -> None:
    """Each of the eight bits of each character, the dots included."""
    assert callable(make)
    verifier, token = make(signer)
    text = token.encode()
    with verifier:
        assert accepted(verifier, text)

        assert [bit for bit in range(8 * len(text)) if accepted(verifier, flipped(text, bit))] == []


@pytest.mark.parametrize("segment", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(("make", "signer"), CASES)
def test_every_bit_of_what_the_text_encodes_counts(make: object, signer: Signer, segment: int) -> None:
    """The text stays well formed: only the signature shows the change."""
    assert callable(make)
    verifier, token = make(signer)
    segments = token.split(".")
    data = decode(segments[segment])
    with verifier:
        found = [
            bit
            for bit in range(8 * len(data))
            if accepted(
                verifier, ".".join([*segments[:segment], encode(flipped(data, bit)), *segments[segment + 1 :]]).encode()
            )
        ]

    assert found == []


@pytest.mark.parametrize(("make", "signer"), CASES)
def test_every_byte_counts(make: object, signer: Signer) -> None:
    """Cut out, doubled, or a piece of the end left away."""
    assert callable(make)
    verifier, token = make(signer)
    text = token.encode()
    with verifier:
        shorter = [at for at in range(len(text)) if accepted(verifier, text[:at] + text[at + 1 :])]
        longer = [at for at in range(len(text)) if accepted(verifier, text[:at] + text[at : at + 1] + text[at:])]
        cut = [at for at in range(len(text)) if accepted(verifier, text[:at])]

    assert (shorter, longer, cut) == ([], [], [])
