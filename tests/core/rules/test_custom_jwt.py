"""Steps 3 and 6 for customJwt providers: one algorithm, a key by its kid, three dates with grace."""

from __future__ import annotations

from math import floor

import pytest

from aveverify._core.jose.algorithm_names import CUSTOM_JWT_HEADER_ALGORITHM_NAMES
from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwt_claims import round_date
from aveverify._core.rules.custom_jwt import (
    check_claims,
    check_header,
    compute_validity,
    parse_token,
    select_key,
)
from aveverify.errors import Fault, Hint, Reason, Step
from tests.core.jose_factory import (
    NOW,
    Json,
    eddsa,
    es256,
    good_claims,
    key_set,
    parsed,
    read,
    refused,
    rsa_jwk,
    without,
)

# --- step 3: header


def test_a_good_token_is_parsed() -> None:
    token = parse_token(read(header={"alg": "ES256", "kid": "k", "typ": "at+jwt", "cty": "x"}, signature=b"s"))

    assert (token.header.alg, token.header.kid) == ("ES256", "k")
    assert (token.header.typ, token.header.cty, token.header.crit) == ("at+jwt", "x", False)
    assert token.signature == b"s"
    assert token.signing_input + b".cw" == token.unverified.token
    assert token.claims is token.unverified.claims


@pytest.mark.parametrize("alg", sorted(CUSTOM_JWT_HEADER_ALGORITHM_NAMES))
def test_a_known_algorithm_name_is_parsed(alg: str) -> None:
    assert parse_token(read(header={"alg": alg})).header.alg == alg


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", "A128GCM", "rs256", "RSA-OAEP", "ES256K", "", None, 1, [], {}])
def test_any_other_algorithm_name_is_refused(alg: JsonValue) -> None:
    """CJ-03; DV-08: EdDSA is not even a name here."""
    error = refused(lambda: parse_token(read(header={"alg": alg})))

    assert (error.reason, error.rule) == (Reason.UNKNOWN_ALGORITHM, "CJ-03")
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize("value", [1, True, [], {}], ids=str)
@pytest.mark.parametrize("name", ["typ", "cty", "kid", "jku", "x5u", "x5t"])
def test_header_members_are_text_or_null(name: str, value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(header={"alg": "RS256", name: value})))

    assert (error.reason, error.rule, error.claim) == (Reason.MALFORMED_HEADER, "CJ-03", name)
    assert (error.fault, error.convex_code) == (Fault.MEMBER_TYPE, "InvalidAuthHeader")


@pytest.mark.parametrize("value", ["x", 1, {}, [1], [None]], ids=str)
@pytest.mark.parametrize("name", ["x5c", "crit"])
def test_header_lists_are_lists_of_texts(name: str, value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(header={"alg": "RS256", name: value})))

    assert (error.reason, error.claim) == (Reason.MALFORMED_HEADER, name)


@pytest.mark.parametrize("name", ["typ", "cty", "kid", "jku", "x5u", "x5t", "x5c", "crit", "jwk"])
def test_null_is_absent_in_the_header(name: str) -> None:
    assert parse_token(read(header={"alg": "RS256", name: None})).header.crit is False


@pytest.mark.parametrize(
    "jwk",
    [rsa_jwk(), es256().jwk, {"kty": "oct", "k": "AA"}, {"kty": "OKP", "crv": "Ed448", "x": "AA"}],
    ids=["RSA", "EC", "oct", "Ed448"],
)
def test_a_readable_key_in_the_header_is_passed_over(jwk: Json) -> None:
    """CJ-03; ALG: a token never supplies its own key."""
    assert parse_token(read(header={"alg": "RS256", "jwk": jwk})).header.kid is None


@pytest.mark.parametrize("jwk", [1, "x", [], {}, {"kty": "RSA"}, rsa_jwk(alg="EdDSA")], ids=lambda jwk: str(jwk)[:20])
def test_an_unreadable_key_in_the_header_is_refused(jwk: JsonValue) -> None:
    error = refused(lambda: parse_token(read(header={"alg": "RS256", "jwk": jwk})))

    assert (error.reason, error.rule, error.claim) == (Reason.MALFORMED_HEADER, "CJ-03", "jwk")


@pytest.mark.parametrize("name", ["b64", "zip", "enc", "constructor", "x5t#S256"])
def test_other_header_members_are_ignored(name: str) -> None:
    """CJ-09."""
    assert parse_token(read(header={"alg": "RS256", name: {"a": [1]}})).header.alg == "RS256"


@pytest.mark.parametrize("name", ["email", "email_verified", "updated_at", "amr", "auth_time", "name#ja"])
def test_standard_claims_have_no_types_here(name: str) -> None:
    """CJ-27."""
    assert parse_token(read(good_claims(**{name: {"any": 1}}))).claims[name] == {"any": 1}


def test_a_broken_signature_segment_is_refused() -> None:
    claims = read()

    error = refused(lambda: parse_token(claims._replace(token=claims.token + b"=")))

    assert (error.reason, error.convex_code) == (Reason.MALFORMED_SIGNATURE, "InvalidAuthHeader")


# --- what costs no network


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "secevent+jwt", ""], ids=ascii)
def test_the_type_has_no_effect(typ: str | None) -> None:
    """CJ-09: access tokens are meant to pass."""
    check_header(parsed(kid="k", typ=typ, cty="JWT").header, "RS256")


def test_a_critical_extension_is_refused() -> None:
    """DV-03."""
    error = refused(lambda: check_header(parsed(kid="k", crit=True).header, "RS256"))

    assert (error.reason, error.rule, error.convex_code) == (Reason.CRITICAL_HEADER, "DV-03", "InvalidAuthHeader")


def test_a_kid_is_required() -> None:
    """CJ-04."""
    error = refused(lambda: check_header(parsed(kid=None).header, "RS256"))

    assert (error.reason, error.rule, error.claim) == (Reason.KEY_ID_MISSING, "CJ-04", "kid")
    assert error.convex_code == "InvalidAuthHeader"


def test_an_empty_kid_is_a_kid() -> None:
    """KEY-035."""
    check_header(parsed(kid="").header, "RS256")


@pytest.mark.parametrize("configured", ["RS256", "ES256"])
@pytest.mark.parametrize("alg", sorted(CUSTOM_JWT_HEADER_ALGORITHM_NAMES))
def test_the_token_has_exactly_the_configured_algorithm(alg: str, configured: str) -> None:
    """CJ-06; ALG-017."""
    if alg == configured:
        check_header(parsed(alg=alg, kid="k").header, configured)
    else:
        error = refused(lambda: check_header(parsed(alg=alg, kid="k").header, configured))
        assert (error.reason, error.rule) == (Reason.ALGORITHM_NOT_ALLOWED, "CJ-06")
        assert (error.hint, error.convex_code) == (Hint.CUSTOM_JWT_ALGORITHM, "InvalidAuthHeader")


# --- step 4: the key


def chosen(jwks: list[Json], *, alg: str = "RS256", kid: str | None = "a") -> int:
    """Which candidate is chosen."""
    keys = key_set(*jwks, dialect="customJwt")
    key = select_key(keys, parsed(alg=alg, kid=kid))
    return [candidate.key for candidate in keys.candidates].index(key)


@pytest.mark.parametrize(
    ("jwks", "index"),
    [
        pytest.param([rsa_jwk(kid="a")], 0, id="the only one"),
        pytest.param([rsa_jwk(kid="b"), rsa_jwk(kid="a")], 1, id="by its kid"),
        pytest.param([rsa_jwk(kid="a"), rsa_jwk(kid="a", exponent=3)], 0, id="the first of two"),
        pytest.param([rsa_jwk(kid="a", use="enc"), rsa_jwk(kid="a")], 1, id="one for another purpose is left out"),
        pytest.param([rsa_jwk(kid="a", key_ops=["sign"]), rsa_jwk(kid="a")], 1, id="so is one that cannot verify"),
        pytest.param([rsa_jwk(kid="a", alg="EdDSA"), rsa_jwk(kid="a")], 0, id="an unreadable one is skipped"),
        pytest.param([rsa_jwk(kid="a", alg="RS256")], 0, id="with its algorithm"),
        pytest.param([rsa_jwk(kid="a", alg=None, use=None, key_ops=None)], 0, id="null is absent"),
        pytest.param([rsa_jwk(kid="a", use="sig", key_ops=["verify"])], 0, id="marked for signatures"),
    ],
)
def test_the_first_key_with_the_kid_is_chosen(jwks: list[Json], index: int) -> None:
    """CJ-05; DV-04; DV-13."""
    assert chosen(jwks) == index


def test_a_p256_key_is_chosen_for_es256() -> None:
    assert chosen([rsa_jwk(kid="a"), es256("ec").jwk], alg="ES256", kid="ec") == 1


@pytest.mark.parametrize(
    ("jwks", "kid"),
    [
        pytest.param([rsa_jwk(kid="b")], "a", id="another kid"),
        pytest.param([rsa_jwk()], "a", id="a key without kid never matches"),
        pytest.param([rsa_jwk(kid=None)], "a", id="nor one with the kid null"),
        pytest.param([rsa_jwk()], None, id="nor any for a token without kid"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", use="enc")], "a", id="for another purpose only"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", x5c="x")], "a", id="unreadable"),
    ],
)
def test_a_kid_that_is_not_published_is_unknown(jwks: list[Json], kid: str | None) -> None:
    error = refused(lambda: select_key(key_set(*jwks, dialect="customJwt"), parsed(kid=kid)))

    assert (error.reason, error.rule, error.step) == (Reason.UNKNOWN_KEY, "CJ-05", Step.KEY)
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize(
    ("first", "alg"),
    [
        pytest.param(rsa_jwk(kid="a", alg="RS512"), "RS256", id="another signature algorithm"),
        pytest.param(rsa_jwk(kid="a", alg="RSA-OAEP"), "RS256", id="an encryption algorithm"),
        pytest.param(es256("a").jwk, "RS256", id="an EC key for RS256"),
        pytest.param(rsa_jwk(kid="a"), "ES256", id="an RSA key for ES256"),
        pytest.param({"kty": "OKP", "crv": "Ed25519", "x": eddsa().jwk["x"], "kid": "a"}, "RS256", id="an OKP key"),
        pytest.param({"kty": "oct", "k": "AA", "kid": "a"}, "RS256", id="a symmetric key"),
        pytest.param(rsa_jwk(kid="a", bits=2047), "RS256", id="a key too short"),
        pytest.param(es256("a").material | {"kid": "a", "crv": "P-384"}, "ES256", id="another curve"),
    ],
)
def test_the_first_key_decides_right_or_wrong(first: Json, alg: str) -> None:
    """CJ-05 to CJ-07; CJ-12; CJ-13: a fitting key behind it does not help."""
    keys = key_set(first, rsa_jwk(kid="a"), es256("a").jwk, dialect="customJwt")

    error = refused(lambda: select_key(keys, parsed(alg=alg, kid="a")))

    assert (error.reason, error.rule, error.step) == (Reason.KEY_NOT_SUITABLE, "CJ-05", Step.KEY)
    assert error.convex_code == "InvalidAuthHeader"


# --- step 6: times

CONVEX = 5


@pytest.mark.parametrize(
    ("claim", "offset", "good"),
    [
        pytest.param("exp", -4, True, id="exp: a second before the grace ends"),
        pytest.param("exp", -5, True, id="exp: at its end"),
        pytest.param("exp", -6, False, id="exp: a second after"),
        pytest.param("exp", -5.5, True, id="exp: rounded up into the grace"),
        pytest.param("exp", -5.51, False, id="exp: rounded down out of it"),
        pytest.param("nbf", 4, True, id="nbf: a second before the grace ends"),
        pytest.param("nbf", 5, True, id="nbf: at its end"),
        pytest.param("nbf", 6, False, id="nbf: a second after"),
        pytest.param("nbf", 5.49, True, id="nbf: rounded down into the grace"),
        pytest.param("nbf", 5.5, False, id="nbf: rounded up out of it"),
        pytest.param("iat", 4, True, id="iat: a second before the grace ends"),
        pytest.param("iat", 5, True, id="iat: at its end"),
        pytest.param("iat", 6, False, id="iat: a second after"),
        pytest.param("iat", 5.49, True, id="iat: rounded down into the grace"),
        pytest.param("iat", 5.5, False, id="iat: rounded up out of it"),
        pytest.param("iat", -(10**9), True, id="iat: no token is too old"),
    ],
)
def test_three_dates_have_five_seconds_of_grace(claim: str, offset: float, *, good: bool) -> None:
    """CJ-16 to CJ-18; CJ-22."""
    reasons = {"exp": Reason.EXPIRED, "nbf": Reason.NOT_YET_VALID, "iat": Reason.ISSUED_IN_THE_FUTURE}
    rules = {"exp": "CJ-16", "nbf": "CJ-17", "iat": "CJ-18"}
    claims = good_claims(**{claim: NOW + offset})

    if good:
        check_claims(claims, NOW, CONVEX)
    else:
        error = refused(lambda: check_claims(claims, NOW, CONVEX))
        assert (error.reason, error.rule, error.claim) == (reasons[claim], rules[claim], claim)
        assert (error.step, error.convex_code) == (Step.CHECK, "InvalidAuthHeader")


def test_now_is_in_whole_seconds() -> None:
    check_claims(good_claims(exp=NOW - 5), NOW + 0.999, CONVEX)


@pytest.mark.parametrize(
    ("leeway_seconds", "exp", "good"),
    [
        (0, NOW, True), (0, NOW - 1, False), (0.5, NOW - 1, False), (1.5, NOW - 1, True), (300, NOW - 300, True),
        (300, NOW - 301, False),
    ],
    ids=["none: at exp", "none: after", "half: after", "more: after", "longest: at its end", "longest: after"],
)  # fmt: skip
def test_another_leeway_replaces_the_grace(leeway_seconds: float, exp: int, *, good: bool) -> None:
    """Design §4: refused where floor(now) - exp > leeway."""
    if good:
        check_claims(good_claims(exp=exp), NOW, leeway_seconds)
    else:
        assert refused(lambda: check_claims(good_claims(exp=exp), NOW, leeway_seconds)).reason is Reason.EXPIRED


def test_the_dates_are_tested_in_their_order() -> None:
    """CJ-19."""
    claims = good_claims(exp=NOW - 100, nbf=NOW + 100, iat=NOW + 100)

    assert refused(lambda: check_claims(claims, NOW, CONVEX)).reason is Reason.EXPIRED
    assert refused(lambda: check_claims(claims | {"exp": None}, NOW, CONVEX)).reason is Reason.NOT_YET_VALID
    assert refused(lambda: check_claims(without(claims, "exp", "nbf"), NOW, CONVEX)).reason is (
        Reason.ISSUED_IN_THE_FUTURE
    )


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        pytest.param(without(good_claims(), "sub"), "sub", id="no subject"),
        pytest.param(good_claims(sub=None), "sub", id="the subject null"),
        pytest.param(good_claims(sub=""), "sub", id="an empty subject"),
        pytest.param(without(good_claims(), "exp"), "exp", id="no expiry"),
        pytest.param(good_claims(exp=None), "exp", id="the expiry null"),
        pytest.param(without(good_claims(), "sub", "exp"), "sub", id="neither: the subject comes first"),
    ],
)
def test_subject_and_expiry_are_required(claims: Json, name: str) -> None:
    """CJ-20; DV-06."""
    error = refused(lambda: check_claims(claims, NOW, CONVEX))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_MISSING, "CJ-20", name)
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize("claims", [without(good_claims(), "iat"), good_claims(iat=None)], ids=["absent", "null"])
def test_the_time_of_issue_is_not_required(claims: Json) -> None:
    """CJ-20."""
    check_claims(claims, NOW, CONVEX)


def test_an_expired_token_without_subject_is_expired() -> None:
    """CJ-01: time comes before `sub` and `exp`."""
    assert refused(lambda: check_claims(good_claims(sub=None, exp=0), NOW, CONVEX)).reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("claims", "leeway_seconds"),
    [
        pytest.param({"exp": NOW}, 5, id="only an expiry"),
        pytest.param({"exp": NOW + 0.5, "iat": NOW - 10.5, "nbf": None}, 5, id="fractions and null"),
        pytest.param({"exp": NOW + 100, "iat": NOW, "nbf": NOW + 50}, 0, id="nbf after iat"),
        pytest.param({"exp": NOW + 100, "iat": NOW + 50, "nbf": NOW}, 0.5, id="iat after nbf"),
        pytest.param({"exp": NOW, "iat": NOW + 50}, 0, id="never valid"),
    ],
)
def test_every_second_of_the_validity_of_a_result_passes_the_check(claims: Json, leeway_seconds: float) -> None:
    """TOK-006; TOK-007."""
    start, end = compute_validity(claims, leeway_seconds)

    for second in range(max(start, end - 200), end):
        check_claims(claims | {"sub": "u"}, second, leeway_seconds)
    # And it wastes no more than a second at either end.
    assert end >= floor(round_date(claims["exp"]) + leeway_seconds)
    latest = max(round_date(claims.get(name) or 0) for name in ("iat", "nbf"))
    assert start <= max(latest - leeway_seconds + 2, 0)
