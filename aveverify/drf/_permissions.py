"""The permissions: which scopes a token must hold, and a predicate of the application. RFC 6749 §3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rest_framework.permissions import AND, BasePermission

from aveverify._core.identity import Identity
from aveverify._http.option_checks import check_function
from aveverify._http.policy import require_allowed
from aveverify._http.scopes import RequiredScopes, check_scope_list
from aveverify._http.view_demand import ViewDemand
from aveverify.django._requests import request_auth_of
from aveverify.drf._refusals import django_request, is_trial, make_refused_error
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify._http.auth_options import Allow as Predicate
    from aveverify._http.policy import AuthPolicy


class TokenPermission(BasePermission):
    """A permission that asks the identity of a request; `HasScopes` and its like make the subclasses.

    Attributes:
        demand: What it requires of an identity.
        message: What REST framework says where it writes the refusal.
        code: The error code that it gives then.
    """

    demand: ClassVar[ViewDemand]
    message: ClassVar[str] = InsufficientScopeError.description
    code: ClassVar[str] = InsufficientScopeError.error_code

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the identity of a request meets the demand; REST framework calls this.

        Args:
            request: The request.
            view: The view, whose list of permissions decides who writes a refusal.

        Returns:
            Whether it does. Behind `|` and `~` REST framework writes the refusal, if there is one.

        Raises:
            RefusedError: Nothing else could admit the request, because the permission stands in the list by itself or
                in an `&`: 403 with a challenge that names the scopes, or 401 for an anonymous request.
        """
        request_auth = request_auth_of(django_request(request))
        policy = request_auth.policy.with_scopes(self.demand.scopes, self.demand.any_scopes)
        identity = _identity_of(request)
        error: InsufficientScopeError | None = None
        if identity is not None or request.successful_authenticator is not None:
            try:
                self._check(identity, policy)
            except InsufficientScopeError as caught:
                error = caught
            else:
                return True
        if self._is_indispensable(view):
            denial = policy.make_denial(error) if is_trial(request) else policy.deny(error)
            raise make_refused_error(request, request_auth, denial)
        return False

    def has_object_permission(self, request: Request, view: APIView, obj: object) -> bool:
        """Tell the same as `has_permission`: the object makes no difference.

        Args:
            request: The request.
            view: The view.
            obj: The object.

        Returns:
            Whether the identity meets the demand, so that `~` means the same for an object as for a view.
        """
        del obj
        return self.has_permission(request, view)

    def _check(self, identity: Identity | None, policy: AuthPolicy) -> None:
        """Raise what an identity lacks; the user of another authentication class has none, and so lacks everything."""

    def _is_indispensable(self, view: APIView) -> bool:
        """Tell whether no other permission of the view could admit a request that this one refuses."""
        # Instances are made anew each time, and so may the classes be, in `get_permissions` of a view.
        return any(map(self._is_part_of, getattr(view, "get_permissions", tuple)()))

    def _is_part_of(self, other: object) -> bool:
        if isinstance(other, AND):
            return any(map(self._is_part_of, operands(other)))
        return isinstance(other, TokenPermission) and other.demand == self.demand


class _ScopePermission(TokenPermission):
    """All of some scopes, or one of them."""

    def _check(self, identity: Identity | None, policy: AuthPolicy) -> None:
        hint = None
        if identity is not None:
            # Only those of this permission: about those of the settings the authentication has decided.
            own = RequiredScopes(claims=policy.scopes.claims)
            try:
                own.and_also(self.demand.scopes, self.demand.any_scopes).check(identity)
            except InsufficientScopeError as error:
                hint = error.hint
            else:
                return
        # A token must hold those of the settings, too.
        raise InsufficientScopeError(policy.scopes.names, any_of=policy.scopes.any_of, hint=hint)


class _PredicatePermission(TokenPermission):
    """What a function of the application says."""

    def _check(self, identity: Identity | None, policy: AuthPolicy) -> None:
        allow = self.demand.allow
        require_allowed(identity is not None and allow is not None and policy.calls.call("allow", allow, identity))


def operands(permission: Any) -> tuple[object, object]:  # noqa: ANN401 - they have no types
    """Return the two permissions that REST framework's `AND` or `OR` combines."""
    return permission.op1, permission.op2


def _identity_of(request: Request) -> Identity | None:
    # `request.auth` raises a deferred refusal here. A test may force an identity as the user alone.
    return next((one for one in (request.auth, request.user) if isinstance(one, Identity)), None)


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
    members = {"demand": ViewDemand(required=True, scopes=scopes), "__doc__": f"Demands {' '.join(scopes)}."}
    return type("HasScopes", (_ScopePermission,), members)


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


def HasAnyScope(*scopes: str) -> type[BasePermission]:  # noqa: N802 - named like the permission class that it returns
    """Make a permission class that demands one of these scopes.

    Args:
        scopes: The scopes, one or more; each a scope token of RFC 6749 §3.3.

    Returns:
        A permission class, which `&`, `|` and `~` combine like any other.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token.

    Example:
        `permission_classes = [HasAnyScope("notes:write", "admin")]`
    """
    check_scope_list(scopes, may_be_empty=False)
    members = {"demand": ViewDemand(required=True, any_scopes=scopes), "__doc__": f"Demands one of {' '.join(scopes)}."}
    return type("HasAnyScope", (_ScopePermission,), members)


def Allow(predicate: Predicate) -> type[BasePermission]:  # noqa: N802 - named like the permission class that it returns
    """Make a permission class that asks a predicate about the identity: its plan, its role.

    Args:
        predicate: Called with the identity; a false value refuses with 403 (`NOT_ALLOWED`). A coroutine function is run
            to its end. It is not called for an anonymous request, which is refused with 401.

    Returns:
        A permission class, which `&`, `|` and `~` combine like any other.

    Raises:
        ConfigurationError: It is no function of an identity.

    Example:
        `permission_classes = [Allow(lambda identity: identity.get("plan") == "pro")]`
    """
    if predicate is None:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "predicate", "a function of an identity")
    check_function("predicate", predicate)
    members = {"demand": ViewDemand(required=True, allow=predicate), "__doc__": "Demands what a function decides."}
    return type("Allow", (_PredicatePermission,), members)
