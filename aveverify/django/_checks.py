"""The system checks: `manage.py check` reports wrong settings, without a request to any issuer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core import checks
from django.middleware.cache import FetchFromCacheMiddleware
from django.utils.module_loading import import_string

from aveverify.django._enforcement import MIDDLEWARE_PATH, installation
from aveverify.django._settings import SETTING, current_settings
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from django.apps import AppConfig

_DJANGO_MIDDLEWARE: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
_NUMBERS: Final = {Problem.NOT_ENFORCED: "E003", Problem.INSTALLED_TWICE: "E004", Problem.OUT_OF_RANGE: "E005"}


@checks.register(checks.Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[checks.CheckMessage]:
    """Report what is wrong with `AVEVERIFY`.

    Args:
        app_configs: The applications that Django checks; settings belong to none of them.
        _options: Further arguments of Django.

    Returns:
        E001: the setting is missing, or names no verifier. E002: a name or a value is wrong.
    """
    del app_configs
    try:
        current_settings.get()
    except ConfigurationError as error:
        number = "E001" if error.problem is Problem.MISSING else "E002"
        return [checks.Error(str(error), id=f"aveverify.{number}")]
    return []


@checks.register(checks.Tags.security)
def check_installation(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[checks.CheckMessage]:
    """Report a middleware that is missing, listed twice, or of another integration (HTP-043).

    Args:
        app_configs: As in `check_settings`.
        _options: As in `check_settings`.

    Returns:
        E003: `REQUIRED` holds, and neither the middleware nor the view itself enforces it. E004: the middleware is
        listed twice. E005: MIDDLEWARE lists a class of this package that is no middleware of Django.
    """
    del app_configs
    try:
        errors = list(installation.find_errors())
    except ConfigurationError:
        # `check_settings` reports it.
        return []
    return [checks.Error(str(error), id=f"aveverify.{_NUMBERS[error.problem]}") for error in errors]


@checks.register(checks.Tags.security)
def check_middleware_order(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[checks.CheckMessage]:
    """Report a middleware of Django that would replace the user of `USER_LOADER`.

    Args:
        app_configs: As in `check_settings`.
        _options: As in `check_settings`.

    Returns:
        W001: `AuthenticationMiddleware` stands behind `AveAuthMiddleware`.
    """
    del app_configs
    order = list(settings.MIDDLEWARE)
    configured = getattr(settings, SETTING, None)
    has_loader = isinstance(configured, Mapping) and "USER_LOADER" in configured
    if (
        has_loader
        and {MIDDLEWARE_PATH, _DJANGO_MIDDLEWARE} <= set(order)
        and order.index(_DJANGO_MIDDLEWARE) > order.index(MIDDLEWARE_PATH)
    ):
        return [
            checks.Warning(
                "AuthenticationMiddleware replaces the user that USER_LOADER has found",
                hint="Put AveAuthMiddleware behind it in MIDDLEWARE.",
                id="aveverify.W001",
            )
        ]
    return []


@checks.register(checks.Tags.security)
def check_cache_order(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[checks.CheckMessage]:
    """Report a cache of Django that answers before the token is verified (HTP-050).

    Args:
        app_configs: As in `check_settings`.
        _options: As in `check_settings`.

    Returns:
        W005: `FetchFromCacheMiddleware`, or a subclass, stands in front of `AveAuthMiddleware`.
    """
    del app_configs
    order = list(settings.MIDDLEWARE)
    in_front = order[: order.index(MIDDLEWARE_PATH)] if MIDDLEWARE_PATH in order else []
    return [
        checks.Warning(
            f"{name} answers from the cache before AveAuthMiddleware has looked at the token",
            hint="Put AveAuthMiddleware in front of it in MIDDLEWARE, behind UpdateCacheMiddleware.",
            id="aveverify.W005",
        )
        for name in in_front
        if _answers_from_cache(name)
    ]


def _answers_from_cache(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        # Django reports it at its start.
        return False
    return isinstance(found, type) and issubclass(found, FetchFromCacheMiddleware)
