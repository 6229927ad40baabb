"""What middleware, decorators and the authentication of REST framework know of one request of Django."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from aveverify._core.bearer import Answer
from aveverify._core.identity import Identity
from aveverify._http.request_auth import Visit
from aveverify._http.request_identity import IDENTITY_KEY, Deferred
from aveverify.django._caches import VISIT
from aveverify.django._settings import kept
from aveverify.errors import AveVerifyError


class AveRequest(HttpRequest):
    """The type of the request in a view behind `ave_required`; no request is ever made of it."""

    ave_identity: Identity


class AveOptionalRequest(HttpRequest):
    """The type of the request in a view behind `ave_optional` or the middleware; no request is ever made of it."""

    ave_identity: Identity | None


def visit_of(request: HttpRequest) -> Visit:
    """Return the visit of a request; the first to ask makes it."""
    members = request.__dict__
    visit = members.get(VISIT)
    if not isinstance(visit, Visit):
        rules = kept.get()
        # HTP-026: what the router sees; `path` begins with a prefix that a client may choose.
        visit = members[VISIT] = Visit(rules.gate, request.META, request.path_info, rules.users)
    return visit


def judge_by_settings(request: HttpRequest, visit: Visit) -> AveVerifyError | Answer | None:
    """Decide whether a request may reach a view by `AVEVERIFY` of the settings alone, once the visit is settled.

    Args:
        request: The request.
        visit: What it has shown.

    Returns:
        As `Visit.judge`.
    """
    required = visit.gate.required and not visit.is_exempt
    verdict = visit.judge((), required=required)
    if verdict is None and required and visit.settle() is None and (request.method != "OPTIONS" or request.body):
        # HTP-027: what passes without a token is a preflight. It is none if something in front has overridden its
        # method, or if it has a body, which Django has read over ASGI; HTTP/2 allows one without a length.
        return visit.gate.refuse(None)
    return verdict


def show(request: HttpRequest, visit: Visit) -> None:
    """Let the view see who asks, once the visit is settled and the request is let in."""
    if "ave_identity" in request.__dict__:
        return
    outcome = visit.settle()
    # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
    if hasattr(request, "scope"):
        request.scope = {**request.scope, IDENTITY_KEY: outcome}
    elif hasattr(request, "environ"):
        request.environ[IDENTITY_KEY] = outcome
    # Whoever looks at a deferred refusal meets it (HTTP-09).
    found = SimpleLazyObject(visit.ask) if isinstance(outcome, Deferred) else outcome
    request.__dict__["ave_identity"] = found
    if outcome is not None and kept.get().users is not None:
        user = SimpleLazyObject(visit.ask) if isinstance(outcome, Deferred) else visit.user

        async def find_user() -> Any:  # noqa: ANN401 - the application's own
            visit.ask()
            return user

        request.__dict__["user"], request.__dict__["auser"] = user, find_user


def respond(request: HttpRequest, visit: Visit, verdict: AveVerifyError | Answer) -> HttpResponse:
    """Make the response of a refusal."""
    answer = verdict if isinstance(verdict, Answer) else visit.write(verdict)
    body = b"" if request.method == "HEAD" else answer.body
    return HttpResponse(body, status=answer.status, headers=dict(answer.headers))
