"""The discovery document names the configured issuer, or there are no keys (OpenID Connect Discovery §4)."""

from __future__ import annotations

import json

import pytest

from aveverify import FetchError, FetchRequest, FetchResponse, Provider
from aveverify._core.jose.encoding import JsonValue
from aveverify.testing import FakeClock, FakeIssuer
from tests.security import scenario
from tests.security.scenario import Wire

JSON = {"Content-Type": "application/json"}


def ask(token: str | None = None, **metadata: JsonValue) -> tuple[str, Wire]:
    wire = Wire(**metadata)
    with scenario.issuer().verifier(fetcher=wire) as verifier:
        return scenario.answer(verifier, token or scenario.token()), wire


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param("https://GOOD.example", id="DSC-002 host case"),
        pytest.param("https://good.example:443", id="DSC-002 port"),
        pytest.param("http://good.example", id="DSC-002 scheme"),
        pytest.param(None, id="DSC-003 null"),
        pytest.param(1, id="DSC-003 number"),
        pytest.param([scenario.URL], id="DSC-003 list"),
    ],
)
def test_a_document_of_another_issuer_gives_no_keys(issuer: JsonValue) -> None:
    assert ask(issuer=issuer)[0] == "unavailable DISC"


def test_a_document_may_differ_by_a_slash_where_the_token_says_the_same() -> None:
    """DSC-002: the token must equal the document."""
    slash = f"{scenario.URL}/"
    assert ask(issuer=slash)[0] == "DISC"
    assert ask(scenario.token({"iss": slash}), issuer=slash)[0] == "accept"


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", 'data:application/json,{"keys":[]}', "ftp://good.example/jwks", "gopher://good.example/",
     "javascript:0", "unix:/run/keys.sock"],
)  # fmt: skip
def test_keys_come_over_https_or_not_at_all(address: str) -> None:
    """DSC-007: CVE-2026-48522."""
    answer, wire = ask(jwks_uri=address)
    assert (answer, wire.strays) == ("unavailable DISC", set())


class Elsewhere:
    """Two hosts: the discovery document on one, the keys on the other."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    def fetch(self, request: FetchRequest) -> FetchResponse:
        if request.url == "https://keys.example/jwks":
            return FetchResponse(status=200, headers=JSON, body=json.dumps({"keys": [scenario.key().jwk]}).encode())
        assert request.url.startswith(scenario.URL)
        return FetchResponse(status=200, headers=JSON, body=self._document)


def test_keys_may_be_on_another_host() -> None:
    """DSC-005: as Google does it."""
    document = json.dumps({"issuer": scenario.URL, "jwks_uri": "https://keys.example/jwks"}).encode()
    with scenario.issuer().verifier(fetcher=Elsewhere(document)) as verifier:
        assert scenario.answer(verifier, scenario.token()) == "accept"


@pytest.mark.parametrize("name", ["issuer", "jwks_uri"])
def test_a_document_with_two_answers_has_none(name: str) -> None:
    """DSC-013: duplicate members."""
    text = json.dumps({"issuer": scenario.URL, "jwks_uri": "https://keys.example/jwks"})
    document = text[:-1] + f',"{name}":"https://evil.example"}}'
    with scenario.issuer().verifier(fetcher=Elsewhere(document.encode())) as verifier:
        assert scenario.answer(verifier, scenario.token()) == "unavailable DISC"


def test_what_is_not_read_may_be_anything() -> None:
    """DSC-012, DV-20: unrelated metadata."""
    assert ask(authorization_endpoint=7, scopes_supported=[1, None], claims_supported={}, x=None)[0] == "accept"


@pytest.mark.parametrize("issuer", ["https://good.example/tenant", "https://good.example/tenant/"])
def test_the_well_known_path_stands_behind_the_path_of_the_issuer(issuer: str) -> None:
    """DSC-010: appended, never resolved."""
    tenant = FakeIssuer(issuer, algorithms=("EdDSA",))
    with tenant.verifier() as verifier:
        assert scenario.answer(verifier, tenant.token()) == "accept"
    assert tenant.discovery_requests == 1


def test_a_path_with_another_owner_is_another_issuer() -> None:
    """DSC-016: a document below the issuer's host does not count for the issuer."""
    other = Provider(issuer=f"{scenario.URL}/user-content", application_id="app")
    document = json.dumps({"issuer": scenario.URL, "jwks_uri": "https://keys.example/jwks"}).encode()
    with scenario.issuer().verifier(other, fetcher=Elsewhere(document)) as verifier:
        assert scenario.answer(verifier, scenario.token()) == "NAP"
        assert scenario.answer(verifier, scenario.token({"iss": other.issuer})) == "unavailable DISC"


class Half:
    """An issuer of which one document can fail."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self.issuer = issuer
        self.fails: str | None = None

    def fetch(self, request: FetchRequest) -> FetchResponse:
        if self.fails is not None and self.fails in request.url:
            message = "connection refused"
            raise FetchError(message)
        return self.issuer.fetch(request)


@pytest.mark.parametrize("part", ["openid-configuration", "jwks.json"])
def test_one_document_that_fails_is_an_outage_while_cold_and_none_while_warm(clock: FakeClock, part: str) -> None:
    """DSC-014: either way round; keys that were fetched before stay in use."""
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    half = Half(issuer)
    half.fails = part
    with issuer.verifier(fetcher=half) as verifier:
        assert scenario.answer(verifier, issuer.token()) == "unavailable DISC"
        half.fails = None
        clock.tick(seconds=60)
        assert scenario.answer(verifier, issuer.token()) == "accept"
        half.fails = part
        clock.tick(seconds=1200)
        assert scenario.answer(verifier, issuer.token()) == "accept"


def test_a_new_address_of_the_keys_is_used_after_the_old_one_is_gone(clock: FakeClock) -> None:
    """DSC-015: the old keys go with the old set."""
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    successor = FakeIssuer(algorithms=("EdDSA",), clock=clock)
    moved = {"issuer": issuer.issuer, "jwks_uri": f"{issuer.issuer}/moved"}

    class Moving:
        has_moved = False

        def fetch(self, request: FetchRequest) -> FetchResponse:
            if not self.has_moved:
                return issuer.fetch(request)
            if request.url == moved["jwks_uri"]:
                keys = json.dumps({"keys": [successor._published[0].jwk]}).encode()
                return FetchResponse(status=200, headers=JSON, body=keys)
            if request.url == issuer.jwks_uri:
                return FetchResponse(status=410)
            return FetchResponse(status=200, headers=JSON, body=json.dumps(moved).encode())

    moving = Moving()
    with issuer.verifier(fetcher=moving) as verifier:
        old = issuer.token()
        assert scenario.answer(verifier, old) == "accept"
        moving.has_moved = True
        clock.tick(seconds=30)
        assert scenario.answer(verifier, successor.token()) == "accept"
        assert scenario.answer(verifier, old) == "UNA"
