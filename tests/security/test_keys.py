"""Key sets with keys in them that must not be used; the good keys beside them stay usable (RFC 7517; RFC 8725 §3.2)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from aveverify._core.jose.encoding import JsonValue
from aveverify.testing._keys import encode, encode_json
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]


def changed(**members: JsonValue) -> list[dict[str, JsonValue]]:
    """The issuer's RSA key with other members, and a good key beside it."""
    return [scenario.key().jwk | members, scenario.key("ES256").jwk, scenario.key("EdDSA").jwk]


def without(name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in jwk.items() if key != name} for jwk in changed()]


def secret_and_key() -> list[dict[str, Any]]:
    return [{"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}, *changed()]


@cases(
    ("KEY-005 e=2", Case(scenario.token, "UNA", "IAH", lambda: changed(e="Ag"))),
    ("KEY-005 e=2 alone", Case(scenario.token, "unavailable DISC", "unavailable IAH", lambda: changed(e="Ag")[:1])),
    ("KEY-009 e empty", Case(scenario.token, "UNA", "IAH", lambda: changed(e=""))),
    ("KEY-009 alone", Case(scenario.token, "unavailable DISC", "unavailable IAH", lambda: changed(e="")[:1])),
    ("KEY-025 sign", Case(scenario.token, "UNA", "IAH", lambda: changed(key_ops=["sign"]))),
    ("KEY-025 encrypt", Case(scenario.token, "UNA", "IAH", lambda: changed(key_ops=["encrypt"]))),
    ("KEY-025 none", Case(scenario.token, "UNA", "IAH", lambda: changed(key_ops=[]))),
    ("KEY-025 null", Case(scenario.token, "accept", "accept", lambda: changed(key_ops=None))),
    ("KEY-025 both", Case(scenario.token, "accept", "accept", lambda: changed(key_ops=["sign", "verify"]))),
    ("KEY-028 oct beside", Case(scenario.token, "accept", "accept", secret_and_key)),
    ("KEY-033 no kid in the set", Case(scenario.token, "UNA", "IAH", lambda: without("kid"))),
)
def test_a_key_is_used_only_for_what_it_is(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@pytest.mark.parametrize(("others", "expected"), [(True, "IAH"), (False, "unavailable IAH")], ids=["beside", "alone"])
def test_a_curve_that_contradicts_its_algorithm_is_no_key(*, others: bool, expected: str) -> None:
    """KEY-021: crv P-256 with alg ES384."""
    keys = [scenario.key("ES256").jwk | {"alg": "ES384"}, *([scenario.key().jwk] if others else [])]
    token = scenario.header({"alg": "ES256", "kid": scenario.key("ES256").kid}, "ES256")
    scenario.check(Case(lambda: token, None, expected, lambda: keys, "ES256"), "customJwt")


def roca_prime(generator: int, bound: int) -> int:
    """A prime of the shape that gave CVE-2017-15361 away: k·M + 65537^a mod M."""
    multiple = (3 << 1022) // bound + generator
    while True:
        multiple += 1
        candidate = multiple * bound + pow(65537, 1000 + generator, bound)
        if pow(3, candidate - 1, candidate) == 1 and (candidate - 1) % 65537:
            return candidate


def product_of_small_primes(count: int) -> int:
    found: list[int] = []
    number, product = 2, 1
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
            product *= number
        number += 1
    return product


def test_a_weakness_of_a_card_is_not_looked_for() -> None:
    """KEY-013: a ROCA key that an issuer publishes is accepted; the check would cost more than it prevents."""
    bound = product_of_small_primes(100)
    p, q = roca_prime(1 << 20, bound), roca_prime(1 << 21, bound)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    private = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()
    jwk = {"kty": "RSA", "kid": "card", "e": "AQAB", "n": encode((p * q).to_bytes(((p * q).bit_length() + 7) // 8))}
    signing_input = f"{encode_json({'alg': 'RS256', 'kid': 'card'})}.{scenario.token().split('.')[1]}"
    token = f"{signing_input}.{encode(private.sign(signing_input.encode(), padding.PKCS1v15(), SHA256()))}"
    scenario.check(Case(lambda: token, "accept", "accept", lambda: [jwk]), "oidc")
