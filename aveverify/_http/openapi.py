"""The OpenAPI description that all integrations share: scheme names, discovery documents, refusals.

Plain texts and dictionaries; each integration turns them into its framework's own models. OpenAPI 3.1 §4.8.27; OpenID
Connect Discovery 1.0 §4.
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
# HTTP status of a refusal -> its description.
REFUSED_STATUSES: Final = {
    error.http_status: error.description
    for error in (InvalidRequestError, InvalidTokenError, InsufficientScopeError, KeysUnavailableError)
}


def security_schemes(providers: Iterable[Provider]) -> dict[str, dict[str, str]]:
    """Describe how clients authenticate, as the `securitySchemes` of an OpenAPI document.

    Args:
        providers: The providers of a verifier.

    Returns:
        The name of each security scheme -> its Security Scheme Object: the bearer token first, then one OpenID Connect
        scheme for each discovery document.

    Source: OpenAPI 3.1 §4.8.27.
    """
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": BEARER_DESCRIPTION}
    openid = {
        name: {"type": "openIdConnect", "openIdConnectUrl": url} for name, url in discovery_urls(providers).items()
    }
    return {BEARER_SCHEME: bearer, **openid}


def discovery_urls(providers: Iterable[Provider]) -> dict[str, str]:
    """Name the discovery documents of the providers.

    Args:
        providers: The providers of a verifier.

    Returns:
        The name of a security scheme -> the URL of a discovery document, each URL once. Providers without a discovery
        document are left out: customJwt, and those with a `jwks_uri`.
    """
    urls = dict.fromkeys(url for provider in providers if (url := provider.metadata_url) is not None)
    return {f"{OPENID_SCHEME}{place or ''}": url for place, url in enumerate(urls)}
