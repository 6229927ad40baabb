"""Forged signatures: only the bytes that the published key made over exactly this token count (RFC 7515 §5.2)."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from aveverify import FetchRequest, FetchResponse
from aveverify.testing import FakeIssuer
from aveverify.testing._keys import dump_json, encode, encode_json
from tests.security import scenario
from tests.security.scenario import Case, cases

Kind = Literal["oidc", "customJwt"]
# FIPS 186-5 §3.1, SEC 2 §2.4.2: the order of P-256.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def with_signature(r: int, s: int) -> str:
    signing_input = scenario.header({"alg": "ES256", "kid": scenario.key("ES256").kid}, "ES256").rpartition(".")[0]
    return f"{signing_input}.{encode(r.to_bytes(32) + s.to_bytes(32))}"


@cases(
    ("SIG-008 r=1 s=0", Case(lambda: with_signature(1, 0), None, "IAH", algorithm="ES256")),
    ("SIG-010 r=n-1 s=n-1", Case(lambda: with_signature(N - 1, N - 1), None, "IAH", algorithm="ES256")),
)
def test_degenerate_values_are_no_signature(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


class TwoIssuers:
    """Answers for both issuers, each with its own documents."""

    def __init__(self, *issuers: FakeIssuer) -> None:
        self._issuers = issuers

    def fetch(self, request: FetchRequest) -> FetchResponse:
        (owner,) = [issuer for issuer in self._issuers if request.url.startswith(issuer.issuer + "/")]
        return owner.fetch(request)


@pytest.mark.parametrize(("kind", "expected"), [("oidc", "UNA"), ("customJwt", "IAH")])
@pytest.mark.parametrize("takes_over_the_kid", [True, False], ids=["same kid", "its own kid"])
def test_one_provider_cannot_sign_for_another(kind: Kind, expected: str, *, takes_over_the_kid: bool) -> None:
    """SIG-005, XJW-010: both are trusted, each for its own users only; also after the caches are warm."""
    other = FakeIssuer("https://other.example", application_id="app", clock=scenario.issuer().clock)
    providers = [
        one.provider if kind == "oidc" else one.custom_jwt_provider("RS256") for one in (scenario.issuer(), other)
    ]
    kid = {"kid": scenario.key().kid} if takes_over_the_kid else {}
    forged = other.token(iss=scenario.URL, header=kid)
    with scenario.issuer().verifier(*providers, fetcher=TwoIssuers(scenario.issuer(), other)) as verifier:
        assert scenario.answer(verifier, forged) == expected
        assert scenario.answer(verifier, other.token()) == "accept"
        assert scenario.answer(verifier, scenario.token()) == "accept"
        assert scenario.answer(verifier, forged) == expected


def over_raw_payload() -> str:
    """RFC 7797: the signature is over the payload itself instead of its base64url."""
    head = encode_json({"alg": "RS256", "kid": scenario.key().kid, "b64": False, "crit": ["b64"]})
    body = dump_json(scenario.issuer().claims())
    return f"{head}.{encode(body)}.{encode(scenario.key().sign(head.encode() + b'.' + body))}"


def detached() -> str:
    head, _, signature = scenario.token().split(".")
    return f"{head}..{signature}"


def without_crit() -> str:
    head = encode_json({"alg": "RS256", "kid": scenario.key().kid, "b64": False})
    body = dump_json(scenario.issuer().claims())
    return f"{head}.{encode(body)}.{encode(scenario.key().sign(head.encode() + b'.' + body))}"


@cases(
    ("SIG-028 raw payload", Case(over_raw_payload, "UNA", "IAH")),
    ("SIG-028 detached", Case(detached, "IAH", "IAH")),
    ("SIG-028 b64 without crit", Case(without_crit, "UNA", "IAH")),
)
def test_a_signature_over_something_else_is_none(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)


def flattened() -> str:
    head, body, signature = scenario.token().split(".")
    return json.dumps({"protected": head, "payload": body, "signature": signature})


def general() -> str:
    head, body, signature = scenario.token().split(".")
    return json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]})


def polyglot() -> str:
    """CVE-2022-39227: JSON around a compact token, so that two parsers read two tokens."""
    head, body, signature = scenario.token().split(".")
    evil = encode_json(scenario.issuer().claims() | {"sub": "somebody-else"})
    return f'{{"  {head}.{evil}.":"","protected":"{head}","payload":"{body}","signature":"{signature}"}}'


@cases(
    ("SIG-029 flattened", Case(flattened, "IAH", "IAH")),
    ("SIG-029 general", Case(general, "IAH", "IAH")),
    ("SIG-029 polyglot", Case(polyglot, "IAH", "IAH")),
)
def test_only_the_compact_serialization_is_a_token(case: Case, kind: Kind) -> None:
    scenario.check(case, kind)
