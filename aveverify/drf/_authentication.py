"""The authentication classes: `request.user` and `request.auth` of a view, from the bearer token."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication, SessionAuthentication

from aveverify._core.bearer import make_challenge
from aveverify._core.identity import Identity
from aveverify._http.auth_record import RECORD_KEY, record_outcome
from aveverify._http.request_identity import DeferredError
from aveverify._http.view_demand import ViewDemand
from aveverify.django._identity_user import IdentityUser
from aveverify.django._requests import authorize_by_settings, leads_to_marked_view, request_auth_of, set_identity
from aveverify.drf._refusals import CHALLENGE, add_vary, django_request, forbid_storing, make_refused_error
from aveverify.errors import AveVerifyError

if TYPE_CHECKING:
    from rest_framework.request import Request

    from aveverify._http.request_auth import RequestAuth


_OPTIONAL: Final = ViewDemand(required=False)


class AveAuthentication(BaseAuthentication):
    """Authenticates by the bearer token: `request.auth` is the `Identity`, `request.user` the user.

    The user is what `USER_LOADER` returns; without a loader, an `IdentityUser`. A request without a token is left to
    the next authentication class, unless `REQUIRED` refuses it. A bad token is refused at once (HTP-036); with
    `ON_INVALID` set to `"defer"`, when the view reads the user or the identity.

    Example:
        `REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["aveverify.drf.AveAuthentication"]}`
    """

    # Whether a request without a token passes although `REQUIRED` holds.
    is_optional: ClassVar[bool] = False

    def __init__(self) -> None:
        # drf-spectacular makes an instance for each view that it describes. A process without it never imports ours.
        if "drf_spectacular.extensions" in sys.modules:
            import_module("aveverify.drf._schema")

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Verify the token of a request; REST framework calls this.

        Args:
            request: The request.

        Returns:
            The user and the identity; None for an anonymous request.

        Raises:
            RefusedError: The request is refused: 400, 401, 403 or 503.
            PermissionDenied: The token came in a cookie, and Django's CSRF check failed.
        """
        inner = django_request(request)
        request_auth = request_auth_of(inner)
        outcome = request_auth.authenticate()
        if not request_auth.is_exempt:
            add_vary(request, request_auth)
        # What the middleware has let in by the authentication classes of the view is not believed: the view may choose
        # this object instead, in `get_authenticators`.
        is_optional = self.is_optional or leads_to_marked_view(inner)
        denial = request_auth.authorize(_OPTIONAL) if is_optional else authorize_by_settings(inner, request_auth)
        if denial is not None:
            raise make_refused_error(request, request_auth, denial)
        set_identity(inner, request_auth)
        if isinstance(outcome, DeferredError):
            find_user = _DeferredUser(request, request_auth)
            return SimpleLazyObject(find_user), SimpleLazyObject(find_user)
        if not isinstance(outcome, Identity):
            return None
        if request_auth.is_ambient:
            # REST framework exempts its views from CsrfViewMiddleware.
            SessionAuthentication().enforce_csrf(request)
        return (IdentityUser(outcome) if request_auth.users is None else request_auth.user), outcome

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of REST framework's own 401; REST framework calls this.

        Args:
            request: The request.

        Returns:
            The value of `WWW-Authenticate`.
        """
        request_auth = request_auth_of(django_request(request))
        challenge = make_challenge(request_auth.error, request_auth.policy.parameters)
        headers = forbid_storing(request, request_auth)
        if headers is not None:
            # That of a permission of ours names its scopes.
            headers.setdefault(CHALLENGE, challenge)
        members = django_request(request).META
        record = members.get(RECORD_KEY)
        if record is not None and record.refusal is None:
            # A permission of REST framework refuses an anonymous request, and calls nothing else of ours.
            record_outcome(members, request_auth.policy, request_auth.policy.make_denial(None))
        return challenge


class OptionalAveAuthentication(AveAuthentication):
    """Authenticates like `AveAuthentication`, for views that also serve requests without a token under `REQUIRED`.

    A bad token is refused. The permissions of the view decide about anonymous requests: `AllowAny`, for instance, or
    `IsAuthenticatedOrReadOnly`. Where a view chooses its authenticators for each request, in `get_authenticators`,
    those that it chooses count: a request without a token needs one of this class among them, and no
    `AveAuthentication`.

    Example:
        `authentication_classes = [OptionalAveAuthentication]`
    """

    is_optional: ClassVar[bool] = True


class _DeferredUser:
    """Raises the deferred refusal of a request, as an exception of REST framework, when the view reads the user."""

    def __init__(self, request: Request, request_auth: RequestAuth) -> None:
        self._request = request
        self._request_auth = request_auth

    def __call__(self) -> object:
        try:
            return self._request_auth.identity_or_raise()
        except AveVerifyError as error:
            denial = self._request_auth.make_denial(error)
            refused = make_refused_error(self._request, self._request_auth, denial, may_be_caught=True)
        # Outside of the handler, so that the refusal is not the context of the new exception.
        raise refused
