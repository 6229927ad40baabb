"""`Verifier`: what it is built from, what it remembers, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aveverify
from aveverify import (
    CachePolicy,
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    HttpxFetcher,
    Identity,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
    _verify,
    parse_auth_config,
)
from aveverify._http.option_checks import check_verifier
from aveverify.errors import Problem
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import VerifyAny
from tests.jwks.blocking_fetcher import BlockingFetcher

OIDC = Provider(issuer="https://idp.example", application_id="app")
ANY = Provider.custom_jwt(issuer=OIDC.issuer, jwks="https://idp.example/jwks", algorithm="RS256", any_audience=True)
VerifyHeader = Callable[[Verifier, str | bytes | None], Identity | None]


@pytest.fixture(params=["sync", "async"])
def verify_header(request: pytest.FixtureRequest) -> VerifyHeader:
    if request.param == "sync":
        return lambda verifier, value: verifier.verify_header(value)
    return lambda verifier, value: asyncio.run(verifier.verify_header_async(value))


class TestTokens:
    def test_text_and_bytes_are_the_same_token(
        self, verifier: Verifier, issuer: FakeIssuer, verify_any: VerifyAny
    ) -> None:
        token = issuer.token()
        assert verify_any(verifier, token) == verify_any(verifier, token.encode())

    @pytest.mark.parametrize(
        "value",
        [None, 1, [], bytearray(b"a.b.c"), memoryview(b"a.b.c"), object()],
        ids=lambda value: type(value).__name__,
    )
    def test_enc_047_other_types_are_the_programmers_mistake(
        self,
        verifier: Verifier,
        verify_any: VerifyAny,
        value: Any,
    ) -> None:
        with pytest.raises(TypeError):
            verify_any(verifier, value)

    @pytest.mark.parametrize("extra", [-1, 0, 1], ids=["just below", "at", "above"])
    def test_enc_041_a_token_may_be_as_long_as_the_limit(
        self, issuer: FakeIssuer, clock: FakeClock, extra: int
    ) -> None:
        token = issuer.token()
        verifier = Verifier(issuer.provider, fetcher=issuer, clock=clock, max_token_bytes=len(token) - extra)
        if extra <= 0:
            assert verifier.verify(token).subject
        else:
            with pytest.raises(InvalidTokenError) as caught:
                verifier.verify(token)
            assert caught.value.reason is Reason.TOKEN_TOO_LARGE

    def test_enc_043_a_huge_token_is_refused_without_a_copy(self, verifier: Verifier) -> None:
        with pytest.raises(InvalidTokenError):
            verifier.verify("a" * 100_000_000)

    def test_jsn_020_a_nearly_used_up_stack_leads_to_a_clean_answer(
        self, verifier: Verifier, issuer: FakeIssuer
    ) -> None:
        deep: Any = 1
        for _ in range(126):
            deep = [deep]
        token = issuer.token(deep=deep)
        verifier.warm_up()

        def sink(frames: int) -> Identity | Reason:
            if frames:
                return sink(frames - 1)
            try:
                return verifier.verify(token)
            except InvalidTokenError as error:
                return error.reason

        answer = sink(850)
        assert isinstance(answer, Identity) or answer is Reason.MALFORMED_PAYLOAD


class TestHeader:
    def test_the_token_of_a_bearer_header_is_verified(
        self, verifier: Verifier, issuer: FakeIssuer, verify_header: VerifyHeader
    ) -> None:
        identity = verify_header(verifier, f"Bearer {issuer.token()}")
        assert identity is not None
        assert identity.issuer == issuer.issuer

    @pytest.mark.parametrize("value", [None, "Basic YTpi", b"DPoP abc"], ids=["none", "basic", "dpop"])
    def test_no_credentials_are_nobody(
        self, verifier: Verifier, verify_header: VerifyHeader, value: str | bytes | None
    ) -> None:
        assert verify_header(verifier, value) is None

    def test_a_malformed_header_is_the_clients_mistake(self, verifier: Verifier, verify_header: VerifyHeader) -> None:
        with pytest.raises(InvalidRequestError):
            verify_header(verifier, "Bearer")


class TestTokenCache:
    def test_a_token_seen_again_is_the_same_identity(self, verifier: Verifier, issuer: FakeIssuer) -> None:
        token = issuer.token()
        assert verifier.verify(token) is verifier.verify(token)

    def test_no_entries_remember_nothing(self, issuer: FakeIssuer) -> None:
        verifier = issuer.verifier(token_cache_size=0)
        token = issuer.token()
        assert verifier.verify(token) is not verifier.verify(token)

    @pytest.mark.parametrize(
        ("seconds", "accepted"), [(-1, True), (0, False), (1, False)], ids=["just before", "at", "after"]
    )
    def test_tok_006_a_remembered_token_expires_to_the_second(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock, seconds: int, *, accepted: bool
    ) -> None:
        exp = int(clock.now()) + 100
        token = issuer.token(exp=exp)
        verifier.verify(token)
        clock.tick(seconds=100 + seconds)
        if accepted:
            assert verifier.verify(token).expires_at == exp
        else:
            with pytest.raises(InvalidTokenError) as caught:
                verifier.verify(token)
            assert caught.value.reason is Reason.EXPIRED

    def test_tok_007_a_remembered_token_is_not_valid_before_its_time(self, clock: FakeClock) -> None:
        issuer = FakeIssuer(algorithms=("ES256",), clock=clock)
        verifier = issuer.verifier()
        custom = Verifier(issuer.custom_jwt_provider("ES256"), fetcher=issuer, clock=clock)
        token = issuer.token(algorithm="ES256", nbf=int(clock.now()))
        custom.verify(token)
        clock.set_now(clock.now() - 60)
        with pytest.raises(InvalidTokenError) as caught:
            custom.verify(token)
        assert caught.value.reason is Reason.NOT_YET_VALID
        verifier.close()

    def test_tok_009_two_verifiers_share_nothing(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        token = issuer.token()
        verifier.verify(token)
        other = Verifier(Provider(issuer=issuer.issuer, application_id="other"), fetcher=issuer, clock=clock)
        with pytest.raises(InvalidTokenError):
            other.verify(token)

    def test_tok_010_no_request_can_change_what_the_next_one_sees(self, verifier: Verifier, issuer: FakeIssuer) -> None:
        token = issuer.token(roles=["user"])
        verifier.verify(token)["roles"].append("admin")
        verifier.verify(token).claims["roles"].append("admin")
        assert verifier.verify(token)["roles"] == ["user"]

    def test_tok_011_a_failure_is_never_remembered(
        self, verifier: Verifier, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        token = issuer.token()
        issuer.go_down()
        with pytest.raises(KeysUnavailableError):
            verifier.verify(token)
        issuer.come_up()
        clock.tick(seconds=10)
        assert verifier.verify(token).subject

    def test_xjw_009_a_token_replayed_a_thousand_times_gets_the_same_answer(
        self, verifier: Verifier, issuer: FakeIssuer
    ) -> None:
        token = issuer.token()
        assert {verifier.verify(token).subject for _ in range(1000)} == {verifier.verify(token).subject}


class TestConstruction:
    @pytest.mark.parametrize("value", [0, -1, True, 1.5, "1", None, 16 * 1024 * 1024 + 1], ids=repr)
    def test_cfg_009_a_token_limit_out_of_range_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Verifier(max_token_bytes=value)
        assert caught.value.field == "max_token_bytes"

    @pytest.mark.parametrize("value", [-1, True, 1.5, "1", None, 10_000_001], ids=repr)
    def test_cfg_009_a_cache_size_out_of_range_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Verifier(token_cache_size=value)
        assert caught.value.field == "token_cache_size"

    def test_what_is_not_a_provider_is_refused(self) -> None:
        entry: Any = {"domain": "https://idp.example", "applicationID": "app"}
        with pytest.raises(ConfigurationError) as caught:
            Verifier(Provider.ave("app_1"), entry)
        assert caught.value.field == "providers[1]"

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(Verifier, id="no argument"),
            pytest.param(lambda: Verifier.from_auth_config({"providers": []}), id="an empty list"),
            pytest.param(lambda: Verifier.from_auth_config('{"providers": []}'), id="its text"),
            pytest.param(
                lambda: Verifier.from_env({"AVEVERIFY_AUTH_CONFIG": '{"providers": []}'}), id="of the environment"
            ),
        ],
    )
    def test_cfg_001_htp_043_without_providers_there_is_no_verifier(self, make: Callable[[], Verifier]) -> None:
        """It would report that it is ready, and refuse every token."""
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert (caught.value.field, caught.value.problem) == ("providers", Problem.NO_PROVIDERS)
        assert parse_auth_config({"providers": []}) == ()

    def test_htp_043_no_integration_accepts_a_verifier_without_providers(self) -> None:
        """SEL-05: with a fetcher of its own it can be made, says what it says of every token, and is never ready."""
        with Verifier(fetcher=FakeIssuer()) as verifier:
            with pytest.raises(InvalidTokenError) as refused:
                verifier.verify(FakeIssuer().token())
            assert refused.value.convex_code == "NoAuthProvider"
            assert not verifier.status().is_ready
            with pytest.raises(ConfigurationError) as caught:
                check_verifier(verifier)
        assert (caught.value.field, caught.value.problem) == ("verifier", Problem.NO_PROVIDERS)

    @pytest.mark.parametrize(
        ("name", "value", "mend"),
        [
            pytest.param("document_store", "redis://localhost:6379", "get, put, lease", id="the URL of a store"),
            pytest.param("document_store", HttpxFetcher(), "get, put, lease", id="a fetcher as store"),
            pytest.param("fetcher", HttpxFetcher, "write HttpxFetcher(…)", id="the class of a fetcher"),
            pytest.param("fetcher", print, "methods fetch", id="a function as fetcher"),
            pytest.param("clock", 1, "now, monotonic", id="a number as clock"),
            pytest.param("cache_policy", {"fresh_seconds": 300}, "a CachePolicy", id="a dictionary as policy"),
            pytest.param("cache_policy", CachePolicy, "a CachePolicy", id="the class of a policy"),
            pytest.param("on_event", "print", "a function of an event", id="the name of a function"),
        ],
    )
    def test_htp_043_what_is_no_part_of_a_verifier_is_refused_when_it_is_built(
        self, name: str, value: object, mend: str
    ) -> None:
        options: dict[str, Any] = {name: value}
        with pytest.raises(ConfigurationError) as caught:
            Verifier(Provider.ave("app_1"), **options)
        assert (caught.value.field, caught.value.problem) == (name, Problem.OUT_OF_RANGE)
        assert mend in str(caught.value.detail)

    @pytest.mark.parametrize("name", ["AUTH_CONFIG", "ISSUER", "APPLICATION_ID"])
    @pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
    def test_cfg_013_a_variable_without_a_value_never_counts_as_unset(self, name: str, value: str) -> None:
        whole = {"AVEVERIFY_ISSUER": "https://idp.example", "AVEVERIFY_APPLICATION_ID": "app"}
        with pytest.raises(ConfigurationError) as caught:
            Verifier.from_env({**whole, f"AVEVERIFY_{name}": value})
        assert (caught.value.field, caught.value.problem) == (f"AVEVERIFY_{name}", Problem.EMPTY)

    @pytest.mark.parametrize(
        ("written", "mend"),
        [("token_cachesize", "did you mean token_cache_size?"), ("ontime", "known are cache_policy, clock,")],
        ids=["near", "far"],
    )
    def test_htp_043_an_unknown_option_is_refused_with_the_nearest_name(self, written: str, mend: str) -> None:
        options: dict[str, Any] = {written: 1}
        with pytest.raises(ConfigurationError) as caught:
            Verifier(Provider.ave("app_1"), **options)
        assert (caught.value.field, caught.value.problem) == (written, Problem.UNKNOWN_OPTION)
        assert str(caught.value.detail).startswith(mend)

    @pytest.mark.parametrize(
        ("earlier", "later", "is_shadowed"),
        [
            pytest.param(OIDC, Provider.ave("app", issuer=OIDC.issuer), True, id="plain OIDC before the preset"),
            pytest.param(Provider.ave("app", issuer=OIDC.issuer), OIDC, True, id="the preset before plain OIDC"),
            pytest.param(ANY, OIDC, True, id="any audience before a client"),
            pytest.param(ANY, ANY, True, id="any audience twice"),
            pytest.param(OIDC, OIDC, True, id="the same twice"),
            pytest.param(OIDC, Provider(issuer=f"{OIDC.issuer}/", application_id="app"), True, id="but for a slash"),
            pytest.param(OIDC, ANY, False, id="a client before any audience"),
            pytest.param(OIDC, Provider(issuer=OIDC.issuer, application_id="other"), False, id="two clients"),
            pytest.param(ANY, Provider(issuer="https://other.example", application_id="app"), False, id="two issuers"),
        ],
    )
    def test_cfg_016_a_provider_that_no_token_reaches_is_said(
        self, caplog: pytest.LogCaptureFixture, earlier: Provider, later: Provider, *, is_shadowed: bool
    ) -> None:
        unrelated = Provider.ave("app_0")
        with caplog.at_level(logging.WARNING, logger="aveverify"):
            verifier = Verifier(unrelated, earlier, later)
        said = [record.getMessage() for record in caplog.records if "never used" in record.getMessage()]
        assert len(said) == is_shadowed
        assert all(text.startswith("providers[2] is never used: providers[1]") for text in said)
        assert all(f"'{OIDC.issuer}" in text for text in said)
        assert verifier.providers == (unrelated, earlier, later)

    def test_cfg_016_the_first_of_several_that_shadow_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, logger="aveverify"):
            Verifier(OIDC, ANY, OIDC, ANY)
        said = [record.getMessage() for record in caplog.records if "never used" in record.getMessage()]
        assert [text.split(" stands")[0] for text in said] == [
            "providers[2] is never used: providers[0]",
            "providers[3] is never used: providers[1]",
        ]

    def test_an_auth_config_makes_a_verifier(self, issuer: FakeIssuer, clock: FakeClock, tmp_path: Path) -> None:
        config = {"providers": [issuer.provider.to_auth_config()]}
        path = tmp_path / "auth.config.json"
        path.write_text(json.dumps(config))
        for form in (config, json.dumps(config), path, str(path)):
            verifier = Verifier.from_auth_config(form, fetcher=issuer, clock=clock)
            assert verifier.providers == (issuer.provider,)
            assert verifier.verify(issuer.token()).subject

    def test_the_environment_makes_a_verifier(self, issuer: FakeIssuer) -> None:
        config = json.dumps({"providers": [issuer.provider.to_auth_config()]})
        by_config = Verifier.from_env({"AVEVERIFY_AUTH_CONFIG": config})
        by_parts = Verifier.from_env({"AVEVERIFY_ISSUER": issuer.issuer, "AVEVERIFY_APPLICATION_ID": "app_test"})
        assert by_config.providers == by_parts.providers == (issuer.provider,)

    def test_the_environment_of_the_process_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AVEVERIFY_AUTH_CONFIG", raising=False)
        monkeypatch.setenv("AVEVERIFY_ISSUER", "https://idp.example")
        monkeypatch.setenv("AVEVERIFY_APPLICATION_ID", "app")
        assert Verifier.from_env().providers == (Provider(issuer="https://idp.example", application_id="app"),)

    @pytest.mark.parametrize(
        ("environ", "field"),
        [
            ({}, "AVEVERIFY_ISSUER"),
            ({"AVEVERIFY_APPLICATION_ID": "app"}, "AVEVERIFY_ISSUER"),
            ({"AVEVERIFY_ISSUER": "https://idp.example"}, "AVEVERIFY_APPLICATION_ID"),
        ],
        ids=["nothing", "no issuer", "no application id"],
    )
    def test_a_missing_variable_is_named(self, environ: dict[str, str], field: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Verifier.from_env(environ)
        assert caught.value.field == field

    @pytest.mark.parametrize(
        ("environ", "written", "meant"),
        [
            ({"AVEVERIFY_ISUER": "https://idp.example", "AVEVERIFY_APPLICATION_ID": "app"}, "ISUER", "ISSUER"),
            (
                {"AVEVERIFY_ISSUER": "https://idp.example", "AVEVERIFY_APPLICATIONID": "app"},
                "APPLICATIONID",
                "APPLICATION_ID",
            ),
            ({"AVEVERIFY_AUTH_CONFG": "{}"}, "AUTH_CONFG", "AUTH_CONFIG"),
        ],
        ids=["issuer", "application id", "auth config"],
    )
    def test_htp_043_a_misspelt_variable_in_place_of_a_missing_one_is_named(
        self, environ: dict[str, str], written: str, meant: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Verifier.from_env(environ)
        assert (caught.value.field, caught.value.detail) == (f"AVEVERIFY_{written}", f"did you mean AVEVERIFY_{meant}?")

    def test_a_variable_of_another_program_is_left_alone_where_nothing_is_missing(self) -> None:
        environ = {"AVEVERIFY_ISSUER": "https://idp.example", "AVEVERIFY_APPLICATION_ID": "app"}
        verifier = Verifier.from_env({**environ, "AVEVERIFY_ISSUERS": "of a program of its own"})
        assert verifier.providers == (Provider(issuer="https://idp.example", application_id="app"),)

    def test_xjw_007_a_provider_for_every_audience_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        provider = Provider.custom_jwt(
            issuer="https://idp.example", jwks="https://idp.example/jwks", algorithm="RS256", any_audience=True
        )
        with caplog.at_level(logging.WARNING, "aveverify"):
            Verifier(provider)
        assert "any client" in caplog.text

    def test_verifiers_made_again_and_again_are_warned_of_once(self, caplog: pytest.LogCaptureFixture) -> None:
        provider = Provider(issuer="https://again.example", application_id="app")
        with caplog.at_level(logging.WARNING, "aveverify"):
            for _ in range(30):
                Verifier(provider)
        (record,) = caplog.records
        assert record.getMessage().startswith("the 10th verifier for 'https://again.example'")


class TestEnd:
    def test_con_008_a_closed_verifier_says_so(self, issuer: FakeIssuer, verify_any: VerifyAny) -> None:
        with issuer.verifier() as verifier:
            verifier.verify(issuer.token())
        with pytest.raises(ConfigurationError, match="closed"):
            verify_any(verifier, issuer.token())

    def test_closing_closes_the_fetcher(self, issuer: FakeIssuer) -> None:
        class Closing(BlockingFetcher):
            closed = 0

            def close(self) -> None:
                self.closed += 1

        fetcher = Closing(issuer)
        Verifier(issuer.provider, fetcher=fetcher).close()
        assert fetcher.closed == 1

    def test_a_fetcher_without_close_is_left_alone(self, issuer: FakeIssuer) -> None:
        Verifier(issuer.provider, fetcher=BlockingFetcher(issuer)).close()

    def test_tok_019_nothing_of_a_token_is_in_its_repr_and_it_cannot_be_pickled(
        self, verifier: Verifier, issuer: FakeIssuer
    ) -> None:
        verifier.verify(issuer.token(email="secret@example.com"))
        assert repr(verifier) == f"<Verifier '{issuer.issuer}'>"
        with pytest.raises(TypeError):
            pickle.dumps(verifier)

    def test_keys_are_fetched_for_the_event_loop_too(self, issuer: FakeIssuer) -> None:
        async def scenario() -> None:
            verifier = issuer.verifier()
            await verifier.warm_up_async()
            await verifier.warm_up_async()
            issuer.go_down()
            assert (await verifier.verify_async(issuer.token())).subject
            cold = issuer.verifier()
            await cold.warm_up_async()
            with pytest.raises(KeysUnavailableError):
                await cold.warm_up_async(fail_closed=True)

        asyncio.run(scenario())


class TestPlainFunction:
    def test_it_keeps_its_verifier(self) -> None:
        issuer = FakeIssuer(clock=aveverify.SystemClock())
        with issuer.serve():
            first = aveverify.verify(issuer.token(), issuer=issuer.issuer, application_id="app_test")
            again = aveverify.verify(issuer.token(), issuer=issuer.issuer, application_id="app_test")
            assert first.token_identifier == again.token_identifier
            assert issuer.jwks_requests == 1
            with pytest.raises(InvalidTokenError):
                aveverify.verify(issuer.token(), issuer=issuer.issuer, application_id="other")
        _verify.kept.clear()

    def test_it_keeps_a_bounded_number_of_them(self) -> None:
        for number in range(_verify.MAX_KEPT_VERIFIERS + 10):
            with pytest.raises(InvalidTokenError):
                aveverify.verify("x", issuer=f"https://idp{number}.example", application_id="app")
        assert len(_verify.kept) == _verify.MAX_KEPT_VERIFIERS
        _verify.kept.clear()


def test_the_defaults_are_the_network_and_the_clock_of_this_machine() -> None:
    issuer = FakeIssuer(clock=aveverify.SystemClock())
    with issuer.serve(), Verifier(issuer.provider) as verifier:
        assert verifier.verify(issuer.token()).subject


def test_every_document_is_asked_for_with_the_same_headers(issuer: FakeIssuer, clock: FakeClock) -> None:
    blocking = BlockingFetcher(issuer)
    Verifier(issuer.provider, fetcher=blocking, clock=clock).verify(issuer.token())
    for request in blocking.requests:
        assert dict(request.headers) == {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"aveverify/{aveverify.__version__}",
        }
        assert 0 < request.deadline_seconds <= CachePolicy().flight_deadline_seconds
        assert request.max_body_bytes == CachePolicy().max_document_bytes


def test_the_seams_are_what_they_promise(issuer: FakeIssuer) -> None:
    request = FetchRequest(url=f"{issuer.issuer}/nothing", headers={}, deadline_seconds=1, max_body_bytes=1)
    assert isinstance(issuer.fetch(request), FetchResponse)
    HttpxFetcher().close()
