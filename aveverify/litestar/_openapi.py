"""Litestar: what its OpenAPI document says: the bearer token and the discovery documents of the issuers.

OpenAPI 3.1 §4.8.27; OpenID Connect Discovery 1.0 §4.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from litestar.openapi.spec import Components, SecurityScheme

from aveverify._http.openapi import BEARER_DESCRIPTION, BEARER_SCHEME, discovery_urls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.openapi import OpenAPIConfig

    from aveverify._core.provider import Provider


def describe_security(config: OpenAPIConfig, providers: Iterable[Provider]) -> OpenAPIConfig:
    """Return an OpenAPI configuration with further security schemes and requirements.

    Args:
        config: The configuration of the application; it does not change.
        providers: The providers of the verifier.

    Returns:
        The configuration with what it said before, the bearer token, and one scheme for each discovery document.
    """
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description=BEARER_DESCRIPTION)
    schemes = {BEARER_SCHEME: bearer}
    for name, url in discovery_urls(providers).items():
        schemes[name] = SecurityScheme(type="openIdConnect", open_id_connect_url=url)
    described = copy(config)
    components = config.components if isinstance(config.components, list) else [config.components]
    described.components = [*components, Components(security_schemes={**schemes})]
    requirements: list[dict[str, list[str]]] = [{name: []} for name in schemes]
    described.security = [*(config.security or []), *requirements]
    return described
