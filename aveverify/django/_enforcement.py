"""Whether the project enforces `REQUIRED`: without the middleware, the setting alone refuses no request. HTP-043.

The system checks report it, and because a server need not run them, every request is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.apps import apps
from django.conf import settings
from django.core.signals import request_started, setting_changed
from django.urls import get_resolver
from django.utils.module_loading import import_string

from aveverify.django._guarded_views import unguarded_routes
from aveverify.django._settings import SETTING, check_settings_at_import, current_settings
from aveverify.errors import ConfigurationError, Problem

MIDDLEWARE_PATH: Final = "aveverify.django.AveAuthMiddleware"
# The attribute by which the class of the middleware, and every subclass, is recognised.
MIDDLEWARE_MARK: Final = "is_ave_auth_middleware"
_OUR_PACKAGE: Final = "aveverify."


class _Installation:
    """How the middleware is installed, under the present settings."""

    def __init__(self) -> None:
        self._has_middleware = False

    def note_middleware(self) -> None:
        """Record that the middleware was made; a function in MIDDLEWARE can make it, too."""
        self._has_middleware = True

    def find_errors(self) -> Iterator[ConfigurationError]:
        """Yield what is wrong with the installation, once the settings themselves are right."""
        installed = [path for path in settings.MIDDLEWARE if path == MIDDLEWARE_PATH or _is_our_middleware(path)]
        if len(installed) > 1:
            yield ConfigurationError(Problem.INSTALLED_TWICE, "AveAuthMiddleware", "in MIDDLEWARE")
        for path in settings.MIDDLEWARE:
            if path.startswith(_OUR_PACKAGE) and path not in installed:
                yield ConfigurationError(
                    Problem.OUT_OF_RANGE, "MIDDLEWARE", f"{path} is no middleware of Django; write {MIDDLEWARE_PATH}"
                )
        if not installed and not self._has_middleware and current_settings.get().policy.required:
            # A project without routes has nothing to serve.
            routes = get_resolver().url_patterns if getattr(settings, "ROOT_URLCONF", None) else []
            unguarded = next(unguarded_routes(routes), None)
            if unguarded is not None:
                yield _not_enforced(f"add {MIDDLEWARE_PATH} to MIDDLEWARE; nothing guards {unguarded!r}")

    def check_request(self, **_signal: object) -> None:
        """Refuse the first request, and every further one, while something is wrong."""
        # A project without the setting does not use this integration; `aveverify.asgi` may stand in front of it.
        if getattr(settings, SETTING, None) is not None:
            for error in self.find_errors():
                raise error
        # From here on the signal costs requests nothing.
        request_started.disconnect(self.check_request)

    def check_again(self, *, setting: str, **_signal: object) -> None:
        """Check the next request, too: a test overrides a setting."""
        if setting in (SETTING, "MIDDLEWARE"):
            self._has_middleware = False
        request_started.connect(self.check_request)


def check_at_import() -> None:
    """Refuse wrong settings where this package is first imported late, with the views of a project.

    By then Django has collected its system checks, without ours, and its first request has begun.

    Raises:
        ConfigurationError: The settings are wrong, or REQUIRED holds without the middleware. Views of REST framework
            enforce it, too; but which routes lead to other views is not known yet.
    """
    configured = getattr(settings, SETTING, None) if apps.ready else None
    if configured is None:
        return
    check_settings_at_import(configured)
    if configured.get("REQUIRED") is True and not any(
        path == MIDDLEWARE_PATH or _is_our_middleware(path) is not False for path in settings.MIDDLEWARE
    ):
        raise _not_enforced(f"add {MIDDLEWARE_PATH} to MIDDLEWARE, or aveverify.django to INSTALLED_APPS")


installation: Final = _Installation()
request_started.connect(installation.check_request)
setting_changed.connect(installation.check_again)


def _is_our_middleware(path: str) -> bool | None:
    """Tell whether the class at a path is our middleware; None where it cannot be imported, or not yet."""
    try:
        return getattr(import_string(path), MIDDLEWARE_MARK, False) is True
    except ImportError:
        return None


def _not_enforced(advice: str) -> ConfigurationError:
    return ConfigurationError(Problem.NOT_ENFORCED, f'{SETTING}["REQUIRED"]', advice)
