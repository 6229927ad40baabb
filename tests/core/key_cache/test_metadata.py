"""Provider metadata: two members are read, and both must be addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aveverify._core.key_cache.metadata import (
    WELL_KNOWN_PATH,
    MetadataError,
    ProviderMetadata,
    is_same_issuer,
    parse_metadata,
)
from tests.core.jose_factory import ISSUER, KEYS_URL, Json, raised, without

DOCUMENT: Json = {"issuer": ISSUER, "jwks_uri": KEYS_URL}


def parse(document: Any, *, fetched_over_http: bool = False, insecure_http: bool = False) -> ProviderMetadata:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_metadata(body, fetched_over_http=fetched_over_http, insecure_http=insecure_http)


def test_issuer_and_address_of_the_keys_are_read_as_written() -> None:
    metadata = parse({"issuer": "https://IDP.example/x/", "jwks_uri": "https://keys.example:8443/k?x=y"})

    assert metadata == ("https://IDP.example/x/", "https://keys.example:8443/k?x=y")


def test_the_well_known_path_is_that_of_the_standard() -> None:
    assert WELL_KNOWN_PATH == "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "more",
    [
        {"op_policy_uri": ""}, {"authorization_endpoint": 5}, {"scopes_supported": "openid"},
        {"id_token_signing_alg_values_supported": ["none"]}, {"keys": []},
    ],
    ids=lambda more: str(*more),
)  # fmt: skip
def test_nothing_else_is_looked_at(more: Json) -> None:
    """DV-20; OIDC-10."""
    assert parse(DOCUMENT | more).issuer == ISSUER


def test_members_that_are_not_read_may_occur_twice() -> None:
    assert parse(json.dumps(DOCUMENT)[:-1].encode() + b',"x":1,"x":2}').issuer == ISSUER


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param([DOCUMENT], id="wrapped in an array"),
        pytest.param(json.dumps(DOCUMENT).encode() + b"{}", id="bytes behind"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(DOCUMENT).encode(), id="byte order mark"),
        pytest.param(json.dumps(DOCUMENT)[:-1].encode() + b',"x":"\\ud800"}', id="lone surrogate"),
        pytest.param(json.dumps(DOCUMENT)[:-1].encode() + b',"issuer":"https://idp.example"}', id="issuer twice"),
        pytest.param(json.dumps(DOCUMENT)[:-1].encode() + b',"jwks_uri":"https://x.example"}', id="jwks_uri twice"),
    ],
)
def test_a_document_that_cannot_be_read_is_a_fault(document: Any) -> None:
    """DISC-04; DV-08."""
    assert raised(MetadataError, lambda: parse(document)).cause


@pytest.mark.parametrize(
    "value",
    [
        None, 1, [], {}, "", "idp.example", "/keys", "//idp.example/keys", "https://", "https:///keys", "https://:443",
        "https://idp.example:x", "https://idp.example:65536", "https://idp example", "https://idp.example\n",
        "data:application/json,{}", "javascript:alert(1)",
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("name", ["issuer", "jwks_uri"])
def test_both_members_are_absolute_urls(name: str, value: Any) -> None:
    """DISC-04."""
    fault = raised(MetadataError, lambda: parse(DOCUMENT | {name: value}))

    assert name in fault.cause


@pytest.mark.parametrize("name", ["issuer", "jwks_uri"])
def test_both_members_are_required(name: str) -> None:
    raised(MetadataError, lambda: parse(without(DOCUMENT, name)))


@pytest.mark.parametrize(
    ("jwks_uri", "over_http", "insecure_http", "good"),
    [
        pytest.param("https://other.example/k", False, False, True, id="https anywhere"),
        pytest.param("HTTPS://other.example/k", False, False, True, id="https in capitals"),
        pytest.param("https://127.0.0.1/k", False, False, True, id="https on loopback"),
        pytest.param("http://127.0.0.1/k", False, False, False, id="http on loopback, from https"),
        pytest.param("http://127.0.0.1/k", False, True, False, id="not even with the opt-in"),
        pytest.param("http://idp.example/k", False, True, False, id="http elsewhere, from https"),
        pytest.param("http://127.0.0.1/k", True, False, True, id="http on loopback, from http"),
        pytest.param("http://localhost:1/k", True, False, True, id="another name of loopback"),
        pytest.param("http://[::1]/k", True, False, True, id="a third name of loopback"),
        pytest.param("http://192.168.0.1/k", True, False, False, id="http elsewhere, from http"),
        pytest.param("http://169.254.169.254/k", True, False, False, id="the metadata service"),
        pytest.param("http://127.0.0.1@idp.example/k", True, False, False, id="loopback as user name"),
        pytest.param("http://192.168.0.1/k", True, True, True, id="http elsewhere, from http, by opt-in"),
        pytest.param("https://other.example/k", True, False, True, id="https from http"),
        pytest.param("ftp://idp.example/k", False, True, False, id="ftp"),
        pytest.param("file://localhost/k", True, True, False, id="file"),
    ],
)
def test_a_document_leads_to_plain_http_only_where_it_came_from_there(
    jwks_uri: str, *, over_http: bool, insecure_http: bool, good: bool
) -> None:
    """DISC-09; DV-10."""
    document = DOCUMENT | {"jwks_uri": jwks_uri}
    if good:
        assert parse(document, fetched_over_http=over_http, insecure_http=insecure_http).jwks_uri == jwks_uri
    else:
        raised(MetadataError, lambda: parse(document, fetched_over_http=over_http, insecure_http=insecure_http))


@pytest.mark.parametrize(
    ("document_issuer", "issuer", "same"),
    [
        ("https://a", "https://a", True), ("https://a/", "https://a", True), ("https://a", "https://a//", True),
        ("https://A", "https://a", False), ("http://a", "https://a", False), ("https://a/x", "https://a", False),
        ("https://b", "https://a", False),
    ],
    ids=["same", "slash there", "slashes here", "case", "scheme", "path", "host"],
)  # fmt: skip
def test_a_document_speaks_for_its_issuer_but_for_trailing_slashes(
    document_issuer: str, issuer: str, *, same: bool
) -> None:
    """DISC-05."""
    assert is_same_issuer(document_issuer, issuer) is same
