"""Algorithm confusion: the configuration decides about algorithms, never the token (RFC 8725 §2.1, §3.1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Literal

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aveverify.testing._keys import KeyAlgorithm, SigningKey, dump_json, encode, encode_json
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]


def unsigned(alg: str) -> str:
    return f"{encode_json({'alg': alg, 'typ': 'JWT'})}.{scenario.token().split('.')[1]}."


def hmac_token(alg: str, secret: bytes, kid: str) -> str:
    signing_input = f"{encode_json({'alg': alg, 'typ': 'JWT', 'kid': kid})}.{scenario.token().split('.')[1]}"
    return f"{signing_input}.{encode(hmac.digest(secret, signing_input.encode(), f'sha{alg[2:]}'))}"


def genuinely(alg: str, algorithm: KeyAlgorithm = "RS256") -> str:
    """Signed by a published key with the algorithm that the header names, as PyJWT does it."""
    key = scenario.key(algorithm)
    signing_input = f"{encode_json({'alg': alg, 'typ': 'JWT', 'kid': key.kid})}.{scenario.token().split('.')[1]}"
    return f"{signing_input}.{encode(jwt.get_algorithm_by_name(alg).sign(signing_input.encode(), key.private_key))}"


def public_forms(algorithm: KeyAlgorithm) -> dict[str, bytes]:
    """Every spelling of a public key that a library might take for a shared secret."""
    key = scenario.key(algorithm)
    public = key.private_key.public_key()
    forms = {
        "SPKI PEM": key.public_pem,
        "SPKI DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(key.jwk).encode(),
        "compact JWK": dump_json(key.jwk),
    }
    if isinstance(public, rsa.RSAPublicKey):
        number = public.public_numbers().n
        forms |= {
            "PKCS1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
            "PKCS1 DER": public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
            "modulus": number.to_bytes(256),
            "modulus text": key.jwk["n"].encode(),
        }
    else:
        forms["x"] = key.jwk["x"].encode()
    return forms | {
        "SPKI PEM without newline": key.public_pem.rstrip(),
        "SPKI PEM behind a blank": b" " + key.public_pem,
        "SPKI PEM with CRLF": key.public_pem.replace(b"\n", b"\r\n"),
    }


@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
@pytest.mark.parametrize("form", sorted(public_forms("RS256")))
def test_an_rsa_public_key_is_no_shared_secret(kind: Kind, form: str) -> None:
    """ALG-012: CVE-2016-10555, CVE-2022-29217, CVE-2023-48223."""
    token = hmac_token("HS256", public_forms("RS256")[form], scenario.key().kid)
    scenario.check(Case(lambda: token, "UNA", "IAH"), kind)


@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_no_other_public_key_is_a_shared_secret(kind: Kind, alg: str, algorithm: KeyAlgorithm) -> None:
    """ALG-013: CVE-2022-29217."""
    for secret in public_forms(algorithm).values():
        token = hmac_token(alg, secret, scenario.key(algorithm).kid)
        scenario.check(Case(lambda token=token: token, "UNA", "IAH"), kind)  # type: ignore[misc]


def bare_keys() -> list[dict[str, object]]:
    return [{name: value for name, value in scenario.key().jwk.items() if name not in ("alg", "use")}]


@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
@pytest.mark.parametrize("alg", ["HS256", "RS384", "PS256"])
def test_a_key_without_alg_leaves_no_choice_to_the_header(kind: Kind, alg: str) -> None:
    """ALG-015: a published key that names no algorithm is still good for the configured one alone."""
    forged = hmac_token(alg, scenario.key().public_pem, scenario.key().kid) if alg == "HS256" else genuinely(alg)
    scenario.check(Case(lambda: forged, "UNA", "IAH", bare_keys), kind)
    scenario.check(Case(scenario.token, "accept", "accept", bare_keys), kind)


@cases(
    ("ALG-001 alg none", Case(lambda: unsigned("none"), "UNA", "IAH")),
    ("ALG-005 NonE", Case(lambda: unsigned("NonE"), "IAH", "IAH")),
    ("ALG-008 none and NUL", Case(lambda: unsigned("none\0"), "IAH", "IAH")),
)
def test_an_unsigned_token_is_refused_however_it_spells_that(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def by_ec_key(alg: str) -> str:
    return scenario.header({"alg": alg, "kid": scenario.key("ES256").kid}, "ES256")


@cases(
    ("ALG-018 EdDSA on customJwt", Case(lambda: genuinely("EdDSA", "EdDSA"), None, "IAH")),
    ("ALG-018 beside an OKP key", Case(scenario.token, "accept", "accept")),
    ("ALG-020 RS384", Case(lambda: genuinely("RS384"), "UNA", "IAH")),
    ("ALG-021 RS512", Case(lambda: genuinely("RS512"), "UNA", "IAH")),
    ("ALG-023 PS384", Case(lambda: genuinely("PS384"), "UNA", "IAH")),
    ("ALG-027 ES256K", Case(lambda: scenario.token(alg="ES256K"), "IAH", "IAH")),
    ("ALG-033 ESP256", Case(lambda: by_ec_key("ESP256"), "IAH", "IAH")),
    ("ALG-034 ML-DSA-44", Case(lambda: scenario.token(alg="ML-DSA-44"), "IAH", "IAH")),
    ("ALG-036 dir", Case(lambda: scenario.token(alg="dir"), "IAH", "IAH")),
    ("ALG-037 A256GCM", Case(lambda: scenario.token(alg="A256GCM"), "UNA", "IAH")),
)
def test_an_algorithm_that_is_not_configured_is_refused_with_a_genuine_signature(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    *(
        (f"{id_} {alg!r}", Case(lambda alg=alg: scenario.token(alg=alg), "IAH", "IAH"))  # type: ignore[misc]
        for id_, alg in (
            ("ALG-040", "rs256"),
            ("ALG-041", "Rs256"),
            ("ALG-042", "RS256 "),
            ("ALG-044", "RS256\n"),
            ("ALG-045", "RS256\0"),
            ("ALG-047", "RS-256"),
            ("ALG-053", True),
            ("ALG-055", ["RS256"]),
        )
    )
)
def test_the_name_of_an_algorithm_is_compared_to_the_letter(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def ed448_jwk(key: ed448.Ed448PrivateKey, kid: str) -> dict[str, object]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed448", "x": encode(raw), "kid": kid}


@pytest.mark.parametrize(
    ("others", "expected"), [(True, "UNA"), (False, "unavailable DISC")], ids=["beside a good key", "alone"]
)
def test_ed448_is_not_what_eddsa_means_here(*, others: bool, expected: str) -> None:
    """ALG-039: EdDSA is Ed25519 alone."""
    private = ed448.Ed448PrivateKey.generate()
    signing_input = f"{encode_json({'alg': 'EdDSA', 'kid': 'ed448'})}.{scenario.token().split('.')[1]}"
    token = f"{signing_input}.{encode(private.sign(signing_input.encode()))}"
    keys = [ed448_jwk(private, "ed448"), *([scenario.key().jwk] if others else [])]
    scenario.check(Case(lambda: token, expected, None, lambda: keys), "oidc")


@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
def test_a_key_of_another_type_never_verifies(kind: Kind) -> None:
    """ALG-060: the header says RS256, and the kid is that of an EC key without alg."""
    ec_key = scenario.key("ES256")
    bare = {name: value for name, value in ec_key.jwk.items() if name != "alg"}
    token = scenario.header({"alg": "RS256", "kid": ec_key.kid}, "ES256")
    scenario.check(Case(lambda: token, "UNA", "IAH", lambda: [bare, scenario.key().jwk]), kind)


@pytest.mark.parametrize("first", ["RS256", "EdDSA"])
def test_two_families_may_share_a_key_id(first: KeyAlgorithm) -> None:
    """ALG-065: OIDC looks for kid and family; on customJwt the first key with the kid decides."""
    keys = {"RS256": SigningKey("RS256", "shared"), "EdDSA": SigningKey("EdDSA", "shared")}
    ordered = [keys[first], *(key for name, key in keys.items() if name != first)]
    published = [{name: value for name, value in key.jwk.items() if name != "alg"} for key in ordered]
    for name, key in keys.items():
        token = key.sign_token({"alg": name, "kid": "shared"}, dump_json(scenario.issuer().claims()))
        custom = ("accept" if first == "RS256" else "IAH") if name == "RS256" else "IAH"
        scenario.check(Case(lambda token=token: token, "accept", None, lambda: published), "oidc")  # type: ignore[misc]
        scenario.check(Case(lambda token=token: token, None, custom, lambda: published), "customJwt")  # type: ignore[misc]


def test_a_genuine_es256k_signature_changes_nothing() -> None:
    """ALG-027: a real signature on secp256k1, with the key in the set."""
    private = ec.generate_private_key(ec.SECP256K1())
    numbers = private.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "secp256k1",
        "kid": "k",
        "x": encode(numbers.x.to_bytes(32)),
        "y": encode(numbers.y.to_bytes(32)),
    }
    signing_input = f"{encode_json({'alg': 'ES256K', 'kid': 'k'})}.{scenario.token().split('.')[1]}"
    signature = jwt.get_algorithm_by_name("ES256K").sign(signing_input.encode(), private)
    for kind in ("oidc", "customJwt"):
        scenario.check(
            Case(lambda: f"{signing_input}.{encode(signature)}", "IAH", "IAH", lambda: [jwk, scenario.key().jwk]), kind
        )


def test_the_padding_of_another_scheme_is_no_signature() -> None:
    """ALG-023: the same key with PSS under the name RS256."""
    private = scenario.key().private_key
    assert isinstance(private, rsa.RSAPrivateKey)
    signing_input = scenario.token().rpartition(".")[0]
    signature = private.sign(
        signing_input.encode(), padding.PSS(padding.MGF1(SHA256()), hashlib.sha256().digest_size), SHA256()
    )
    for kind in ("oidc", "customJwt"):
        scenario.check(Case(lambda: f"{signing_input}.{encode(signature)}", "UNA", "IAH"), kind)
