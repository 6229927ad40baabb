"""For any bytes, `verify` returns an identity or raises one of the library's own errors (ERR-001)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aveverify import (
    ConfigurationError,
    FetchRequest,
    FetchResponse,
    Identity,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Verifier,
    parse_auth_config,
)
from aveverify.errors import AveVerifyError
from tests.core.jose_factory import (
    APPLICATION_ID,
    ISSUER,
    KEYS_URL,
    METADATA_URL,
    TestClock,
    custom_jwt_verifier,
    eddsa,
    es256,
    good_claims,
    key_set_document,
    oidc_verifier,
    rs256,
)
from tests.property import strategies
from tests.suite.effort import examples


def outcome(call: Callable[[], object], *allowed: type[AveVerifyError]) -> object:
    """What a call gives, if that is allowed; any other exception passes and fails the test."""
    refusal: AveVerifyError
    try:
        return call()
    except allowed as error:
        refusal = error
    assert refusal.__context__ is None
    assert refusal.__cause__ is None
    assert str(refusal).isprintable()
    return refusal


def verify(verifier: Verifier, token: str | bytes) -> object:
    found = outcome(lambda: verifier.verify(token), InvalidTokenError, KeysUnavailableError)
    if isinstance(found, Identity):
        json.dumps(found.to_convex())
    return found


OIDC = oidc_verifier(rs256().jwk, eddsa().jwk)
CUSTOM = custom_jwt_verifier(rs256().jwk, es256().jwk | {"kid": "rsa"})
PATHS = pytest.mark.parametrize("verifier", [OIDC, CUSTOM], ids=["oidc", "customJwt"])


@PATHS
@settings(max_examples=examples(800))
@given(token=strategies.texts)
def test_any_token(verifier: Verifier, token: str | bytes) -> None:
    verify(verifier, token)


@PATHS
@settings(max_examples=examples(500))
@given(claims=strategies.claims)
def test_any_signed_claims(verifier: Verifier, claims: dict[str, object]) -> None:
    """The signature is good, so everything behind it is reached."""
    verify(verifier, rs256().token(claims))


@PATHS
@settings(max_examples=examples(500))
@given(value=strategies.header_values)
def test_any_authorization_header(verifier: Verifier, value: str | bytes | None) -> None:
    outcome(lambda: verifier.verify_header(value), InvalidRequestError, InvalidTokenError, KeysUnavailableError)


class Answers:
    """A fetcher whose answers are anything at all."""

    def __init__(self, metadata: FetchResponse, keys: FetchResponse) -> None:
        self._answers = {METADATA_URL: metadata, KEYS_URL: keys}

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer with what the test has drawn; a request for a URL that is not configured is a bug."""
        return self._answers[request.url]


METADATA = FetchResponse(
    status=200,
    headers={"Content-Type": "application/json"},
    body=json.dumps({"issuer": ISSUER, "jwks_uri": KEYS_URL}).encode(),
)
responses = st.builds(
    lambda status, headers, body: FetchResponse(status=status, headers=headers, body=body),
    st.just(200) | st.integers(-1, 1000),
    st.just({"Content-Type": "application/json"}) | strategies.header_fields,
    strategies.bodies,
)


def ask_over_the_network(provider: Provider, metadata: FetchResponse, keys: FetchResponse) -> object:
    with Verifier(provider, clock=TestClock(), fetcher=Answers(metadata, keys)) as verifier:
        return verify(verifier, rs256().token(good_claims()))


@pytest.mark.parametrize(
    "provider",
    [
        Provider(issuer=ISSUER, application_id=APPLICATION_ID),
        Provider.custom_jwt(issuer=ISSUER, jwks=KEYS_URL, algorithm="RS256", application_id=APPLICATION_ID),
    ],
    ids=["oidc", "customJwt"],
)
@settings(max_examples=examples(300))
@given(keys=responses)
def test_any_key_set(provider: Provider, keys: FetchResponse) -> None:
    ask_over_the_network(provider, METADATA, keys)


@settings(max_examples=examples(300))
@given(metadata=responses)
def test_any_discovery_document(metadata: FetchResponse) -> None:
    """And no address that the document names is asked without being looked at."""
    keys = FetchResponse(status=200, headers={"content-type": "application/json"}, body=key_set_document(rs256().jwk))
    ask_over_the_network(Provider(issuer=ISSUER, application_id=APPLICATION_ID), metadata, keys)


@settings(max_examples=examples(500))
@given(
    config=strategies.json_values
    | strategies.any_text
    | st.lists(
        st.dictionaries(
            st.sampled_from(["type", "domain", "applicationID", "issuer", "jwks", "algorithm"]),
            strategies.json_values
            | st.sampled_from(["customJwt", "oidc", ISSUER, KEYS_URL, "RS256", "data:,{}", "http://x", "x"])
            | strategies.any_text.map(lambda text: f"https://{text}")
            | strategies.any_text.map(lambda text: f"data:;base64,{text}"),
        ),
        max_size=3,
    ).map(lambda entries: {"providers": entries})
)
def test_any_configuration(config: object) -> None:
    outcome(lambda: parse_auth_config(config), ConfigurationError)  # type: ignore[arg-type]


@settings(max_examples=examples(500))
@given(
    issuer=strategies.any_text | strategies.any_text.map(lambda text: f"https://{text}"),
    application_id=strategies.any_text,
    leeway_seconds=st.none() | st.floats() | st.integers(min_value=-(10**400), max_value=10**400),
)
def test_any_provider(issuer: str, application_id: str, leeway_seconds: float | None) -> None:
    outcome(
        lambda: Provider(issuer=issuer, application_id=application_id, leeway_seconds=leeway_seconds),
        ConfigurationError,
    )
