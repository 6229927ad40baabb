"""The Authorization header becomes a token, and an error becomes the answer of RFC 6750."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify import (
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)
from aveverify._core.bearer import ChallengeParameters, make_challenge, parse_authorization
from aveverify.errors import AveVerifyError
from tests.core.jose_factory import raised

# --- the header


@pytest.mark.parametrize(
    ("value", "token"),
    [
        pytest.param("Bearer a.b.c", b"a.b.c", id="as always"),
        pytest.param(b"Bearer a.b.c", b"a.b.c", id="bytes"),
        pytest.param("bearer a.b.c", b"a.b.c", id="lower case"),
        pytest.param("BEARER a.b.c", b"a.b.c", id="upper case"),
        pytest.param("Bearer   a.b.c", b"a.b.c", id="several blanks"),
        pytest.param(" Bearer a.b.c\t", b"a.b.c", id="blanks around"),
        pytest.param("Bearer opaque", b"opaque", id="any token"),
        pytest.param("Bearer aA0-._~+/==", b"aA0-._~+/==", id="all characters of a b64token"),
        pytest.param("Bearer Bearer", b"Bearer", id="the scheme's name as token"),
    ],
)
def test_the_token_is_taken_out(value: str | bytes, token: bytes) -> None:
    """RFC 6750 §2.1; HTTP-04; HTP-003."""
    assert parse_authorization(value) == token


@pytest.mark.parametrize(
    "value",
    [
        None, "Basic dXNlcjpwYXNz", b"Basic dXNlcjpwYXNz", "DPoP a.b.c", "Token x", "Negotiate", "Digest a=b",
        "Bear tok", "Bearertok", "Bearer: tok", "Convex key", "a.b.c", "Basic Bearer a.b.c", "Bearer,a",
    ],
    ids=str,
)  # fmt: skip
def test_no_header_or_another_scheme_is_anonymous(value: str | bytes | None) -> None:
    """HTTP-06; HTP-004; HTP-005."""
    assert parse_authorization(value) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blanks"),
        pytest.param(b"\t", id="a tab"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer ", id="a blank and no token"),
        pytest.param("Bearer\ta.b.c", id="a tab after the scheme"),
        pytest.param("Bearer a b", id="two words"),
        pytest.param("Bearer a,Bearer b", id="joined by a comma"),
        pytest.param("Bearer a, Bearer b", id="joined by a comma and a blank"),
        pytest.param("Bearer a.b.c,", id="a comma behind"),
        pytest.param("Bearer =", id="only padding"),
        pytest.param("Bearer a=b", id="padding inside"),
        pytest.param('Bearer "a.b.c"', id="quotes"),
        pytest.param("Bearer a.b.c\n", id="a line feed behind"),
        pytest.param("Bearer a\x00", id="NUL"),
        pytest.param("Bearer a\r\n b", id="folded"),
        pytest.param("Bearer é", id="a letter outside ASCII"),
        pytest.param("Bäsic x", id="a scheme outside ASCII"),
        pytest.param("Bearer \ud800", id="a lone surrogate"),
        pytest.param(b"Bearer \xff", id="a byte outside ASCII"),
        pytest.param("\u00a0Bearer a", id="a blank outside ASCII"),
    ],
)
def test_a_malformed_header_is_the_clients_mistake(value: str | bytes) -> None:
    """RFC 6750 §3.1; HTTP-01; HTP-002 to HTP-007."""
    error = raised(InvalidRequestError, lambda: parse_authorization(value))

    assert (error.reason, error.rule) == (Reason.MALFORMED_AUTHORIZATION, "RFC6750-2.1")
    assert error.convex_code is None


@pytest.mark.parametrize(
    "value",
    [
        "Basic x, Bearer y", "Basic x,Bearer y", "Basic x,\tbearer y", "DPoP a, BEARER\tb", "Basic x, Bearer",
        b"Basic x, Bearer y",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_token_behind_other_credentials_does_not_pass_for_anonymous(value: str | bytes) -> None:
    """HTP-001; RFC 9110 §5.3: a server may join two headers with a comma."""
    error = raised(InvalidRequestError, lambda: parse_authorization(value))

    assert error.reason is Reason.REPEATED_AUTHORIZATION


@pytest.mark.parametrize(
    "value", ["Basic x, Bearing y", "Digest a=b, realm=bearer", "Basic bearer", "Basic x Bearer y"], ids=ascii
)
def test_the_word_alone_is_no_second_credential(value: str) -> None:
    assert parse_authorization(value) is None


@pytest.mark.parametrize("value", [1, ["Bearer a"], bytearray(b"Bearer a"), True], ids=str)
def test_another_type_is_a_mistake_of_the_caller(value: Any) -> None:
    with pytest.raises(TypeError):
        parse_authorization(value)


def test_a_megabyte_of_blanks_takes_no_time() -> None:
    raised(InvalidRequestError, lambda: parse_authorization("Bearer " + " " * 1_000_000 + "a b"))


# --- challenges and answers

REFUSED = InvalidTokenError(
    Reason.EXPIRED, rule="OIDC-19", kind="oidc", claim="exp", issuer="https://s3cret", kid="s3cret"
)
UNAVAILABLE = KeysUnavailableError(7, kind="oidc", issuer="https://s3cret", cause="s3cret")
FORBIDDEN = InsufficientScopeError(("read", "write"))
MALFORMED = InvalidRequestError()
NOTHING = ChallengeParameters()


@pytest.mark.parametrize(
    ("error", "parameters", "challenge"),
    [
        pytest.param(None, NOTHING, "Bearer", id="no credentials"),
        pytest.param(None, ChallengeParameters(realm="api"), 'Bearer realm="api"', id="no credentials, a realm"),
        pytest.param(
            None,
            ChallengeParameters(scopes=("read", "write"), resource_metadata="https://x"),
            'Bearer scope="read write", resource_metadata="https://x"',
            id="no credentials, scopes and metadata",
        ),
        pytest.param(
            REFUSED,
            NOTHING,
            'Bearer error="invalid_token", error_description="The access token is invalid, expired or not meant for'
            ' this service"',
            id="refused",
        ),
        pytest.param(
            REFUSED,
            ChallengeParameters(realm="api", scopes=("read",), resource_metadata="https://x"),
            'Bearer realm="api", error="invalid_token", error_description="The access token is invalid, expired or not'
            ' meant for this service", resource_metadata="https://x"',
            id="refused, with everything: the scope would say nothing",
        ),
        pytest.param(
            FORBIDDEN,
            ChallengeParameters(scopes=("read", "write")),
            'Bearer error="insufficient_scope", error_description="The token does not carry the required scope",'
            ' scope="read write"',
            id="scope missing",
        ),
        pytest.param(
            MALFORMED,
            NOTHING,
            'Bearer error="invalid_request", error_description="The credentials are malformed or occur more than once"',
            id="malformed header",
        ),
    ],
)
def test_the_challenge(error: AveVerifyError | None, parameters: ChallengeParameters, challenge: str) -> None:
    """RFC 6750 §3; RFC 9728 §5.1."""
    assert make_challenge(error, parameters) == challenge
