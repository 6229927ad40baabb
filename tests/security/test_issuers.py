"""Issuers: compared as text, and never an address that a token chose (RFC 8725 §3.8, §3.10)."""

from __future__ import annotations

from typing import Literal

import pytest

from aveverify import Provider
from aveverify._core.jose.encoding import JsonValue
from tests.security import scenario
from tests.security.scenario import Case, Wire, cases

Kind = Literal["oidc", "customJwt"]


def of(oidc: str, custom: str, iss: JsonValue) -> Case:
    return Case(lambda: scenario.token({"iss": iss}), oidc, custom)


@cases(
    ("ISS-001 unknown", of("NAP", "NAP", "https://evil.example")),
    ("ISS-002 missing", Case(lambda: scenario.issuer().token(omit=("iss",)), "IAH", "IAH")),
    ("ISS-002 null", of("IAH", "IAH", None)),
    ("ISS-002 empty", of("NAP", "NAP", "")),
    ("ISS-004 list", of("IAH", "IAH", [scenario.URL])),
    ("ISS-007 true", of("IAH", "IAH", True)),  # noqa: FBT003 - a JSON value
    ("ISS-008 inside an object", of("IAH", "IAH", {"iss": scenario.URL})),
    ("ISS-016 query", of("NAP", "NAP", f"{scenario.URL}?x=")),
    ("ISS-018 dot", of("NAP", "NAP", f"{scenario.URL}/.")),
    ("ISS-019 two slashes", of("DISC", "accept", f"{scenario.URL}//")),
    ("ISS-020 encoded dots", of("NAP", "NAP", f"{scenario.URL}/%2e%2e")),
    ("ISS-024 scheme case", of("NAP", "NAP", "HTTPS://good.example")),
    ("ISS-027 downgrade", of("NAP", "NAP", "http://good.example")),
    ("ISS-031 blank", of("NAP", "NAP", f" {scenario.URL}")),
    ("ISS-032 newline", of("NAP", "NAP", f"{scenario.URL}\n")),
    ("ISS-032 tab", of("NAP", "NAP", "https://good\t.example")),
    ("ISS-034 punycode", of("NAP", "NAP", "https://xn--gd-emc.example")),
    ("ISS-037 NUL", of("NAP", "NAP", f"{scenario.URL}%00")),
    ("ISS-045 a slash more", of("DISC", "accept", f"{scenario.URL}/")),
)
def test_only_the_configured_text_is_the_issuer(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def test_an_unknown_issuer_costs_no_request() -> None:
    """ISS-001: neither its own address nor that of the configured one is asked."""
    wire = Wire()
    with scenario.issuer().verifier(fetcher=wire) as verifier:
        assert scenario.answer(verifier, scenario.token({"iss": "https://evil.example"})) == "NAP"
    assert wire.requests == []


def test_a_slash_in_the_configuration_alone_does_not_matter() -> None:
    """ISS-045: the token and the discovery document agree, which is what counts."""
    for provider in (
        Provider(issuer=f"{scenario.URL}/", application_id="app"),
        Provider.custom_jwt(
            issuer=f"{scenario.URL}/", jwks=scenario.issuer().jwks_uri, algorithm="RS256", application_id="app"
        ),
    ):
        with scenario.issuer().verifier(provider) as verifier:
            assert scenario.answer(verifier, scenario.token()) == "accept"


@pytest.mark.parametrize(
    ("audience", "expected"), [("one", 0), ("two", 1), ("three", None)], ids=["the first", "the second", "neither"]
)
def test_the_audience_chooses_between_two_applications_of_one_issuer(audience: str, expected: int | None) -> None:
    """ISS-046: the first provider in written order whose audience fits."""
    providers = [Provider(issuer=scenario.URL, application_id=name) for name in ("one", "two")]
    token = scenario.token({"aud": audience})
    with scenario.issuer().verifier(*providers) as verifier:
        if expected is None:
            assert scenario.answer(verifier, token) == "NAP"
        else:
            assert verifier.verify(token).provider == providers[expected]


@cases(
    ("XJW-002 the audience is the API", Case(lambda: scenario.token({"aud": "https://api.example"}), "NAP", "NAP")),
    (
        "XJW-002 the API is a second audience",
        Case(lambda: scenario.token({"aud": ["app", "https://api.example"]}), "UNA", "accept"),
    ),
)
def test_an_access_token_is_told_by_its_audience(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)
