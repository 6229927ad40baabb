"""Django: what the project's own middleware, templates and tasks see of a refusal, of the identity, of the verifier."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template import Context, Engine
from django.test import RequestFactory, override_settings
from django.urls import path
from django.views.decorators.cache import cache_page

from aveverify import (
    AuthRecord,
    ConfigurationError,
    InsufficientScopeError,
    InvalidTokenError,
    Reason,
    Refusal,
    Verifier,
    get_user_identity,
    problem_details,
)
from aveverify.django import IdentityUser, RefusedResponse, ave_optional, ave_required, get_verifier
from aveverify.django.context_processors import current_identity
from aveverify.errors import Problem
from aveverify.testing import FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Reply, Request, bearer, http_scope, wsgi_environ

AnyView = Callable[..., Any]
Send = Callable[..., Reply]
over_both = pytest.mark.parametrize("send", [send_to_wsgi_handler, send_to_asgi_handler], ids=["WSGI", "ASGI"])
PROCESSOR = "aveverify.django.context_processors.current_identity"


@contextmanager
def project(verifier: Verifier, view: AnyView, middleware: list[str], **settings: object) -> Iterator[None]:
    """A project with one view."""
    with override_settings(
        AVEVERIFY={"VERIFIER": verifier} | settings, MIDDLEWARE=middleware, ROOT_URLCONF=(path("", view),)
    ):
        yield


def plain(_request: HttpRequest) -> HttpResponse:
    """A view that looks at nothing."""
    return HttpResponse("plain")


async def plain_async(request: HttpRequest) -> HttpResponse:
    """The same."""
    return plain(request)


def reads(request: HttpRequest) -> HttpResponse:
    """A view that reads the identity."""
    return HttpResponse(str(get_user_identity(request)))


# --- a refusal is a response of its own class ------------------------------------------------------------------------

SEEN: list[Any] = []


def watching(get_response: AnyView) -> AnyView:
    """A middleware of the project, in front."""

    def watch(request: HttpRequest) -> object:
        record = AuthRecord.begin(request)
        response = get_response(request)
        SEEN.append((response, record))
        return response

    return watch


REFUSED = {
    "by the middleware": (plain, MIDDLEWARE, {"REQUIRED": True}, "expired", Reason.EXPIRED),
    "by the middleware, no token": (plain, MIDDLEWARE, {"REQUIRED": True}, None, None),
    "by a decorator": (ave_required(plain), [], {}, "expired", Reason.EXPIRED),
    "by a decorator, async": (ave_required(plain_async), [], {}, "expired", Reason.EXPIRED),
    "by a decorator, no token": (ave_required(plain), [], {}, None, None),
    "by an optional one": (ave_optional(plain_async), [], {}, "expired", Reason.EXPIRED),
    "by scopes of a view": (ave_required(scopes=["write"])(plain), MIDDLEWARE, {}, "good", Reason.INSUFFICIENT_SCOPE),
    "by any_scopes of a view": (ave_required(any_scopes=["a", "b"])(plain), [], {}, "good", Reason.INSUFFICIENT_SCOPE),
    "by allow of a view": (ave_required(allow=lambda _: False)(plain), MIDDLEWARE, {}, "good", Reason.NOT_ALLOWED),
    "by allow of an async view": (ave_optional(allow=lambda _: 0)(plain_async), [], {}, "good", Reason.NOT_ALLOWED),
    "when a view reads it": (reads, MIDDLEWARE, {"ON_INVALID": "defer"}, "expired", Reason.EXPIRED),
    "when a decorated view reads it": (ave_optional(reads), [], {"ON_INVALID": "defer"}, "expired", Reason.EXPIRED),
}


@over_both
@pytest.mark.parametrize(("view", "middleware", "settings", "kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_middleware_in_front_can_tell_a_refusal_and_its_reason(  # noqa: PLR0913, PLR0917 - columns of a table
    view: AnyView,
    middleware: list[str],
    settings: dict[str, Any],
    kind: str | None,
    reason: Reason | None,
    send: Send,
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    SEEN.clear()
    with project(shared_verifier, view, [f"{__name__}.watching", *middleware], **settings):
        reply = send(Request(bearer(tokens[kind]) if kind else ()))

    response, record = SEEN.pop()
    assert isinstance(response, RefusedResponse)
    assert isinstance(response.refusal, Refusal)
    assert (response.refusal.status, response.reason) == (reply.status, reason)
    assert (response.error is None) == (reason is None)
    assert (record.refusal.reason, record.refusal.status) == (reason, reply.status)


@over_both
def test_a_response_of_a_view_is_no_refusal(send: Send, shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    def forbidden(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=403)

    SEEN.clear()
    with project(shared_verifier, forbidden, [f"{__name__}.watching", *MIDDLEWARE]):
        assert send(Request(bearer(tokens["good"]))).status == 403

    response, record = SEEN.pop()
    assert not isinstance(response, RefusedResponse)
    assert (record.identity.subject, record.refusal) == ("ada", None)


RAISED: list[type[Exception]] = []


class Excepting:
    """A middleware of the project that is told of exceptions."""

    def __init__(self, get_response: AnyView) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> object:
        """Pass the request on."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note an exception of a view."""
        del request
        RAISED.append(type(exception))


@over_both
def test_what_a_view_raises_reaches_the_projects_process_exception_first(
    send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """Django asks the middleware that is listed last first; a refusal that no view raises is no exception."""
    RAISED.clear()
    middleware = [*MIDDLEWARE, f"{__name__}.Excepting"]

    def lacks(_request: HttpRequest) -> HttpResponse:
        raise InsufficientScopeError(("write",))

    with project(shared_verifier, reads, middleware, ON_INVALID="defer"):
        assert send(Request(bearer(tokens["expired"]))).status == 401
    with project(shared_verifier, lacks, middleware):
        assert send(Request(bearer(tokens["good"]))).status == 403
    with project(shared_verifier, plain, middleware):
        assert send(Request(bearer(tokens["expired"]))).status == 401
    assert [InvalidTokenError, InsufficientScopeError] == RAISED


def test_a_server_in_front_is_told_who_it_was_or_why_not(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-037: Django's own request is another object than the server's scope."""

    def note(record: AuthRecord) -> tuple[str | None, Reason | None]:
        return (
            None if record.identity is None else record.identity.subject,
            None if record.refusal is None else record.refusal.reason,
        )

    found = []
    for kind in ("good", "expired"):
        for middleware, view in ((MIDDLEWARE, plain), ([], ave_required(plain_async))):
            with project(shared_verifier, view, middleware):
                for send, carrier in (
                    (send_to_asgi_handler, http_scope(Request(bearer(tokens[kind])))),
                    (send_to_wsgi_handler, wsgi_environ(Request(bearer(tokens[kind])))),
                ):
                    record = AuthRecord.begin(carrier)
                    send(Request(bearer(tokens[kind])), **{"aveverify.record": record})
                    found.append(note(record))

    assert found == [("ada", None)] * 4 + [(None, Reason.EXPIRED)] * 4


def test_a_refused_response_can_be_pickled(shared_verifier: Verifier) -> None:
    with project(shared_verifier, plain, []):
        response = ave_required(plain)(RequestFactory().get("/"))

    copied = pickle.loads(pickle.dumps(response))  # noqa: S301 - of this test
    assert isinstance(copied, RefusedResponse)
    assert copied.refusal.error_code == "unauthorized"


@over_both
def test_the_body_of_a_refusal_may_be_named_by_a_dotted_path(
    send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    for renderer in (problem_details, "aveverify.problem_details"):
        with project(shared_verifier, ave_required(plain), [], RENDER_REFUSAL=renderer):
            reply = send(Request(bearer(tokens["expired"])))
            assert (reply.status, reply.headers["content-type"]) == (401, "application/problem+json")


# --- templates -------------------------------------------------------------------------------------------------------

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [PROCESSOR],
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {
                        "name.html": "{{ current_identity.subject }}",
                        "is.html": "{% if current_identity is None %}nobody{% else %}a user{% endif %}",
                        "nothing.html": "nothing",
                        "staff.html": "{{ current_identity.is_staff }} {{ current_identity.plan }}",
                    },
                )
            ],
        },
    }
]


def page(name: str) -> AnyView:
    """A view that renders a template."""
    return lambda request: render(request, name)


@over_both
@pytest.mark.parametrize(
    ("template", "kind", "text"),
    [
        ("name.html", "good", "ada"),
        ("name.html", None, ""),
        ("is.html", "good", "a user"),
        ("is.html", None, "nobody"),
        ("nothing.html", None, "nothing"),
    ],
)
@pytest.mark.parametrize("by", ["middleware", "decorator"])
def test_a_template_sees_the_identity(  # noqa: PLR0913, PLR0917 - columns of a table
    template: str, kind: str | None, text: str, by: str, send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    view = page(template) if by == "middleware" else ave_optional(page(template))
    with (
        override_settings(TEMPLATES=TEMPLATES),
        project(shared_verifier, view, MIDDLEWARE if by == "middleware" else []),
    ):
        assert send(Request(bearer(tokens[kind]) if kind else ())).body.decode() == text


def test_no_claim_passes_for_an_attribute_of_the_identity(shared_issuer: FakeIssuer, shared_verifier: Verifier) -> None:
    """HTP-044."""
    token = shared_issuer.token(sub="ada", is_staff=True, plan="pro")
    with override_settings(TEMPLATES=TEMPLATES), project(shared_verifier, page("staff.html"), MIDDLEWARE):
        assert send_to_wsgi_handler(Request(bearer(token))).body == b"False pro"


def test_a_template_that_needs_no_identity_is_rendered_where_none_was_verified(shared_verifier: Verifier) -> None:
    with override_settings(TEMPLATES=TEMPLATES), project(shared_verifier, page("nothing.html"), []):
        assert send_to_wsgi_handler(Request()).body == b"nothing"


def test_a_template_that_needs_an_identity_says_that_none_was_verified(shared_verifier: Verifier) -> None:
    """A forgotten middleware must not look like an anonymous user."""
    found = current_identity(RequestFactory().get("/"))["current_identity"]

    with project(shared_verifier, plain, []), pytest.raises(ConfigurationError) as caught:
        Engine().from_string("{{ found.subject }}").render(Context({"found": found}))
    assert caught.value.problem is Problem.NO_MIDDLEWARE


@over_both
@pytest.mark.parametrize(("template", "status"), [("name.html", 401), ("nothing.html", 200)])
def test_a_template_that_reads_a_deferred_refusal_raises_it(
    template: str, status: int, send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with (
        override_settings(TEMPLATES=TEMPLATES),
        project(shared_verifier, page(template), MIDDLEWARE, ON_INVALID="defer"),
    ):
        assert send(Request(bearer(tokens["expired"]))).status == status


# --- outside of requests ---------------------------------------------------------------------------------------------


def test_the_verifier_of_the_settings_verifies_tokens_that_come_another_way(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    with project(shared_verifier, plain, []):
        assert get_verifier() is shared_verifier
        assert IdentityUser(get_verifier().verify(tokens["good"])).pk.endswith("|ada")


def test_a_verifier_is_made_while_an_event_loop_runs(shared_verifier: Verifier) -> None:
    """As where a server imports the project; neither a database nor `async_to_sync` works in that thread."""
    threads: list[int] = []

    def make() -> Verifier:
        threads.append(get_ident())
        return shared_verifier

    async def make_async() -> Verifier:
        return make()

    async def start() -> Verifier:
        return get_verifier()

    for maker in (make, make_async):
        with override_settings(AVEVERIFY={"VERIFIER": maker}):
            assert asyncio.run(start()) is shared_verifier
        with override_settings(AVEVERIFY={"VERIFIER": maker}):
            assert get_verifier() is shared_verifier

    assert [thread == get_ident() for thread in threads[:2]] == [False, True]


def test_htp_043_there_is_no_verifier_without_settings() -> None:
    with override_settings(AVEVERIFY=None), pytest.raises(ConfigurationError):
        get_verifier()


# --- what stays ------------------------------------------------------------------------------------------------------


@over_both
def test_a_streaming_response_is_marked_like_any_other(
    send: Send, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    def stream(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"a", b"b"]) if send is send_to_wsgi_handler else chunks())

    with project(shared_verifier, ave_required(stream), MIDDLEWARE):
        reply = send(Request(bearer(tokens["good"])))

    assert (reply.body, reply.headers["cache-control"]) == (b"ab", "private")


def test_a_page_of_an_optional_view_is_cached_for_anonymous_visitors_only(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-050."""
    ran: list[str] = []

    def count(request: Any) -> HttpResponse:
        ran.append(request.ave_identity.subject if request.ave_identity else "nobody")
        return HttpResponse(ran[-1])

    cache.clear()
    with project(shared_verifier, ave_optional(cache_page(60)(count)), MIDDLEWARE, REQUIRED=True):
        kinds = (None, "good", None, "good", None)
        bodies = [send_to_wsgi_handler(Request(bearer(tokens[kind]) if kind else ())).body for kind in kinds]
    cache.clear()

    assert bodies == [b"nobody", b"ada", b"nobody", b"ada", b"nobody"]
    assert ran == ["nobody", "ada", "ada"]


def test_a_guard_keeps_the_marks_of_django() -> None:
    """`transaction.non_atomic_requests` and `csrf_exempt` are attributes of a view."""

    def view(_request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    view._non_atomic_requests = {"default"}  # type: ignore[attr-defined]
    guard: Any = ave_required(view)

    assert guard._non_atomic_requests == {"default"}
