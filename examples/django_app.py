"""Django in one file: a public greeting, a page for signed-in users, and one that demands a scope.

    pip install "aveverify[django]"
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/django_app.py

In a project, `AVEVERIFY` and `MIDDLEWARE` belong in settings.py, the paths in urls.py.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from aveverify import Verifier, get_user_identity
from aveverify.django import AveRequest, ave_optional, ave_required

MIDDLEWARE = ["aveverify.django.AveAuthMiddleware"]


@ave_required
def me(request: AveRequest) -> JsonResponse:
    return JsonResponse(dict(request.ave_identity.to_convex()))


@ave_optional
def hello(request: HttpRequest) -> JsonResponse:
    identity = get_user_identity(request)
    return JsonResponse({"hello": identity.name if identity else "stranger"})


@ave_required(scopes=["reports:read"])
def reports(request: AveRequest) -> JsonResponse:
    return JsonResponse({"for": request.ave_identity.subject, "reports": []})


urlpatterns = [path("hello", hello), path("me", me), path("reports", reports)]


if __name__ == "__main__":
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        AVEVERIFY={"VERIFIER": Verifier.from_env()},
        INSTALLED_APPS=["aveverify.django"],  # for its system checks
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=__name__,
    )
    get_wsgi_application()
    execute_from_command_line(["django", "runserver", "--noreload", os.environ.get("PORT", "8000")])
