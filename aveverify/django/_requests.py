"""What middleware, decorators and the authentication of REST framework know of one request of Django."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from aveverify._core.bearer import ErrorResponse
from aveverify._core.identity import Identity
from aveverify._http.policy import Denial
from aveverify._http.request_auth import RequestAuth, ViewDemand
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.django._caches import VISIT
from aveverify.django._settings import kept

_REQUIRED: Final = ViewDemand(required=True)
_OPTIONAL: Final = ViewDemand(required=False)


class AveRequest(HttpRequest):
    """The type of the request in a view behind `ave_required`; no request is ever made of it."""

    ave_identity: Identity


class AveOptionalRequest(HttpRequest):
    """The type of the request in a view behind `ave_optional` or the middleware; no request is ever made of it."""

    ave_identity: Identity | None


def request_auth_of(request: HttpRequest) -> RequestAuth:
    """Return the visit of a request; the first to ask makes it."""
    members = request.__dict__
    request_auth = members.get(VISIT)
    if not isinstance(request_auth, RequestAuth):
        rules = kept.get()
        # HTP-026: what the router sees; `path` begins with a prefix that a client may choose.
        request_auth = members[VISIT] = RequestAuth(rules.policy, request.META, request.path_info, rules.users)
    return request_auth


def judge_by_settings(request: HttpRequest, request_auth: RequestAuth) -> Denial | None:
    """Decide whether a request may reach a view by `AVEVERIFY` of the settings alone, once the visit is settled.

    Args:
        request: The request.
        request_auth: What it has shown.

    Returns:
        As `RequestAuth.authorize`.
    """
    required = request_auth.policy.required and not request_auth.is_exempt
    denial = request_auth.authorize(_REQUIRED if required else _OPTIONAL)
    if (
        denial is None
        and required
        and request_auth.authenticate() is None
        and (request.method != "OPTIONS" or request.body)
    ):
        # HTP-027: what passes without a token is a preflight. It is none if something in front has overridden its
        # method, or if it has a body, which Django has read over ASGI; HTTP/2 allows one without a length.
        return request_auth.policy.deny(None)
    return denial


def show(request: HttpRequest, request_auth: RequestAuth) -> None:
    """Let the view see who asks, once the visit is settled and the request is let in."""
    if "ave_identity" in request.__dict__:
        return
    outcome = request_auth.authenticate()
    # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
    if hasattr(request, "scope"):
        request.scope = {**request.scope, IDENTITY_KEY: outcome}
    elif hasattr(request, "environ"):
        request.environ[IDENTITY_KEY] = outcome
    # Whoever looks at a deferred refusal meets it (HTTP-09).
    found = SimpleLazyObject(request_auth.identity_or_raise) if isinstance(outcome, DeferredError) else outcome
    request.__dict__["ave_identity"] = found
    if outcome is not None and kept.get().users is not None:
        user = (
            SimpleLazyObject(request_auth.identity_or_raise)
            if isinstance(outcome, DeferredError)
            else request_auth.user
        )

        async def find_user() -> Any:  # noqa: ANN401 - the application's own
            request_auth.identity_or_raise()
            return user

        request.__dict__["user"], request.__dict__["auser"] = user, find_user


def respond(request: HttpRequest, response: ErrorResponse) -> HttpResponse:
    """Make Django's response of a refusal."""
    body = b"" if request.method == "HEAD" else response.body
    return HttpResponse(body, status=response.status, headers=dict(response.headers))
