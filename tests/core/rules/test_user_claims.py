"""From verified claims to the members of the identity."""

from __future__ import annotations

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.rules.user_claims import (
    MEMBER_OF_CLAIM,
    STANDARD_CLAIMS,
    TAGGABLE_CLAIMS,
    custom_jwt_custom_claims,
    oidc_attributes,
    oidc_custom_claims,
    strip_language_tags,
)
from tests.core.jose_factory import Json, good_claims

MEMBERS = {
    "name": "name", "nickname": "nickname", "email": "email", "gender": "gender", "given_name": "givenName",
    "family_name": "familyName", "preferred_username": "preferredUsername", "profile": "profileUrl",
    "picture": "pictureUrl", "website": "websiteUrl", "email_verified": "emailVerified", "birthdate": "birthday",
    "zoneinfo": "timezone", "locale": "language", "phone_number": "phoneNumber",
    "phone_number_verified": "phoneNumberVerified", "address": "address", "updated_at": "updatedAt",
}  # fmt: skip
DROPPED = (
    "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash",
    "fva", "middle_name", "birthday",
)  # fmt: skip


def test_the_eighteen_members_are_those_of_convex() -> None:
    """CLM-01; CLM-05; CLM-11."""
    assert MEMBER_OF_CLAIM == MEMBERS
    assert len(MEMBERS) == 18
    assert {*MEMBERS, "sub", "middle_name", "birthday"} == STANDARD_CLAIMS
    assert {
        "name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website",
    } == TAGGABLE_CLAIMS  # fmt: skip


# --- language tags


def test_claims_without_marks_are_left_as_they_are() -> None:
    claims = good_claims(name="n")

    assert strip_language_tags(claims) is claims


@pytest.mark.parametrize(
    ("claims", "plain"),
    [
        pytest.param({"name#": "n"}, {"name": "n"}, id="an empty tag is no tag"),
        pytest.param({"email#": "e", "sub#": "s"}, {"email": "e", "sub": "s"}, id="on every standard claim"),
        pytest.param({"name": "n", "name#ja": "j", "name#": None}, {"name": None}, id="tagged claims are dropped"),
        pytest.param({"iss#en": 1, "a#": 2, "#": 3}, {"iss#en": 1, "a#": 2, "#": 3}, id="elsewhere it is plain text"),
    ],
)  # fmt: skip
def test_tags_are_resolved(claims: Json, plain: Json) -> None:
    """CLM-05; CLM-07; CLM-15."""
    assert strip_language_tags(claims) == plain


# --- attributes


@pytest.mark.parametrize(
    ("claim", "member"), [item for item in MEMBERS.items() if item[0] not in ("address", "updated_at")]
)
def test_a_standard_claim_becomes_its_member(claim: str, member: str) -> None:
    """CLM-01."""
    assert oidc_attributes({claim: "x"}) == {member: "x"}


@pytest.mark.parametrize("claim", MEMBERS)
def test_null_is_absent(claim: str) -> None:
    """CLM-02; ID-03."""
    assert oidc_attributes({claim: None}) == {}


@pytest.mark.parametrize("value", ["", False], ids=repr)
def test_empty_and_false_are_present(value: JsonValue) -> None:
    """CLM-16."""
    assert oidc_attributes({"email_verified": value}) == {"emailVerified": value}


@pytest.mark.parametrize(
    ("address", "members"),
    [
        ({"formatted": "f", "country": "c"}, {"address": "f"}), ({"country": "c"}, {}), ({"formatted": None}, {}),
        ({}, {}), ({"formatted": ""}, {"address": ""}),
    ],
    ids=["formatted", "not formatted", "null", "empty", "empty text"],
)  # fmt: skip
def test_of_an_address_only_its_text_surfaces(address: Json, members: Json) -> None:
    """CLM-09."""
    assert oidc_attributes({"address": address}) == members


def test_the_time_of_the_last_change_is_written_as_convex_does() -> None:
    """CLM-10."""
    assert oidc_attributes({"updated_at": 0}) == {"updatedAt": "1970-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("claim", [*DROPPED, "custom", "givenName"])
def test_nothing_else_is_an_attribute(claim: str) -> None:
    assert oidc_attributes({claim: "x"}) == {}


# --- custom claims of an OIDC token


@pytest.mark.parametrize("claim", [*DROPPED, *MEMBERS])
def test_protocol_and_standard_claims_do_not_surface_under_their_own_names(claim: str) -> None:
    """CLM-11; CLM-13."""
    assert oidc_custom_claims({claim: None}) == {}


@pytest.mark.parametrize("name", ["role", "org_id", "scope", "sid", "#", "iss#en", "__proto__", "constructor", ""])
@pytest.mark.parametrize("value", [1, None, {"a": {"b": []}}, [{"a": 1}]], ids=str)
def test_every_other_member_is_a_custom_claim_as_it_is(name: str, value: JsonValue) -> None:
    """CLM-14; CLM-15; ID-05; ID-10."""
    assert oidc_custom_claims({"sub": "s", name: value}) == {name: value}


def test_tagged_claims_do_not_surface() -> None:
    """CLM-13."""
    assert oidc_custom_claims({"name#ja": "j", "name#": "n", "role#ja": "r"}) == {"role#ja": "r"}


@pytest.mark.parametrize("name", ["tokenIdentifier", "issuer", "subject"])
def test_a_claim_never_replaces_the_identity(name: str) -> None:
    """DV-07."""
    assert oidc_custom_claims({name: "x"}) == {}
    assert custom_jwt_custom_claims({name: "x"}) == {}


@pytest.mark.parametrize(
    ("claims", "custom"),
    [
        pytest.param({"emailVerified": True}, {"emailVerified": True}, id="the attribute is absent"),
        pytest.param({"emailVerified": True, "email_verified": None}, {"emailVerified": True}, id="it is null"),
        pytest.param({"emailVerified": True, "email_verified": False}, {}, id="it is set"),
        pytest.param({"address": {"country": "c"}, "givenName": [1]}, {"givenName": [1]}, id="another one is set"),
        pytest.param({"updatedAt": 5, "updated_at": 0}, {}, id="the time of the last change is set"),
        pytest.param({"pictureUrl": "x", "picture": ""}, {}, id="it is set to nothing"),
    ],
)
def test_a_claim_named_like_an_attribute_gives_way_to_it(claims: Json, custom: Json) -> None:
    """ID-04; DV-07."""
    assert oidc_custom_claims(claims) == custom


@pytest.mark.parametrize("claim", ["name", "nickname", "email", "gender"])
def test_an_attribute_of_the_same_name_as_its_claim_is_no_custom_claim(claim: str) -> None:
    assert oidc_custom_claims({claim: "x"}) == {}


# --- custom claims of a customJwt token


def test_the_registered_claims_do_not_surface() -> None:
    """CJ-23."""
    assert custom_jwt_custom_claims(good_claims(jti="j", nbf=1)) == {}


@pytest.mark.parametrize("name", ["azp", "nonce", "auth_time", "amr", "scope", "email_verified", "name#ja", "address#"])
def test_all_other_claims_surface_with_any_type(name: str) -> None:
    """CJ-23; CJ-27."""
    assert custom_jwt_custom_claims({name: [1]}) == {name: [1]}


@pytest.mark.parametrize(
    ("claims", "flat"),
    [
        pytest.param({"a": {"b": {"c": 1}, "d": None}}, {"a.b.c": 1, "a.d": None}, id="objects are taken apart"),
        pytest.param({"a": [{"b": 1}], "c": {"d": [{}]}}, {"a": [{"b": 1}], "c.d": [{}]}, id="arrays stay"),
        pytest.param({"a": {}, "b": {"c": {}}}, {}, id="an empty object leaves nothing"),
        pytest.param({"": {"a": 1}, "b": {"": 2}, "c": {"": {"": 3}}}, {".a": 1, "b.": 2, "c..": 3}, id="empty names"),
        pytest.param({"a": {"b": 1}, "a.b": 2}, {"a.b": 2}, id="the later one wins, dotted"),
        pytest.param({"a.b": 2, "a": {"b": 1}}, {"a.b": 1}, id="the later one wins, nested"),
        pytest.param({"a": {"b.c": 1, "b": {"c": 2}}}, {"a.b.c": 2}, id="the later one wins inside"),
        pytest.param({"fva": [1, 2]}, {}, id="fva is dropped"),
        pytest.param({"fva": {"x": 1}}, {"fva.x": 1}, id="fva as an object survives"),
        pytest.param({"a": {"fva": 1, "iss": 2}}, {"a.fva": 1, "a.iss": 2}, id="only at the top"),
        pytest.param({"issuer": {"a": 1}, "subject": {}}, {"issuer.a": 1}, id="reserved names as objects"),
        pytest.param({"iss": {"a": 1}, "sub": {"b": 2}}, {}, id="registered claims are dropped before"),
        pytest.param({"iss.a": 1}, {"iss.a": 1}, id="a dotted name is another name"),
    ],
)
def test_claims_are_flattened(claims: Json, flat: Json) -> None:
    """CJ-24 to CJ-26; ID-04; DV-07."""
    assert custom_jwt_custom_claims(claims) == flat


def test_the_deepest_claims_are_flattened() -> None:
    """PRE-02 bounds the depth at 127."""
    claims: Json = {"a": 1}
    for _ in range(126):
        claims = {"a": claims}

    assert custom_jwt_custom_claims(claims) == {".".join("a" * 127): 1}


def test_nothing_is_changed_in_place() -> None:
    claims = good_claims(fva=1, subject="x", a={"b": 1})
    before = dict(claims)

    custom_jwt_custom_claims(claims)
    oidc_custom_claims(claims)
    oidc_attributes(claims)

    assert claims == before
