"""A project of Django with its own users in a database; prints what becomes of a token while its user changes.

Configures Django by itself, so it runs in an interpreter of its own: `python -m tests.http.django_users`. Its module
is also an application for servers: `wsgi` and `asgi`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from aveverify import Identity
from aveverify.testing import FakeIssuer

ISSUER = FakeIssuer()
ROOT = tempfile.TemporaryDirectory()

settings.configure(
    ALLOWED_HOSTS=["*"],
    AVEVERIFY={"VERIFIER": ISSUER.verifier(), "USER_LOADER": f"{__name__}.load_user"},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(ROOT.name) / "users.sqlite3")}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "rest_framework"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "aveverify.django.AveAuthMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the tests",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - needs the applications
from rest_framework.authentication import SessionAuthentication  # noqa: E402 - as above
from rest_framework.permissions import IsAuthenticated  # noqa: E402 - as above
from rest_framework.response import Response  # noqa: E402 - as above
from rest_framework.views import APIView  # noqa: E402 - as above

from aveverify.drf import AveAuthentication  # noqa: E402 - as above


def load_user(identity: Identity) -> User | None:
    """Find a user; `is_active` is read from the database when it is asked for."""
    return User.objects.only("username").filter(username=identity.subject).first()


def blind(_request: HttpRequest) -> HttpResponse:
    """Look at nothing."""
    return HttpResponse("ada")


def named(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse(request.user.get_username())


async def named_async(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse((await request.auser()).get_username())


class Api(APIView):
    """Say who asks."""

    authentication_classes = (SessionAuthentication, AveAuthentication)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        """Answer with the name."""
        return Response(request.user.get_username())


urlpatterns = [path("blind", blind), path("named", named), path("async", named_async), path("api", Api.as_view())]
wsgi, asgi = WSGIHandler(), ASGIHandler()


def ask(case: str) -> list[tuple[str, str, int, str | None]]:
    """Ask all views, in the world that each belongs to."""

    async def ask_async(url: str) -> Any:
        return await AsyncClient().get(url, headers=headers)

    headers = {"Authorization": f"Bearer {ISSUER.token(sub='ada')}"}
    answers = {url: Client().get(url, headers=headers) for url in ("/blind", "/named", "/api")}
    answers["/async"] = asyncio.run(ask_async("/async"))
    return [
        (url, case, answer.status_code, answer.content.decode().strip('"') if answer.status_code == 200 else None)
        for url, answer in answers.items()
    ]


def main() -> None:
    """Print what becomes of a token while its user changes."""
    call_command("migrate", verbosity=0)
    ada = User.objects.create_user("ada")
    rows = ask("active")
    User.objects.filter(pk=ada.pk).update(is_active=False)
    rows += ask("inactive")
    User.objects.filter(pk=ada.pk).update(is_active=True)
    rows += ask("active again")
    ada.delete()
    rows += ask("deleted")
    print(json.dumps(rows))  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
