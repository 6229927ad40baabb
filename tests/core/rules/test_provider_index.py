"""Step 2: issuer and audience choose the provider."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwt_claims import UnverifiedClaims
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify.errors import Hint, Reason, Step
from tests.core.jose_factory import good_claims, read, refused, without


class Configured(NamedTuple):
    """What selection knows of a provider."""

    issuer: str
    application_id: str | None


def claims(issuer: str = "https://a.example", aud: JsonValue = "app", **more: JsonValue) -> UnverifiedClaims:
    return read(good_claims(iss=issuer, aud=aud, **more))


def select(providers: list[Configured], token: UnverifiedClaims) -> int:
    return ProviderIndex(providers).select(token)


A = Configured("https://a.example", "app")


@pytest.mark.parametrize(
    "configured",
    ["https://a.example", "https://a.example/", "https://a.example//"],
    ids=["no slash", "one slash", "two slashes"],
)
@pytest.mark.parametrize(
    "issuer",
    ["https://a.example", "https://a.example/", "https://a.example///", "a.example", "a.example/"],
    ids=["as written", "one slash", "three slashes", "no scheme", "no scheme, one slash"],
)
def test_issuers_match_but_for_trailing_slashes_and_a_missing_scheme(configured: str, issuer: str) -> None:
    """SEL-02."""
    assert select([Configured(configured, "app")], claims(issuer)) == 0


@pytest.mark.parametrize(
    ("issuer", "hint"),
    [
        pytest.param("https://A.example", Hint.SIMILAR_ISSUER, id="case of the host"),
        pytest.param("HTTPS://a.example", None, id="case of the scheme"),
        pytest.param("http://a.example", Hint.SIMILAR_ISSUER, id="http"),
        pytest.param("https://a.example:443", Hint.SIMILAR_ISSUER, id="default port"),
        pytest.param("https://api.a.example", Hint.SIMILAR_ISSUER, id="api in front of the host"),
        pytest.param("https://www.a.example/", Hint.SIMILAR_ISSUER, id="www in front of the host"),
        pytest.param("https://a.example.", None, id="trailing dot"),
        pytest.param(" https://a.example", None, id="blank in front"),
        pytest.param("https://a.example ", None, id="blank behind"),
        pytest.param("https://a.example/.", None, id="dot segment"),
        pytest.param("https://a.example/x", None, id="path"),
        pytest.param("https://a.example?", None, id="query"),
        pytest.param("https://evil.example/https://a.example", None, id="the issuer as a path"),
        pytest.param("https://b.example", None, id="another host"),
        pytest.param("", None, id="empty"),
        pytest.param("///", None, id="nothing but slashes"),
        pytest.param("https://a.example/\nx", None, id="line feed"),
        pytest.param("x" * 10_000, None, id="very long"),
    ],
)
def test_no_other_spelling_of_an_issuer_matches(issuer: str, hint: Hint | None) -> None:
    error = refused(lambda: select([A], claims(issuer)))

    assert (error.reason, error.rule, error.step) == (Reason.UNKNOWN_ISSUER, "SEL-04", Step.SELECT)
    assert error.convex_code == "NoAuthProvider"
    assert error.hint is hint


def test_an_issuer_with_a_path_is_similar_to_the_same_path_only() -> None:
    table = [Configured("https://a.example/realms/x/", "app")]

    assert refused(lambda: select(table, claims("http://a.example/realms/x"))).hint is Hint.SIMILAR_ISSUER
    assert refused(lambda: select(table, claims("http://a.example/realms/y"))).hint is None


def test_an_upper_case_scheme_that_is_configured_never_matches() -> None:
    """CFG-12."""
    error = refused(lambda: select([Configured("HTTPS://a.example", "app")], claims("HTTPS://a.example")))

    assert error.reason is Reason.UNKNOWN_ISSUER


def test_without_providers_every_token_is_refused() -> None:
    """SEL-05; CFG-001."""
    assert refused(lambda: select([], claims())).reason is Reason.UNKNOWN_ISSUER


@pytest.mark.parametrize(
    ("aud", "found"),
    [
        ("app", True), (["app"], True), (["other", "app"], True), (["app", "app"], True),
        ("other", False), ([], False), (None, False), ("APP", False), ("app ", False), ("ap", False), ("", False),
        (["app,other"], False),
    ],
    ids=[
        "text", "list", "second of a list", "twice", "another", "empty list", "null", "case", "blank", "prefix",
        "empty text", "joined",
    ],
)  # fmt: skip
def test_a_provider_needs_its_exact_audience(aud: Any, *, found: bool) -> None:
    """SEL-01."""
    if found:
        assert select([A], claims(aud=aud)) == 0
    else:
        error = refused(lambda: select([A], claims(aud=aud)))
        assert (error.reason, error.rule, error.step) == (Reason.AUDIENCE_MISMATCH, "SEL-01", Step.SELECT)
        assert error.convex_code == "NoAuthProvider"


@pytest.mark.parametrize("aud", ["x", ["x", "y"], [], None, ""], ids=["text", "list", "empty list", "null", "empty"])
def test_a_provider_for_any_audience_takes_every_token_of_its_issuer(aud: JsonValue) -> None:
    assert select([Configured("https://a.example", None)], claims(aud=aud)) == 0


def test_an_empty_application_id_asks_for_an_empty_audience() -> None:
    """CFG-17."""
    assert select([Configured("https://a.example", "")], claims(aud="")) == 0
    assert refused(lambda: select([Configured("https://a.example", "")], claims(aud=None))).reason is (
        Reason.AUDIENCE_MISMATCH
    )


@pytest.mark.parametrize(
    ("providers", "aud", "index"),
    [
        pytest.param([("a", "x"), ("a", "y")], ["y", "x"], 0, id="two audiences, the order of the token is nothing"),
        pytest.param([("a", "x"), ("a", "y")], "y", 1, id="the second fits"),
        pytest.param([("a", "x"), ("a", "x")], "x", 0, id="the same twice"),
        pytest.param([("a", None), ("a", "x")], "x", 0, id="any audience before"),
        pytest.param([("a", "x"), ("a", None)], "x", 0, id="any audience behind"),
        pytest.param([("a", "x"), ("a", None)], "y", 1, id="only any audience fits"),
        pytest.param([("a", None), ("a", None)], "y", 0, id="any audience twice"),
        pytest.param([("b", "x"), ("a", "y"), ("a", "x")], "x", 2, id="another issuer does not count"),
        pytest.param([("a/", "x"), ("a", "x")], "x", 0, id="spellings of one issuer share its providers"),
    ],
)
def test_the_first_provider_in_written_order_decides(
    providers: list[tuple[str, str | None]],
    aud: JsonValue,
    index: int,
) -> None:
    """SEL-03; DV-16."""
    entries = [
        Configured(f"https://{issuer[0]}.example{issuer[1:]}", application_id) for issuer, application_id in providers
    ]

    assert select(entries, claims(aud=aud)) == index


@pytest.mark.parametrize(
    ("configured", "claims_of_token", "hint"),
    [
        pytest.param("app", {"aud": None}, Hint.NO_AUDIENCE, id="no audience"),
        pytest.param("app", {"aud": []}, Hint.NO_AUDIENCE, id="an empty list"),
        pytest.param(
            "app", {"aud": "https://a.example", "cid": "app"}, Hint.AVE_ACCESS_TOKEN, id="for the issuer, with cid"
        ),
        pytest.param("app", {"aud": ["api", "https://a.example"]}, Hint.ACCESS_TOKEN, id="for the issuer"),
        pytest.param("", {"aud": "other"}, Hint.EMPTY_APPLICATION_ID, id="an empty application id"),
        pytest.param("app", {"aud": "origin:https://s.example"}, Hint.ORIGIN_AUDIENCE, id="the token is of Quick Ave"),
        pytest.param(
            "origin:https://s.example", {"aud": "app"}, Hint.ORIGIN_AUDIENCE, id="the provider is of Quick Ave"
        ),
        pytest.param("app", {"aud": "other"}, Hint.OTHER_CLIENT, id="another client"),
    ],
)
def test_a_wrong_audience_says_what_it_looks_like(configured: str, claims_of_token: JsonValue, hint: Hint) -> None:
    error = refused(lambda: select([Configured("https://a.example", configured)], claims(**claims_of_token)))

    assert error.hint is hint


def test_a_token_without_the_claim_aud_is_hinted_at_too() -> None:
    token = read(without(good_claims(iss="https://a.example"), "aud"))

    assert refused(lambda: select([A], token)).hint is Hint.NO_AUDIENCE


@pytest.mark.parametrize("others", [6, 7, 8, 3000], ids=str)
@pytest.mark.parametrize("first", [True, False], ids=["in front", "behind"])
def test_the_lowest_index_wins_among_any_number_of_audiences(others: int, *, first: bool) -> None:
    """SEL-03: around the number from which they are looked up as a set."""
    crowd = [f"other{number}" for number in range(others)]
    known = ["third", "second"]
    token = claims(aud=[*known, *crowd] if first else [*crowd, *known])
    providers = [Configured("https://a.example", name) for name in ("first", "second", "third")]

    assert select(providers, token) == 1
    assert select([*providers, Configured("https://a.example", None)], claims(aud=crowd)) == 3
    assert refused(lambda: select(providers, claims(aud=crowd))).reason is Reason.AUDIENCE_MISMATCH
