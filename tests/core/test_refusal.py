"""A refused request: the head of its response, and two forms of its body."""

from __future__ import annotations

import json

import pytest

from aveverify import (
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    Refusal,
    problem_details,
)
from aveverify._core.bearer import ChallengeParameters, make_challenge
from aveverify._core.refusal import ErrorResponse, make_refusal, make_response, oauth_error
from aveverify.errors import AveVerifyError, Hint

REFUSED = InvalidTokenError(
    Reason.EXPIRED, rule="OIDC-19", kind="oidc", claim="exp", issuer="https://s3cret", kid="s3cret"
)
UNAVAILABLE = KeysUnavailableError(7, kind="oidc", issuer="https://s3cret", cause="s3cret")
FORBIDDEN = InsufficientScopeError(("read", "write"))
MALFORMED = InvalidRequestError()
NOTHING = ChallengeParameters()


def respond(error: AveVerifyError | None, parameters: ChallengeParameters) -> ErrorResponse:
    """The response with its default body."""
    refusal = make_refusal(error, parameters)
    media_type, body = oauth_error(refusal)
    return make_response(refusal, media_type, str(body).encode())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(None, 401, "unauthorized", id="no credentials"),
        pytest.param(REFUSED, 401, "invalid_token", id="refused"),
        pytest.param(FORBIDDEN, 403, "insufficient_scope", id="scope missing"),
        pytest.param(MALFORMED, 400, "invalid_request", id="malformed header"),
        pytest.param(UNAVAILABLE, 503, "temporarily_unavailable", id="keys unavailable"),
    ],
)
def test_the_answer(error: AveVerifyError | None, status: int, code: str) -> None:
    """Design §6; HTP-034; HTP-035."""
    response = respond(error, NOTHING)
    headers = dict(response.headers)

    assert response.status == status
    assert json.loads(response.body).keys() == {"error", "error_description"}
    assert json.loads(response.body)["error"] == code
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(response.body))
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Authorization"
    assert len(headers) == len(response.headers) == 5


def test_unavailable_keys_ask_for_patience_and_not_for_another_token() -> None:
    headers = dict(respond(UNAVAILABLE, NOTHING).headers)

    assert headers["retry-after"] == "7"
    assert "www-authenticate" not in headers


@pytest.mark.parametrize("error", [None, REFUSED, FORBIDDEN, MALFORMED], ids=["none", "401", "403", "400"])
def test_every_other_answer_carries_the_challenge(error: AveVerifyError | None) -> None:
    parameters = ChallengeParameters(realm="api")
    headers = dict(respond(error, parameters).headers)

    assert headers["www-authenticate"] == make_challenge(error, parameters)
    assert "retry-after" not in headers


@pytest.mark.parametrize("error", [REFUSED, UNAVAILABLE, FORBIDDEN, MALFORMED], ids=lambda error: type(error).__name__)
def test_nothing_of_a_token_or_an_issuer_is_on_the_wire(error: AveVerifyError) -> None:
    """ERR-002; ERR-004."""
    response = respond(error, NOTHING)

    assert "s3cret" not in response.body.decode() + str(response.headers)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refused_token_gets_the_same_answer(reason: Reason) -> None:
    """ERR-004: the wire is no oracle."""
    assert respond(InvalidTokenError(reason, rule="X-01"), NOTHING) == respond(REFUSED, NOTHING)


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        pytest.param(None, None, None, id="no credentials"),
        pytest.param(
            InvalidTokenError(Reason.EXPIRED, rule="X-01", hint=Hint.MILLISECONDS),
            Reason.EXPIRED,
            Hint.MILLISECONDS,
            id="refused",
        ),
        pytest.param(FORBIDDEN, Reason.INSUFFICIENT_SCOPE, None, id="scope missing"),
        pytest.param(UNAVAILABLE, Reason.KEYS_UNAVAILABLE, None, id="keys unavailable"),
    ],
)
def test_a_refusal_tells_the_application_why(
    error: AveVerifyError | None, reason: Reason | None, hint: Hint | None
) -> None:
    refusal = make_refusal(error, NOTHING)

    assert (refusal.error, refusal.reason, refusal.hint) == (error, reason, hint)


def test_a_refusal_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make_refusal(REFUSED, NOTHING).status = 200  # type: ignore[misc]


def test_an_identity_that_is_not_allowed_asks_for_no_scope() -> None:
    """RFC 6750 §3.1: insufficient_scope; a client cannot get more by asking for a scope."""
    refusal = make_refusal(InsufficientScopeError(reason=Reason.NOT_ALLOWED), NOTHING)

    assert refusal[:1] == (403,)
    assert dict(refusal.headers)["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    assert "scope=" not in dict(refusal.headers)["www-authenticate"]


@pytest.mark.parametrize(
    ("error", "title", "code"),
    [
        pytest.param(None, "Unauthorized", "unauthorized", id="no credentials"),
        pytest.param(REFUSED, "Unauthorized", "invalid_token", id="refused"),
        pytest.param(FORBIDDEN, "Forbidden", "insufficient_scope", id="scope missing"),
        pytest.param(MALFORMED, "Bad Request", "invalid_request", id="malformed header"),
        pytest.param(UNAVAILABLE, "Service Unavailable", "temporarily_unavailable", id="keys unavailable"),
    ],
)
def test_problem_details_have_the_members_of_the_standard(error: AveVerifyError | None, title: str, code: str) -> None:
    """RFC 9457 §3.1, §4.2.1."""
    refusal: Refusal = make_refusal(error, NOTHING)

    media_type, body = problem_details(refusal)

    assert media_type == "application/problem+json"
    assert json.loads(body) == {
        "type": "about:blank",
        "title": title,
        "status": refusal.status,
        "detail": refusal.description,
        "error": code,
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_problem_details_are_the_same_for_every_refused_token(reason: Reason) -> None:
    """ERR-004: the wire is no oracle."""
    refusal = make_refusal(InvalidTokenError(reason, rule="X-01"), NOTHING)

    assert problem_details(refusal) == problem_details(make_refusal(REFUSED, NOTHING))
