"""What an OpenAPI document says of an edge: how to authenticate, and what a refusal looks like.

Plain texts; each framework puts them into models of its own. OpenAPI 3.1 §4.8.27; OpenID Connect Discovery 1.0 §4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aveverify._core.provider import Provider
from aveverify.errors import (
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
)

BEARER_SCHEME: Final = "aveBearer"
OPENID_SCHEME: Final = "aveOpenId"
BEARER_DESCRIPTION: Final = "The id_token of a signed-in user: `Authorization: Bearer <token>`."
# Status -> what it means.
REFUSED_STATUSES: Final = {
    error.http_status: error.description
    for error in (InvalidRequestError, InvalidTokenError, InsufficientScopeError, KeysUnavailableError)
}


def discovery_urls(providers: Iterable[Provider]) -> dict[str, str]:
    """Name the issuers that clients can discover.

    Args:
        providers: The providers of a verifier.

    Returns:
        The name of a security scheme -> the URL of a discovery document, each URL once. Providers that read no
        discovery document are not there: customJwt, or with a `jwks_uri` of their own.
    """
    urls = dict.fromkeys(url for one in providers if (url := one.metadata_url) is not None)
    return {f"{OPENID_SCHEME}{place or ''}": url for place, url in enumerate(urls)}
