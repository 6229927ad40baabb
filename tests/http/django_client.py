"""Ways to ask Django: its middleware and its decorators, behind its own handlers for WSGI and ASGI."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from aveverify import Verifier, asgi
from aveverify.django import ave_optional, ave_required
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.http_fixtures import (
    Client,
    Integration,
    LeftOut,
    Reply,
    Request,
    Server,
    View,
    http_scope,
    wsgi_environ,
)

MIDDLEWARE = ["aveverify.django.AveAuthMiddleware"]


def configured(verifier: Verifier, **options: Any) -> dict[str, Any]:
    """The setting `AVEVERIFY` of a verifier and options."""
    names = {"load_user": "USER_LOADER"}
    return {"VERIFIER": verifier, **{names.get(name, name.upper()): value for name, value in options.items()}}


@contextmanager
def exceptions_pass() -> Iterator[None]:
    """Raise what a view raised, in the place of the 500 that Django makes of it; as Django's test client does."""
    raised: list[BaseException] = []

    def keep(**_signal: object) -> None:
        error = sys.exception()
        assert error is not None
        raised.append(error)

    got_request_exception.connect(keep)
    try:
        yield
    finally:
        got_request_exception.disconnect(keep)
    if raised:
        raise raised[0]


def send_to_wsgi_handler(request: Request, **members: Any) -> Reply:
    """Send a request through Django's handler for WSGI."""
    server = Server()
    with exceptions_pass():
        server.call(WSGIHandler(), wsgi_environ(request, **members))
    return Reply(
        server.reply.status, {name.lower(): text for name, text in server.reply.headers.items()}, b"".join(server.sent)
    )


class PatientClient(Client):
    """A client that stays connected: Django waits for the end of the connection while it serves."""

    async def receive(self) -> asgi.Message:
        """Give the next message, or wait."""
        if not self.pending:
            await asyncio.Event().wait()
        return await super().receive()


def send_to_asgi_handler(request: Request, **members: Any) -> Reply:
    """Send a request through Django's handler for ASGI."""
    client = PatientClient({"type": "http.request", "body": request.body, "more_body": False})
    with exceptions_pass():
        client.call(cast("asgi.ASGIApp", ASGIHandler()), http_scope(request, **members))
    reply = client.reply
    return reply._replace(headers={name.lower(): text for name, text in reply.headers.items()})


def send_to_middleware(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a synchronous view behind the middleware, over WSGI."""

    def respond(request: HttpRequest) -> HttpResponse:
        return HttpResponse(view(request))

    with override_settings(
        AVEVERIFY=configured(verifier, **options), MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", respond),)
    ):
        return send_to_wsgi_handler(request)


def send_to_middleware_async(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an asynchronous view behind the middleware, over ASGI."""

    async def respond(request: HttpRequest) -> HttpResponse:
        return HttpResponse(view(request))

    with override_settings(
        AVEVERIFY=configured(verifier, **options), MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", respond),)
    ):
        return send_to_asgi_handler(request)


def take_decorator(options: dict[str, Any]) -> Callable[[Any], Any]:
    """Take the options of a decorator out of the others, and make it."""
    decorator: Any = ave_required if options.pop("required") else ave_optional
    given = {name: options.pop(name) for name in ("scopes", "any_scopes", "allow") if name in options}
    return decorator(**given)  # type: ignore[no-any-return] # one of two


def send_to_decorators(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask a synchronous view behind a decorator and no middleware, over WSGI."""
    decorate = take_decorator(options)

    def respond(request: HttpRequest) -> HttpResponse:
        return HttpResponse(view(request))

    with override_settings(AVEVERIFY=configured(verifier, **options), ROOT_URLCONF=(path("", decorate(respond)),)):
        return send_to_wsgi_handler(request)


def send_to_decorators_async(verifier: Verifier, view: View, request: Request, **options: Any) -> Reply:
    """Ask an asynchronous view behind a decorator and no middleware, over ASGI."""
    decorate = take_decorator(options)

    async def respond(request: HttpRequest) -> HttpResponse:
        return HttpResponse(await sync_to_async(view)(request))

    with override_settings(AVEVERIFY=configured(verifier, **options), ROOT_URLCONF=(path("", decorate(respond)),)):
        return send_to_asgi_handler(request)


INTEGRATIONS: dict[str, Integration] = {
    "django_middleware": send_to_middleware,
    "django_middleware_async": send_to_middleware_async,
    "django_decorators": send_to_decorators,
    "django_decorators_async": send_to_decorators_async,
}
LEFT_OUT = [
    LeftOut(integration, test, parameters, reason)
    for integration in ("django_decorators", "django_decorators_async")
    for test, parameters, reason in (
        (
            "test_an_exception_of_the_application_is_its_own",
            {"kind": "expired", "on_invalid": "defer"},
            "@ave_required relies on the answer, so it defers nothing",
        ),
        (
            "test_a_view_may_answer_a_deferred_refusal_by_itself",
            {"kind": "reader"},
            "the scopes of a decorator are those of its view, which is not run without them",
        ),
        (
            "test_an_optional_path_reads_a_token_if_there_is_one",
            {"kind": None},
            "the view demands a token by itself",
        ),
    )
]
