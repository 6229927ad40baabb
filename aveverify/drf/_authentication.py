"""Django REST framework: an authentication class and permissions, configured by `AVEVERIFY` in Django's settings.

A refusal carries the status, headers and body of the contract by itself; `exception_handler` does the same for what a
view lets through, and for REST framework's own 401. design §6; REST framework's documentation of authentication.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.permissions import BasePermission

from aveverify._core.bearer import ErrorResponse, make_challenge
from aveverify._core.identity import Identity
from aveverify._http.caching import merge_vary
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import check_scope_list, granted_scopes
from aveverify.django._requests import judge_by_settings, request_auth_of, respond, show
from aveverify.django._settings import kept
from aveverify.errors import AveVerifyError, InsufficientScopeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request
    from rest_framework.views import APIView

    from aveverify._http.request_auth import RequestAuth


class Refusal(APIException):
    """An answer of the contract as REST framework's exception: the same status, challenge and body.

    It is no `AuthenticationFailed`, which becomes a 403 wherever another authentication class stands first.
    """

    def __init__(self, answer: ErrorResponse) -> None:
        super().__init__(json.loads(answer.body))
        self.answer = answer
        self.status_code = answer.status
        headers = dict(answer.headers)
        self.auth_header = headers.get("www-authenticate")
        self.wait = int(headers["retry-after"]) if "retry-after" in headers else None


class AveAuthentication(BaseAuthentication):
    """Authenticates by a bearer token: `request.auth` is the identity, `request.user` too, or `USER_LOADER`'s user.

    A request without a token is left to the next authentication class, unless `REQUIRED` says otherwise. A bad token
    is refused at once (HTP-036), and with `ON_INVALID` set to `"defer"` when the view looks at user or identity.
    """

    def __init__(self) -> None:
        # Its generator makes one of these for each view; whoever does without drf-spectacular never loads it.
        if "drf_spectacular.extensions" in sys.modules:
            import_module("aveverify.drf._schema")

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Verify the token of a request.

        Args:
            request: The request.

        Returns:
            The user and the identity; None for nobody.

        Raises:
            Refusal: The request is refused: 400, 401, 403 or 503.
            PermissionDenied: The token came in a cookie, and the CSRF check failed.
        """
        inner = _inner(request)
        request_auth = request_auth_of(inner)
        outcome = request_auth.authenticate()
        if not request_auth.is_exempt:
            _vary(request, request_auth)
        denial = judge_by_settings(inner, request_auth)
        if denial is not None:
            raise _refusal(request, request_auth, denial.response)
        show(inner, request_auth)
        if isinstance(outcome, DeferredError):
            raiser = _Raiser(request, request_auth)
            return SimpleLazyObject(raiser), SimpleLazyObject(raiser)
        if not isinstance(outcome, Identity):
            return None
        if request_auth.is_ambient:
            # Views of REST framework are exempt from Django's own check.
            SessionAuthentication().enforce_csrf(request)
        return (outcome if kept.get().users is None else request_auth.user), outcome

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of REST framework's own 401."""
        request_auth = request_auth_of(_inner(request))
        return make_challenge(request_auth.error, request_auth.policy.parameters)


class _Raiser:
    """Raises the deferred refusal of a request, as REST framework's exception."""

    def __init__(self, request: Request, request_auth: RequestAuth) -> None:
        self._request = request
        self._request_auth = request_auth

    def __call__(self) -> object:
        try:
            return self._request_auth.identity_or_raise()
        except AveVerifyError as error:
            refusal = _refusal(self._request, self._request_auth, self._request_auth.error_response(error))
        raise refusal


class _ScopePermission(BasePermission):
    """A token with all of these scopes; made by `HasScopes`."""

    scopes: tuple[str, ...] = ()

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the identity of the request has all scopes.

        Args:
            request: The request.
            view: The view. Where the permission stands in its list by itself, a refusal is raised with its challenge;
                in a combination the others have their say first.

        Returns:
            Whether they are granted.

        Raises:
            Refusal: 403, or 401 for nobody.
        """
        # A deferred refusal is raised here, when its stand-in is looked at.
        identity = request.auth if isinstance(request.auth, Identity) else None
        if identity is not None and set(self.scopes) <= set(granted_scopes(identity)):
            return True
        if type(self) in view.permission_classes:
            request_auth = request_auth_of(_inner(request))
            policy = request_auth.policy.with_scopes(self.scopes)
            error = None if identity is None else InsufficientScopeError(policy.parameters.scopes)
            raise _refusal(request, request_auth, policy.deny(error).response)
        return False


def HasScopes(*scopes: str) -> type[BasePermission]:  # noqa: N802 - a class to whoever lists it
    """Make a permission that demands all of these scopes; combine it with `&`, `|` and `~` like any other.

    Args:
        scopes: The scopes.

    Returns:
        A permission class.

    Raises:
        ConfigurationError: There is none, or one is no scope token of RFC 6749 §3.3.
    """
    check_scope_list(scopes, may_be_empty=False)
    return type("HasScopes", (_ScopePermission,), {"scopes": scopes, "__doc__": f"Demands {' '.join(scopes)}."})


def HasScope(scope: str) -> type[BasePermission]:  # noqa: N802 - as above
    """Make a permission that demands a scope; see `HasScopes`."""
    return HasScopes(scope)


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Answer every refusal to the letter of the contract: `REST_FRAMEWORK = {"EXCEPTION_HANDLER": …}`.

    Args:
        exc: What the view raised.
        context: What REST framework knows of the request.

    Returns:
        The answer to a refusal, to an error of `get_user_identity`, or to missing credentials; for everything else
        what REST framework's own handler says.
    """
    # The settings of REST framework name this module, and its views read them as soon as they are imported.
    from rest_framework import views  # noqa: PLC0415 - for that reason

    request: Request = context["request"]
    inner = _inner(request)
    response: ErrorResponse | None = None
    if isinstance(exc, Refusal):
        response = exc.answer
    elif isinstance(exc, AveVerifyError):
        request_auth = request_auth_of(inner)
        response = request_auth.error_response(exc) if request_auth.owns(exc) else None
    elif isinstance(exc, NotAuthenticated) and isinstance(_first(request.authenticators), AveAuthentication):
        request_auth = request_auth_of(inner)
        error = request_auth.error
        response = request_auth.policy.deny(None).response if error is None else request_auth.error_response(error)
    if response is None:
        return views.exception_handler(exc, context)
    views.set_rollback()
    return respond(inner, response)


def _first(authenticators: Sequence[object] | None) -> object:
    return authenticators[0] if authenticators else None


def _inner(request: Request) -> HttpRequest:
    return request._request  # noqa: SLF001 - REST framework's own name for the request of Django


def _refusal(request: Request, request_auth: RequestAuth, response: ErrorResponse) -> Refusal:
    # REST framework's exceptions carry no further headers; a view does.
    headers = _vary(request, request_auth)
    if headers is not None:
        headers["Cache-Control"] = "no-store"
    return Refusal(response)


def _vary(request: Request, request_auth: RequestAuth) -> dict[str, str] | None:
    """Let the answer of a view tell caches by which headers it differs (HTP-050).

    Returns:
        The headers that the view adds to its answer; None where no view is under way.
    """
    headers: dict[str, str] | None = getattr(request.parser_context.get("view"), "headers", None)
    vary = request_auth.policy.parameters.vary
    if headers is not None and vary:
        headers["Vary"] = merge_vary(headers.get("Vary"), vary)
    return headers
