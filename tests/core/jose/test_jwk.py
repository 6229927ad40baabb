"""One JWK: which path can read it, whether it can verify a signature, and which key it makes."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwk import Dialect, can_verify, is_readable, parse_public_key
from aveverify._core.jose.jwk_set import KeySet, KeySetError, parse_key_set
from tests.core.jose_factory import (
    Json,
    Signer,
    decode,
    document_beside_a_good_key,
    eddsa,
    encode,
    es256,
    key_set,
    public_key,
    raised,
    rs256,
    rsa_jwk,
    spare_key,
    without,
)

BOTH = pytest.mark.parametrize("dialect", get_args(Dialect))


def read_beside_a_good_key(jwk: JsonValue, dialect: Dialect) -> KeySet:
    return key_set(spare_key(), jwk, dialect=dialect)


def is_candidate(jwk: JsonValue, dialect: Dialect) -> bool:
    return len(read_beside_a_good_key(jwk, dialect).candidates) == 2


# --- candidates of the OIDC path

MALFORMED: list[Any] = [1, True, [], {}, ["x"]]


@pytest.mark.parametrize("jwk", [None, 1, "x", [rs256().jwk], [], True], ids=lambda jwk: str(jwk)[:12])
@BOTH
def test_an_entry_that_is_no_object_is_skipped(jwk: JsonValue, dialect: Dialect) -> None:
    """DISC-10; DV-08; DV-13."""
    assert not is_candidate(jwk, dialect)


@pytest.mark.parametrize("kty", ["rsa", "AKP", "", None, 1, ["RSA"], {}], ids=str)
@BOTH
def test_a_key_of_an_unknown_type_is_skipped(kty: JsonValue, dialect: Dialect) -> None:
    """KEY-017."""
    assert not is_candidate(rsa_jwk(kty=kty), dialect)


@BOTH
def test_a_key_without_type_is_skipped(dialect: Dialect) -> None:
    assert not is_candidate(without(rsa_jwk(), "kty"), dialect)


@pytest.mark.parametrize("value", MALFORMED, ids=str)
@pytest.mark.parametrize("name", ["use", "kid"])
@BOTH
def test_a_key_with_an_ill_typed_member_is_skipped(name: str, value: JsonValue, dialect: Dialect) -> None:
    """DISC-10; JWKS-04; KEY-016."""
    assert not is_candidate(rsa_jwk(**{name: value}), dialect)


@pytest.mark.parametrize("name", ["use", "kid", "alg", "key_ops", "x5c", "x5t", "x5u"])
@BOTH
def test_null_is_absent_in_a_key(name: str, dialect: Dialect) -> None:
    assert is_candidate(rsa_jwk() | {name: None}, dialect)


@pytest.mark.parametrize(
    ("alg", "dialects"),
    [
        ("RS256", {"oidc", "customJwt"}), ("ES384", {"oidc", "customJwt"}),
        ("HS512", {"oidc", "customJwt"}), ("none", {"oidc", "customJwt"}),
        ("A128GCM", {"oidc", "customJwt"}), ("A256CBC-HS512", {"oidc", "customJwt"}), ("EdDSA", {"oidc"}),
        ("RSA-OAEP", {"customJwt"}), ("RSA1_5", {"customJwt"}), ("dir", {"customJwt"}),
        ("ECDH-ES+A256KW", {"customJwt"}), ("PBES2-HS512+A256KW", {"customJwt"}), ("A192GCMKW", {"customJwt"}),
        ("Ed25519", set()), ("ES256K", set()), ("RSA-OAEP-512", set()), ("rs256", set()), ("", set()),
        (1, set()), ([], set()), ({"RS256": 1}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)  # fmt: skip
@BOTH
def test_each_path_knows_its_own_names_of_algorithms(alg: JsonValue, dialects: set[str], dialect: Dialect) -> None:
    """DISC-10; JWKS-04; DV-08."""
    assert is_candidate(rsa_jwk(alg=alg), dialect) is (dialect in dialects)


@pytest.mark.parametrize("name", ["n", "e"])
@pytest.mark.parametrize("value", [*MALFORMED, None, "A", "A=", "ä"], ids=str)
def test_oidc_keeps_a_key_whose_public_members_do_not_decode(name: str, value: JsonValue) -> None:
    """DISC-10: it stays and fails when it is chosen."""
    candidate = read_beside_a_good_key(rsa_jwk(**{name: value}), "oidc").candidates[1]

    assert candidate.key is None


@pytest.mark.parametrize("jwk", [{"kty": "EC"}, {"kty": "OKP", "crv": "X25519"}, {"kty": "oct"}], ids=str)
def test_oidc_keeps_a_key_without_members(jwk: Json) -> None:
    assert read_beside_a_good_key(jwk, "oidc").candidates[1].key is None


@pytest.mark.parametrize("name", ["kty", "use", "kid", "alg", "n", "e", "crv", "x", "y", "k"])
def test_oidc_skips_a_key_in_which_a_member_that_is_read_occurs_twice(name: str) -> None:
    """DISC-10; KEY-039."""
    text = json.dumps(rsa_jwk() | {name: rsa_jwk().get(name)})[:-1] + f',"{name}":null}}'

    assert len(parse_key_set(document_beside_a_good_key(text), "oidc").candidates) == 1


@pytest.mark.parametrize("name", ["d", "p", "oth", "x5c", "x5t", "more"])
@BOTH
def test_a_member_that_is_not_read_may_occur_twice(name: str, dialect: Dialect) -> None:
    """DV-13; KEY-027."""
    if dialect == "customJwt" and name in ("x5c", "x5t"):
        return
    text = json.dumps(rsa_jwk())[:-1] + f',"{name}":1,"{name}":[]}}'

    assert len(parse_key_set(document_beside_a_good_key(text), dialect).candidates) == 2


@pytest.mark.parametrize("value", [1, "x", [1], {}], ids=str)
@pytest.mark.parametrize("name", ["x5c", "x5t", "x5u", "key_ops"])
def test_oidc_does_not_look_at_certificates(name: str, value: JsonValue) -> None:
    """OIDC-15; KEY-040."""
    assert is_candidate(rsa_jwk(**{name: value}), "oidc")


# --- candidates of the customJwt path


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(rsa_jwk(), id="RSA"),
        pytest.param(rsa_jwk(1024), id="RSA, too short to verify"),
        pytest.param(es256().material, id="EC"),
        pytest.param({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}, id="EC, another curve"),
        pytest.param({"kty": "EC", "crv": "Ed25519", "x": "", "y": ""}, id="EC, a curve of another type"),
        pytest.param(eddsa().material, id="OKP"),
        pytest.param({"kty": "OKP", "crv": "Ed448", "x": "AA"}, id="OKP, another curve"),
        pytest.param({"kty": "oct", "k": ""}, id="oct"),
        pytest.param(rsa_jwk(d=1, p=None, q=[], oth="x"), id="private members of any type"),
        pytest.param(rsa_jwk(crv=1, x=2, k=3), id="members of other types"),
        pytest.param(rsa_jwk(x5c=["x"], x5t="x", x5u="x", key_ops=[]), id="certificates"),
    ],
)
def test_custom_jwt_reads(jwk: Json) -> None:
    """JWKS-04; JWKS-07; DV-13."""
    assert is_candidate(jwk, "customJwt")
    assert is_readable(jwk, "customJwt")


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(without(rsa_jwk(), "n"), id="RSA without n"),
        pytest.param(without(rsa_jwk(), "e"), id="RSA without e"),
        pytest.param(rsa_jwk() | {"n": None}, id="RSA with n null"),
        pytest.param(rsa_jwk() | {"e": 65537}, id="RSA with e a number"),
        pytest.param(rsa_jwk() | {"e": "AQAB="}, id="RSA with padding"),
        pytest.param(rsa_jwk() | {"e": "AAEAAR"}, id="RSA with unused bits"),
        pytest.param(rsa_jwk() | {"e": "AQÄB"}, id="RSA outside ASCII"),
        pytest.param(without(es256().material, "crv"), id="EC without curve"),
        pytest.param(without(es256().material, "y"), id="EC without y"),
        pytest.param(es256().material | {"crv": "secp256k1"}, id="EC with an unknown curve"),
        pytest.param(es256().material | {"crv": ["P-256"]}, id="EC with a list as curve"),
        pytest.param(without(eddsa().material, "x"), id="OKP without x"),
        pytest.param(eddsa().material | {"crv": "X25519"}, id="OKP with an unknown curve"),
        pytest.param({"kty": "oct"}, id="oct without k"),
        pytest.param(rsa_jwk(x5t=1), id="a number as thumbprint"),
        pytest.param(rsa_jwk(x5u=[]), id="a list as certificate address"),
        pytest.param(rsa_jwk(x5c="x"), id="a text as certificates"),
        pytest.param(rsa_jwk(x5c=[1]), id="a number among certificates"),
        pytest.param(rsa_jwk(key_ops="verify"), id="a text as operations"),
        pytest.param(rsa_jwk(key_ops=["verify", 1]), id="a number among operations"),
    ],
)
def test_custom_jwt_skips(jwk: Json) -> None:
    """JWKS-04; JWKS-06; DV-13."""
    assert not is_candidate(jwk, "customJwt")
    assert not is_readable(jwk, "customJwt")


@pytest.mark.parametrize("jwk", [None, 1, "x", [], [rsa_jwk()]], ids=lambda jwk: str(jwk)[:8])
def test_what_is_no_object_is_no_readable_key(jwk: JsonValue) -> None:
    assert not is_readable(jwk, "customJwt")


@pytest.mark.parametrize("name", ["kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "n", "e"])
def test_custom_jwt_skips_a_key_in_which_a_member_that_is_read_occurs_twice(name: str) -> None:
    """JWKS-07."""
    text = f'{{"{name}":null,' + json.dumps(rsa_jwk() | {name: rsa_jwk().get(name)})[1:]

    assert len(parse_key_set(document_beside_a_good_key(text), "customJwt").candidates) == 1


@pytest.mark.parametrize("name", ["crv", "x", "y", "k"])
def test_custom_jwt_does_not_read_members_of_other_types(name: str) -> None:
    """JWKS-07."""
    text = json.dumps(rsa_jwk())[:-1] + f',"{name}":1,"{name}":2}}'

    assert len(parse_key_set(document_beside_a_good_key(text), "customJwt").candidates) == 2


@pytest.mark.parametrize("name", ["crv", "x", "y"])
def test_the_curve_of_a_point_is_read_once(name: str) -> None:
    text = json.dumps(es256().material)[:-1] + f',"{name}":"x"}}'

    assert len(parse_key_set(document_beside_a_good_key(text), "customJwt").candidates) == 1


# --- what a candidate is good for


@pytest.mark.parametrize(
    ("members", "good"),
    [
        ({}, True), ({"use": "sig"}, True), ({"use": None}, True), ({"use": "enc"}, False), ({"use": "SIG"}, False),
        ({"use": ""}, False), ({"key_ops": None}, True), ({"key_ops": ["verify"]}, True), ({"key_ops": []}, False),
        ({"key_ops": ["sign"]}, False), ({"key_ops": ["Verify"]}, False),
        ({"use": "enc", "key_ops": ["verify"]}, False), ({"use": "sig", "key_ops": ["encrypt"]}, False),
    ],
    ids=str,
)  # fmt: skip
@BOTH
def test_use_and_key_ops_say_whether_a_key_is_for_signatures(members: Json, dialect: Dialect, *, good: bool) -> None:
    """DV-04; KEY-023 to KEY-026."""
    candidate = read_beside_a_good_key(rsa_jwk(**members), dialect).candidates[1]

    assert candidate.for_signatures is good


@pytest.mark.parametrize("operations", ["verify", {"verify": 1}, 1, True, [["verify"]]], ids=str)
def test_operations_of_another_type_do_not_name_verify(operations: JsonValue) -> None:
    """OIDC-15; DV-04; KEY-026."""
    assert not read_beside_a_good_key(rsa_jwk(key_ops=operations), "oidc").candidates[1].for_signatures


@pytest.mark.parametrize(
    ("members", "good"),
    [
        ({}, True), ({"alg": "RS256"}, True), ({"alg": None}, True), ({"alg": "RS512"}, False),
        ({"alg": "ES256"}, False), ({"alg": "EdDSA"}, False), ({"alg": 1}, False), ({"alg": []}, False),
        ({"kid": "x"}, True), ({"kid": None}, True), ({"kid": 1}, False), ({"use": "enc"}, False),
        ({"key_ops": []}, False), ({"x5c": 1}, True), ({"d": 1}, True),
    ],
    ids=str,
)  # fmt: skip
def test_whether_a_key_is_usable(members: Json, *, good: bool) -> None:
    """README of the vectors: usable, whichever provider asks."""
    jwk = rsa_jwk(**members)

    assert can_verify(jwk, public_key(rsa_jwk()).algorithm) is good


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
@BOTH
def test_an_ed25519_key_may_carry_either_name(alg: str, dialect: Dialect) -> None:
    """README of the vectors; RFC 9864."""
    assert len(key_set(eddsa().jwk | {"alg": alg}, dialect=dialect).candidates) <= 1


@pytest.mark.parametrize("name", ["kty", "use", "key_ops", "kid", "alg", "n", "e"])
@BOTH
def test_a_usable_key_has_each_member_once(name: str, dialect: Dialect) -> None:
    text = f'{{"keys":[{{"{name}":null,' + json.dumps(rsa_jwk() | {name: rsa_jwk().get(name)})[1:] + "]}"

    raised(KeySetError, lambda: parse_key_set(text.encode(), dialect))


@BOTH
def test_a_private_key_is_used_by_its_public_half(dialect: Dialect) -> None:
    """KEY-027."""
    keys = key_set(rs256().jwk | {"d": "s3cret", "p": "s3cret"}, dialect=dialect)

    assert keys.candidates[0].key is not None
    assert "s3cret" not in repr(keys.candidates)


def test_unused_bits_in_a_key_are_for_oidc_only() -> None:
    """DISC-10; JWKS-06."""
    jwk = rsa_jwk() | {"e": "AAEAAR"}

    assert len(key_set(jwk, dialect="oidc").candidates) == 1
    raised(KeySetError, lambda: key_set(jwk, dialect="customJwt"))
    assert public_key(jwk, "oidc").algorithm.name == "RS256"
    assert parse_public_key(jwk, "customJwt") is None


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": "oct", "k": "AA"}, {"kty": 1}, rsa_jwk(1024)], ids=lambda jwk: str(jwk)[:20]
)
def test_what_makes_no_key_is_unsuitable(jwk: Json) -> None:
    assert parse_public_key(jwk, "customJwt") is None


def test_a_key_shows_its_algorithm_only() -> None:
    """ERR-006."""
    key = public_key(rsa_jwk())

    assert repr(key) == "<PublicKey RS256>"
    assert encode(b"\xff") not in repr(key)


# RFC 7638 §3.1, and RFC 8037 A.3.
RFC_7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5ha"
    "jrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


@pytest.mark.parametrize(
    ("jwk", "thumbprint"),
    [
        pytest.param(
            {"kty": "RSA", "n": RFC_7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"},
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            id="RSA",
        ),
        pytest.param(
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            id="OKP",
        ),
    ],
)
def test_a_key_has_the_thumbprint_of_the_standard(jwk: Json, thumbprint: str) -> None:
    """RFC 7638 §3.1; RFC 8037 A.3: of the public members alone."""
    assert public_key(jwk).thumbprint == decode(thumbprint).hex()


@pytest.mark.parametrize("signer", [rs256(), es256(), eddsa()], ids=["RSA", "EC", "OKP"])
def test_a_thumbprint_depends_on_the_key_alone(signer: Signer) -> None:
    bare = public_key(signer.material)
    dressed = public_key(signer.jwk | {"d": "x", "x5c": []})

    assert bare.thumbprint == dressed.thumbprint
    assert bare.thumbprint != public_key(rsa_jwk()).thumbprint


def test_another_spelling_of_a_number_has_the_same_thumbprint() -> None:
    """KEY-014; DISC-10: leading zero bytes and unused bits do not make another key."""
    plain, odd = (public_key(rsa_jwk() | {"e": e}, "oidc") for e in ("AQAB", "AAEAAR"))

    assert plain.thumbprint == odd.thumbprint
