"""One request of Django: its `RequestAuth`, its identity, and whether it may reach a view.

Shared by the middleware, the decorators and the authentication class of REST framework.
"""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from aveverify._core.identity import Identity
from aveverify._http.auth_record import RECORD_KEY
from aveverify._http.policy import Denial
from aveverify._http.request_auth import RequestAuth
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.shared_scope import SharedScope, copy_scope
from aveverify._http.view_demand import ViewDemand
from aveverify.django._caches import REQUEST_AUTH
from aveverify.django._guarded_views import asks_for_logins, find_view, serves_anonymous
from aveverify.django._refusals import make_response
from aveverify.django._settings import current_settings
from aveverify.django._users import SHOWN_USER, show_user

_REQUIRED: Final = ViewDemand(required=True)
_OPTIONAL: Final = ViewDemand(required=False)
# The attribute of a request that tells whether its path leads to a view that also serves anonymous requests.
_IS_OPTIONAL: Final = "_aveverify_is_optional"


class AveRequest(HttpRequest):
    """The type of the request in a view behind `ave_required`, for annotations; it has no instances.

    Attributes:
        ave_identity: The verified identity.
    """

    ave_identity: Identity


class AveOptionalRequest(HttpRequest):
    """The type of the request in a view behind `ave_optional` or the middleware, for annotations; it has no instances.

    Attributes:
        ave_identity: The verified identity; None for an anonymous request.
    """

    ave_identity: Identity | None


def request_auth_of(request: HttpRequest) -> RequestAuth:
    """Return the `RequestAuth` of a request; the first call makes it."""
    members = request.__dict__
    request_auth = members.get(REQUEST_AUTH)
    if not isinstance(request_auth, RequestAuth):
        configured = current_settings.get()
        scope = getattr(request, "scope", None)
        if scope is not None and RECORD_KEY in scope:
            # What stands in front under ASGI has asked who it will be.
            request.META[RECORD_KEY] = scope[RECORD_KEY]
        # HTP-026: the path that the router compares; `path` begins with a prefix that a client may choose.
        request_auth = members[REQUEST_AUTH] = RequestAuth(
            configured.policy, request.META, request.path_info, configured.users
        )
    return request_auth


def authorize_by_settings(request: HttpRequest, request_auth: RequestAuth) -> Denial | None:
    """Decide whether a request may reach a view by the settings alone.

    Args:
        request: The request.
        request_auth: Its authentication, which has read the credentials.

    Returns:
        The refusal; None lets the request in.
    """
    outcome = request_auth.authenticate()
    if isinstance(outcome, DeferredError) and request_auth.users is not None and asks_for_logins():
        # It reads the user where no view could be asked to answer, and what it raised would be an error of the server.
        return request_auth.make_denial(outcome.error)
    required = request_auth.requires_credentials and not request.__dict__.get(_IS_OPTIONAL)
    denial = request_auth.authorize(_REQUIRED if required else _OPTIONAL)
    is_anonymous = denial is None and required and outcome is None
    if is_anonymous and (request.method != "OPTIONS" or request.body):
        # HTP-027: only a preflight passes without a token. A request whose method something in front has overridden is
        # none, nor is one with a body, which Django has read over ASGI; HTTP/2 allows a body without a length.
        return request_auth.deny_anonymous()
    return denial


def set_identity(request: HttpRequest, request_auth: RequestAuth) -> None:
    """Set `request.ave_identity` and, with a user loader, `request.user`; a second call changes nothing.

    Args:
        request: The request, which is let in.
        request_auth: Its authentication, which has read the credentials.
    """
    if "ave_identity" in request.__dict__:
        return
    outcome = request_auth.authenticate()
    # HTP-010: the identity of this request replaces whatever stood there, even if it is None.
    if hasattr(request, "scope"):
        # A copy: the server may keep its scope, and no identity may be left in it. What a view writes there is shared.
        request.scope = copy_scope(request.scope, {IDENTITY_KEY: outcome}, SharedScope)
    elif hasattr(request, "environ"):
        request.environ[IDENTITY_KEY] = outcome
    # A deferred refusal is raised when the view reads the identity (HTTP-09).
    found = SimpleLazyObject(request_auth.identity_or_raise) if isinstance(outcome, DeferredError) else outcome
    request.__dict__["ave_identity"] = found
    if outcome is not None:
        show_user(request, request_auth, outcome)


def note_optional_view(request: HttpRequest, request_auth: RequestAuth) -> None:
    """Note whether a request without credentials, where they are required, leads to a view that serves it anyway.

    Args:
        request: The request.
        request_auth: Its authentication, which has found no credentials.

    Source: HTP-036.
    """
    if request_auth.requires_credentials:
        view = find_view(request)
        request.__dict__[_IS_OPTIONAL] = view is not None and serves_anonymous(view, request)


def is_as_let_in(request: HttpRequest) -> bool:
    """Tell whether a request has credentials, or needs none, and still shows the user of its token.

    The hot path before `check_view_that_runs`: it decides for most requests.
    """
    members = request.__dict__
    return not members.get(_IS_OPTIONAL) and members.get("user") is members.get(SHOWN_USER)


def check_view_that_runs(request: HttpRequest, view: object) -> HttpResponse | None:
    """Refuse a request that was let in for another view than the one that now runs.

    Args:
        request: The request. A middleware may have changed its path, its method or its list of routes meanwhile.
        view: The view that Django is about to call.

    Returns:
        The response of the refusal; None lets it run.
    """
    if not request.__dict__.get(_IS_OPTIONAL) or serves_anonymous(view, request):
        return None
    return make_response(request, request_auth_of(request).deny_anonymous())
