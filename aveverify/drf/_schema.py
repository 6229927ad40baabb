"""What drf-spectacular says about `AveAuthentication`; loaded only where drf-spectacular is. OpenAPI 3.0 §4.7.27."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from aveverify._core.key_cache.metadata import WELL_KNOWN_PATH
from aveverify.django._settings import kept

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class AveAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme: OpenID Connect where there is one such issuer, and HTTP bearer."""

    target_class = "aveverify.drf.AveAuthentication"

    @property
    def name(self) -> list[str]:  # type: ignore[override]
        """The names of the schemes, in the order of their definitions."""
        return ["aveBearer"] if _discovery_url() is None else ["aveBearer", "aveOpenIdConnect"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Return the schemes.

        Args:
            auto_schema: The view that is described.

        Returns:
            One scheme for each name.
        """
        del auto_schema
        schemes: list[dict[str, Any]] = [{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}]
        url = _discovery_url()
        if url is not None:
            schemes.append({"type": "openIdConnect", "openIdConnectUrl": url})
        return schemes

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Return what a view demands: either scheme, with the scopes of its permissions where they may be named.

        Args:
            auto_schema: The view that is described.

        Returns:
            The alternatives.
        """
        demanded = list(kept.get().policy.parameters.scopes)
        for permission in auto_schema.view.get_permissions():
            demanded += getattr(permission, "scopes", ())
        scopes = list(dict.fromkeys(demanded))
        return [{name: scopes if name == "aveOpenIdConnect" else []} for name in self.name]


def _discovery_url() -> str | None:
    issuers = {one.issuer for one in kept.get().policy.verifier.providers if one.kind == "oidc"}
    return f"{issuers.pop().rstrip('/')}{WELL_KNOWN_PATH}" if len(issuers) == 1 else None
