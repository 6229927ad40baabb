"""Our own integration of each framework, where this version of the package has it.

They are imported by name, so that the measurement also runs with a version without them, and adds a row that says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Annotated, Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from fastapi import Security
from starlette.middleware import Middleware

from aveverify import Verifier
from benchmarks.contestants import Absent
from benchmarks.frameworks import Application, Kit, Variant, django_apps, fastapi_apps, flask_apps, starlette_apps


def starlette(integration: Any, verifier: Verifier) -> Application:
    """`AveAuthMiddleware`, with `request.user`."""
    return starlette_apps.app(Middleware(integration.AveAuthMiddleware, verifier=verifier, required=True))


def fastapi(integration: Any, verifier: Verifier) -> Application:
    """`Security(ave)`."""
    return fastapi_apps.with_user(Annotated[object, Security(integration.AveAuth(verifier))])


def flask(integration: Any, verifier: Verifier) -> Application:
    """The extension, which requires a token of every request."""
    application = flask_apps.app()
    integration.AveAuth(application, verifier, required=True)
    return application


def django_handler(make: Callable[[], Application], verifier: Verifier) -> Application:
    """A handler with the middleware; its settings hold for the process, so there is one verifier for all handlers."""
    settings.AVEVERIFY = {"VERIFIER": verifier, "REQUIRED": True}
    return django_apps.handler(make, "aveverify.django.AveAuthMiddleware")


def django_wsgi(_integration: Any, verifier: Verifier) -> Application:
    """The middleware in the WSGI handler."""
    return django_handler(WSGIHandler, verifier)


def django_asgi(_integration: Any, verifier: Verifier) -> Application:
    """The middleware in the ASGI handler."""
    return django_apps.AsyncPath(django_handler(ASGIHandler, verifier))


# By the group of the report: the module, how an application is made with it, and whether each application may
# have a verifier of its own.
INTEGRATIONS: dict[str, tuple[str, Callable[[Any, Verifier], Application], bool]] = {
    "Starlette": ("aveverify.starlette", starlette, True),
    "FastAPI": ("aveverify.fastapi", fastapi, True),
    "Flask": ("aveverify.flask", flask, True),
    "Django, WSGI": ("aveverify.django", django_wsgi, False),
    "Django, ASGI": ("aveverify.django", django_asgi, False),
}


def absent_integrations() -> list[Absent]:
    """A row for each integration that this version of the package does not have."""
    names = dict.fromkeys(module for module, _, _ in INTEGRATIONS.values())
    return [Absent(name, "not there yet") for name in names if importlib.util.find_spec(name) is None]


def variants(group: str, kit: Kit) -> Iterator[Variant]:
    """Every application with the integration of one framework; none where the package lacks it."""
    name, make, is_free = INTEGRATIONS[group]
    if importlib.util.find_spec(name) is None:
        return
    integration = import_module(name)
    yield Variant("warm", name, make(integration, kit.warm))
    if is_free:
        yield Variant("cold", name, make(integration, kit.cold))
