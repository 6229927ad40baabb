"""Identities as headers: encoded so that nothing gets out, and signed so that nobody else gets in."""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import unquote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveverify import ConfigurationError, Identity, Verifier
from aveverify.identity_header import IdentityHeaderError, IdentitySigner, encode_text, read_identity
from aveverify.testing import FakeClock, FakeIssuer

KEY = b"k" * 64


@pytest.fixture
def identity(verifier: Verifier, issuer: FakeIssuer) -> Identity:
    return verifier.verify(issuer.token(sub="ada"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_visible_ascii_and_comes_back(text: str) -> None:
    written = encode_text(text)

    assert set(written) <= set(string.printable[:94])
    assert unquote(written, errors="strict") == text


def test_what_is_visible_stays_as_it_is() -> None:
    assert encode_text("https://issuer.test|user_1+a@b") == "https://issuer.test|user_1+a@b"


def test_a_header_counts_for_its_time_and_no_longer(identity: Identity, clock: FakeClock) -> None:
    value = IdentitySigner(KEY, lifetime_seconds=60, clock=clock)(identity)

    clock.tick(seconds=64)
    assert read_identity(value, key=KEY, clock=clock)["subject"] == "ada"
    clock.tick(seconds=1)
    with pytest.raises(IdentityHeaderError, match="no longer counts"):
        read_identity(value, key=KEY, clock=clock)


def test_a_header_never_outlives_its_token(identity: Identity, clock: FakeClock) -> None:
    clock.tick(seconds=identity.expires_at - clock.now() - 10)
    value = IdentitySigner(KEY, clock=clock)(identity)

    assert jwt.decode(value, options={"verify_signature": False})["exp"] == identity.expires_at


def test_a_header_of_the_future_is_refused(identity: Identity, clock: FakeClock) -> None:
    value = IdentitySigner(KEY, clock=FakeClock(now=clock.now() + 6))(identity)

    with pytest.raises(IdentityHeaderError):
        read_identity(value, key=KEY, clock=clock)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key": b"x" * 32}, id="another key"),
        pytest.param({"algorithm": "HS512"}, id="another algorithm"),
        pytest.param({"claims": {"aud": "billing"}}, id="another audience"),
        pytest.param({"claims": {"iss": "mallory"}}, id="another issuer"),
        pytest.param({"claims": {"exp": None}}, id="no end"),
        pytest.param({"claims": {"identity": None}}, id="no identity"),
        pytest.param({"key": None, "algorithm": "none"}, id="ALG-001: none"),
    ],
)
def test_what_another_has_written_is_refused(clock: FakeClock, change: dict[str, Any]) -> None:
    now = int(clock.now())
    claims = {"iss": "aveverify-serve", "aud": "upstream", "iat": now, "exp": now + 60, "identity": {"subject": "x"}}
    assert read_identity(jwt.encode(claims, KEY, algorithm="HS256"), key=KEY, clock=clock) == {"subject": "x"}

    claims = {name: value for name, value in (claims | change.get("claims", {})).items() if value is not None}
    value = jwt.encode(claims, change.get("key", KEY), algorithm=change.get("algorithm", "HS256"))

    with pytest.raises(IdentityHeaderError) as caught:
        read_identity(value, key=KEY, clock=clock)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["", "a.b.c", "\xff", "eyJhbGciOiJIUzI1NiJ9..", "."], ids=repr)
def test_what_is_no_jws_is_refused(value: str) -> None:
    with pytest.raises(IdentityHeaderError):
        read_identity(value, key=KEY)


def test_a_token_of_the_issuer_itself_is_no_identity_header(issuer: FakeIssuer, clock: FakeClock) -> None:
    with pytest.raises(IdentityHeaderError):
        read_identity(issuer.token(), key=KEY, clock=clock)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"key": b"k" * 31}, id="short key"),
        pytest.param({"key": "k" * 32}, id="text"),
        pytest.param({"key": KEY, "audience": ""}, id="no audience"),
        pytest.param({"key": KEY, "lifetime_seconds": 0}, id="no time"),
        pytest.param({"key": KEY, "lifetime_seconds": 3601}, id="too long"),
        pytest.param({"key": KEY, "lifetime_seconds": True}, id="a boolean"),
    ],
)
def test_a_signer_checks_its_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        IdentitySigner(options.pop("key"), **options)


def test_a_short_key_reads_nothing() -> None:
    with pytest.raises(ConfigurationError):
        read_identity("", key=b"short")


def test_a_signer_shows_no_key(clock: FakeClock) -> None:
    """ERR-006."""
    assert repr(IdentitySigner(KEY, clock=clock)) == "<IdentitySigner for 'upstream'>"
