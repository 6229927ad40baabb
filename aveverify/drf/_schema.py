"""The security schemes that drf-spectacular writes for `AveAuthentication`. OpenAPI 3.0 §4.7.27.

Imported by `AveAuthentication`, and only in a process that has imported drf-spectacular.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, product
from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.permissions import AND, OR

from aveverify._http.openapi import BEARER_SCHEME, security_schemes
from aveverify.django._settings import current_settings
from aveverify.drf._permissions import TokenPermission, operands

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class AveAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The bearer token, and OpenID Connect for each discovery document of the providers."""

    target_class = "aveverify.drf.AveAuthentication"
    match_subclasses = True

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
            One requirement for each scheme; of OpenID Connect, one for each way to have enough scopes, those of the
            settings included. OpenAPI 3.0 allows no scopes for a bearer token.
        """
        required = current_settings.get().policy.scopes
        ways = _all_of(_ways_of(required.all_of, required.any_of), *map(_ways, auto_schema.view.get_permissions()))
        return [
            {name: scopes}
            for name in self.name
            for scopes in ([[]] if name == BEARER_SCHEME else map(list, dict.fromkeys(map(tuple, ways))))
        ]


def _ways(permission: object) -> list[list[str]]:
    """Return the lists of scopes of which each is enough for a permission; an empty one where it asks for none."""
    if isinstance(permission, AND):
        return _all_of(*map(_ways, operands(permission)))
    if isinstance(permission, OR):
        return [*chain.from_iterable(map(_ways, operands(permission)))]
    if isinstance(permission, TokenPermission):
        demand = permission.demand
        return _ways_of(demand.scopes, [demand.any_scopes] if demand.any_scopes else [])
    return [[]]


def _ways_of(all_of: Iterable[str], any_of: Iterable[Iterable[str]]) -> list[list[str]]:
    return _all_of([list(all_of)], *([[scope] for scope in group] for group in any_of))


def _all_of(*demands: list[list[str]]) -> list[list[str]]:
    return [list(dict.fromkeys(chain.from_iterable(ways))) for ways in product(*demands)]


def _schemes() -> dict[str, dict[str, str]]:
    return security_schemes(current_settings.get().policy.verifier.providers)
