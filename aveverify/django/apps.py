"""The application of Django: importing this package registers the system checks before Django runs them."""

from __future__ import annotations

from django.apps import AppConfig


class AveVerifyConfig(AppConfig):
    """The application `aveverify.django` for `INSTALLED_APPS`."""

    name = "aveverify.django"
    # By default the label is the last part of the name, which is Django's own.
    label = "aveverify"
    verbose_name = "aveverify"
