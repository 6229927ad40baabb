"""What `Provider.ave` demands beyond Convex: an id_token for this client."""

from __future__ import annotations

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.rules.ave import ISSUER, check_id_token
from aveverify.errors import Hint, Reason, Step
from tests.core.jose_factory import Json, refused, without

ID_TOKEN: Json = {"iss": ISSUER, "sub": "u1", "aud": "app_1", "azp": "app_1", "picture": None, "org_id": "o"}


def test_the_issuer_is_aves() -> None:
    assert ISSUER == "https://aveid.net"


def test_an_id_token_passes() -> None:
    check_id_token(ID_TOKEN, "app_1")


def test_quick_ave_passes() -> None:
    client_id = "origin:https://site.example"

    check_id_token(ID_TOKEN | {"azp": client_id, "aud": client_id}, client_id)


@pytest.mark.parametrize(
    "claims",
    [
        without(ID_TOKEN, "azp"), ID_TOKEN | {"azp": None}, ID_TOKEN | {"azp": "app_2"}, ID_TOKEN | {"azp": "APP_1"},
        ID_TOKEN | {"azp": ""},
    ],
    ids=["absent", "null", "another", "case", "empty"],
)  # fmt: skip
def test_the_authorized_party_is_the_client(claims: Json) -> None:
    """AVE-01."""
    error = refused(lambda: check_id_token(claims, "app_1"))

    assert (error.reason, error.rule, error.claim) == (Reason.NOT_AN_ID_TOKEN, "AVE-01", "azp")
    assert (error.step, error.convex_code) == (Step.CHECK, "Unauthenticated")
    assert error.hint is Hint.OTHER_CLIENT


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "", None], ids=ascii)
def test_a_payload_with_a_type_is_no_id_token(typ: JsonValue) -> None:
    """AVE-02."""
    error = refused(lambda: check_id_token(ID_TOKEN | {"typ": typ}, "app_1"))

    assert (error.reason, error.rule, error.claim) == (Reason.NOT_AN_ID_TOKEN, "AVE-02", "typ")
    assert (error.hint, error.convex_code) == (Hint.ACCESS_TOKEN, "Unauthenticated")


@pytest.mark.parametrize("value", ["x", None, False], ids=str)
@pytest.mark.parametrize("name", ["cid", "grant_id", "target_resource", "client_id"])
def test_claims_of_other_kinds_of_token_are_refused(name: str, value: JsonValue) -> None:
    """AVE-03."""
    error = refused(lambda: check_id_token(ID_TOKEN | {name: value}, "app_1"))

    assert (error.reason, error.rule, error.claim) == (Reason.NOT_AN_ID_TOKEN, "AVE-03", name)
    assert (error.hint, error.convex_code) == (Hint.AVE_ACCESS_TOKEN, "Unauthenticated")


def test_the_party_is_compared_first() -> None:
    error = refused(lambda: check_id_token({"azp": "x", "typ": "y", "cid": "z"}, "app_1"))

    assert error.rule == "AVE-01"
