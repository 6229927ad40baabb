"""The application of Django that brings the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from aveverify.django._checks import check_cache_order, check_middleware_order, check_settings


class AveVerifyConfig(AppConfig):
    """`INSTALLED_APPS += ["aveverify.django"]`."""

    name = "aveverify.django"
    # The last part of the name would be that of Django itself.
    label = "aveverify"
    verbose_name = "aveverify"

    def ready(self) -> None:
        """Register the system checks."""
        checks.register(check_settings, checks.Tags.security)
        checks.register(check_middleware_order, checks.Tags.security)
        checks.register(check_cache_order, checks.Tags.security)
