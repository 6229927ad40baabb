"""The security schemes that drf-spectacular writes for `AveAuthentication`. OpenAPI 3.0 §4.7.27.

Imported by `AveAuthentication`, and only in a process that has imported drf-spectacular.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from aveverify._http.openapi import BEARER_SCHEME, security_schemes
from aveverify.django._settings import current_settings

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class AveAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The bearer token, and OpenID Connect for each discovery document of the providers."""

    target_class = "aveverify.drf.AveAuthentication"

    @property
    def name(self) -> list[str]:  # type: ignore[override]
        """The names of the schemes, in the order of their definitions."""
        return list(_schemes())

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Return the schemes.

        Args:
            auto_schema: The view that is described; the schemes are the same for all views.

        Returns:
            The Security Scheme Object of each name.
        """
        del auto_schema
        return list(_schemes().values())

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Return the security requirements of a view: any one of the schemes is enough.

        Args:
            auto_schema: The view that is described.

        Returns:
            One requirement for each scheme. OpenID Connect names the scopes of the settings and of the view's
            permissions; OpenAPI 3.0 allows no scopes for a bearer token.
        """
        demanded = list(current_settings.get().policy.parameters.scopes)
        for permission in auto_schema.view.get_permissions():
            demanded += getattr(permission, "scopes", ())
        scopes = list(dict.fromkeys(demanded))
        return [{name: [] if name == BEARER_SCHEME else scopes} for name in self.name]


def _schemes() -> dict[str, dict[str, str]]:
    return security_schemes(current_settings.get().policy.verifier.providers)
