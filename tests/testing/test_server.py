"""`FakeIssuer.serve`: the same issuer behind a real port of this machine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from aveverify import FetchResponse, KeysUnavailableError, Verifier
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(algorithms=("EdDSA",), clock=clock)


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def test_a_verifier_of_the_real_network_gets_its_keys(
    issuer: FakeIssuer, clock: FakeClock, verify_any: VerifyAny
) -> None:
    with issuer.serve() as url, Verifier(issuer.provider, clock=clock) as verifier:
        assert verify_any(verifier, issuer.token()).token_identifier == f"{url}|user_ada"
    assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 1)


def test_the_issuer_is_the_server_for_the_length_of_the_block(issuer: FakeIssuer) -> None:
    before = issuer.issuer
    with issuer.serve() as url:
        assert issuer.issuer == issuer.provider.issuer == url
        assert url.startswith("http://127.0.0.1:")
    assert issuer.issuer == before
    with pytest.raises(httpx.ConnectError):
        get(url)


def test_documents_come_with_type_length_and_freshness(clock: FakeClock) -> None:
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock, max_age_seconds=300)
    with issuer.serve() as url:
        metadata = get(url + DISCOVERY)
        keys = get(metadata.json()["jwks_uri"])
    assert [answer.headers["content-type"] for answer in (metadata, keys)] == [
        "application/json",
        "application/jwk-set+json",
    ]
    assert keys.headers["cache-control"] == "max-age=300"
    assert int(keys.headers["content-length"]) == len(keys.content)
    assert [key["kty"] for key in keys.json()["keys"]] == ["OKP"]


def test_other_addresses_are_not_found(issuer: FakeIssuer) -> None:
    with issuer.serve() as url:
        assert get(f"{url}/token").status_code == 404


def test_an_issuer_that_is_down_answers_503(issuer: FakeIssuer, clock: FakeClock) -> None:
    with issuer.serve() as url, Verifier(issuer.provider, clock=clock) as verifier:
        issuer.go_down()
        assert get(url + DISCOVERY).status_code == 503
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        issuer.come_up()
        clock.tick(seconds=60)
        assert verifier.verify(issuer.token()).subject


def test_replaced_documents_are_served_too_their_headers_as_pairs(issuer: FakeIssuer) -> None:
    issuer.answer_keys_with(FetchResponse(status=429, headers=(("Retry-After", "7"), ("X-Two", "2")), body=b"no"))
    with issuer.serve():
        answer = get(issuer.jwks_uri)
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (429, "7", "no")


def test_requests_of_many_threads_are_all_counted(issuer: FakeIssuer) -> None:
    with issuer.serve() as url, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(get, [url + DISCOVERY] * 40))
    assert {answer.status_code for answer in answers} == {200}
    assert issuer.discovery_requests == 40


def test_it_serves_an_event_loop(issuer: FakeIssuer, clock: FakeClock) -> None:
    async def scenario() -> str:
        with issuer.serve(), Verifier(issuer.provider, clock=clock) as verifier:
            return (await verifier.verify_async(issuer.token())).subject

    assert asyncio.run(scenario()) == "user_ada"


def test_it_prints_nothing_and_leaves_no_thread(issuer: FakeIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    with issuer.serve() as url:
        get(url)
    assert capsys.readouterr() == ("", "")
    assert not any(thread.name == "aveverify-fake-issuer" for thread in threading.enumerate())
