"""`FakeIssuer`: real tokens, real documents, outages and rotations."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

import aveverify.testing
from aveverify import (
    Fetcher,
    FetchError,
    FetchRequest,
    FetchResponse,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
)
from aveverify.testing import FakeClock, FakeIssuer
from aveverify.testing._keys import KeyAlgorithm, SigningKey
from tests.conftest import VerifyAny
from tests.core.jose_factory import decode


def test_the_room_has_three_public_names() -> None:
    assert aveverify.testing.__all__ == sorted(aveverify.testing.__all__) == ["FakeClock", "FakeIssuer", "Scene"]


def ask(issuer: FakeIssuer, url: str) -> FetchResponse:
    fetcher: Fetcher = issuer
    return fetcher.fetch(FetchRequest(url=url, headers={}, deadline_seconds=1, max_body_bytes=100_000))


def published_keys(issuer: FakeIssuer) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(ask(issuer, issuer.jwks_uri).body)["keys"]
    return keys


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(decode(token.partition(".")[0]))
    return header


def refusal(verifier: Verifier, token: str) -> Reason:
    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(token)
    return caught.value.reason


class TestTokens:
    @pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
    def test_oidc_providers_accept_its_tokens(
        self, clock: FakeClock, verify_any: VerifyAny, algorithm: KeyAlgorithm
    ) -> None:
        issuer = FakeIssuer(algorithms=(algorithm,), clock=clock)
        with issuer.verifier() as verifier:
            identity = verify_any(verifier, issuer.token())
        assert (identity.issuer, identity.subject, identity.name) == ("https://issuer.test", "user_ada", "Ada Lovelace")
        assert identity.expires_at == clock.now() + 3600

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_custom_jwt_providers_accept_its_tokens(
        self, clock: FakeClock, algorithm: Literal["RS256", "ES256"]
    ) -> None:
        issuer = FakeIssuer(algorithms=("EdDSA", "RS256", "ES256"), clock=clock)
        with issuer.verifier(issuer.custom_jwt_provider(algorithm)) as verifier:
            assert verifier.verify(issuer.token(algorithm=algorithm)).subject == "user_ada"
        assert issuer.discovery_requests == 0

    def test_the_preset_of_ave_accepts_them_too(self, issuer: FakeIssuer) -> None:
        with issuer.verifier(Provider.ave("app_test", issuer=issuer.issuer)) as verifier:
            assert verifier.verify(issuer.token()).email == "ada@example.com"

    def test_claims_are_added_replaced_and_left_out(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        token = issuer.token({"sub": "grace", "org id": 7}, omit=("email", "picture"), name="Grace", plan="pro")
        identity = verifier.verify(token)
        assert (identity.subject, identity.name, identity.email) == ("grace", "Grace", None)
        assert (identity["org id"], identity["plan"], "picture" in identity.claims) == (7, "pro", False)

    def test_the_header_says_what_a_test_wants(self, issuer: FakeIssuer) -> None:
        (key,) = published_keys(issuer)
        assert header_of(issuer.token()) == {"alg": "RS256", "typ": "JWT", "kid": key["kid"]}
        assert header_of(issuer.token(header={"alg": 5, "typ": None, "x": [1]})) == {
            "alg": 5,
            "typ": None,
            "kid": key["kid"],
            "x": [1],
        }

    def test_any_payload_can_be_signed(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        assert refusal(verifier, issuer.sign(b"\xff\x00")) is Reason.MALFORMED_PAYLOAD

    def test_dates_follow_the_clock(self, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock) -> None:
        token = issuer.token()
        clock.tick(seconds=3600)
        assert refusal(verifier, token) is Reason.EXPIRED
        assert verifier.verify(issuer.token()).issued_at == clock.now()

    def test_without_a_clock_it_dates_its_tokens_by_the_real_time(self) -> None:
        """So that other code that looks at a token does not call it old."""
        before = int(time.time())
        issuer = FakeIssuer(algorithms=("EdDSA",))
        with issuer.verifier() as verifier:
            issued_at = verifier.verify(issuer.token()).issued_at
        assert issued_at is not None
        assert before <= issued_at <= time.time()

    def test_a_verifier_takes_options(self, issuer: FakeIssuer) -> None:
        with issuer.verifier(max_token_bytes=10) as verifier:
            assert refusal(verifier, issuer.token()) is Reason.TOKEN_TOO_LARGE


class TestKeys:
    def test_two_issuers_never_share_a_key(self, clock: FakeClock) -> None:
        one, other = (FakeIssuer(algorithms=("EdDSA",), clock=clock) for _ in range(2))
        (first,), (second,) = published_keys(one), published_keys(other)
        assert first["kid"] != second["kid"]
        assert first["x"] != second["x"]

    def test_a_key_is_generated_once_at_its_first_use_by_any_thread(self) -> None:
        key = SigningKey("EdDSA")
        assert key._private_key is None
        with ThreadPoolExecutor(8) as pool:
            made = {id(future.result()) for future in [pool.submit(lambda: key.private_key) for _ in range(8)]}
        assert len(made) == 1

    def test_only_public_members_are_published(self, clock: FakeClock) -> None:
        keys = published_keys(FakeIssuer(algorithms=("RS256", "ES256", "EdDSA"), clock=clock))
        common = {"kty", "kid", "alg", "use"}
        assert [set(key) - common for key in keys] == [{"n", "e"}, {"crv", "x", "y"}, {"crv", "x"}]

    def test_there_can_be_several_of_one_algorithm(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("EdDSA", "EdDSA"), clock=clock)
        assert len({key["kid"] for key in published_keys(issuer)}) == 2
        with issuer.verifier() as verifier:
            assert verifier.verify(issuer.token()).subject

    def test_an_algorithm_without_a_key_is_named(self, issuer: FakeIssuer) -> None:
        with pytest.raises(ValueError, match="ES256"):
            issuer.token(algorithm="ES256")

    @pytest.mark.parametrize("algorithms", [(), ("PS256",), "RS256"], ids=["none", "unknown", "text"])
    def test_algorithms_that_make_no_sense_are_refused(self, algorithms: Sequence[KeyAlgorithm]) -> None:
        with pytest.raises(ValueError, match=r"one algorithm|no keys for"):
            FakeIssuer(algorithms=algorithms)


class TestRotation:
    def test_a_new_key_signs_and_the_old_one_stays_published(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        old = issuer.token()
        issuer.rotate()
        new = issuer.token()
        assert header_of(old)["kid"] != header_of(new)["kid"]
        assert [key["kid"] for key in published_keys(issuer)] == [header_of(old)["kid"], header_of(new)["kid"]]
        assert verifier.verify(old) == verifier.verify(new)

    def test_the_old_key_can_be_withdrawn(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        old = issuer.token()
        issuer.rotate(keep_old=False)
        assert verifier.verify(issuer.token()).subject
        assert refusal(verifier, old) is Reason.UNKNOWN_KEY

    def test_the_new_key_can_take_over_the_key_id(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        old = issuer.token()
        issuer.rotate(same_kid=True)
        assert header_of(old)["kid"] == header_of(issuer.token())["kid"]
        assert len(published_keys(issuer)) == 1
        assert refusal(verifier, old) is Reason.BAD_SIGNATURE

    def test_every_algorithm_gets_a_new_key(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("EdDSA", "ES256"), clock=clock)
        issuer.rotate()
        assert [key["alg"] for key in published_keys(issuer)] == ["EdDSA", "ES256", "EdDSA", "ES256"]


class TestDocuments:
    def test_discovery_leads_to_the_keys(self, issuer: FakeIssuer) -> None:
        answer = ask(issuer, "https://issuer.test/.well-known/openid-configuration")
        metadata = json.loads(answer.body)
        assert (answer.status, answer.headers) == (200, {"Content-Type": "application/json"})
        assert (metadata["issuer"], metadata["jwks_uri"]) == (issuer.issuer, issuer.jwks_uri)
        assert metadata["id_token_signing_alg_values_supported"] == ["RS256"]
        keys = ask(issuer, metadata["jwks_uri"])
        assert (keys.status, keys.headers) == (200, {"Content-Type": "application/jwk-set+json"})

    @pytest.mark.parametrize(
        "url", ["https://issuer.test/", "https://other.test/.well-known/openid-configuration"], ids=["path", "host"]
    )
    def test_every_other_address_is_not_found(self, issuer: FakeIssuer, url: str) -> None:
        assert ask(issuer, url) == FetchResponse(status=404)
        assert (issuer.discovery_requests, issuer.jwks_requests) == (0, 0)

    def test_requests_are_counted_whatever_is_answered(self, issuer: FakeIssuer, verifier: Verifier) -> None:
        verifier.verify(issuer.token())
        verifier.verify(issuer.token(sub="grace"))
        assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 1)
        issuer.go_down()
        with pytest.raises(FetchError):
            ask(issuer, issuer.jwks_uri)
        assert issuer.jwks_requests == 2

    def test_documents_can_say_how_long_they_are_fresh(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("EdDSA",), clock=clock, max_age_seconds=120)
        with issuer.verifier() as verifier:
            verifier.verify(issuer.token())
            clock.tick(seconds=120)
            verifier.verify(issuer.token())
        assert issuer.jwks_requests == 2
        assert dict(ask(issuer, issuer.jwks_uri).headers)["Cache-Control"] == "max-age=120"

    def test_an_issuer_that_is_down_comes_up_again(
        self, issuer: FakeIssuer, verifier: Verifier, clock: FakeClock
    ) -> None:
        issuer.go_down()
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        issuer.come_up()
        clock.tick(seconds=60)
        assert verifier.verify(issuer.token()).subject

    def test_both_documents_can_be_replaced_and_put_back(self, issuer: FakeIssuer) -> None:
        discovery = f"{issuer.issuer}/.well-known/openid-configuration"
        strange = FetchResponse(status=418)
        issuer.answer_discovery_with(strange)
        issuer.answer_keys_with(strange)
        assert ask(issuer, discovery) is ask(issuer, issuer.jwks_uri) is strange
        issuer.answer_discovery_with(None)
        issuer.answer_keys_with(None)
        assert (ask(issuer, discovery).status, ask(issuer, issuer.jwks_uri).status) == (200, 200)

    def test_an_issuer_may_end_with_a_slash(self, clock: FakeClock) -> None:
        issuer = FakeIssuer("https://issuer.test/", algorithms=("EdDSA",), clock=clock)
        with issuer.verifier() as verifier:
            assert verifier.verify(issuer.token()).issuer == "https://issuer.test/"


def test_a_repr_shows_neither_key_nor_token(issuer: FakeIssuer) -> None:
    issuer.token()
    assert repr(issuer) == "<FakeIssuer 'https://issuer.test'>"
    assert repr(SigningKey("EdDSA", "k")) == "<SigningKey 'k'>"


def test_no_token_is_ever_logged(issuer: FakeIssuer, verifier: Verifier, caplog: pytest.LogCaptureFixture) -> None:
    tokens = [issuer.token(), *(issuer.forge(flaw) for flaw in FakeIssuer.FLAWS)]
    with caplog.at_level(logging.DEBUG):
        for token in tokens:
            try:
                verifier.verify(token)
            except InvalidTokenError:
                continue
    assert not any(token in caplog.text for token in tokens)
