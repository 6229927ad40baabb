"""What middleware, decorators and the authentication of REST framework know of one request of Django."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from aveverify._core.bearer import Answer
from aveverify._edge_identity import IDENTITY_KEY, Deferred
from aveverify._edge_visit import Visit
from aveverify.django._caches import VISIT
from aveverify.django._settings import LoadUser, kept
from aveverify.errors import AveVerifyError
from aveverify.identity import Identity


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
        # The path with its prefix, decoded once: what the router sees (HTP-026).
        visit = members[VISIT] = Visit(kept.get().gate, request.META, request.path)
    return visit


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
    load_user = kept.get().load_user
    if load_user is not None and outcome is not None:
        user = UserOfVisit(visit, load_user)
        request.__dict__["user"] = SimpleLazyObject(user.get)
        request.__dict__["auser"] = user.get_async


def respond(request: HttpRequest, visit: Visit, verdict: AveVerifyError | Answer) -> HttpResponse:
    """Make the response of a refusal."""
    answer = verdict if isinstance(verdict, Answer) else visit.write(verdict)
    body = b"" if request.method == "HEAD" else answer.body
    return HttpResponse(body, status=answer.status, headers=dict(answer.headers))


class UserOfVisit:
    """The application's own user of a request: loaded once, when somebody asks."""

    def __init__(self, visit: Visit, load_user: LoadUser) -> None:
        self._visit = visit
        self._load_user: Any = load_user
        self._found: tuple[object] | None = None

    def get(self) -> object:
        """Load the user; a coroutine function runs in an event loop of its own.

        Returns:
            The user; where the loader knows none, Django's anonymous one.
        """
        if self._found is None:
            load: Any = async_to_sync(self._load_user) if iscoroutinefunction(self._load_user) else self._load_user
            self._found = (_or_anonymous(load(self._visit.ask())),)
        return self._found[0]

    async def get_async(self) -> object:
        """Load the user without blocking the event loop; see `get`."""
        if self._found is None:
            load: Any = self._load_user if iscoroutinefunction(self._load_user) else sync_to_async(self._load_user)
            self._found = (_or_anonymous(await load(self._visit.ask())),)
        return self._found[0]


def _or_anonymous(user: object) -> object:
    if user is None and apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415 - needs the application that is asked for

        return AnonymousUser()
    return user
