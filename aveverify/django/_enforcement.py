"""Whether something enforces what the settings demand: `REQUIRED` in a project without the middleware serves everyone.

The system checks say so, and because a server need not run them, the first request is refused, too. HTP-043.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.signals import request_started, setting_changed
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from aveverify._http.option_checks import layers
from aveverify.django._settings import SETTING, check_early, kept
from aveverify.errors import ConfigurationError, Problem

OURS: Final = "aveverify.django.AveAuthMiddleware"
# What the class of the middleware has, and every class below it.
MARK: Final = "is_ave_auth_middleware"
_OTHERS: Final = "aveverify."

# What the decorators have made: these views say themselves what they need.
guarded: Final[weakref.WeakSet[Callable[..., Any]]] = weakref.WeakSet()


class _Installation:
    """How the middleware is installed, under the present settings."""

    def __init__(self) -> None:
        self._was_made = False

    def note(self) -> None:
        """Note that the middleware was made, as a function in MIDDLEWARE can do, too."""
        self._was_made = True

    def find_faults(self) -> Iterator[ConfigurationError]:
        """Yield what is wrong; the settings themselves are right."""
        installed = [path for path in settings.MIDDLEWARE if path == OURS or _is_ours(path)]
        if len(installed) > 1:
            yield ConfigurationError(Problem.INSTALLED_TWICE, "AveAuthMiddleware", "in MIDDLEWARE")
        for path in settings.MIDDLEWARE:
            if path.startswith(_OTHERS) and path not in installed:
                yield ConfigurationError(
                    Problem.OUT_OF_RANGE, "MIDDLEWARE", f"{path} is no middleware of Django; write {OURS}"
                )
        if not installed and not self._was_made and kept.get().policy.required:
            # A project without routes has nothing to serve.
            routes = get_resolver().url_patterns if getattr(settings, "ROOT_URLCONF", None) else []
            bare = next(_bare_routes(routes), None)
            if bare is not None:
                yield _not_enforced(f"add {OURS} to MIDDLEWARE; nothing guards {bare!r}")

    def look_once(self, **_signal: object) -> None:
        """Refuse the first request, and every further one, while something is wrong."""
        # A project without the setting does not use this edge, but perhaps `aveverify.asgi` in front of everything.
        if getattr(settings, SETTING, None) is not None:
            for fault in self.find_faults():
                raise fault
        # From here on a request costs nothing more.
        request_started.disconnect(self.look_once)

    def look_again(self, *, setting: str, **_signal: object) -> None:
        """Look at the next request, too: a test overrides a setting."""
        if setting in (SETTING, "MIDDLEWARE"):
            self._was_made = False
        request_started.connect(self.look_once)


def look_early() -> None:
    """Refuse what is wrong where this package is imported late, with the views of a project.

    The system checks that it registers are not among those that Django is running by then, and its first request has
    begun.

    Raises:
        ConfigurationError: The settings are wrong, or REQUIRED holds without the middleware. Views of REST framework
            enforce it, too; but which routes lead to others is known too late.
    """
    configured = getattr(settings, SETTING, None) if apps.ready else None
    if configured is None:
        return
    check_early(configured)
    if configured.get("REQUIRED") is True and not any(
        path == OURS or _is_ours(path) is not False for path in settings.MIDDLEWARE
    ):
        raise _not_enforced(f"add {OURS} to MIDDLEWARE, or aveverify.django to INSTALLED_APPS")


installation: Final = _Installation()
request_started.connect(installation.look_once)
setting_changed.connect(installation.look_again)


def _is_ours(path: str) -> bool | None:
    """Tell whether the class at a path is our middleware; None where it cannot be imported, or not yet."""
    try:
        return getattr(import_string(path), MARK, False) is True
    except ImportError:
        return None


def _not_enforced(mend: str) -> ConfigurationError:
    return ConfigurationError(Problem.NOT_ENFORCED, f'{SETTING}["REQUIRED"]', mend)


def _bare_routes(patterns: Iterable[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    """Yield the routes of views that neither a decorator of ours nor our authentication class guards."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _bare_routes(pattern.url_patterns, route)
        elif not _authenticates(pattern.callback) and not any(layer in guarded for layer in layers(pattern.callback)):
            yield route


def _authenticates(view: object) -> bool:
    drf: Any = sys.modules.get("aveverify.drf")
    kind = getattr(view, "cls", None)
    if drf is None or kind is None:
        return False
    options = getattr(view, "initkwargs", {})
    classes = options.get("authentication_classes", getattr(kind, "authentication_classes", ()))
    return any(isinstance(one, type) and issubclass(one, drf.AveAuthentication) for one in classes)
