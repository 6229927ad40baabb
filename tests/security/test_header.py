"""The JOSE header: nothing in it is an address, a path, a command or a key (RFC 8725 §3.10; RFC 7515 §4)."""

from __future__ import annotations

from typing import Literal

from aveverify._core.jose.encoding import JsonValue
from aveverify.testing._keys import encode, encode_json
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]


def case(oidc: str, custom: str, **header: JsonValue) -> Case:
    return Case(lambda: scenario.token(**header), oidc, custom)


@cases(
    *(
        (f"HDR-002 {name}", case("accept", "accept", jku=url))
        for name, url in {
            "https": "https://evil.example/jwks.json",
            "http": "http://evil.example/jwks.json",
            "file": "file:///etc/passwd",
            "data": 'data:application/json,{"keys":[]}',
            "internal": "https://169.254.169.254/latest",
            "same host": f"{scenario.URL}/upload/jwks.json",
        }.items()
    )
)
def test_no_address_of_the_header_is_ever_asked(case: Case, kind: Kind) -> None:
    """The genuine key signed, so the token is good; `check` sees that only the issuer was asked."""
    scenario.check(case, kind)


def foreign_with_jku() -> str:
    """Signed by an attacker, with a header that names the URL of the attacker's key."""
    from aveverify.testing._keys import SigningKey, dump_json  # noqa: PLC0415 - used once

    attacker = SigningKey("RS256", scenario.key().kid)
    header = {"alg": "RS256", "kid": attacker.kid, "jku": "https://evil.example/jwks.json"}
    return attacker.sign_token(header, dump_json(scenario.issuer().claims()))


@cases(("HDR-002 an attacker's key", Case(foreign_with_jku, "UNA", "IAH")))
def test_a_key_that_the_header_points_at_is_not_fetched(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    *(
        (f"{id_} {name}", case("UNA", "IAH", kid=kid))
        for id_, name, kid in (
            ("HDR-012", "a file", "/proc/self/environ"),
            ("HDR-016", "a command", "$(sleep 10)"),
            ("HDR-020", "a header line", "\r\nX-Injected: 1"),
            ("HDR-022", "a template", "{{7*7}}"),
            ("HDR-023", "an attribute", "__class__"),
            ("HDR-024", "a URL", "https://evil/jwks.json"),
            ("HDR-025", "a long name", "a" * 4000),
        )
    )
)
def test_a_key_id_is_only_a_text_to_compare(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("HDR-031 number", case("IAH", "IAH", kid=1)),
    ("HDR-032 null", Case(lambda: scenario.token(kid=None), "accept", "IAH", lambda: [scenario.key().jwk])),
    ("HDR-036 list", case("IAH", "IAH", kid=["a"])),
)
def test_a_key_id_of_another_type_does_not_bypass_the_choice_of_the_key(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("HDR-045 a standard name", case("UNA", "IAH", crit=["alg"])),
    ("HDR-046 a number", case("IAH", "IAH", crit=[1])),
    ("HDR-047 an absent member", case("UNA", "IAH", crit=["x"])),
    ("HDR-048 b64 true", case("UNA", "IAH", crit=["b64"], b64=True)),
    ("HDR-050 b64 false without crit", case("accept", "accept", b64=False)),
    ("HDR-051 b64 false with crit", case("UNA", "IAH", b64=False, crit=["b64"])),
)
def test_no_critical_extension_is_understood(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


@cases(
    ("HDR-060 absent", Case(lambda: scenario.header({"alg": "RS256", "kid": scenario.key().kid}), "accept", "accept")),
    *(
        (f"{id_} {typ}", case("UNA", "accept", typ=typ))
        for id_, typ in (
            ("HDR-065", "at+jwt"),
            ("HDR-069", "secevent+jwt"),
            ("HDR-070", "oauth-authz-req+jwt"),
            ("HDR-071", "token-introspection+jwt"),
            ("HDR-075", "application/jwt;charset=utf-8"),
            ("XJW-004", "logout+jwt"),
        )
    ),
    ("HDR-080 cty JWT", case("UNA", "accept", cty="JWT")),
    ("HDR-080 another cty", case("UNA", "accept", cty="application/json")),
    ("HDR-080 a nested token", Case(lambda: scenario.payload(scenario.token()), "IAH", "IAH")),
)
def test_a_header_that_names_another_kind_of_token_is_believed(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def with_header(text: str) -> Case:
    return Case(lambda: scenario.header(text.replace("KID", scenario.key().kid).encode()), "IAH", "IAH")


@cases(
    ("HDR-083 alg", with_header('{"alg":"RS256","kid":"KID","alg":"none"}')),
    ("HDR-083 kid", with_header('{"alg":"RS256","kid":"x","kid":"KID"}')),
    ("HDR-083 unknown", with_header('{"alg":"RS256","kid":"KID","x":1,"x":2}')),
)
def test_a_member_that_stands_twice_is_refused(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def test_the_payload_of_a_b64_token_is_never_raw() -> None:
    """HDR-051: a raw payload has no base64url form, so it is no token."""
    head = encode_json({"alg": "RS256", "kid": scenario.key().kid, "b64": False, "crit": ["b64"]})
    raw = '{"sub":"x"}'
    token = f"{head}.{raw}.{encode(scenario.key().sign(f'{head}.{raw}'.encode()))}"
    for kind in ("oidc", "customJwt"):
        scenario.check(Case(lambda: token, "IAH", "IAH"), kind)
