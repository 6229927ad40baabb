"""The claims: types, dates, subject and audience (RFC 7519 §4.1; OpenID Connect Core §2, §3.1.3.7)."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from aveverify import Provider
from aveverify._core.jose.encoding import JsonValue
from aveverify.testing import FakeClock
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]
DATES = ("exp", "nbf", "iat")
LAST_SECOND = 253402300799


def of(oidc: str, custom: str, **claims: JsonValue) -> Case:
    return Case(lambda: scenario.token(claims), oidc, custom)


def written(name: str, literal: str, expected: str = "IAH") -> Case:
    return Case(lambda: scenario.with_member(name, literal), expected, expected)


@pytest.mark.parametrize(
    ("kind", "seconds", "expected"),
    [
        pytest.param("oidc", -1, "accept", id="CLM-002 a second before"),
        pytest.param("oidc", -0.001, "accept", id="CLM-002 a millisecond before"),
        pytest.param("oidc", 0, "UNA", id="CLM-002 at exp"),
        pytest.param("oidc", 1, "UNA", id="CLM-002 a second after"),
        pytest.param("customJwt", 4, "accept", id="CLM-003 within the leeway"),
        pytest.param("customJwt", 5.999, "accept", id="CLM-003 the last of the leeway"),
        pytest.param("customJwt", 6, "IAH", id="CLM-003 past the leeway"),
    ],
)
def test_a_token_ends_at_its_second(kind: Kind, seconds: float, expected: str) -> None:
    token = scenario.token({"exp": scenario.now()}) if seconds >= 0 else scenario.token({"exp": scenario.now() + 1})
    clock = FakeClock(scenario.now() + (seconds if seconds >= 0 else 1 + seconds))
    with scenario.issuer().verifier(scenario.provider(kind), clock=clock) as verifier:
        assert scenario.answer(verifier, token) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(5, "accept"), (6, "IAH")], ids=["5 s ahead", "6 s ahead"])
@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_custom_token_may_begin_five_seconds_ahead(name: str, seconds: int, expected: str) -> None:
    """CLM-031 (nbf), CLM-034 (iat): leeway towards the future."""
    scenario.check(Case(lambda: scenario.token({name: scenario.now() + seconds}), None, expected), "customJwt")


@cases(
    *(
        (f"{id_} {name} {literal[:12]}", written(name, literal))
        for name in DATES
        for id_, literal in (
            ("CLM-012", "true"),
            ("CLM-012", "false"),
            ("CLM-014", "[]"),
            ("CLM-014", "{}"),
            ("CLM-014", "[1]"),
            ("CLM-015", "NaN"),
            ("CLM-015", "Infinity"),
            ("CLM-015", "1e400"),
            ("CLM-018", "-1"),
            ("CLM-018", "-1.5"),
            ("CLM-020", str(LAST_SECOND + 1)),
            ("CLM-020", "1700003600000"),
            ("CLM-021", "1700003600000000"),
            ("CLM-021", "1700003600000000000"),
            ("CLM-022", str(2**53)),
            ("CLM-022", str(2**63)),
            ("CLM-022", str(2**64)),
            ("CLM-022", str(2**128)),
            ("CLM-023", "9" * 4000),
        )
    ),
)
def test_a_date_is_a_number_of_seconds_within_the_calendar(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("CLM-016 a fraction", written("exp", "1700000600.9", "accept")),
    ("CLM-017 an exponent", written("exp", "1.9e9", "accept")),
    ("CLM-018 minus zero", Case(lambda: scenario.with_member("iat", "-0"), "accept", "accept")),
    ("CLM-020 the last second", written("exp", str(LAST_SECOND), "accept")),
)
def test_every_spelling_of_a_number_counts(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def issued_in(seconds: int, life: int = 3600) -> str:
    return scenario.token({"iat": scenario.now() + seconds, "exp": scenario.now() + seconds + life})


@cases(
    ("CLM-034 an hour ahead", Case(lambda: issued_in(3600), "accept", "IAH")),
    ("CLM-035 years ago", of("accept", "accept", iat=1)),
    ("CLM-036 after exp", Case(lambda: issued_in(4, life=-2), "accept", "accept")),
)
def test_the_date_of_issue_says_little(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("CLM-038 number", of("IAH", "IAH", sub=1)),
    ("CLM-039 null", of("IAH", "IAH", sub=None)),
    ("CLM-041 list", of("IAH", "IAH", sub=["u"])),
    ("CLM-045 300 characters", of("accept", "accept", sub="u" * 300)),
    ("CLM-045 10 KB", of("accept", "accept", sub="u" * 10_000)),
    ("CLM-046 a bar", of("accept", "accept", sub="a|b")),
)
def test_a_subject_is_a_text(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("CLM-050 missing", Case(lambda: scenario.issuer().token(omit=("aud",)), "NAP", "NAP")),
    ("CLM-052 list", of("accept", "accept", aud=["app"])),
    ("CLM-053 twice", of("accept", "accept", aud=["app", "app"])),
    ("CLM-056 empty list", of("NAP", "NAP", aud=[])),
    ("CLM-057 empty", of("NAP", "NAP", aud="")),
    ("CLM-058 null", of("NAP", "NAP", aud=None)),
    ("CLM-059 number", of("IAH", "IAH", aud=1)),
    ("CLM-059 true", of("IAH", "IAH", aud=True)),
    ("CLM-059 object", of("IAH", "IAH", aud={"app": 1})),
    ("CLM-060 mixed", of("IAH", "IAH", aud=["app", 1])),
    ("CLM-061 nested", of("IAH", "IAH", aud=[["app"]])),
    ("CLM-062 null inside", of("IAH", "IAH", aud=[None, "app"])),
    ("CLM-064 prefix", of("NAP", "NAP", aud="ap")),
    ("CLM-064 suffix", of("NAP", "NAP", aud="pp")),
    ("CLM-064 longer", of("NAP", "NAP", aud="apps")),
    ("CLM-065 among many", of("UNA", "accept", aud=[*(str(n) for n in range(1200)), "app"])),
    ("CLM-065 not among many", of("NAP", "NAP", aud=[str(n) for n in range(1200)])),
)
def test_only_the_application_id_is_the_audience(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@pytest.mark.parametrize(
    "audience",
    [
        pytest.param("absent", id="CLM-050"),
        pytest.param([], id="CLM-056"),
        pytest.param("", id="CLM-057"),
        pytest.param(None, id="CLM-058"),
    ],
)
def test_a_provider_without_an_application_accepts_any_audience(audience: JsonValue) -> None:
    token = scenario.issuer().token(omit=("aud",)) if audience == "absent" else scenario.token({"aud": audience})
    any_audience = Provider.custom_jwt(
        issuer=scenario.URL, jwks=scenario.issuer().jwks_uri, algorithm="RS256", any_audience=True
    )
    with scenario.issuer().verifier(any_audience) as verifier:
        assert scenario.answer(verifier, token) == "accept"


def test_ten_thousand_audiences_are_looked_through_once() -> None:
    """CLM-065: one look-up in a dictionary for each."""
    token = scenario.token({"aud": [*(str(n) for n in range(9999)), "app"]})
    answers: dict[Kind, str] = {"oidc": "UNA", "customJwt": "accept"}
    for kind, expected in answers.items():
        with scenario.issuer().verifier(scenario.provider(kind), max_token_bytes=200_000) as verifier:
            assert scenario.answer(verifier, token) == expected


def test_two_users_with_the_same_joined_text_stay_apart() -> None:
    """CLM-066: the key of a user is the pair."""
    providers = [
        Provider.custom_jwt(issuer=url, jwks=scenario.issuer().jwks_uri, algorithm="RS256", application_id="app")
        for url in (f"{scenario.URL}/a", f"{scenario.URL}/a|b")
    ]
    with scenario.issuer().verifier(*providers) as verifier:
        one = verifier.verify(scenario.token({"iss": f"{scenario.URL}/a", "sub": "b|c"}))
        other = verifier.verify(scenario.token({"iss": f"{scenario.URL}/a|b", "sub": "c"}))
    assert one.token_identifier == other.token_identifier
    assert (one.issuer, one.subject) != (other.issuer, other.subject)


def test_the_spelling_of_the_issuer_is_kept() -> None:
    """CLM-067: with and without a slash are two token identifiers, as in Convex."""
    with scenario.issuer().verifier(scenario.provider("customJwt")) as verifier:
        found = [
            verifier.verify(scenario.token({"iss": iss})).token_identifier for iss in (scenario.URL, f"{scenario.URL}/")
        ]
    assert found == ["https://good.example|user_ada", "https://good.example/|user_ada"]


@cases(
    ("CLM-068 another azp", of("accept", "accept", azp="other")),
    ("CLM-068 no azp", Case(lambda: scenario.issuer().token(omit=("azp",)), "accept", "accept")),
    ("CLM-068 a number", of("IAH", "accept", azp=1)),
    ("CLM-069 a nonce", of("accept", "accept", nonce="n")),
    ("CLM-069 a number", of("IAH", "accept", nonce=1)),
    ("CLM-073 a tag", Case(lambda: scenario.token({"name#fr": "Ada"}), "accept", "accept")),
    ("CLM-073 a tag elsewhere", Case(lambda: scenario.token({"email#fr": "a@b.c"}), "IAH", "accept")),
    ("CLM-073 an empty tag beside the name", Case(lambda: scenario.token({"name#": "Ada"}), "IAH", "accept")),
)
def test_what_oidc_names_has_its_type_there_and_is_plain_elsewhere(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def test_claims_that_collide_when_they_are_flattened() -> None:
    """CLM-070: on customJwt the later member wins; OIDC does not flatten."""
    for claims, expected in (
        ({"a": {"b": "nested"}, "a.b": "plain"}, "plain"),
        ({"a.b": "plain", "a": {"b": "nested"}}, "nested"),
    ):
        with scenario.issuer().verifier(scenario.provider("customJwt")) as verifier:
            assert verifier.verify(scenario.token(claims)).to_convex().get("a.b") == expected
        with scenario.issuer().verifier() as verifier:
            shown = dict(verifier.verify(scenario.token(claims)).to_convex())
        assert (shown["a"], shown["a.b"]) == ({"b": "nested"}, "plain")


@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
def test_no_claim_can_pose_as_the_key_of_a_user(kind: Kind) -> None:
    """CLM-071: tokenIdentifier, issuer and subject come from iss and sub alone."""
    token = scenario.token({"tokenIdentifier": "x|y", "issuer": "https://evil.example", "subject": "root"})
    with scenario.issuer().verifier(scenario.provider(kind)) as verifier:
        identity = verifier.verify(token)
    shown = json.loads(json.dumps(identity.to_convex()))
    assert (identity.token_identifier, identity.issuer, identity.subject) == (
        "https://good.example|user_ada",
        scenario.URL,
        "user_ada",
    )
    assert (shown["tokenIdentifier"], shown["issuer"], shown["subject"]) == (
        "https://good.example|user_ada",
        scenario.URL,
        "user_ada",
    )


def test_a_custom_claim_gives_way_to_the_standard_claim_of_its_attribute() -> None:
    """CLM-071, DV-07: `pictureUrl` beside `picture`; alone it surfaces."""
    with scenario.issuer().verifier() as verifier:
        beside = verifier.verify(scenario.token({"pictureUrl": "https://evil.example/x.png"}))
        alone = verifier.verify(scenario.issuer().token({"pictureUrl": "https://x.example/x.png"}, omit=("picture",)))
    assert beside.picture_url == "https://images.test/ada.png"
    assert dict(beside.to_convex())["pictureUrl"] == "https://images.test/ada.png"
    assert dict(alone.to_convex())["pictureUrl"] == "https://x.example/x.png"
