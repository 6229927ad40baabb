"""The permissions: which scopes a token must hold. RFC 6749 §3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

from aveverify._core.identity import Identity
from aveverify._http.scopes import check_scope_list, granted_scopes
from aveverify.django._requests import request_auth_of
from aveverify.drf._refusals import django_request, make_refused_error
from aveverify.errors import InsufficientScopeError

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class _ScopePermission(BasePermission):
    """A token that holds all of these scopes; the subclasses are made by `HasScopes`."""

    scopes: tuple[str, ...] = ()

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the token of the request holds all scopes; REST framework calls this.

        Args:
            request: The request.
            view: The view, whose list of permissions decides how a refusal is written.

        Returns:
            Whether the scopes are granted. In a combination (`&`, `|`, `~`) REST framework writes the refusal.

        Raises:
            RefusedError: The permission stands in the list by itself: 403 with a challenge that names the scopes, or
                401 for an anonymous request.
        """
        # `request.auth` raises a deferred refusal here.
        identity = request.auth if isinstance(request.auth, Identity) else None
        if identity is not None and set(self.scopes) <= set(
            granted_scopes(identity, request_auth_of(django_request(request)).policy.scopes.claims)
        ):
            return True
        if type(self) in view.permission_classes:
            request_auth = request_auth_of(django_request(request))
            policy = request_auth.policy.with_scopes(self.scopes)
            error = None if identity is None else InsufficientScopeError(policy.parameters.scopes)
            raise make_refused_error(request, request_auth, policy.deny(error))
        return False


def HasScopes(*scopes: str) -> type[BasePermission]:  # noqa: N802 - named like the permission class that it returns
    """Make a permission class that demands all of these scopes.

    Args:
        scopes: The scopes, one or more; each a scope token of RFC 6749 §3.3.

    Returns:
        A permission class, which `&`, `|` and `~` combine like any other.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token.

    Example:
        `permission_classes = [HasScopes("notes:read", "notes:write") | HasScope("admin")]`
    """
    check_scope_list(scopes, may_be_empty=False)
    return type("HasScopes", (_ScopePermission,), {"scopes": scopes, "__doc__": f"Demands {' '.join(scopes)}."})


def HasScope(scope: str) -> type[BasePermission]:  # noqa: N802 - named like the permission class that it returns
    """Make a permission class that demands one scope.

    Args:
        scope: The scope, a scope token of RFC 6749 §3.3.

    Returns:
        A permission class, which `&`, `|` and `~` combine like any other.

    Raises:
        ConfigurationError: It is no scope token.
    """
    return HasScopes(scope)
