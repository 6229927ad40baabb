"""What a request of REST framework knows of its token before any authentication class is asked.

REST framework's own request has no place for this, so its class is extended where it is made.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from rest_framework.request import ForcedAuthentication, Request

from aveverify._core.identity import Identity
from aveverify._http.request_auth import RequestAuth
from aveverify._http.request_identity import IDENTITY_KEY, scope_or_environ
from aveverify.django._caches import REQUEST_AUTH
from aveverify.django._identity_user import IdentityUser
from aveverify.django._requests import is_let_in_by_class
from aveverify.drf._authentication import AveAuthentication
from aveverify.drf._refusals import django_request

if TYPE_CHECKING:
    from collections.abc import Callable

_IS_PATCHED: Final = "_aveverify_prepares_requests"


def patch_request() -> None:
    """Prepare every request of REST framework when it is made. Idempotent.

    No class of the application stands between a view and its request: a request is made in `APIView`, in the browsable
    API and by test factories, and subclasses replace how it authenticates.
    """
    make: Callable[..., None] = Request.__init__
    if hasattr(make, _IS_PATCHED):
        return

    @wraps(make)
    def make_and_prepare(self: Request, *args: object, **kwargs: object) -> None:
        make(self, *args, **kwargs)
        _prepare(self)

    setattr(make_and_prepare, _IS_PATCHED, True)
    Request.__init__ = make_and_prepare  # type: ignore[method-assign]


def _prepare(request: Request) -> None:
    for authenticator in request.authenticators or ():
        if isinstance(authenticator, ForcedAuthentication):
            _complete_forced(request, authenticator)
            return
    if is_let_in_by_class(django_request(request)) and not any(map(_is_optional, request.authenticators or ())):
        # The middleware has let it in by the authentication classes of the view, which has chosen others.
        request.authenticators = [AveAuthentication(), *(request.authenticators or ())]
    request_auth = django_request(request).__dict__.get(REQUEST_AUTH)
    if isinstance(request_auth, RequestAuth) and request_auth.is_personal:
        # A middleware or decorator in front has read the token, and `request.user` of Django is already its user.
        # SessionAuthentication would take that for a session, and REST framework would lose the identity.
        request.authenticators = sorted(
            request.authenticators or (), key=lambda one: not isinstance(one, AveAuthentication)
        )


def _is_optional(authenticator: object) -> bool:
    return isinstance(authenticator, AveAuthentication) and authenticator.is_optional


def _complete_forced(request: Request, forced: Any) -> None:  # noqa: ANN401 - a class that has no types
    """Let `force_authenticate(user=identity)` in a test give what a token gives: a user, and `request.auth`."""
    if isinstance(forced.force_user, Identity):
        forced.force_user = IdentityUser(forced.force_user)
        if forced.force_token is None:
            forced.force_token = forced.force_user
    if isinstance(forced.force_token, Identity):
        inner = django_request(request)
        scope_or_environ(inner)[IDENTITY_KEY] = inner.__dict__["ave_identity"] = forced.force_token
