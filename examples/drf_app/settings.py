"""The settings of Django, REST framework and aveverify."""

from __future__ import annotations

from aveverify import Verifier

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
AVEVERIFY = {"VERIFIER": Verifier.from_env()}
INSTALLED_APPS = ["aveverify.django", "rest_framework"]
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "aveverify.drf.exception_handler",
    # The user of an anonymous request is None; the default is a user of django.contrib.auth.
    "UNAUTHENTICATED_USER": None,
}
ROOT_URLCONF = "views"
