"""Django's settings for the examples: none but what the tests override; another room's tests may have been first."""

from __future__ import annotations

import django
from django.conf import settings

# As examples/drf_app/settings.py says it, which reads the environment; `test_commands` runs that file.
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "aveverify.drf.exception_handler",
    # Anonymous visitors are None; without this, REST framework needs users of Django.
    "UNAUTHENTICATED_USER": None,
}

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["testserver"], REST_FRAMEWORK=REST_FRAMEWORK)
    django.setup()
