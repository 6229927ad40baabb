"""The compact serialization: three segments, each strict, and types that give nothing away."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jws import (
    UnverifiedToken,
    VerifiedToken,
    check_list_members,
    check_text_members,
    parse_header,
    parse_signature,
    verify_signature,
)
from aveverify._core.jose.jwt_claims import read_claims
from aveverify._core.jose.strict_json import is_text_or_null, is_texts_or_null
from aveverify._core.rules.oidc import parse_token
from aveverify.errors import Fault, ProviderKind, Reason, Step
from tests.core.jose_factory import (
    Signer,
    compact,
    eddsa,
    encode,
    es256,
    good_claims,
    parsed,
    public_key,
    read,
    refused,
    rs256,
)

KINDS = pytest.mark.parametrize("kind", ["oidc", "customJwt"])


def test_the_three_segments_of_a_token_are_read() -> None:
    token = read(header={"alg": "RS256", "x": 1}, signature=b"\x00\x01")

    assert parse_header(token, "oidc") == {"alg": "RS256", "x": 1}
    assert parse_signature(token, "oidc") == b"\x00\x01"


@pytest.mark.parametrize(
    "tail", ["", ".AA.AA", ".AA.", "..", ".AA.AA.AA"], ids=["two", "four", "four, last empty", "empty", "five"]
)
@KINDS
def test_a_token_has_exactly_three_segments(tail: str, kind: ProviderKind) -> None:
    """OIDC-01; CJ-02."""
    header, payload, _ = compact({"alg": "RS256"}, good_claims()).decode().split(".")
    token = read_claims(f"{header}.{payload}{tail}".encode())

    error = refused(lambda: parse_header(token, kind))

    assert (error.reason, error.rule, error.fault) == (Reason.MALFORMED_TOKEN, "RFC7515-7.1", Fault.SEGMENTS)
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize(
    ("segment", "fault"),
    [
        pytest.param("", Fault.NOT_JSON, id="empty"),
        pytest.param("e30=", Fault.NOT_BASE64URL, id="padding"),
        pytest.param("e31", Fault.NOT_BASE64URL, id="unused bits"),
        pytest.param("e 0", Fault.NOT_BASE64URL, id="blank"),
        pytest.param(encode(b"[]"), Fault.NOT_OBJECT, id="array"),
        pytest.param(encode(b"nul"), Fault.NOT_JSON, id="not JSON"),
        pytest.param(encode(b'{"x":1,"x":1}'), Fault.REPEATED_MEMBER, id="a name twice"),
        pytest.param(
            encode(b'{"x":"\\ud800"}'), Fault.LONE_SURROGATE, id="lone surrogate in a member that is not read"
        ),
        pytest.param(encode(b'{"x":1e400}'), Fault.NUMBER_RANGE, id="beyond a double in a member that is not read"),
        pytest.param(encode(b'{"x":"\xff"}'), Fault.NOT_UTF8, id="not UTF-8 in a member that is not read"),
    ],
)
@KINDS
def test_the_header_is_strict(segment: str, fault: Fault, kind: ProviderKind) -> None:
    """OIDC-02; CJ-03; DV-02; DV-08; DV-12."""
    _, payload, signature = compact({}, good_claims()).decode().split(".")
    token = read_claims(f"{segment}.{payload}.{signature}".encode())

    error = refused(lambda: parse_header(token, kind))

    assert (error.reason, error.fault, error.step) == (Reason.MALFORMED_HEADER, fault, Step.PARSE)
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize(
    "segment", ["AA==", "AB", "A", "A+", "AA\n"], ids=["padding", "unused bits", "length", "alphabet", "line feed"]
)
@KINDS
def test_the_signature_is_canonical(segment: str, kind: ProviderKind) -> None:
    """DV-02."""
    header, payload, _ = compact({}, good_claims()).decode().split(".")
    token = read_claims(f"{header}.{payload}.{segment}".encode())

    error = refused(lambda: parse_signature(token, kind))

    assert (error.reason, error.rule, error.fault) == (Reason.MALFORMED_SIGNATURE, "DV-02", Fault.NOT_BASE64URL)
    assert error.convex_code == "InvalidAuthHeader"


def test_an_empty_signature_is_well_formed_and_refused_by_its_key() -> None:
    """SIG-003."""
    header, payload, _ = compact({}, good_claims()).decode().split(".")

    assert parse_signature(read_claims(f"{header}.{payload}.".encode()), "oidc") == b""


TEXT_OR_NULL: list[tuple[Any, bool]] = [(None, True), ("", True), ("x", True), (1, False), (True, False), ([], False)]
TEXTS_OR_NULL: list[tuple[Any, bool]] = [
    (None, True), ([], True), (["x", ""], True), ("x", False), ([1], False), (["x", None], False), ({}, False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "good"), TEXT_OR_NULL, ids=str)
def test_text_or_null(value: JsonValue, *, good: bool) -> None:
    assert is_text_or_null(value) is good
    if good:
        check_text_members({"m": value}, ("m",), "oidc", "RULE")
    else:
        error = refused(lambda: check_text_members({"m": value}, ("absent", "m"), "oidc", "RULE"))
        assert (error.reason, error.rule, error.claim) == (Reason.MALFORMED_HEADER, "RULE", "m")
        assert error.fault is Fault.MEMBER_TYPE


@pytest.mark.parametrize(("value", "good"), TEXTS_OR_NULL, ids=str)
def test_list_of_texts_or_null(value: JsonValue, *, good: bool) -> None:
    assert is_texts_or_null(value) is good
    if good:
        check_list_members({"m": value}, ("m",), "customJwt", "RULE")
    else:
        error = refused(lambda: check_list_members({"m": value}, ("absent", "m"), "customJwt", "RULE"))
        assert (error.reason, error.rule, error.claim) == (Reason.MALFORMED_HEADER, "RULE", "m")
        assert error.fault is Fault.MEMBER_TYPE


def test_a_token_object_shows_alg_and_kid_only() -> None:
    """ERR-006; ERR-003: what an attacker wrote is escaped."""
    shown = repr(parsed(kid="k\r\n\x1b[31m", claims=good_claims(secret="s3cret")))

    assert "RS256" in shown
    assert shown.isprintable()
    assert "s3cret" not in shown


def test_a_verified_token_has_no_repr() -> None:
    assert "s3cret" not in repr(VerifiedToken({"sub": "s3cret"}, b"s3cret"))


# --- step 5: only a key of the issuer makes a verified token

SIGNERS = pytest.mark.parametrize("signer", [rs256(), es256(), eddsa()], ids=["RS256", "ES256", "EdDSA"])


def token_of(signer: Signer) -> UnverifiedToken:
    return parse_token(read_claims(signer.token(good_claims(plan="pro")).encode()))


@SIGNERS
def test_the_claims_of_a_signed_token_are_verified(signer: Signer) -> None:
    token = token_of(signer)

    verified = verify_signature(token, public_key(signer.jwk), "oidc")

    assert verified.claims == good_claims(plan="pro")
    assert verified.payload == token.unverified.payload


@pytest.mark.parametrize(("kind", "code"), [("oidc", "Unauthenticated"), ("customJwt", "InvalidAuthHeader")])
@SIGNERS
def test_a_wrong_signature_is_refused_with_the_code_of_the_path(signer: Signer, kind: ProviderKind, code: str) -> None:
    token = token_of(signer)

    error = refused(lambda: verify_signature(token._replace(signature=b""), public_key(signer.jwk), kind))

    assert (error.reason, error.rule, error.step) == (Reason.BAD_SIGNATURE, "RFC7515-5.2", Step.SIGNATURE)
    assert error.convex_code == code


@SIGNERS
def test_another_key_of_the_same_type_does_not_verify(signer: Signer) -> None:
    """SIG-004."""
    other = {"RS256": rs256, "ES256": es256, "EdDSA": eddsa}[signer.alg]("other")

    assert (
        refused(lambda: verify_signature(token_of(signer), public_key(other.jwk), "oidc")).reason
        is Reason.BAD_SIGNATURE
    )


@pytest.mark.parametrize("key_signer", [rs256(), es256(), eddsa()], ids=["RSA", "EC", "OKP"])
@SIGNERS
def test_a_key_checks_by_its_own_algorithm_whatever_the_token_says(signer: Signer, key_signer: Signer) -> None:
    """RFC 8725 §3.1."""
    token, key = token_of(signer), public_key(key_signer.jwk)

    if signer is key_signer:
        verify_signature(token, key, "oidc")
    else:
        assert refused(lambda: verify_signature(token, key, "oidc")).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("signing_input", [b"", b"x"], ids=["nothing", "other bytes"])
def test_exactly_these_bytes_are_signed(signing_input: bytes) -> None:
    token = token_of(rs256())._replace(signing_input=signing_input)

    assert refused(lambda: verify_signature(token, public_key(rs256().jwk), "oidc")).reason is Reason.BAD_SIGNATURE
