"""`Identity`: typed, immutable to the depth, equal by content, and silent."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from aveverify import ConvexIdentity, Identity, Provider
from tests.core.jose_factory import (
    APPLICATION_ID,
    ISSUER,
    NOW,
    Json,
    custom_jwt_identity,
    eddsa,
    good_claims,
    oidc_identity,
    oidc_identity_of,
    oidc_verifier,
    without,
)

ATTRIBUTES = {
    "name": "name", "nickname": "nickname", "email": "email", "gender": "gender", "given_name": "givenName",
    "family_name": "familyName", "preferred_username": "preferredUsername", "profile_url": "profileUrl",
    "picture_url": "pictureUrl", "website_url": "websiteUrl", "email_verified": "emailVerified",
    "birthday": "birthday", "timezone": "timezone", "language": "language", "phone_number": "phoneNumber",
    "phone_number_verified": "phoneNumberVerified", "address": "address", "updated_at": "updatedAt",
}  # fmt: skip
STANDARD_CLAIMS: Json = {
    "name": "n", "nickname": "ni", "email": "e", "gender": "g", "given_name": "gn", "family_name": "fn",
    "preferred_username": "pu", "profile": "pr", "picture": "pi", "website": "w", "email_verified": True,
    "birthdate": "b", "zoneinfo": "z", "locale": "l", "phone_number": "pn", "phone_number_verified": False,
    "address": {"formatted": "a", "country": "c"}, "updated_at": 0,
}  # fmt: skip
EXPECTED: Json = {
    "name": "n", "nickname": "ni", "email": "e", "gender": "g", "given_name": "gn", "family_name": "fn",
    "preferred_username": "pu", "profile_url": "pr", "picture_url": "pi", "website_url": "w", "email_verified": True,
    "birthday": "b", "timezone": "z", "language": "l", "phone_number": "pn", "phone_number_verified": False,
    "address": "a", "updated_at": "1970-01-01T00:00:00+00:00",
}  # fmt: skip

Make = Callable[..., Identity]
BOTH = pytest.mark.parametrize("make", [oidc_identity, custom_jwt_identity], ids=["oidc", "customJwt"])


# --- what it says


@BOTH
def test_the_typed_attributes_of_every_identity(make: Make) -> None:
    identity = make(sub="u7", exp=NOW + 60.5, iat=NOW - 1)

    assert (identity.issuer, identity.subject) == (ISSUER, "u7")
    assert identity.token_identifier == f"{ISSUER}|u7"
    assert (identity.expires_at, identity.issued_at) == (NOW + 60.5, NOW - 1)
    assert identity.provider.issuer == ISSUER
    assert identity.provider.application_id == APPLICATION_ID


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_oidc_token_sets_the_eighteen_attributes(attribute: str) -> None:
    """CLM-01."""
    assert getattr(oidc_identity(**STANDARD_CLAIMS), attribute) == EXPECTED[attribute]
    assert getattr(oidc_identity(), attribute) is None


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_custom_jwt_token_sets_none_of_them(attribute: str) -> None:
    """CJ-27."""
    assert getattr(custom_jwt_identity(**STANDARD_CLAIMS), attribute) is None


def test_a_token_without_time_of_issue_has_none() -> None:
    """CJ-20."""
    assert custom_jwt_identity(iat=None).issued_at is None


def test_a_subject_may_be_spelled_with_an_empty_tag() -> None:
    """CLM-07."""
    identity = oidc_identity_of(without(good_claims(), "sub") | {"sub#": "u2", "name#": "n"})

    assert (identity.subject, identity.name) == ("u2", "n")
    assert identity.to_convex() == {
        "tokenIdentifier": f"{ISSUER}|u2", "issuer": ISSUER, "subject": "u2", "name": "n",
    }  # fmt: skip
    restored = pickle.loads(pickle.dumps(identity))  # noqa: S301 - our own
    assert (restored.subject, restored.name) == ("u2", "n")


@BOTH
def test_brackets_get_and_in_see_custom_claims_only(make: Make) -> None:
    identity = make(plan="pro", nothing=None)

    assert identity["plan"] == "pro"
    assert identity.get("plan") == "pro"
    assert "plan" in identity
    assert identity["nothing"] is None
    assert "nothing" in identity
    for absent in ("sub", "iss", "exp", "subject", "issuer", "tokenIdentifier", "token_identifier", "missing"):
        assert absent not in identity
        assert identity.get(absent) is None
        assert identity.get(absent, 7) == 7
        with pytest.raises(KeyError):
            identity[absent]


def test_an_attribute_is_no_custom_claim_on_oidc() -> None:
    identity = oidc_identity(email="e", given_name="g")

    assert "email" not in identity
    assert "given_name" not in identity
    assert "givenName" not in identity


def test_it_is_a_custom_claim_on_custom_jwt() -> None:
    """CJ-23; CJ-27."""
    assert custom_jwt_identity(email="e", org={"id": 1})["email"] == "e"
    assert custom_jwt_identity(org={"id": 1})["org.id"] == 1


@pytest.mark.parametrize("key", [1, None, ("plan",), 1.5], ids=str)
def test_another_key_is_no_claim(key: Any) -> None:
    assert key not in oidc_identity(plan="pro")


def test_an_identity_is_no_collection() -> None:
    """Without this, a loop over it would ask for claim 0."""
    identity: Any = oidc_identity()

    with pytest.raises(TypeError):
        iter(identity)
    with pytest.raises(TypeError):
        len(identity)


@BOTH
def test_claims_are_all_verified_claims(make: Make) -> None:
    assert make(plan="pro").claims == good_claims(plan="pro")


# --- Convex's form


def test_the_whole_identity_in_convexs_words() -> None:
    """ID-01 to ID-05."""
    assert oidc_identity(plan="pro", nothing=None, aud=APPLICATION_ID, nonce="x", **STANDARD_CLAIMS).to_convex() == {
        "tokenIdentifier": f"{ISSUER}|u1",
        "issuer": ISSUER,
        "subject": "u1",
        **{ATTRIBUTES[attribute]: value for attribute, value in EXPECTED.items()},
        "plan": "pro",
        "nothing": None,
    }


def test_the_smallest_identity_in_convexs_words() -> None:
    """ID-03: absent, not null."""
    minimum = {"tokenIdentifier": f"{ISSUER}|u1", "issuer": ISSUER, "subject": "u1"}

    assert oidc_identity().to_convex() == minimum
    assert custom_jwt_identity().to_convex() == minimum


def test_a_custom_jwt_identity_in_convexs_words() -> None:
    identity = custom_jwt_identity(org={"id": 1, "tags": [{"a": 1}]}, email_verified="yes", fva=[1], subject="x")

    assert identity.to_convex() == {
        "tokenIdentifier": f"{ISSUER}|u1", "issuer": ISSUER, "subject": "u1", "org.id": 1, "org.tags": [{"a": 1}],
        "email_verified": "yes",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tokenIdentifier", "issuer", "subject"])
@BOTH
def test_a_claim_never_replaces_the_identity(make: Make, name: str) -> None:
    """DV-07."""
    identity = make(**{name: "admin"})

    assert identity.to_convex() == make().to_convex()
    assert name not in identity
    assert identity.claims[name] == "admin"


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        pytest.param({"emailVerified": True}, True, id="a claim of that name alone"),
        pytest.param({"emailVerified": True, "email_verified": False}, False, id="the standard claim wins"),
        pytest.param({"emailVerified": True, "email_verified": None}, True, id="null is absent"),
    ],
)
def test_a_claim_named_like_an_attribute_gives_way_to_it(claims: Json, *, shown: bool) -> None:
    """DV-07: the typed attribute comes from the standard claim alone."""
    identity = oidc_identity(**claims)

    assert identity.to_convex().get("emailVerified") is shown
    assert identity.email_verified is claims.get("email_verified")
    assert ("emailVerified" in identity) is (claims.get("email_verified") is None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("1.0", 1.0), ("1e0", 1.0), ("true", True), ("-0", 0), ("9007199254740993", 9007199254740993),
        ("123456789012345678901234567890", 123456789012345678901234567890), ("1e22", 1e22), ("0.1", 0.1),
    ],
    ids=str,
)  # fmt: skip
def test_a_number_keeps_the_type_that_it_is_written_in(text: str, value: float) -> None:
    """ID-06."""
    payload = json.dumps(good_claims())[:-1].encode() + f',"x":{text}}}'.encode()

    found = oidc_identity_of(payload)["x"]

    assert found == value
    assert type(found) is type(value)


def test_the_typed_dictionary_names_convexs_members() -> None:
    members = {"tokenIdentifier", "issuer", "subject", *ATTRIBUTES.values()}

    assert set(get_type_hints(ConvexIdentity)) == members
    assert ConvexIdentity.__required_keys__ == {"tokenIdentifier", "issuer", "subject"}


# --- immutable


@pytest.mark.parametrize("attribute", ["subject", "issuer", "email", "expires_at", "provider", "plan", "_payload"])
@BOTH
def test_nothing_can_be_set_or_deleted(make: Make, attribute: str) -> None:
    identity = make()

    with pytest.raises(AttributeError):
        setattr(identity, attribute, "x")
    with pytest.raises(AttributeError):
        delattr(identity, attribute)
    assert identity == make()


def test_there_is_no_dictionary_to_write_to() -> None:
    assert not hasattr(oidc_identity(), "__dict__")


@BOTH
def test_no_reader_can_change_what_the_next_one_sees(make: Make) -> None:
    """TOK-010: an identity shared by the token cache."""
    identity = make(roles=["user"], deep=[{"a": {"b": [1]}}])

    identity.claims["sub"] = "admin"
    identity.claims["roles"].append("admin")
    identity["roles"].append("admin")
    identity.get("deep")[0]["a"]["b"].append(2)
    convex: Any = identity.to_convex()
    convex["subject"] = "admin"
    convex["roles"].append("admin")

    assert identity == make(roles=["user"], deep=[{"a": {"b": [1]}}])
    assert identity["roles"] == ["user"]
    assert identity["deep"] == [{"a": {"b": [1]}}]
    assert identity.claims["sub"] == identity.subject == identity.to_convex()["subject"] == "u1"


def test_an_identity_that_is_shared_by_the_token_cache_is_the_same_for_everybody() -> None:
    token = eddsa().token(good_claims(roles=["user"]))
    with oidc_verifier(eddsa().jwk) as verifier:
        first = verifier.verify(token)
        first["roles"].append("admin")
        second = verifier.verify(token)

    assert second is first
    assert second["roles"] == ["user"]


def test_only_a_verifier_makes_one() -> None:
    with pytest.raises(TypeError):
        Identity()
    make: Any = Identity
    with pytest.raises(TypeError):
        make({"sub": "admin"})
    with pytest.raises(TypeError):
        make(issuer=ISSUER, subject="admin")


# --- equality


@BOTH
def test_identities_of_the_same_content_are_equal(make: Make) -> None:
    one, two = make(plan="pro", x=[1, {"a": None}]), make(plan="pro", x=[1, {"a": None}])

    assert one is not two
    assert one == two
    assert hash(one) == hash(two)
    assert len({one, two}) == 1


def test_the_order_of_members_does_not_matter() -> None:
    """ID-01."""
    claims = good_claims(a={"x": 1, "y": 2}, b=2)
    backwards = dict(reversed(claims.items())) | {"a": {"y": 2, "x": 1}}

    assert oidc_identity_of(claims) == oidc_identity_of(backwards)


VALUES = [1, 1.0, True, "1", None, [1], [1.0], {"a": 1}, 0, -0.0, 0.0, False, "", [], {}]


@pytest.mark.parametrize("left", range(len(VALUES)), ids=[repr(value) for value in VALUES])
def test_values_of_different_types_are_different(left: int) -> None:
    """1, 1.0 and true are three values."""
    identities = [oidc_identity(x=value) for value in VALUES]

    assert [identities[left] == other for other in identities] == [left == right for right in range(len(VALUES))]


@pytest.mark.parametrize(
    "changes",
    [{"sub": "u2"}, {"exp": NOW + 1}, {"email": "e"}, {"plan": "x"}, {"iat": None}],
    ids=lambda changes: str(*changes),
)
def test_another_claim_makes_another_identity(changes: Json) -> None:
    assert custom_jwt_identity() != custom_jwt_identity(**changes)


def test_another_provider_makes_another_identity() -> None:
    lenient = Provider(issuer=ISSUER, application_id=APPLICATION_ID, leeway_seconds=5)
    with oidc_verifier(eddsa().jwk, provider=lenient) as verifier:
        other = verifier.verify(eddsa().token())

    assert other != oidc_identity()
    assert other.claims == oidc_identity().claims
    assert oidc_identity() != custom_jwt_identity()


@pytest.mark.parametrize(
    "other", [None, 1, "https://idp.example|u1", {}, object()], ids=lambda other: type(other).__name__
)
def test_an_identity_equals_nothing_else(other: object) -> None:
    assert oidc_identity() != other
    assert not oidc_identity() == other  # noqa: SIM201 - the other operator


def test_an_identity_leaves_the_answer_to_others() -> None:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert oidc_identity() == Anything()


def test_the_hash_is_that_of_the_user() -> None:
    """Design §3: by token identifier; two tokens of one user fall into one place."""
    assert hash(oidc_identity(exp=NOW + 1)) == hash(oidc_identity(plan="pro"))


def test_a_bar_in_a_subject_does_not_join_two_users() -> None:
    """SEC-08."""
    assert hash(oidc_identity(sub="b|c")) != hash(oidc_identity(sub="c"))
    assert oidc_identity(sub="b|c") != oidc_identity(sub="c")


# --- copies and pickles


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1), ids=lambda protocol: f"protocol {protocol}")
@BOTH
def test_an_identity_survives_pickling(make: Make, protocol: int) -> None:
    identity = make(plan="pro", big=10**300, **STANDARD_CLAIMS)

    twin = pickle.loads(pickle.dumps(identity, protocol))  # noqa: S301 - our own

    assert twin == identity
    assert twin is not identity
    assert twin.to_convex() == identity.to_convex()
    assert twin.expires_at == identity.expires_at
    assert all(getattr(twin, attribute) == getattr(identity, attribute) for attribute in ATTRIBUTES)


def test_a_pickle_holds_neither_token_nor_signature() -> None:
    token = eddsa().token(good_claims())
    with oidc_verifier(eddsa().jwk) as verifier:
        data = pickle.dumps(verifier.verify(token))

    for segment in token.split("."):
        assert segment.encode() not in data


def test_a_copy_is_the_identity_itself() -> None:
    identity = oidc_identity()

    assert copy.copy(identity) is identity
    assert copy.deepcopy(identity) is identity
    assert copy.deepcopy([identity])[0] is identity


# --- what it shows


@BOTH
def test_the_repr_shows_issuer_and_subject_only(make: Make) -> None:
    """ERR-006."""
    identity = make(email="s3cret@mail", plan="s3cret", name="s3cret")

    assert repr(identity) == "<Identity issuer='https://idp.example' subject='u1'>"
    assert str(identity) == repr(identity)
    assert f"{identity}" == repr(identity)


def test_the_repr_of_a_hostile_subject_is_one_short_line() -> None:
    """ERR-003."""
    shown = repr(oidc_identity(sub="\r\n\x1b[31m\u202e" + "x" * 10_000))

    assert shown.isprintable()
    assert len(shown) < 300


# --- Starlette's user protocol


@pytest.mark.parametrize(
    ("claims", "display_name"),
    [
        ({"name": "Ada", "preferred_username": "ada"}, "Ada"), ({"preferred_username": "ada"}, "ada"), ({}, "u1"),
        ({"name": "", "preferred_username": "ada"}, "ada"), ({"name": None}, "u1"),
    ],
    ids=["name", "preferred username", "subject", "an empty name", "no name"],
)  # fmt: skip
def test_the_user_protocol_of_starlette(claims: Json, display_name: str) -> None:
    identity = oidc_identity(**claims)

    assert identity.is_authenticated is True
    assert identity.display_name == display_name
    assert identity.identity == identity.token_identifier
