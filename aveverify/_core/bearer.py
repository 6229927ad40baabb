"""The Authorization header becomes a token, and an error becomes the challenge of RFC 6750.

Knows no framework. Nothing of a token gets into a challenge. RFC 6750; RFC 9110 §11; RFC 9728.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aveverify.errors import AveVerifyError, InsufficientScopeError, InvalidRequestError, Reason

# RFC 6750 §2.1: the characters of a b64token before its padding.
_B64TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# Bearer credentials after those of another scheme: two headers that a server joined (RFC 9110 §5.3).
_SECOND_BEARER: Final = re.compile(rb",[ \t]*bearer(?:[ \t]|\Z)", re.IGNORECASE)


def parse_authorization(value: str | bytes | None) -> bytes | None:
    """Read the token from the value of an Authorization header.

    Args:
        value: The one value of the header; None where there is none.

    Returns:
        The token; None where there are no credentials or those of another scheme.

    Raises:
        InvalidRequestError: The scheme is Bearer or missing, and what follows is not one token; or Bearer credentials
            follow those of another scheme.
        TypeError: The value is neither str nor bytes nor None.

    Source: RFC 6750 §2.1; HTTP-04 to HTTP-06; HTP-002 to HTP-006.
    """
    if value is None:
        return None
    if not isinstance(value, (str, bytes)):
        message = f"an Authorization header is str, bytes or None, not {type(value).__name__}"
        raise TypeError(message)
    if not value.isascii():
        # HTTP-01
        raise InvalidRequestError
    data = (value.encode() if isinstance(value, str) else value).strip(b" \t")
    # HTTP-04, HTP-003: the scheme in any case, then one blank or more; a tab there is malformed.
    scheme, _, credentials = data.partition(b" ")
    scheme = scheme.lower()
    if scheme == b"bearer":
        token = credentials.lstrip(b" ")
        characters = token.rstrip(b"=")
        if characters and not characters.translate(None, _B64TOKEN):
            return token
        raise InvalidRequestError
    # HTP-007: a control character hides the scheme.
    if not scheme or scheme.startswith(b"bearer\t") or _CONTROL.search(data):
        raise InvalidRequestError
    if _SECOND_BEARER.search(data):
        # HTP-001: an anonymous request would hide the token that the client sent.
        raise InvalidRequestError(Reason.REPEATED_AUTHORIZATION)
    return None


class ChallengeParameters(NamedTuple):
    """The parameters of the challenges of one service.

    Attributes:
        realm: The `realm` of RFC 9110 §11.5; None leaves it out.
        resource_metadata: The URL of RFC 9728; None leaves it out.
        scopes: The scopes that a route demands.
        vary: The request headers that decide about a request, for `Vary`; empty where none does.
    """

    realm: str | None = None
    resource_metadata: str | None = None
    scopes: tuple[str, ...] = ()
    vary: str = "Authorization"


def make_challenge(error: AveVerifyError | None, parameters: ChallengeParameters) -> str:
    """Write a `WWW-Authenticate` challenge.

    Args:
        error: Why the request is refused; None where it has no credentials.
        parameters: The parameters of the service.

    Returns:
        The header's value. Without an error it carries no error code (RFC 6750 §3.1).

    Source: RFC 6750 §3; RFC 9728 §5.1; HTP-034.
    """
    pairs: list[tuple[str, str]] = []
    if parameters.realm is not None:
        pairs.append(("realm", parameters.realm))
    if error is not None and error.error_code is not None:
        pairs += [("error", error.error_code), ("error_description", error.description)]
    if parameters.scopes and (error is None or isinstance(error, InsufficientScopeError)):
        pairs.append(("scope", " ".join(parameters.scopes)))
    if parameters.resource_metadata is not None:
        pairs.append(("resource_metadata", parameters.resource_metadata))
    return " ".join(["Bearer", ", ".join(f'{name}="{value}"' for name, value in pairs)]).rstrip()
