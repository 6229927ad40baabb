"""System checks: what `manage.py check` says about the settings, without asking any issuer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.middleware.cache import FetchFromCacheMiddleware
from django.utils.module_loading import import_string

from aveverify.django._enforcement import OURS, installation
from aveverify.django._settings import SETTING, kept
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from django.apps import AppConfig

_DJANGOS: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
_NUMBERS: Final = {Problem.NOT_ENFORCED: "E003", Problem.INSTALLED_TWICE: "E004", Problem.OUT_OF_RANGE: "E005"}


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Report what is wrong with `AVEVERIFY`.

    Args:
        app_configs: The applications that are checked; settings belong to none of them.
        _options: What Django passes beside it.

    Returns:
        E001: the setting is missing, or no verifier is named. E002: a name or a value is wrong.
    """
    del app_configs
    try:
        kept.get()
    except ConfigurationError as error:
        number = "E001" if error.problem is Problem.MISSING else "E002"
        return [Error(str(error), id=f"aveverify.{number}")]
    return []


@register(Tags.security)
def check_installation(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Report what keeps the middleware from its work (HTP-043).

    Args:
        app_configs: As in `check_settings`.
        _options: As there.

    Returns:
        E003: `REQUIRED` holds, and neither the middleware nor the view itself enforces it. E004: the middleware is
        listed twice. E005: MIDDLEWARE lists a class of this package that is no middleware of Django.
    """
    del app_configs
    try:
        faults = list(installation.find_faults())
    except ConfigurationError:
        # Said by `check_settings`.
        return []
    return [Error(str(fault), id=f"aveverify.{_NUMBERS[fault.problem]}") for fault in faults]


@register(Tags.security)
def check_middleware_order(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Report a middleware of Django's that would replace the user whom `USER_LOADER` has found.

    Args:
        app_configs: As in `check_settings`.
        _options: As there.

    Returns:
        W001: `AuthenticationMiddleware` stands behind `AveAuthMiddleware`.
    """
    del app_configs
    order = list(settings.MIDDLEWARE)
    configured = getattr(settings, SETTING, None)
    has_loader = isinstance(configured, Mapping) and "USER_LOADER" in configured
    if has_loader and {OURS, _DJANGOS} <= set(order) and order.index(_DJANGOS) > order.index(OURS):
        return [
            Warning(
                "AuthenticationMiddleware replaces the user that USER_LOADER has found",
                hint="Put AveAuthMiddleware behind it in MIDDLEWARE.",
                id="aveverify.W001",
            )
        ]
    return []


@register(Tags.security)
def check_cache_order(app_configs: Sequence[AppConfig] | None, **_options: object) -> list[CheckMessage]:
    """Report a cache of Django's that answers before any token was looked at (HTP-050).

    Args:
        app_configs: As in `check_settings`.
        _options: As there.

    Returns:
        W005: `FetchFromCacheMiddleware`, or a class made of it, stands in front of `AveAuthMiddleware`.
    """
    del app_configs
    order = list(settings.MIDDLEWARE)
    in_front = order[: order.index(OURS)] if OURS in order else []
    return [
        Warning(
            f"{name} answers from the cache before AveAuthMiddleware has looked at the token",
            hint="Put AveAuthMiddleware in front of it in MIDDLEWARE, behind UpdateCacheMiddleware.",
            id="aveverify.W005",
        )
        for name in in_front
        if _fetches(name)
    ]


def _fetches(name: str) -> bool:
    try:
        found = import_string(name)
    except ImportError:
        # Django says so when it starts.
        return False
    return isinstance(found, type) and issubclass(found, FetchFromCacheMiddleware)
