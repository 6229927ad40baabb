"""Django: its WSGI and its ASGI handler, bare, behind our middleware, and with a middleware of Django's own kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware

from aveverify.asgi import AveAuthMiddleware as OurASGI
from aveverify.wsgi import AveAuthMiddleware as OurWSGI
from benchmarks.contestants import Verify
from benchmarks.frameworks import BODY, PATH, Application, Kit, NoOpASGI, NoOpWSGI, Variant, bearer

# Django finds middleware and routes by the name of a module.
NAMES = "benchmarks_django_names"
PYJWT = f"{NAMES}.pyjwt"


def view(_request: HttpRequest) -> HttpResponse:
    """The view of the WSGI handler."""
    return HttpResponse(BODY)


async def async_view(_request: HttpRequest) -> HttpResponse:
    """The view of the ASGI handler."""
    return HttpResponse(BODY)


def pyjwt_middleware(verify: Verify) -> Callable[[Any], Any]:
    """PyJWT in a middleware of Django's kind, sync or async as the handler requires."""

    def refused(request: HttpRequest) -> HttpResponse | None:
        try:
            request.META["benchmark.claims"] = verify(bearer(request.headers.get("Authorization")))
        except Exception:
            return HttpResponse("unauthorized", status=401)
        return None

    @sync_and_async_middleware
    def make(get_response: Any) -> Any:
        from asgiref.sync import iscoroutinefunction

        if iscoroutinefunction(get_response):

            async def in_loop(request: HttpRequest) -> Any:
                return refused(request) or await get_response(request)

            return in_loop
        return lambda request: refused(request) or get_response(request)

    return make


def configure(kit: Kit) -> None:
    """Give Django the little it needs, once for each process."""
    names: Any = ModuleType(NAMES)
    names.urlpatterns = [path(PATH.lstrip("/"), view), path("async" + PATH, async_view)]
    names.pyjwt = pyjwt_middleware(kit.pyjwt)
    sys.modules[NAMES] = names
    if not settings.configured:
        settings.configure(ROOT_URLCONF=NAMES, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])
        django.setup(set_prefix=False)


def handler(make: Callable[[], Application], *middleware: str) -> Application:
    """A handler that has loaded some middleware."""
    settings.MIDDLEWARE = list(middleware)
    return make()


class AsyncPath:
    """Sends every request to the async view: what the handler is asked for differs, not what is in front of it."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on with another path."""
        await self._app({**scope, "path": "/async" + PATH}, receive, send)


def wsgi_variants(kit: Kit) -> Iterator[Variant]:
    """Every application of the WSGI handler."""
    configure(kit)
    bare = handler(WSGIHandler)
    yield Variant("bare", "Django", bare, refuses=False)
    yield Variant("no-op", "WSGI middleware", NoOpWSGI(bare), refuses=False)
    yield Variant("warm", "aveverify.wsgi", OurWSGI(bare, kit.warm, required=True))
    yield Variant("cold", "aveverify.wsgi", OurWSGI(bare, kit.cold, required=True))
    yield Variant("cold", "PyJWT in a middleware", handler(WSGIHandler, PYJWT))


def asgi_variants(kit: Kit) -> Iterator[Variant]:
    """Every application of the ASGI handler."""
    configure(kit)
    bare = AsyncPath(handler(ASGIHandler))
    yield Variant("bare", "Django", bare, refuses=False)
    yield Variant("no-op", "ASGI middleware", NoOpASGI(bare), refuses=False)
    yield Variant("warm", "aveverify.asgi", OurASGI(bare, kit.warm, required=True))
    yield Variant("cold", "aveverify.asgi", OurASGI(bare, kit.cold, required=True))
    yield Variant("cold", "PyJWT in a middleware", AsyncPath(handler(ASGIHandler, PYJWT)))
