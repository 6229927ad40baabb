"""One row per algorithm: what a key and a signature must look like, whatever a library would take."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwa import ALGORITHM_OF_KEY_TYPE, EDDSA, ES256, RS256
from aveverify._core.jose.jwk import parse_public_key
from aveverify._core.jose.public_key import VerifySignature
from tests.core.jose_factory import (
    Json,
    Signer,
    decode,
    eddsa,
    encode,
    es256,
    modulus,
    number,
    public_key,
    rs256,
    rsa_jwk,
    without,
)

MESSAGE = b"header.payload"
# FIPS 186-5 and RFC 8032: written out once more, so that a slip of the pen there is found here.
P256_ORDER = 115792089210356248762697446949407573529996955224135760342422259061068512044369
ED25519_ORDER = 7237005577332262213973186563042994240857116359379907606001950938285454250989
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ED25519_PRIME = 2**255 - 19


def parse(jwk: Json, *, allow_nonzero_trailing_bits: bool = False) -> VerifySignature:
    """The check of a signature, by the row of the key's type."""
    return public_key(jwk, "oidc" if allow_nonzero_trailing_bits else "customJwt").verify


def assert_unsuitable(jwk: Json) -> None:
    assert parse_public_key(jwk, "customJwt") is None


def test_there_is_one_row_for_each_key_type() -> None:
    assert ALGORITHM_OF_KEY_TYPE == {"RSA": RS256, "EC": ES256, "OKP": EDDSA}
    assert [row.name for row in (RS256, ES256, EDDSA)] == ["RS256", "ES256", "EdDSA"]
    assert EDDSA.key_algs == {"EdDSA", "Ed25519"}


@pytest.mark.parametrize("row", ALGORITHM_OF_KEY_TYPE.values(), ids=lambda row: row.name)
def test_only_public_members_are_ever_read(row: Any) -> None:
    """DV-13."""
    assert row.key_members.isdisjoint({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@pytest.mark.parametrize("signer", [rs256(), es256(), eddsa()], ids=["RS256", "ES256", "EdDSA"])
def test_a_key_verifies_what_it_signed_and_nothing_else(signer: Any) -> None:
    verify = parse(signer.material)
    signature = signer.signature(MESSAGE)

    assert verify(signature, MESSAGE)
    assert not verify(signature, b"header.Payload")
    assert not verify(b"", MESSAGE)
    assert not verify(signature[:-1], MESSAGE)
    assert not verify(signature + b"\x00", MESSAGE)
    assert not verify(b"\x00" + signature, MESSAGE)


# --- RSA


@pytest.mark.parametrize("bits", [512, 1024, 2040, 2041, 2047, 8193, 8200, 16384], ids=lambda bits: f"{bits} bits")
def test_a_modulus_outside_the_limits_is_unsuitable(bits: int) -> None:
    """OIDC-17; DV-05; KEY-001; KEY-002: exactly counted."""
    assert modulus(bits).bit_length() == bits
    assert_unsuitable(rsa_jwk(bits))


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096, 8191, 8192], ids=lambda bits: f"{bits} bits")
def test_a_modulus_within_the_limits_is_good(bits: int) -> None:
    verify = parse(rsa_jwk(bits))

    assert not verify(bytes((bits + 7) // 8), MESSAGE)


@pytest.mark.parametrize(
    ("exponent", "good"),
    [
        (0, False), (1, False), (2, False), (3, True), (4, False), (5, True), (65536, False), (65537, True),
        (2**33 - 1, True), (2**33, False), (2**33 + 1, False), (2**64 + 1, False), (modulus(2048) - 2, False),
    ],
    ids=["0", "1", "2", "3", "4", "5", "2^16", "2^16+1", "2^33-1", "2^33", "2^33+1", "2^64+1", "near n"],
)  # fmt: skip
def test_an_exponent_is_odd_and_has_three_to_33_bits(exponent: int, *, good: bool) -> None:
    """OIDC-17; KEY-003 to KEY-011."""
    jwk = rsa_jwk(exponent=exponent)
    if good:
        parse(jwk)
    else:
        assert_unsuitable(jwk)


@pytest.mark.parametrize("less", [1, 3, 5], ids=str)
def test_an_even_modulus_is_unsuitable(less: int) -> None:
    """KEY-012."""
    assert_unsuitable({"kty": "RSA", "n": number(modulus(2048) - less), "e": "AQAB"})


def test_leading_zero_bytes_do_not_count() -> None:
    """OIDC-17; KEY-014: neither towards the limits nor towards the length of a signature."""
    material = rs256().material
    padded = {name: encode(b"\x00\x00" + decode(material[name])) for name in ("n", "e")}
    verify = parse({"kty": "RSA"} | padded)

    assert verify(rs256().signature(MESSAGE), MESSAGE)
    assert_unsuitable({"kty": "RSA", "n": encode(b"\x00" + modulus(2047).to_bytes(256)), "e": "AQAB"})


@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, True, [], {}, "", "A", "AB", "AQAB=", "AQ+B", "AQ B", "AQAB\n", "ÄQAB", "\ud800"],
    ids=ascii,
)
@pytest.mark.parametrize("name", ["n", "e"])
def test_a_member_that_does_not_decode_is_unsuitable(name: str, value: JsonValue) -> None:
    """KEY-015; KEY-016."""
    assert_unsuitable(rsa_jwk() | {name: value})


@pytest.mark.parametrize("name", ["n", "e"])
def test_an_absent_member_is_unsuitable(name: str) -> None:
    """KEY-008."""
    assert_unsuitable(without(rsa_jwk(), name))


def test_unused_bits_are_passed_over_only_where_told() -> None:
    """DISC-10; JWKS-06: 65537 in three bytes has no unused bits, with a leading zero byte it has."""
    assert decode("AAEAAR")[:4] == b"\x00\x01\x00\x01"
    jwk = rsa_jwk() | {"e": "AAEAAR"}

    parse(jwk, allow_nonzero_trailing_bits=True)
    assert_unsuitable(jwk)


def test_a_signature_is_exactly_as_long_as_the_modulus() -> None:
    """RFC 8017 §8.2.2 step 1; SIG-025."""
    verify = parse(rs256().material)
    signature = rs256().signature(MESSAGE)
    unreduced = int.from_bytes(signature) + int.from_bytes(decode(rs256().material["n"]))

    assert not verify(signature[1:], MESSAGE)
    assert not verify(b"\x00" + signature, MESSAGE)
    assert not verify(unreduced.to_bytes(257), MESSAGE)


@pytest.mark.parametrize("offset", [-1, 0, 1], ids=["n-1", "n", "n+1"])
def test_a_signature_at_the_modulus_is_wrong(offset: int) -> None:
    """SIG-026."""
    n = int.from_bytes(decode(rs256().material["n"]))

    assert not parse(rs256().material)((n + offset).to_bytes(256), MESSAGE)


@pytest.mark.parametrize("value", [0, 1, 2], ids=str)
def test_a_tiny_signature_is_wrong(value: int) -> None:
    """SIG-026."""
    assert not parse(rs256().material)(value.to_bytes(256), MESSAGE)


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(lambda key: key.sign(MESSAGE, padding.PKCS1v15(), SHA384()), id="SHA-384"),
        pytest.param(lambda key: key.sign(MESSAGE, padding.PKCS1v15(), SHA512()), id="SHA-512"),
        pytest.param(lambda key: key.sign(MESSAGE, padding.PSS(padding.MGF1(SHA256()), 32), SHA256()), id="PSS"),
    ],
)
def test_another_hash_or_padding_is_wrong(sign: Any) -> None:
    """SIG-027."""
    key = rs256().private_key
    assert isinstance(key, rsa.RSAPrivateKey)

    assert not parse(rs256().material)(sign(key), MESSAGE)


# --- ECDSA


@pytest.mark.parametrize("length", [0, 31, 33, 64], ids=lambda length: f"{length} bytes")
@pytest.mark.parametrize("name", ["x", "y"])
def test_coordinates_have_exactly_32_bytes(name: str, length: int) -> None:
    """DV-21; KEY-019."""
    coordinate = decode(es256().material[name])
    resized = (bytes(length) + coordinate)[-length:] if length else b""

    assert_unsuitable(es256().material | {name: encode(resized)})


def test_coordinates_that_are_split_elsewhere_are_unsuitable() -> None:
    """KEY-019: 64 bytes together are not enough."""
    both = b"".join(decode(es256().material[name]) for name in ("x", "y"))

    assert_unsuitable(es256().material | {"x": encode(both[:31]), "y": encode(both[31:])})


@pytest.mark.parametrize("crv", ["P-384", "P-521", "secp256k1", "p-256", "", None, 1, ["P-256"]], ids=str)
def test_the_curve_is_p256(crv: JsonValue) -> None:
    """DV-21; KEY-020."""
    assert_unsuitable(es256().material | {"crv": crv})


@pytest.mark.parametrize(
    ("x", "y"),
    [(0, 0), (1, 1), (P256_PRIME, 1), (P256_PRIME - 1, P256_PRIME + 1), (2**256 - 1, 2**256 - 1)],
    ids=["infinity", "not on the curve", "x = p", "y > p", "all ones"],
)
def test_a_point_off_the_curve_is_unsuitable(x: int, y: int) -> None:
    """KEY-018."""
    assert_unsuitable({"kty": "EC", "crv": "P-256", "x": encode(x.to_bytes(32)), "y": encode(y.to_bytes(32))})


@pytest.mark.parametrize("name", ["crv", "x", "y"])
def test_every_member_of_a_point_is_needed(name: str) -> None:
    assert_unsuitable(without(es256().material, name))


def pair(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 0), (0, 1), (1, 0), (1, 1), (P256_ORDER, P256_ORDER), (P256_ORDER, 1), (1, P256_ORDER),
        (P256_ORDER - 1, P256_ORDER - 1), (P256_PRIME, P256_PRIME), (2**256 - 1, 2**256 - 1),
    ],
    ids=["0 0", "0 1", "1 0", "1 1", "n n", "n 1", "1 n", "n-1 n-1", "p p", "all ones"],
)  # fmt: skip
def test_degenerate_ecdsa_values_are_wrong(r: int, s: int) -> None:
    """CJ-11; SIG-006 to SIG-014; FIPS 186-5 §6.4.2."""
    assert not parse(es256().material)(pair(r, s), MESSAGE)


def test_r_and_s_are_never_taken_modulo_the_order() -> None:
    """SIG-013: with s below 2^256 - n there would be a second spelling."""
    verify = parse(es256().material)
    signature = es256().signature(MESSAGE)
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    assert verify(pair(r, s), MESSAGE)

    for value in (r, s):
        if value + P256_ORDER < 2**256:
            assert not verify(pair(r + P256_ORDER if value == r else r, s if value == r else s + P256_ORDER), MESSAGE)
    assert not verify((r + P256_ORDER).to_bytes(33) + s.to_bytes(32), MESSAGE)


def test_the_twin_of_an_ecdsa_signature_is_good() -> None:
    """CJ-11; SIG-018: high s is fine."""
    signature = es256().signature(MESSAGE)
    s = int.from_bytes(signature[32:])

    assert parse(es256().material)(signature[:32] + (P256_ORDER - s).to_bytes(32), MESSAGE)


@pytest.mark.parametrize("length", [0, 1, 16, 32, 63, 65, 96, 128, 132, 1000], ids=lambda length: f"{length} bytes")
def test_an_ecdsa_signature_has_64_bytes(length: int) -> None:
    """SIG-016."""
    signature = es256().signature(MESSAGE)

    assert not parse(es256().material)((signature * 16)[:length], MESSAGE)


def test_a_der_signature_is_wrong() -> None:
    """SIG-015."""
    signature = es256().signature(MESSAGE)
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))

    assert not parse(es256().material)(der, MESSAGE)


def test_another_hash_under_es256_is_wrong() -> None:
    key = es256().private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)

    assert not parse(es256().material)(pair(*decode_dss_signature(key.sign(MESSAGE, ec.ECDSA(SHA512())))), MESSAGE)


# --- Ed25519


@pytest.mark.parametrize("length", [0, 31, 33, 57], ids=lambda length: f"{length} bytes")
def test_an_ed25519_key_has_32_bytes(length: int) -> None:
    """OIDC-18; KEY-022."""
    assert_unsuitable({"kty": "OKP", "crv": "Ed25519", "x": encode((decode(eddsa().material["x"]) * 2)[:length])})


@pytest.mark.parametrize("crv", ["Ed448", "X25519", "ed25519", "EdDSA", "", None, 1], ids=str)
def test_the_curve_is_ed25519(crv: JsonValue) -> None:
    assert_unsuitable(eddsa().material | {"crv": crv})


@pytest.mark.parametrize("name", ["crv", "x"])
def test_every_member_of_an_okp_key_is_needed(name: str) -> None:
    assert_unsuitable(without(eddsa().material, name))


@pytest.mark.parametrize("length", [0, 32, 63, 65, 114], ids=lambda length: f"{length} bytes")
def test_an_ed25519_signature_has_64_bytes(length: int) -> None:
    """SIG-022."""
    assert not parse(eddsa().material)((eddsa().signature(MESSAGE) * 2)[:length], MESSAGE)


def test_s_is_below_the_order() -> None:
    """RFC 8032 §5.1.7; SIG-019: S + L would be a second spelling."""
    verify = parse(eddsa().material)
    signature = eddsa().signature(MESSAGE)
    s = int.from_bytes(signature[32:], "little")
    assert verify(signature, MESSAGE)

    assert not verify(signature[:32] + (s + ED25519_ORDER).to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("s", [ED25519_ORDER - 1, ED25519_ORDER, ED25519_ORDER + 1], ids=["L-1", "L", "L+1"])
def test_an_s_at_the_order_is_wrong(s: int) -> None:
    assert not parse(eddsa().material)(eddsa().signature(MESSAGE)[:32] + s.to_bytes(32, "little"), MESSAGE)


ORDER_EIGHT_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER_Y = {
    "order 1": 1,
    "order 2": ED25519_PRIME - 1,
    "order 4": 0,
    "order 8": ORDER_EIGHT_Y,
    "order 8, negated": ED25519_PRIME - ORDER_EIGHT_Y,
    "order 4, not reduced": ED25519_PRIME,
    "order 1, not reduced": ED25519_PRIME + 1,
}


@pytest.mark.parametrize("sign", [0, 1], ids=["x even", "x odd"])
@pytest.mark.parametrize("y", SMALL_ORDER_Y.values(), ids=SMALL_ORDER_Y.keys())
def test_nothing_verifies_under_a_key_of_small_order(y: int, sign: int) -> None:
    """SIG-021: under such a key one signature fits every message."""
    verify = parse({"kty": "OKP", "crv": "Ed25519", "x": encode((y | sign << 255).to_bytes(32, "little"))})
    identity_point = (1).to_bytes(32, "little")
    key_as_r = (y | sign << 255).to_bytes(32, "little")

    for message in (MESSAGE, *(bytes([byte]) for byte in range(16))):
        assert not verify(identity_point + bytes(32), message)
        assert not verify(key_as_r + bytes(32), message)
        assert not verify(bytes(64), message)


def test_the_point_of_order_eight_is_one() -> None:
    """Doubled it is a point of order four, whose y is nought."""
    d = -121665 * pow(121666, -1, ED25519_PRIME)
    square = ORDER_EIGHT_Y**2
    x_square = (square - 1) * pow(d * square + 1, -1, ED25519_PRIME)

    # RFC 8032 §5.1.4: the y of the double is (y^2 + x^2) / (1 - d x^2 y^2).
    assert (square + x_square) % ED25519_PRIME == 0


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    """SIG-020: y = 2 is not on the curve."""
    verify = parse({"kty": "OKP", "crv": "Ed25519", "x": encode((2).to_bytes(32, "little"))})

    assert not verify(eddsa().signature(MESSAGE), MESSAGE)
    assert not verify(bytes(64), MESSAGE)


# --- the limits are our own


class Yes:
    """A key of a library that takes every signature."""

    def verify(self, *_arguments: object) -> None:
        """Agree."""


for kind in (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey):
    kind.register(Yes)


@pytest.fixture
def credulous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyJWT make keys that take everything: whatever is refused now is refused by us."""
    for algorithm in (RSAAlgorithm, ECAlgorithm, OKPAlgorithm):
        monkeypatch.setattr(algorithm, "from_jwk", staticmethod(lambda _jwk: Yes()))


@pytest.mark.usefixtures("credulous")
@pytest.mark.parametrize(
    ("bits", "length", "good"),
    [
        (2048, 255, False), (2048, 256, True), (2048, 257, False), (2049, 256, False), (2049, 257, True),
        (2055, 257, True), (2056, 257, True), (2057, 257, False), (2057, 258, True), (8192, 1024, True),
        (2048, 0, False),
    ],
    ids=str,
)  # fmt: skip
def test_we_count_the_bytes_of_an_rsa_signature_ourselves(bits: int, length: int, *, good: bool) -> None:
    assert parse(rsa_jwk(bits))(bytes(length), MESSAGE) is good


@pytest.mark.usefixtures("credulous")
@pytest.mark.parametrize(
    ("r", "s", "good"),
    [
        (0, 1, False), (1, 0, False), (1, 1, True), (P256_ORDER - 1, P256_ORDER - 1, True), (P256_ORDER, 1, False),
        (1, P256_ORDER, False), (P256_ORDER + 1, 1, False), (1, P256_ORDER + 1, False), (2**256 - 1, 1, False),
    ],
    ids=["0 1", "1 0", "1 1", "n-1 n-1", "n 1", "1 n", "n+1 1", "1 n+1", "all ones"],
)  # fmt: skip
def test_we_look_at_the_range_of_ecdsa_values_ourselves(r: int, s: int, *, good: bool) -> None:
    """SIG-006 to SIG-014, whatever a library would take."""
    assert parse(es256().material)(pair(r, s), MESSAGE) is good


@pytest.mark.usefixtures("credulous")
@pytest.mark.parametrize(
    ("s", "good"),
    [(0, True), (ED25519_ORDER - 1, True), (ED25519_ORDER, False), (ED25519_ORDER + 1, False), (2**256 - 1, False)],
    ids=["0", "L-1", "L", "L+1", "all ones"],
)
def test_we_look_at_the_range_of_s_ourselves(s: int, *, good: bool) -> None:
    """SIG-019, whatever a library would take."""
    assert parse(eddsa().material)(bytes(32) + s.to_bytes(32, "little"), MESSAGE) is good


@pytest.mark.usefixtures("credulous")
@pytest.mark.parametrize("length", [0, 32, 63, 65, 128], ids=lambda length: f"{length} bytes")
@pytest.mark.parametrize("signer", [es256(), eddsa()], ids=["ES256", "EdDSA"])
def test_we_count_the_bytes_of_a_pair_ourselves(signer: Signer, length: int) -> None:
    assert not parse(signer.material)(b"\x01" * length, MESSAGE)


@pytest.mark.usefixtures("credulous")
@pytest.mark.parametrize("sign", [0, 1], ids=["x even", "x odd"])
@pytest.mark.parametrize("y", SMALL_ORDER_Y.values(), ids=SMALL_ORDER_Y.keys())
def test_we_know_the_keys_of_small_order_ourselves(y: int, sign: int) -> None:
    """SIG-021, whatever a library would take."""
    small = {"kty": "OKP", "crv": "Ed25519", "x": encode((y | sign << 255).to_bytes(32, "little"))}

    assert not parse(small)(bytes(64), MESSAGE)
