"""The application of Django: the system checks are registered before Django runs them."""

from __future__ import annotations

from django.apps import AppConfig


class AveVerifyConfig(AppConfig):
    """`INSTALLED_APPS += ["aveverify.django"]`."""

    name = "aveverify.django"
    # The last part of the name would be that of Django itself.
    label = "aveverify"
    verbose_name = "aveverify"
