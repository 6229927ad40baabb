"""The permissions: which scopes a token must hold, and a predicate of the application. RFC 6749 §3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rest_framework.permissions import AND, BasePermission

from aveverify._core.identity import Identity
from aveverify._http.option_checks import check_function
from aveverify._http.policy import require_allowed
from aveverify._http.request_auth import ViewDemand
from aveverify._http.scopes import RequiredScopes, check_scope_list
from aveverify.django._requests import request_auth_of
from aveverify.drf._refusals import django_request, is_trial, make_refused_error
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify._http.auth_options import Allow as Predicate
    from aveverify._http.policy import AuthPolicy

_DEMANDS_NOTHING: Final = ViewDemand(required=True, uses_identity=True)


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
        error: InsufficientScopeError | None = None
        identity = _identity_of(request)
        if identity is not None:
            error = self._find_error(identity, policy)
            if error is None:
                return True
        elif request.successful_authenticator is not None:
            # The user of another authentication class has no token: no scopes, and nothing that a predicate could see.
            error = InsufficientScopeError(policy.scopes.names, any_of=policy.scopes.any_of)
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

    def _find_error(self, identity: Identity, policy: AuthPolicy) -> InsufficientScopeError | None:
        scopes, any_scopes, allow = self.demand.scopes, self.demand.any_scopes, self.demand.allow
        try:
            # Only those of this permission: about those of the settings the authentication has decided.
            RequiredScopes(claims=policy.scopes.claims).and_also(scopes, any_scopes).check(identity)
        except InsufficientScopeError as error:
            # A token must hold both.
            return InsufficientScopeError(policy.scopes.names, any_of=policy.scopes.any_of, hint=error.hint)
        if allow is not None:
            try:
                require_allowed(policy.calls.call("allow", allow, identity))
            except InsufficientScopeError as error:
                return error
        return None

    def _is_indispensable(self, view: APIView) -> bool:
        """Tell whether no other permission of the view could admit a request that this one refuses."""
        # Instances are made anew each time, and so may the classes be, in `get_permissions` of a view.
        return any(self._is_part_of(one) for one in view.get_permissions())

    def _is_part_of(self, other: object) -> bool:
        if isinstance(other, AND):
            return self._is_part_of(other.op1) or self._is_part_of(other.op2)
        return isinstance(other, TokenPermission) and other.demand == self.demand


def _identity_of(request: Request) -> Identity | None:
    # `request.auth` raises a deferred refusal here. A test may force an identity as the user alone.
    return next((one for one in (request.auth, request.user) if isinstance(one, Identity)), None)


def _make(name: str, doc: str, demand: ViewDemand) -> type[BasePermission]:
    return type(name, (TokenPermission,), {"demand": demand, "__doc__": doc})


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
    return _make("HasScopes", f"Demands {' '.join(scopes)}.", _DEMANDS_NOTHING._replace(scopes=scopes))


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
    return _make("HasAnyScope", f"Demands one of {' '.join(scopes)}.", _DEMANDS_NOTHING._replace(any_scopes=scopes))


def Allow(predicate: Predicate) -> type[BasePermission]:  # noqa: N802 - named like the permission class that it returns
    """Make a permission class that asks a predicate about the identity: its plan, its role.

    Args:
        predicate: Called with the identity; a false value refuses with 403 (`NOT_ALLOWED`). A coroutine function is run
            to its end. It is not called for an anonymous request, which is refused with 401.

    Returns:
        A permission class, which `&`, `|` and `~` combine like any other.

    Raises:
        ConfigurationError: It is no function of one argument.

    Example:
        `permission_classes = [Allow(lambda identity: identity.get("plan") == "pro")]`
    """
    if predicate is None:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "predicate", "a function of an identity")
    check_function("predicate", predicate)
    return _make(
        "Allow", "Demands what a predicate of the application says.", _DEMANDS_NOTHING._replace(allow=predicate)
    )
