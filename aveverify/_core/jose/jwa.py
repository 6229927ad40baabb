"""One row per signature algorithm: key type, limits, and how a signature is checked. Nothing else switches on a name.

The rows decide what a key and a signature must look like, whatever the libraries accept; PyJWT turns the public
members into a key, `cryptography` checks the signature. RFC 7518 §3, §6; RFC 8017; RFC 8037; FIPS 186-5.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from aveverify._core.jose.encoding import EncodingError, JsonObject, decode_base64url
from aveverify._core.jose.public_key import Algorithm, PublicMembers, UnsuitableKeyError, VerifySignature

if TYPE_CHECKING:
    from jwt.types import JWKDict

# RFC 7518 §3.3 asks for 2048; above 8192 a check costs milliseconds (KEY-002). OIDC-17, DV-05.
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
# OIDC-17, KEY-011: an exponent of the size of the modulus makes every check hundreds of times dearer.
_MIN_RSA_EXPONENT: Final = 3
_MAX_RSA_EXPONENT_BITS: Final = 33
_P256_COORDINATE_BYTES: Final = 32
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ED25519_KEY_BYTES: Final = 32
ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_PAIR_BYTES: Final = 64
_MAX_POSITIVE_BYTE: Final = 0x7F
_ZERO_32: Final = bytes(32)
_P256_ORDER_32: Final = P256_ORDER.to_bytes(32)

# SIG-021: under a key of small order one signature fits every message. Such a key stays a candidate, so that it may
# make a choice ambiguous as in Convex, but nothing verifies under it. These are the y coordinates of the eight points.
_ED25519_PRIME: Final = 2**255 - 19
_ORDER_EIGHT_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y: Final = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_EIGHT_Y, _ED25519_PRIME - _ORDER_EIGHT_Y})


def _parse_rsa(jwk: JsonObject, *, allow_nonzero_trailing_bits: bool) -> tuple[VerifySignature, PublicMembers]:
    modulus = int.from_bytes(_decode_member(jwk, "n", allow_nonzero_trailing_bits=allow_nonzero_trailing_bits))
    exponent = int.from_bytes(_decode_member(jwk, "e", allow_nonzero_trailing_bits=allow_nonzero_trailing_bits))
    # OIDC-17, CJ-10, DV-05: exactly counted; leading zero bytes do not count.
    if not _MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS or modulus % 2 == 0:
        raise UnsuitableKeyError
    if exponent < _MIN_RSA_EXPONENT or exponent.bit_length() > _MAX_RSA_EXPONENT_BITS or exponent % 2 == 0:
        raise UnsuitableKeyError
    members = {"kty": "RSA", "n": _encode_number(modulus), "e": _encode_number(exponent)}
    key = RSAAlgorithm.from_jwk(_for_pyjwt(members))
    if not isinstance(key, rsa.RSAPublicKey):  # pragma: no cover - two public members make a public key
        raise UnsuitableKeyError
    verify_with, scheme, digest = key.verify, padding.PKCS1v15(), SHA256()
    signature_bytes = (modulus.bit_length() + 7) // 8

    def verify(signature: bytes, signing_input: bytes) -> bool:
        # RFC 8017 §8.2.2 step 1: exactly as long as the modulus.
        if len(signature) != signature_bytes:
            return False
        try:
            verify_with(signature, signing_input, scheme, digest)
        except InvalidSignature:
            return False
        return True

    return verify, members


def _parse_p256(jwk: JsonObject, *, allow_nonzero_trailing_bits: bool) -> tuple[VerifySignature, PublicMembers]:
    # DV-21; RFC 7518 §6.2.1
    if jwk.get("crv") != "P-256":
        raise UnsuitableKeyError
    x = _decode_member(jwk, "x", allow_nonzero_trailing_bits=allow_nonzero_trailing_bits)
    y = _decode_member(jwk, "y", allow_nonzero_trailing_bits=allow_nonzero_trailing_bits)
    if len(x) != _P256_COORDINATE_BYTES or len(y) != _P256_COORDINATE_BYTES:
        raise UnsuitableKeyError
    members = {"kty": "EC", "crv": "P-256", "x": _encode(x), "y": _encode(y)}
    try:
        # KEY-018: a point that is not on the curve is refused here.
        key = ECAlgorithm.from_jwk(_for_pyjwt(members))
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UnsuitableKeyError
    verify_with, scheme = key.verify, ec.ECDSA(SHA256())

    def verify(signature: bytes, signing_input: bytes) -> bool:
        # CJ-11; RFC 7518 §3.4: r followed by s, never DER.
        if len(signature) != _PAIR_BYTES:
            return False
        r, s = signature[:32], signature[32:]
        # FIPS 186-5 §6.4.2 step 1; CVE-2022-21449 (SIG-006). Of one length, bytes compare as the numbers do.
        if not (_ZERO_32 < r < _P256_ORDER_32 and _ZERO_32 < s < _P256_ORDER_32):
            return False
        try:
            verify_with(_encode_der(r, s), signing_input, scheme)
        except InvalidSignature:
            return False
        return True

    return verify, members


def _encode_der(r: bytes, s: bytes) -> bytes:
    # X.690 §8.3: no needless zero in front, and one where the first bit would be taken for a sign.
    r, s = r.lstrip(b"\0"), s.lstrip(b"\0")
    r = b"\0" + r if r[0] > _MAX_POSITIVE_BYTE else r
    s = b"\0" + s if s[0] > _MAX_POSITIVE_BYTE else s
    return b"0%c\2%c%b\2%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _parse_ed25519(jwk: JsonObject, *, allow_nonzero_trailing_bits: bool) -> tuple[VerifySignature, PublicMembers]:
    # OIDC-18; RFC 8037 §2
    if jwk.get("crv") != "Ed25519":
        raise UnsuitableKeyError
    x = _decode_member(jwk, "x", allow_nonzero_trailing_bits=allow_nonzero_trailing_bits)
    if len(x) != _ED25519_KEY_BYTES:
        raise UnsuitableKeyError
    members = {"kty": "OKP", "crv": "Ed25519", "x": _encode(x)}
    key = OKPAlgorithm.from_jwk(_for_pyjwt(members))
    if not isinstance(key, ed25519.Ed25519PublicKey):  # pragma: no cover - one public member makes a public key
        raise UnsuitableKeyError
    verify_with = key.verify
    small_order = (int.from_bytes(x, "little") % 2**255) % _ED25519_PRIME in _SMALL_ORDER_Y

    def verify(signature: bytes, signing_input: bytes) -> bool:
        # RFC 8032 §5.1.7: S is below the order of the group, or there would be a second spelling (SIG-019).
        if len(signature) != _PAIR_BYTES or int.from_bytes(signature[32:], "little") >= ED25519_ORDER or small_order:
            return False
        try:
            verify_with(signature, signing_input)
        except InvalidSignature:
            return False
        return True

    return verify, members


RS256: Final = Algorithm("RS256", "RSA", frozenset({"RS256"}), frozenset({"n", "e"}), _parse_rsa)
ES256: Final = Algorithm("ES256", "EC", frozenset({"ES256"}), frozenset({"crv", "x", "y"}), _parse_p256)
# The `alg` of a key may be the name of RFC 9864; that of a token may not.
EDDSA: Final = Algorithm("EdDSA", "OKP", frozenset({"EdDSA", "Ed25519"}), frozenset({"crv", "x"}), _parse_ed25519)

ALGORITHM_OF_KEY_TYPE: Final = {row.key_type: row for row in (RS256, ES256, EDDSA)}


def _decode_member(jwk: JsonObject, name: str, *, allow_nonzero_trailing_bits: bool) -> bytes:
    value = jwk.get(name)
    if type(value) is not str or not value.isascii():
        raise UnsuitableKeyError
    try:
        return decode_base64url(value.encode(), allow_nonzero_trailing_bits=allow_nonzero_trailing_bits)
    except EncodingError:
        pass
    raise UnsuitableKeyError


def _for_pyjwt(members: PublicMembers) -> JWKDict:
    return dict(members)


def _encode_number(number: int) -> str:
    return _encode(number.to_bytes((number.bit_length() + 7) // 8))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
