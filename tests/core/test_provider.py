"""`Provider`: checked when it is built, by the CFG rules; what cannot work names the field and the mend."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from aveverify import ConfigurationError, Provider, parse_auth_config
from aveverify._core.jose.encoding import JsonValue
from aveverify._core.provider_checks import MAX_LEEWAY_SECONDS
from aveverify.errors import Problem, Reason
from tests.core.jose_factory import (
    APPLICATION_ID,
    ISSUER,
    KEYS_URL,
    Json,
    data_url,
    es256,
    key_set_document,
    raised,
    rs256,
    rsa_jwk,
)

Make = Callable[..., Provider]


def oidc(**options: Any) -> Provider:
    return Provider(**({"issuer": ISSUER, "application_id": APPLICATION_ID} | options))


def custom_jwt(**options: Any) -> Provider:
    defaults = {"issuer": ISSUER, "jwks": KEYS_URL, "algorithm": "RS256"}
    audience = {} if options.get("any_audience") else {"application_id": APPLICATION_ID}
    return Provider.custom_jwt(**(defaults | audience | options))


def ave(**options: Any) -> Provider:
    return Provider.ave(**({"client_id": "app_1"} | options))


EVERY = pytest.mark.parametrize("make", [oidc, custom_jwt, ave], ids=["oidc", "customJwt", "ave"])
OIDC_AND_CUSTOM = pytest.mark.parametrize("make", [oidc, custom_jwt], ids=["oidc", "customJwt"])


def wrong(call: Callable[[], object]) -> ConfigurationError:
    error = raised(ConfigurationError, call)
    assert error.reason is Reason.MISCONFIGURED
    assert isinstance(error, ValueError)
    return error


# --- what a good one holds


def test_an_oidc_provider() -> None:
    provider = Provider(issuer=f"{ISSUER}/", application_id="app")

    assert (provider.kind, provider.issuer, provider.application_id) == ("oidc", f"{ISSUER}/", "app")
    assert (provider.jwks, provider.algorithm, provider.preset) == (None, None, None)
    assert provider.metadata_url == f"{ISSUER}/.well-known/openid-configuration"
    assert provider.key_set_url is None
    assert provider.effective_leeway_seconds == 0


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_custom_jwt_provider(algorithm: str) -> None:
    """CFG-03; CFG-13."""
    provider = custom_jwt(algorithm=algorithm)

    assert (provider.kind, provider.issuer, provider.application_id) == ("customJwt", ISSUER, "app")
    assert (provider.jwks, provider.algorithm, provider.preset) == (KEYS_URL, algorithm, None)
    assert (provider.metadata_url, provider.key_set_url) == (None, KEYS_URL)
    assert provider.effective_leeway_seconds == 5


def test_the_preset_for_ave() -> None:
    provider = Provider.ave("app_1")

    assert (provider.kind, provider.issuer, provider.application_id) == ("oidc", "https://aveid.net", "app_1")
    assert provider.preset == "ave"
    assert provider.metadata_url == "https://aveid.net/.well-known/openid-configuration"
    assert provider.effective_leeway_seconds == 0
    assert provider != Provider(issuer="https://aveid.net", application_id="app_1")


@pytest.mark.parametrize(
    ("options", "metadata_url", "key_set_url"),
    [
        pytest.param({}, f"{ISSUER}/.well-known/openid-configuration", None, id="none"),
        pytest.param({"discovery_url": "https://d.example/x"}, "https://d.example/x", None, id="discovery"),
        pytest.param({"jwks_uri": "https://k.example/x"}, None, "https://k.example/x", id="keys"),
        pytest.param(
            {"discovery_url": "https://d.example", "jwks_uri": "https://k.example"},
            None,
            "https://k.example",
            id="both: the keys are known",
        ),
    ],
)
@pytest.mark.parametrize("make", [oidc, lambda **options: ave(issuer=ISSUER, **options)], ids=["oidc", "ave"])
def test_overrides_for_self_hosted_issuers(
    make: Make, options: Json, metadata_url: str | None, key_set_url: str | None
) -> None:
    provider = make(**options)

    assert (provider.metadata_url, provider.key_set_url) == (metadata_url, key_set_url)


@pytest.mark.parametrize(
    ("issuer", "metadata_url"),
    [
        ("https://a.b", "https://a.b/.well-known/openid-configuration"),
        ("https://a.b///", "https://a.b/.well-known/openid-configuration"),
        ("https://a.b/realm/x/", "https://a.b/realm/x/.well-known/openid-configuration"),
    ],
    ids=["plain", "slashes", "path"],
)
def test_the_discovery_document_is_below_the_configured_issuer(issuer: str, metadata_url: str) -> None:
    """DV-09."""
    assert oidc(issuer=issuer).metadata_url == metadata_url


# --- immutable, comparable


@EVERY
def test_a_provider_never_changes(make: Make) -> None:
    provider = make()

    for field in fields(Provider):
        with pytest.raises(FrozenInstanceError):
            setattr(provider, field.name, "x")
        with pytest.raises(FrozenInstanceError):
            delattr(provider, field.name)
    assert not hasattr(provider, "__dict__")


@EVERY
def test_equal_providers_are_one(make: Make) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())
    assert copy.deepcopy(make()) == pickle.loads(pickle.dumps(make())) == make()  # noqa: S301 - our own


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": "https://b.example"}, {"application_id": "x"}, {"leeway_seconds": 1}, {"discovery_url": ISSUER},
        {"jwks_uri": ISSUER}, {"insecure_http": True},
    ],
    ids=lambda options: str(*options),
)  # fmt: skip
def test_another_option_makes_another_provider(options: Json) -> None:
    assert oidc(**options) != oidc()


@pytest.mark.parametrize(
    "options",
    [{"jwks": "https://k.example"}, {"algorithm": "ES256"}, {"any_audience": True}, {"leeway_seconds": 5}],
    ids=lambda options: str(*options),
)
def test_so_it_is_with_custom_jwt(options: Json) -> None:
    assert custom_jwt(**options) != custom_jwt()


@EVERY
def test_a_repr_shows_no_credentials_and_no_keys(make: Make) -> None:
    """ERR-006."""
    provider = make(issuer="https://user:s3cret@idp.example", insecure_http=False)

    assert "s3cret" not in repr(provider)
    assert "idp.example" in repr(provider)


def test_a_repr_does_not_hold_a_data_url() -> None:
    provider = custom_jwt(jwks=data_url(key_set_document(rs256().jwk)))

    assert rs256().jwk["n"] not in repr(provider)


# --- types


@pytest.mark.parametrize("value", [None, 1, b"https://idp.example", [ISSUER], True], ids=str)
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (oidc, "issuer"), (oidc, "application_id"), (custom_jwt, "issuer"), (custom_jwt, "jwks"), (ave, "client_id"),
        (ave, "issuer"),
    ],
    ids=["issuer", "application_id", "customJwt issuer", "jwks", "client_id", "ave issuer"],
)  # fmt: skip
def test_a_field_of_another_type_names_itself(make: Make, field: str, value: JsonValue) -> None:
    """CFG-02; CFG-03."""
    error = wrong(lambda: make(**{field: value}))

    assert (error.problem, error.field) == (Problem.WRONG_TYPE, field)
    assert (error.rule, error.convex_code) == ("CFG-02", "AuthConfigNotMatchingSchemaError")


@pytest.mark.parametrize("value", [1, True, b"app", ["app"]], ids=str)
def test_the_application_id_of_custom_jwt_is_text(value: JsonValue) -> None:
    assert wrong(lambda: custom_jwt(application_id=value)).field == "application_id"


@pytest.mark.parametrize("value", [None, 0, 1, "yes", "false", []], ids=ascii)
@pytest.mark.parametrize(
    ("make", "field"),
    [(oidc, "insecure_http"), (custom_jwt, "insecure_http"), (ave, "insecure_http"), (custom_jwt, "any_audience")],
    ids=["oidc", "customJwt", "ave", "any_audience"],
)
def test_a_flag_is_a_boolean(make: Make, field: str, value: JsonValue) -> None:
    """A text `"false"` would be true."""
    error = wrong(lambda: make(**{field: value}))

    assert (error.problem, error.field) == (Problem.OUT_OF_RANGE, field)


# --- issuer


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("https://idp.example", "https://idp.example"), ("https://idp.example/", "https://idp.example/"),
        ("idp.example", "https://idp.example"), ("idp.example/x", "https://idp.example/x"),
        ("localhost:3000", "https://localhost:3000"), ("localhost", "https://localhost"),
        ("HTTPS://IDP.example", "HTTPS://IDP.example"), ("https://idp.example:443/?x#y", "https://idp.example:443/?x#y"),
        ("https://single", "https://single"), ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ("1.2.3.4", "https://1.2.3.4"), ("https://bücher.example", "https://bücher.example"),
    ],
    ids=ascii,
)  # fmt: skip
@EVERY
def test_an_issuer_is_kept_as_written_but_for_a_missing_scheme(make: Make, written: str, compared: str) -> None:
    """CFG-09; CFG-11; CFG-12; DV-17."""
    assert make(issuer=written).issuer == compared


@pytest.mark.parametrize(
    ("issuer", "problem", "rule", "code"),
    [
        ('"https://idp.example"', Problem.QUOTED, "CFG-08", "InvalidProviderDomainUrl"),
        ('"', Problem.QUOTED, "CFG-08", "InvalidProviderDomainUrl"),
        *(
            (issuer, Problem.QUOTED, "CFG-08", "InvalidProviderDomainUrl")
            for issuer in ('https://idp.example/x"', "https://idp.example'", "'https://idp.example", "https://a.b/`")
        ),
        *(
            (f"https://idp.example{path}", Problem.WELL_KNOWN, "DV-24", "InvalidProviderDomainUrl")
            for path in (
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/.well-known/",
                "/.well-known",
                "/tenant/.well-known/x",
                "/.Well-Known/openid-configuration",
                "/.well-known/?a#b",
            )
        ),
        *(
            (f"https://idp.example/x{end}", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl")
            for end in (" ", "\n", "\r\n", "\t", "\xa0", "\u2028", "\u3000", "\ufeff", "\u200b")
        ),
        ("", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("https://", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("https://idp example", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        (" https://idp.example", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("https://go\nod.example", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("https://idp.example:65536", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("ftp://idp.example", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("data:,x", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("é://idp.example", Problem.NOT_A_URL, "CFG-10", "InvalidProviderDomainUrl"),
        ("single", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("single.", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("single:443/x.y", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("[::1]", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("[::ffff:127.0.0.1]", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("[::ffff:127.0.0.1]:443/x", Problem.NO_DOT, "CFG-11", "InvalidProviderDomainUrl"),
        ("http://idp.example", Problem.PLAIN_HTTP, "DV-10", "InsecureConfiguration"),
        ("HTTP://idp.example", Problem.PLAIN_HTTP, "DV-10", "InsecureConfiguration"),
        ("http://127.0.0.2", Problem.PLAIN_HTTP, "DV-10", "InsecureConfiguration"),
        ("http://localhost.example", Problem.PLAIN_HTTP, "DV-10", "InsecureConfiguration"),
        ("http://localhost@idp.example", Problem.PLAIN_HTTP, "DV-10", "InsecureConfiguration"),
    ],
    ids=ascii,
)
@EVERY
def test_an_issuer_that_cannot_work_is_refused(make: Make, issuer: str, problem: Problem, rule: str, code: str) -> None:
    """CFG-08 to CFG-11; DV-10; CFG-004 to CFG-007."""
    error = wrong(lambda: make(issuer=issuer))

    assert (error.problem, error.field, error.rule, error.convex_code) == (problem, "issuer", rule, code)


@pytest.mark.parametrize(
    "issuer", ["http://localhost", "http://127.0.0.1:8080/x", "http://[::1]:1", "HTTP://LOCALHOST"]
)
@EVERY
def test_plain_http_is_allowed_on_loopback(make: Make, issuer: str) -> None:
    """DV-10."""
    assert make(issuer=issuer).issuer == issuer


@EVERY
def test_plain_http_elsewhere_needs_an_opt_in(make: Make) -> None:
    """DV-10."""
    assert make(issuer="http://idp.test:8080", insecure_http=True).insecure_http is True


# --- the issuer that many share


@pytest.mark.parametrize(
    "issuer",
    [
        "https://api.workos.com", "https://api.workos.com/", "https://api.workos.com//", "https://API.WorkOS.com",
        "http://api.workos.com", "api.workos.com", "https://api.workos.com:443", "https://api.workos.com.",
        "https://user@api.workos.com", "https://api.workos.com?x",
    ],
)  # fmt: skip
def test_a_shared_issuer_needs_an_audience(issuer: str) -> None:
    """CFG-07; DV-19."""
    error = wrong(lambda: custom_jwt(issuer=issuer, any_audience=True))

    assert (error.problem, error.field) == (Problem.SHARED_ISSUER, "issuer")
    assert (error.rule, error.convex_code) == ("CFG-07", "InsecureConfiguration")


@pytest.mark.parametrize(
    ("issuer", "options"),
    [
        ("https://api.workos.com/user_management/client_1", {"any_audience": True}),
        ("https://api.workos.com.example", {"any_audience": True}),
        ("https://workos.com", {"any_audience": True}),
        ("https://api.workos.com", {"application_id": "client_1"}),
    ],
    ids=["a path", "another host", "a host above", "with an audience"],
)
def test_a_neighbour_of_the_shared_issuer_is_fine(issuer: str, options: Json) -> None:
    assert custom_jwt(issuer=issuer, **options).issuer == issuer


# --- audience


def test_an_empty_application_id_is_legal_as_in_convex() -> None:
    """CFG-17."""
    assert oidc(application_id="").application_id == ""
    assert custom_jwt(application_id="").application_id == ""


@pytest.mark.parametrize(
    "application_id",
    [
        f"{front}app{end}"
        for mark in (" ", "\n", "\r\n", "\t", "\xa0", "\u2028", "\ufeff", "\x00", '"', "'", "`", "\u201d")
        for front, end in ((mark, ""), ("", mark), (mark, mark))
    ]
    + [" ", "\n", '""', '"'],
    ids=ascii,
)
@EVERY
def test_cfg_013_an_application_id_that_was_copied_with_its_surroundings_is_refused(
    make: Make, application_id: str
) -> None:
    """DV-24: no token could name it."""
    field = "client_id" if make is ave else "application_id"
    error = wrong(lambda: make(**{field: application_id}))

    assert (error.problem, error.field, error.convex_code) == (
        Problem.PADDED,
        field,
        "AuthConfigNotMatchingSchemaError",
    )


@pytest.mark.parametrize(
    "application_id", ["a b", 'a"b', "a\nb", "origin:https://site.example", "-", "\u00e4pp"], ids=ascii
)
def test_what_stands_within_an_application_id_is_its_own(application_id: str) -> None:
    """DV-24."""
    assert oidc(application_id=application_id).application_id == application_id


def test_a_padded_application_id_of_an_auth_config_is_named_as_it_is_written_there() -> None:
    """DV-24."""
    entry = {"domain": "https://idp.example", "applicationID": "app\n"}
    error = wrong(lambda: parse_auth_config({"providers": [entry]}))

    assert (error.field, error.problem) == ("providers[0].applicationID", Problem.PADDED)


def test_an_empty_client_id_of_ave_is_not() -> None:
    """Style, habit 10."""
    error = wrong(lambda: Provider.ave(""))

    assert (error.problem, error.field, error.convex_code) == (Problem.EMPTY, "client_id", None)


def test_any_audience_has_to_be_spelled_out() -> None:
    """SEC-03."""
    assert custom_jwt(any_audience=True).application_id is None
    error = wrong(lambda: Provider.custom_jwt(issuer=ISSUER, jwks=KEYS_URL, algorithm="RS256"))
    assert (error.problem, error.field, error.rule) == (Problem.AUDIENCE, "application_id", "SEC-03")


def test_any_audience_contradicts_an_audience() -> None:
    error = wrong(lambda: custom_jwt(application_id="app", any_audience=True))

    assert (error.problem, error.field) == (Problem.AUDIENCE, "application_id")


# --- algorithm


@pytest.mark.parametrize(
    "algorithm",
    ["none", "HS256", "PS256", "EdDSA", "rs256", "RS256 ", "", None, 1, ["RS256"], ("RS256",), {"RS256"}],
    ids=str,
)
def test_the_algorithm_is_one_of_two(algorithm: Any) -> None:
    """CFG-13; CFG-003."""
    error = wrong(lambda: custom_jwt(algorithm=algorithm))

    assert (error.problem, error.field) == (Problem.ALGORITHM, "algorithm")
    assert (error.rule, error.convex_code) == ("CFG-13", "AuthConfigNotMatchingSchemaError")


# --- key sets


@pytest.mark.parametrize(
    "jwks", [KEYS_URL, "HTTPS://k.example", "http://localhost:1/k", "http://127.0.0.1", "http://[::1]/", "https://k"]
)
def test_keys_have_an_address(jwks: str) -> None:
    """CFG-14; DV-10; DV-18."""
    assert custom_jwt(jwks=jwks).key_set_url == jwks


@pytest.mark.parametrize(
    ("jwks", "problem", "code"),
    [
        ("", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("keys.example/k", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("/keys", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("https://k.example/a b", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ('https://k.example/a"', Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("https://k.example/a\u2028", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("ftp://k.example", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("file:///etc/keys", Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ('{"keys":[]}', Problem.KEY_SET_ADDRESS, "AuthConfigNotMatchingSchemaError"),
        ("http://k.example", Problem.PLAIN_HTTP, "InsecureConfiguration"),
    ],
    ids=ascii,
)
def test_an_address_that_can_never_be_fetched_is_refused(jwks: str, problem: Problem, code: str) -> None:
    """CFG-14; DV-10; DV-18."""
    error = wrong(lambda: custom_jwt(jwks=jwks))

    assert (error.problem, error.field, error.convex_code) == (problem, "jwks", code)


def test_an_opt_in_allows_plain_http_for_keys() -> None:
    assert custom_jwt(jwks="http://k.example", insecure_http=True).jwks == "http://k.example"


@pytest.mark.parametrize("jwk", [rs256().jwk, es256().jwk], ids=["RSA", "EC"])
def test_keys_may_stand_in_the_configuration(jwk: Json) -> None:
    """JWKS-01."""
    jwks = data_url(key_set_document(jwk))

    assert custom_jwt(jwks=jwks).jwks == jwks


@pytest.mark.parametrize(
    "jwks",
    [
        pytest.param("data:", id="no data"),
        pytest.param("data:application/json", id="only a media type"),
        pytest.param("data:;base64,A", id="no base64"),
        pytest.param("data:,x", id="no JSON"),
        pytest.param("data:,[]", id="no object"),
        pytest.param("data:,{}", id="no keys"),
        pytest.param('data:,{"keys":[]}', id="an empty set"),
        pytest.param(data_url(key_set_document(rsa_jwk(1024))), id="no usable key"),
        pytest.param("data:,\ud800", id="a lone surrogate"),
    ],
)
def test_keys_in_the_configuration_are_read_at_once(jwks: str) -> None:
    """DV-18."""
    error = wrong(lambda: custom_jwt(jwks=jwks))

    assert (error.problem, error.field) == (Problem.KEY_SET_DATA, "jwks")
    assert (error.rule, error.convex_code) == ("DV-18", "AuthConfigNotMatchingSchemaError")


def test_a_misconfiguration_does_not_repeat_a_whole_key_set() -> None:
    """SEC-14."""
    error = wrong(lambda: custom_jwt(jwks=data_url(b"s3cret" * 100) + "s3cret"))

    assert "s3cret" not in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("field", ["discovery_url", "jwks_uri"])
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", Problem.FETCH_ADDRESS), ("idp.example/x", Problem.FETCH_ADDRESS), ("https://", Problem.FETCH_ADDRESS),
        ("data:,x", Problem.FETCH_ADDRESS), (1, Problem.FETCH_ADDRESS), (b"https://x", Problem.FETCH_ADDRESS),
        ("https://x y", Problem.FETCH_ADDRESS), ("http://idp.example/x", Problem.PLAIN_HTTP),
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("make", [oidc, ave], ids=["oidc", "ave"])
def test_an_override_is_an_address(make: Make, field: str, url: JsonValue, problem: Problem) -> None:
    error = wrong(lambda: make(**{field: url}))

    assert (error.problem, error.field) == (problem, field)


@pytest.mark.parametrize("field", ["discovery_url", "jwks_uri"])
@pytest.mark.parametrize("options", [{}, {"insecure_http": True}], ids=["loopback", "opt-in"])
def test_an_override_may_be_plain_http_where_the_issuer_may(field: str, options: Json) -> None:
    """DV-10."""
    url = "http://idp.test/x" if options else "http://localhost/x"

    assert getattr(oidc(**options, **{field: url}), field) == url


# --- leeway


@pytest.mark.parametrize(
    "leeway_seconds",
    [0, 0.0, 0.5, 1, 5, MAX_LEEWAY_SECONDS - 1, MAX_LEEWAY_SECONDS, float(MAX_LEEWAY_SECONDS)],
    ids=str,
)
@EVERY
def test_the_leeway_is_a_number_of_seconds_up_to_five_minutes(make: Make, leeway_seconds: float) -> None:
    """CFG-010."""
    provider = make(leeway_seconds=leeway_seconds)

    assert provider.leeway_seconds == provider.effective_leeway_seconds == leeway_seconds


@pytest.mark.parametrize(
    "leeway_seconds",
    [
        -1, -0.001, MAX_LEEWAY_SECONDS + 0.001, MAX_LEEWAY_SECONDS + 1, 10**12, 10**400, float("nan"), float("inf"),
        -float("inf"), True, False, "5", b"5", [5], 5j,
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
@EVERY
def test_any_other_leeway_is_refused(make: Make, leeway_seconds: JsonValue) -> None:
    """CFG-009; CFG-010."""
    error = wrong(lambda: make(leeway_seconds=leeway_seconds))

    assert (error.problem, error.field) == (Problem.OUT_OF_RANGE, "leeway_seconds")
    assert (error.rule, error.convex_code) == ("CFG-009", None)


def test_five_minutes_are_the_longest_leeway() -> None:
    assert MAX_LEEWAY_SECONDS == 300


# --- back to Convex


@pytest.mark.parametrize(
    ("provider", "entry"),
    [
        pytest.param(oidc(), {"domain": ISSUER, "applicationID": "app"}, id="oidc"),
        pytest.param(oidc(application_id=""), {"domain": ISSUER, "applicationID": ""}, id="oidc, empty id"),
        pytest.param(ave(), {"domain": "https://aveid.net", "applicationID": "app_1"}, id="ave"),
        pytest.param(
            custom_jwt(),
            {
                "type": "customJwt", "issuer": ISSUER, "jwks": KEYS_URL, "algorithm": "RS256", "applicationID": "app",
            },
            id="customJwt",
        ),
        pytest.param(
            custom_jwt(any_audience=True, algorithm="ES256"),
            {"type": "customJwt", "issuer": ISSUER, "jwks": KEYS_URL, "algorithm": "ES256"},
            id="customJwt, any audience",
        ),
    ],
)  # fmt: skip
def test_a_provider_can_be_written_as_convex_writes_it(provider: Provider, entry: Json) -> None:
    assert provider.to_auth_config() == entry


@EVERY
def test_a_message_names_the_field_and_the_mend(make: Make) -> None:
    assert str(wrong(lambda: make(issuer="http://idp.example"))) == (
        "issuer is plain http to another machine; use https, or set insecure_http=True for a test network [DV-10]"
    )
