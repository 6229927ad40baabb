"""Steps 3 and 6 for OIDC providers: the header, the types of the standard claims, audience, key and expiry."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify._core.jose.algorithm_names import CUSTOM_JWT_HEADER_ALGORITHM_NAMES, OIDC_ALGORITHM_NAMES
from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwt_claims import MAX_NUMERIC_DATE
from aveverify._core.rules.oidc import (
    check_audiences,
    check_claims,
    check_header,
    compute_validity,
    parse_token,
    select_key,
)
from aveverify.errors import Fault, Hint, Reason, Step
from tests.core.jose_factory import (
    APPLICATION_ID,
    NOW,
    Json,
    eddsa,
    es256,
    good_claims,
    key_set,
    parsed,
    read,
    refused,
    rs256,
    rsa_jwk,
    without,
)

TEXT_CLAIMS = (
    "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
    "website", "email", "gender", "birthdate", "birthday", "zoneinfo", "locale", "phone_number",
)  # fmt: skip
PROTOCOL_TEXT_CLAIMS = ("nonce", "acr", "azp", "at_hash", "c_hash")
TAGGABLE_CLAIMS = (
    "name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website",
)  # fmt: skip
UNTAGGABLE_CLAIMS = (
    "sub", "email", "email_verified", "gender", "birthdate", "birthday", "zoneinfo", "locale", "phone_number",
    "phone_number_verified", "preferred_username", "address", "updated_at",
)  # fmt: skip
NOT_TEXT: tuple[Any, ...] = (1, 0.5, True, [], {}, ["x"])

# --- step 3: header


def test_a_good_token_is_parsed() -> None:
    token = parse_token(read(header={"alg": "RS256", "kid": "k", "typ": "JWT", "x": [1]}, signature=b"s"))

    assert token.header.alg == "RS256"
    assert token.header.kid == "k"
    assert token.header.typ == "JWT"
    assert token.header.cty is None
    assert token.header.crit is False
    assert token.signature == b"s"
    assert token.signing_input + b".cw" == token.unverified.token
    assert token.claims == good_claims()


@pytest.mark.parametrize("issuer", ["idp.example", "HTTPS://idp.example", "//idp.example", ""], ids=str)
def test_an_issuer_without_scheme_is_the_tokens_fault(issuer: str) -> None:
    """DISC-02; DV-11."""
    error = refused(lambda: parse_token(read(good_claims(iss=issuer))))

    assert (error.reason, error.rule, error.claim) == (Reason.ISSUER_WITHOUT_SCHEME, "DV-11", "iss")
    assert (error.step, error.convex_code) == (Step.PARSE, "InvalidAuthHeader")


@pytest.mark.parametrize("alg", sorted(OIDC_ALGORITHM_NAMES))
def test_a_registered_algorithm_is_a_name_even_where_it_is_not_allowed(alg: str) -> None:
    assert parse_token(read(header={"alg": alg})).header.alg == alg


def test_the_names_of_the_two_paths_are_those_of_convex() -> None:
    """OIDC-02; CJ-03."""
    signatures = {f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512)}
    encryption = {"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}

    assert signatures | encryption | {"none", "EdDSA"} == OIDC_ALGORITHM_NAMES
    assert signatures | {"none"} == CUSTOM_JWT_HEADER_ALGORITHM_NAMES


@pytest.mark.parametrize(
    "alg",
    ["rs256", "Ed25519", "ES256K", "RSA-OAEP", "dir", "None", "NONE", "none ", "none\x00", "ES521", "", "RS256 "],
    ids=ascii,
)
def test_an_unknown_algorithm_name_is_a_structural_fault(alg: str) -> None:
    """OIDC-02; ALG-002 to ALG-010."""
    error = refused(lambda: parse_token(read(header={"alg": alg})))

    assert (error.reason, error.rule) == (Reason.UNKNOWN_ALGORITHM, "OIDC-02")
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize("header", [{}, {"alg": None}, {"alg": 1}, {"alg": ["RS256"]}, {"alg": {"x": 1}}], ids=str)
def test_alg_is_required_and_text(header: Json) -> None:
    """DV-08: an object as alg too."""
    assert refused(lambda: parse_token(read(header=header))).reason is Reason.UNKNOWN_ALGORITHM


@pytest.mark.parametrize("value", NOT_TEXT, ids=str)
@pytest.mark.parametrize("name", ["kid", "typ", "cty"])
def test_header_members_are_text_or_null(name: str, value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(header={"alg": "RS256", name: value})))

    assert (error.reason, error.rule, error.claim) == (Reason.MALFORMED_HEADER, "OIDC-02", name)
    assert error.fault is Fault.MEMBER_TYPE


@pytest.mark.parametrize("value", ["exp", 1, True, {}, [1], [None]], ids=str)
def test_crit_is_a_list_of_texts(value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(header={"alg": "RS256", "crit": value})))

    assert (error.reason, error.claim) == (Reason.MALFORMED_HEADER, "crit")


@pytest.mark.parametrize(("crit", "present"), [(None, False), ([], True), (["b64"], True)], ids=["null", "[]", "b64"])
def test_crit_counts_as_present_unless_null(crit: JsonValue, *, present: bool) -> None:
    """OIDC-05."""
    assert parse_token(read(header={"alg": "RS256", "crit": crit})).header.crit is present


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c", "x5t", "b64", "zip", "constructor"])
@pytest.mark.parametrize("value", [1, "x", [1], {"a": []}, True, None], ids=str)
def test_other_header_members_are_ignored_whatever_they_hold(name: str, value: JsonValue) -> None:
    """OIDC-27."""
    assert parse_token(read(header={"alg": "RS256", name: value})).header.alg == "RS256"


def test_the_header_comes_before_the_signature_and_both_before_the_claims() -> None:
    claims = read(good_claims(email=1), header={"alg": "nope"})
    broken_signature = claims._replace(token=claims.token + b"=")

    assert refused(lambda: parse_token(broken_signature)).reason is Reason.UNKNOWN_ALGORITHM
    assert refused(lambda: parse_token(read(good_claims(email=1)))).reason is Reason.CLAIM_TYPE


def test_a_signature_that_is_not_base64url_is_found_before_the_claims() -> None:
    claims = read(good_claims(email=1))

    error = refused(lambda: parse_token(claims._replace(token=claims.token + b"=")))

    assert error.reason is Reason.MALFORMED_SIGNATURE


# --- step 3: the types of the claims


@pytest.mark.parametrize("value", NOT_TEXT, ids=str)
@pytest.mark.parametrize("name", [*TEXT_CLAIMS, *PROTOCOL_TEXT_CLAIMS])
def test_standard_claims_are_text(name: str, value: JsonValue) -> None:
    """CLM-03; OIDC-24."""
    error = refused(lambda: parse_token(read(good_claims(**{name: value}))))

    assert (error.reason, error.claim, error.hint) == (Reason.CLAIM_TYPE, name, Hint.NOT_TEXT)
    assert error.convex_code == "InvalidAuthHeader"


@pytest.mark.parametrize(
    "name",
    [
        *TEXT_CLAIMS, *PROTOCOL_TEXT_CLAIMS, "email_verified", "phone_number_verified", "address", "updated_at",
        "auth_time", "amr",
    ],
)  # fmt: skip
def test_null_is_absent_for_every_optional_claim(name: str) -> None:
    """CLM-02."""
    assert parse_token(read(good_claims(**{name: None}))).claims[name] is None


@pytest.mark.parametrize("name", [*TEXT_CLAIMS, *PROTOCOL_TEXT_CLAIMS])
def test_an_empty_text_is_text(name: str) -> None:
    """CLM-16."""
    assert parse_token(read(good_claims(**{name: ""}))).claims[name] == ""


@pytest.mark.parametrize("value", ["true", 1, 0, "", [], {}], ids=ascii)
@pytest.mark.parametrize("name", ["email_verified", "phone_number_verified"])
def test_verified_flags_are_booleans(name: str, value: JsonValue) -> None:
    """CLM-04."""
    error = refused(lambda: parse_token(read(good_claims(**{name: value}))))

    assert (error.reason, error.rule) == (Reason.CLAIM_TYPE, "CLM-04")
    assert (error.claim, error.hint) == (name, Hint.NOT_BOOLEAN)


@pytest.mark.parametrize("value", [True, False], ids=str)
def test_verified_flags_may_be_either(value: Any) -> None:
    assert parse_token(read(good_claims(email_verified=value))).claims["email_verified"] is value


@pytest.mark.parametrize(
    "address",
    [{}, {"formatted": "x"}, {"formatted": None}, {"formatted": "x", "country": "y", "more": [1]}],
    ids=["empty", "formatted", "null", "other members are free"],
)
def test_an_address_is_an_object_of_texts(address: Json) -> None:
    """CLM-09."""
    assert parse_token(read(good_claims(address=address))).claims["address"] == address


@pytest.mark.parametrize(
    "address",
    [
        "x", 1, True, [], ["x"], {"formatted": 1}, {"street_address": []}, {"locality": 1}, {"region": True},
        {"postal_code": 1}, {"country": {}},
    ],
    ids=str,
)  # fmt: skip
def test_an_address_of_another_type_is_refused(address: JsonValue) -> None:
    """CLM-09; DV-08: an array too."""
    error = refused(lambda: parse_token(read(good_claims(address=address))))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_TYPE, "CLM-09", "address")


@pytest.mark.parametrize("value", ["yesterday", True, [], {}, 1e300, "2023-02-30T00:00:00Z"], ids=str)
def test_updated_at_is_a_point_in_time(value: JsonValue) -> None:
    """CLM-10."""
    error = refused(lambda: parse_token(read(good_claims(updated_at=value))))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_TYPE, "CLM-10", "updated_at")


@pytest.mark.parametrize("value", [0, -1, -0.5, 1.5, NOW, MAX_NUMERIC_DATE, "2023-11-14T22:13:20Z"], ids=str)
def test_auth_time_may_be_negative_fractional_or_text(value: JsonValue) -> None:
    """OIDC-24."""
    assert parse_token(read(good_claims(auth_time=value))).claims["auth_time"] == value


@pytest.mark.parametrize("value", ["soon", True, [], {}, 1e300], ids=str)
def test_auth_time_of_another_type_is_refused(value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(good_claims(auth_time=value))))

    assert (error.reason, error.claim, error.hint) == (Reason.CLAIM_TYPE, "auth_time", Hint.NOT_NUMBER)


@pytest.mark.parametrize("value", [MAX_NUMERIC_DATE + 1, MAX_NUMERIC_DATE + 0.5, 1_700_000_000_000], ids=str)
def test_auth_time_ends_with_the_year_9999(value: float) -> None:
    """DV-01."""
    error = refused(lambda: parse_token(read(good_claims(auth_time=value))))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_OUT_OF_RANGE, "DV-01", "auth_time")


@pytest.mark.parametrize("value", [[], ["pwd", "mfa"]], ids=str)
def test_amr_is_a_list_of_texts(value: JsonValue) -> None:
    assert parse_token(read(good_claims(amr=value))).claims["amr"] == value


@pytest.mark.parametrize("value", ["pwd", 1, True, {}, [1], ["pwd", None], [["pwd"]]], ids=str)
def test_amr_of_another_type_is_refused(value: JsonValue) -> None:
    error = refused(lambda: parse_token(read(good_claims(amr=value))))

    assert (error.reason, error.claim) == (Reason.CLAIM_TYPE, "amr")


@pytest.mark.parametrize(("name", "rule"), [("exp", "OIDC-20"), ("iat", "OIDC-21"), ("sub", "OIDC-23")])
@pytest.mark.parametrize("null", [True, False], ids=["null", "absent"])
def test_exp_iat_and_sub_are_required(name: str, rule: str, *, null: bool) -> None:
    claims = good_claims(**{name: None}) if null else without(good_claims(), name)

    error = refused(lambda: parse_token(read(claims)))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_MISSING, rule, name)
    assert error.convex_code == "InvalidAuthHeader"


def test_an_empty_subject_is_refused() -> None:
    """DV-06."""
    error = refused(lambda: parse_token(read(good_claims(sub=""))))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_MISSING, "DV-06", "sub")


@pytest.mark.parametrize("name", ["scope", "roles", "fva", "sid", "middle", "__proto__"])
@pytest.mark.parametrize("value", [1, None, [{"a": 1}], {"a": []}, True], ids=str)
def test_custom_claims_may_have_any_type(name: str, value: JsonValue) -> None:
    """ID-05; ID-10."""
    assert parse_token(read(good_claims(**{name: value}))).claims[name] == value


# --- language tags


@pytest.mark.parametrize("name", TAGGABLE_CLAIMS)
def test_a_tagged_claim_is_typed_and_dropped(name: str) -> None:
    """CLM-05: any text after the first `#` is a tag."""
    assert parse_token(read(good_claims(**{f"{name}#ja#x": "t", f"{name}#de": None}))).claims == good_claims()
    error = refused(lambda: parse_token(read(good_claims(**{f"{name}#ja": 1}))))
    assert (error.reason, error.claim) == (Reason.CLAIM_TYPE, name)


@pytest.mark.parametrize("name", UNTAGGABLE_CLAIMS)
def test_other_standard_claims_take_no_tag(name: str) -> None:
    """CLM-06."""
    error = refused(lambda: parse_token(read(good_claims(**{f"{name}#en": "x"}))))

    assert (error.reason, error.rule) == (Reason.CLAIM_TYPE, "CLM-06")


@pytest.mark.parametrize(
    ("name", "value"), [("name", "n"), ("email", "e"), ("email_verified", True), ("updated_at", 1)]
)
def test_an_empty_tag_is_no_tag(name: str, value: JsonValue) -> None:
    """CLM-07."""
    assert parse_token(read(good_claims(**{f"{name}#": value}))).claims == good_claims(**{name: value})


def test_the_subject_may_be_spelled_with_an_empty_tag() -> None:
    """CLM-07."""
    claims = without(good_claims(), "sub") | {"sub#": "u2"}

    assert parse_token(read(claims)).claims["sub"] == "u2"


def test_an_empty_tag_does_not_loosen_the_type() -> None:
    error = refused(lambda: parse_token(read(good_claims(**{"email_verified#": "true"}))))

    assert (error.reason, error.claim) == (Reason.CLAIM_TYPE, "email_verified")


@pytest.mark.parametrize("name", ["name", "email", "sub"])
@pytest.mark.parametrize("value", ["x", None], ids=["text", "null"])
def test_both_spellings_in_one_token_are_refused(name: str, value: Any) -> None:
    """CLM-07."""
    error = refused(lambda: parse_token(read(good_claims(**{name: "y", f"{name}#": value}))))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_TYPE, "CLM-07", name)


@pytest.mark.parametrize("name", ["iss#en", "exp#x", "nonce#x", "role#en", "#", "#name", "a#name#de"])
def test_a_mark_after_another_name_is_plain_text(name: str) -> None:
    """CLM-15."""
    assert parse_token(read(good_claims(**{name: 1}))).claims[name] == 1


# --- what costs no network


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt", "APPLICATION/JWT", "JOSE", "application/jose"])
def test_a_token_may_say_that_it_is_a_jwt(typ: str | None) -> None:
    """OIDC-03."""
    check_header(parsed(typ=typ).header)


@pytest.mark.parametrize(
    "typ", ["at+jwt", "JOSE+JSON", "logout+jwt", "id_token", "", "jwt; x=y", "jwt ", "/jwt", "text/jwt", "ﬀjwt"]
)
def test_a_token_of_another_kind_is_refused(typ: str) -> None:
    error = refused(lambda: check_header(parsed(typ=typ).header))

    assert (error.reason, error.rule, error.step) == (Reason.TYPE_NOT_ALLOWED, "OIDC-03", Step.PARSE)
    assert error.convex_code == "Unauthenticated"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_is_recognised_by_its_type(typ: str) -> None:
    """RFC 9068 §2.1."""
    assert refused(lambda: check_header(parsed(typ=typ).header)).hint is Hint.ACCESS_TOKEN


@pytest.mark.parametrize("cty", ["JWT", "", "x"])
def test_a_content_type_is_refused(cty: str) -> None:
    """OIDC-04."""
    error = refused(lambda: check_header(parsed(cty=cty).header))

    assert (error.reason, error.rule) == (Reason.CONTENT_TYPE_PRESENT, "OIDC-04")
    assert error.convex_code == "Unauthenticated"


def test_a_critical_extension_is_refused() -> None:
    """OIDC-05."""
    error = refused(lambda: check_header(parsed(crit=True).header))

    assert (error.reason, error.rule) == (Reason.CRITICAL_HEADER, "OIDC-05")
    assert error.convex_code == "Unauthenticated"


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_two_algorithms_are_allowed(alg: str) -> None:
    check_header(parsed(alg=alg).header)


@pytest.mark.parametrize("alg", sorted(OIDC_ALGORITHM_NAMES - {"RS256", "EdDSA"}))
def test_every_other_algorithm_is_refused(alg: str) -> None:
    """OIDC-06; OIDC-10; OIDC-11."""
    error = refused(lambda: check_header(parsed(alg=alg).header))

    assert (error.reason, error.rule) == (Reason.ALGORITHM_NOT_ALLOWED, "OIDC-10")
    assert error.convex_code == "Unauthenticated"
    assert error.hint is (Hint.ES256_NEEDS_CUSTOM_JWT if alg == "ES256" else None)


@pytest.mark.parametrize("aud", ["app", ["app"], ["app", "app"]], ids=str)
def test_every_audience_may_be_the_application(aud: JsonValue) -> None:
    """OIDC-08."""
    check_audiences(read(good_claims(aud=aud)), APPLICATION_ID)


@pytest.mark.parametrize("aud", [["app", "other"], ["other", "app"], ["app", ""], ["app", "APP"]], ids=str)
def test_a_further_audience_is_refused(aud: list[str]) -> None:
    error = refused(lambda: check_audiences(read(good_claims(aud=aud)), APPLICATION_ID))

    assert (error.reason, error.rule) == (Reason.EXTRA_AUDIENCE, "OIDC-08")
    assert error.convex_code == "Unauthenticated"


# --- step 4: the key


def test_the_one_key_with_the_kid_is_chosen() -> None:
    keys = key_set(rs256("a").jwk, rs256("b").jwk)

    chosen = select_key(keys, parsed(kid="b"))

    assert chosen is keys.candidates[1].key


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_without_kid_the_one_eligible_key_is_chosen(alg: str) -> None:
    """OIDC-13; KEY-032."""
    keys = key_set(rs256().jwk, eddsa().jwk, es256().jwk, rs256("enc").jwk | {"use": "enc"})

    assert select_key(keys, parsed(alg=alg)).algorithm.name == alg


@pytest.mark.parametrize(
    ("jwks", "kid"),
    [
        pytest.param([rsa_jwk(kid="a")], "b", id="another kid"),
        pytest.param([rsa_jwk(kid="a")], "A", id="another case"),
        pytest.param([rsa_jwk(kid="a")], "a ", id="a blank"),
        pytest.param([rsa_jwk(kid="a")], "", id="an empty kid is a kid"),
        pytest.param([rsa_jwk()], "a", id="a key without kid"),
        pytest.param([rsa_jwk(kid=None)], "a", id="a key with the kid null"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", use="enc")], "a", id="marked for encryption"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", use="")], "a", id="marked with an empty use"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", key_ops=["sign"])], "a", id="operations without verify"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", key_ops="verify")], "a", id="operations that are no list"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", alg="RS512")], "a", id="another algorithm"),
        pytest.param([rsa_jwk(), rsa_jwk(kid="a", alg="none")], "a", id="no algorithm"),
        pytest.param([rsa_jwk(), eddsa("a").jwk], "a", id="another type"),
        pytest.param([eddsa().jwk, es256().jwk], None, id="without kid, nothing of this type"),
    ],
)
def test_a_token_without_eligible_key_is_refused(jwks: list[Json], kid: str | None) -> None:
    """OIDC-12; OIDC-14; OIDC-16; DV-04; KEY-034."""
    error = refused(lambda: select_key(key_set(*jwks), parsed(kid=kid)))

    assert (error.reason, error.rule, error.step) == (Reason.UNKNOWN_KEY, "OIDC-12", Step.KEY)
    assert error.convex_code == "Unauthenticated"


@pytest.mark.parametrize(
    "members",
    [
        {}, {"use": None}, {"use": "sig"}, {"alg": None}, {"alg": "RS256"}, {"key_ops": None},
        {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify", "verify"]}, {"x5c": 1, "x5t": [], "more": {}},
        {"d": 1, "p": [], "oth": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_key_is_eligible(members: Json) -> None:
    assert select_key(key_set(rsa_jwk(kid="a", **members)), parsed(kid="a")).algorithm.name == "RS256"


@pytest.mark.parametrize(
    ("jwks", "kid"),
    [
        pytest.param([rsa_jwk(kid="a"), rsa_jwk(kid="a", exponent=3)], "a", id="one kid, two keys"),
        pytest.param([rsa_jwk(kid="a"), rsa_jwk(kid="a")], "a", id="one kid, the same key"),
        pytest.param([rsa_jwk(kid="a"), rsa_jwk(kid="b")], None, id="no kid, two keys"),
        pytest.param([rsa_jwk(kid="a"), rsa_jwk(bits=1024, kid="a")], "a", id="one of them unreadable"),
        pytest.param([rsa_jwk(kid="a"), {"kty": "RSA", "kid": "a"}], "a", id="one of them without members"),
    ],
)
def test_several_eligible_keys_are_ambiguous(jwks: list[Json], kid: str | None) -> None:
    """OIDC-12: even if several are identical, and whatever a candidate is good for."""
    error = refused(lambda: select_key(key_set(*jwks), parsed(kid=kid)))

    assert (error.reason, error.rule) == (Reason.AMBIGUOUS_KEY, "OIDC-12")
    assert error.convex_code == "Unauthenticated"


def test_a_second_okp_key_is_ambiguous_whatever_its_curve() -> None:
    """OIDC-12, OIDC-18: `crv` is not part of the filter."""
    other = {"kty": "OKP", "crv": "X25519", "x": "A" * 43}

    error = refused(lambda: select_key(key_set(eddsa().jwk, other), parsed(alg="EdDSA")))

    assert error.reason is Reason.AMBIGUOUS_KEY


@pytest.mark.parametrize(
    ("bad", "alg"),
    [
        pytest.param(rsa_jwk(bits=2047, kid="bad"), "RS256", id="too short"),
        pytest.param(rsa_jwk(exponent=1, kid="bad"), "RS256", id="exponent of one"),
        pytest.param({"kty": "RSA", "kid": "bad", "n": 1, "e": "AQAB"}, "RS256", id="a number as modulus"),
        pytest.param({"kty": "RSA", "kid": "bad"}, "RS256", id="no members"),
        pytest.param({"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "bad"}, "EdDSA", id="another curve"),
        pytest.param({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "bad"}, "EdDSA", id="another length"),
    ],
)
def test_the_one_eligible_key_may_be_unfit(bad: Json, alg: str) -> None:
    """OIDC-17; OIDC-18."""
    error = refused(lambda: select_key(key_set(rsa_jwk(kid="good"), bad), parsed(alg=alg, kid="bad")))

    assert (error.reason, error.rule, error.step) == (Reason.KEY_NOT_SUITABLE, "OIDC-12", Step.KEY)
    assert error.convex_code == "Unauthenticated"


# --- step 6: expiry


@pytest.mark.parametrize(
    ("exp", "now", "leeway_seconds", "good"),
    [
        pytest.param(NOW + 1, NOW, 0, True, id="a second before"),
        pytest.param(NOW, NOW, 0, False, id="at exp"),
        pytest.param(NOW - 1, NOW, 0, False, id="a second after"),
        pytest.param(NOW + 0.5, NOW, 0, True, id="exp keeps its fraction"),
        pytest.param(NOW + 0.5, NOW + 0.9, 0, True, id="now is in whole seconds"),
        pytest.param(NOW + 0.5, NOW + 1, 0, False, id="the next second"),
        pytest.param(NOW, NOW + 4, 5, True, id="leeway: a second before"),
        pytest.param(NOW, NOW + 5, 5, False, id="leeway: at the end"),
        pytest.param(NOW, NOW + 6, 5, False, id="leeway: a second after"),
        pytest.param(NOW, NOW, 0.5, True, id="half a second of leeway"),
        pytest.param(NOW, NOW + 1, 0.5, False, id="half a second of leeway is over"),
        pytest.param(0, 0, 0, False, id="the epoch"),
    ],
)
def test_a_token_expires_at_its_exp(exp: float, now: float, leeway_seconds: float, *, good: bool) -> None:
    """OIDC-19: refused where floor(now) - exp >= leeway."""
    if good:
        check_claims({"exp": exp}, now, leeway_seconds)
    else:
        error = refused(lambda: check_claims({"exp": exp}, now, leeway_seconds))
        assert (error.reason, error.rule, error.claim) == (Reason.EXPIRED, "OIDC-19", "exp")
        assert (error.step, error.convex_code) == (Step.CHECK, "Unauthenticated")


@pytest.mark.parametrize(
    ("exp", "leeway_seconds", "window"),
    [
        (NOW, 0, (0, NOW)), (NOW + 0.5, 0, (0, NOW)), (NOW, 0.5, (0, NOW)), (NOW, 5, (0, NOW + 5)),
        (NOW + 0.5, 0.5, (0, NOW + 1)),
    ],
    ids=["whole", "fraction", "half a second of leeway", "leeway", "fraction and leeway"],
)  # fmt: skip
def test_the_validity_of_a_result_ends_in_time(exp: float, leeway_seconds: float, window: tuple[int, int]) -> None:
    """TOK-006: on the cautious side, never later than the check."""
    assert compute_validity({"exp": exp}, leeway_seconds) == window
