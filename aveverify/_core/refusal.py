"""A refused request: `Refusal`, its head as RFC 6750 demands, and two forms of its body.

Knows no framework and no token: nothing here depends on what was wrong with a token, but `reason`, `hint` and `error`,
which no ready-made body shows. RFC 6750 §3; RFC 9457.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from aveverify._core.bearer import ChallengeParameters, make_challenge
from aveverify.errors import AveVerifyError, Hint, KeysUnavailableError, Reason

_NO_CREDENTIALS_STATUS: Final = 401
_NO_CREDENTIALS_CODE: Final = "unauthorized"
_NO_CREDENTIALS_DESCRIPTION: Final = "Credentials are required"
_UNAVAILABLE_CODE: Final = "temporarily_unavailable"


class Refusal(NamedTuple):
    """A refused request: the head of its response, and why it is refused.

    `status`, `headers`, `error_code` and `description` are the same for every token, whatever is wrong with it. The
    other members are for the application and its log; a client should not see them.

    Attributes:
        status: The status code: 400, 401, 403 or 503.
        headers: Names in lower case, and values: the challenge or `retry-after`, `cache-control` and `vary`. Not those
            that describe the body.
        error_code: A code of RFC 6750 §3.1, `unauthorized` without credentials, or `temporarily_unavailable`.
        description: A fixed sentence.
        reason: Why, from a closed list; None where credentials are required and the request has none.
        hint: The most likely mistake; None where there is none.
        error: The error; None where credentials are required and the request has none.

    Source: RFC 6750 §3; ERR-004.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    error_code: str
    description: str
    reason: Reason | None
    hint: Hint | None
    error: AveVerifyError | None


# Returns media type and body of the response to a refusal.
RenderRefusal = Callable[[Refusal], tuple[str, str | bytes]]


class ErrorResponse(NamedTuple):
    """The whole response to a refusal.

    Attributes:
        status: The status code.
        headers: Names in lower case, and values; those of the body first.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def make_refusal(error: AveVerifyError | None, parameters: ChallengeParameters) -> Refusal:
    """Describe a refused request.

    Args:
        error: Why it is refused; None where it has no credentials and they are required.
        parameters: The parameters of the service.

    Returns:
        The refusal.

    Source: RFC 6750 §3.1; DV-14; HTP-034; HTP-035.
    """
    headers = [("cache-control", "no-store")]
    if parameters.vary:
        headers.append(("vary", parameters.vary))
    if isinstance(error, KeysUnavailableError):
        headers.append(("retry-after", str(error.retry_after_seconds)))
    else:
        headers.append(("www-authenticate", make_challenge(error, parameters)))
    if error is None:
        status, code, description = _NO_CREDENTIALS_STATUS, _NO_CREDENTIALS_CODE, _NO_CREDENTIALS_DESCRIPTION
        return Refusal(status, tuple(headers), code, description, None, None, None)
    code = error.error_code or _UNAVAILABLE_CODE
    return Refusal(error.http_status, tuple(headers), code, error.description, error.reason, error.hint, error)


def make_response(refusal: Refusal, media_type: str, body: bytes) -> ErrorResponse:
    """Return the whole response to a refusal.

    Args:
        refusal: The refusal.
        media_type: The media type of the body.
        body: The body.

    Returns:
        The response.
    """
    length = ("content-length", str(len(body)))
    return ErrorResponse(refusal.status, (("content-type", media_type), length, *refusal.headers), body)


def oauth_error(refusal: Refusal) -> tuple[str, str | bytes]:
    """Render a refusal as `{"error": …, "error_description": …}`, the default.

    Args:
        refusal: The refusal.

    Returns:
        The media type `application/json`, and the body.

    Source: RFC 6749 §5.2; RFC 6750 §3.1.
    """
    return "application/json", json.dumps({"error": refusal.error_code, "error_description": refusal.description})


def problem_details(refusal: Refusal) -> tuple[str, str | bytes]:
    """Render a refusal as problem details: `render_refusal=problem_details`.

    Args:
        refusal: The refusal.

    Returns:
        The media type `application/problem+json`, and the body with `type`, `title`, `status`, `detail` and, as an
        extension, `error`.

    Source: RFC 9457 §3; §4.2.1: the title of `about:blank` is the phrase of the status code.
    """
    return "application/problem+json", json.dumps({
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.description,
        "error": refusal.error_code,
    })  # fmt: skip
