"""A project of Django whose functions ask its database; prints what becomes of requests under each way to call them.

Configures Django by itself, so it runs in an interpreter of its own: `python -m tests.http.django_functions`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from aveverify import Identity, Verifier
from aveverify.testing import FakeIssuer

ISSUER = FakeIssuer()
VERIFIER = ISSUER.verifier()
ROOT = tempfile.TemporaryDirectory()

settings.configure(
    ALLOWED_HOSTS=["*"],
    AVEVERIFY={"VERIFIER": VERIFIER},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(ROOT.name) / "users.sqlite3")}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=[],
    ROOT_URLCONF=(),
    SECRET_KEY="of the tests",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - needs the applications

from aveverify.django import ave_required, get_verifier  # noqa: E402 - as above
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler  # noqa: E402 - as above
from tests.http.http_fixtures import Request, bearer  # noqa: E402 - as above

TOKENS = {name: ISSUER.token(sub=name) for name in ("ada", "grace")}


def find(identity: Identity) -> User | None:
    """Find a user; grace is in no database. `is_active` is read when it is asked for."""
    return User.objects.only("username").filter(username=identity.subject).first()


def is_known(identity: Identity) -> bool:
    """Tell whether there is a record."""
    return User.objects.filter(username=identity.subject).exists()


def check(identity: Identity) -> str | None:
    """Refuse an unknown user."""
    return None if is_known(identity) else "unknown"


async def find_async(identity: Identity) -> User | None:
    """Find a user."""
    return await User.objects.filter(username=identity.subject).afirst()


async def is_known_async(identity: Identity) -> bool:
    """Tell whether there is a record."""
    return await User.objects.filter(username=identity.subject).aexists()


async def check_async(identity: Identity) -> str | None:
    """Refuse an unknown user."""
    return None if await is_known_async(identity) else "unknown"


class Awaited:
    """A function that is an object, asynchronous by its `__call__`."""

    def __init__(self, function: Callable[[Identity], Any]) -> None:
        self._function = function

    async def __call__(self, identity: Identity) -> Any:
        """Call the function."""
        return await self._function(identity)


def make_verifier() -> Verifier:
    """Make a verifier of what the database says."""
    return ISSUER.verifier() if User.objects.filter(username="ada").exists() else Verifier()


async def make_verifier_async() -> Verifier:
    """Make the same."""
    return ISSUER.verifier() if await User.objects.filter(username="ada").aexists() else Verifier()


def view(request: HttpRequest) -> HttpResponse:
    """Answer with who asks."""
    return HttpResponse(request.ave_identity.subject)  # type: ignore[attr-defined] # set by our middleware


async def view_async(request: HttpRequest) -> HttpResponse:
    """Answer with the same."""
    return view(request)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "USER_LOADER": (find, find_async),
    "CHECK": (check, check_async),
    "ALLOW": (is_known, is_known_async),
    "allow=": (is_known, is_known_async),
}
VIEWS: dict[str, Any] = {"synchronous": view, "asynchronous": view_async}
HANDLERS = {"WSGI": send_to_wsgi_handler, "ASGI": send_to_asgi_handler}


def statuses(send: Callable[..., Any], *, middleware: list[str], served: Any, **configured: object) -> list[int]:
    """What becomes of a user with a record, and of one without."""
    if "AVEVERIFY" not in configured:
        configured = {"AVEVERIFY": {"VERIFIER": VERIFIER} | configured}
    with override_settings(MIDDLEWARE=middleware, ROOT_URLCONF=(path("", served),), **configured):
        return [send(Request(bearer(token))).status for token in TOKENS.values()]


async def start_in_event_loop() -> int:
    """Start the project as a server does that imports it while its event loop runs."""
    ASGIHandler()
    return len(get_verifier().providers)


def ask_all() -> Iterator[tuple[str, list[int]]]:
    """Ask every view behind every function, over both handlers; yield what was asked, and the statuses."""
    for handler, view, (name, functions), middleware in product(HANDLERS, VIEWS, FUNCTIONS.items(), ([], MIDDLEWARE)):
        function, coroutine_function = functions
        forms: dict[str, Any] = {
            "synchronous": function,
            "coroutine function": coroutine_function,
            "object": Awaited(coroutine_function),
            "awaitable": lambda identity, called=coroutine_function: called(identity),
        }
        for form, called in forms.items():
            configured = {} if name == "allow=" else {name: called}
            guard = ave_required(allow=called) if name == "allow=" else ave_required
            served = VIEWS[view] if middleware and configured else guard(VIEWS[view])
            row = f"{handler}, {view} view, {name} {form}, {'middleware' if middleware else 'decorator'}"
            yield row, statuses(HANDLERS[handler], middleware=middleware, served=served, **configured)


def ask_makers() -> Iterator[tuple[str, list[int]]]:
    """Ask views behind a verifier that the database describes; yield what was asked, and the statuses."""
    for handler, view, maker, middleware in product(
        HANDLERS, VIEWS, (make_verifier, make_verifier_async), ([], MIDDLEWARE)
    ):
        configured = {"VERIFIER": maker}
        row = f"{handler}, {view} view, {maker.__name__}, {'middleware' if middleware else 'decorator'}"
        served = ave_required(VIEWS[view])
        yield row, statuses(HANDLERS[handler], middleware=middleware, served=served, AVEVERIFY=configured)
    for maker in (make_verifier, make_verifier_async):
        with override_settings(AVEVERIFY={"VERIFIER": maker}, MIDDLEWARE=MIDDLEWARE):
            yield f"start in an event loop, {maker.__name__}", [asyncio.run(start_in_event_loop())]


def main() -> None:
    """Print what became of all requests."""
    call_command("migrate", verbosity=0)
    User.objects.create_user("ada")
    try:
        print(json.dumps([list(ask_all()), list(ask_makers())]))  # noqa: T201 - for the test
    finally:
        connections.close_all()
        ROOT.cleanup()


if __name__ == "__main__":
    main()
