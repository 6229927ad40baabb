"""Which views guard themselves, and which also serve requests without a token: marks that the decorators leave.

`functools.wraps`, `as_view` and `method_decorator` pass a mark on, as they pass on those of Django. HTP-036; HTP-043.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string
from django.views import View

from aveverify._http.option_checks import layers
from aveverify._http.wsgi_request import WsgiRequest

if TYPE_CHECKING:
    from django.http import HttpRequest

# True of a view that needs a token, False of one that also serves requests without.
_IS_REQUIRED: Final = "_aveverify_is_required"

_LOGIN_MIDDLEWARE: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def mark_view(guard: Callable[..., Any], *, required: bool) -> None:
    """Mark a view that enforces its own demands.

    Args:
        guard: What a decorator has made.
        required: Whether it refuses requests without a token.
    """
    setattr(guard, _IS_REQUIRED, required)
    # LoginRequiredMiddleware of Django reads it: who may reach this view is decided here.
    guard.login_required = False  # type: ignore[attr-defined]


def find_view(request: HttpRequest) -> Callable[..., Any] | None:
    """Return the view to which Django would give a request now; None where its path leads to none."""
    urlconf = getattr(request, "urlconf", None)
    if urlconf is None:
        urlconf = getattr(settings, "ROOT_URLCONF", None)
    if urlconf is None:
        return None
    try:
        return get_resolver(urlconf).resolve(request.path_info).func
    except Resolver404:
        return None


def asks_for_logins() -> bool:
    """Tell whether `LoginRequiredMiddleware` reads the user of every request before its view runs."""
    return any(_is_login_middleware(import_string(path)) for path in settings.MIDDLEWARE)


def _is_login_middleware(middleware: object) -> bool:
    # By its name: its module can be imported only where `django.contrib.auth` is installed.
    parents = middleware.__mro__ if isinstance(middleware, type) else ()
    return _LOGIN_MIDDLEWARE in [f"{parent.__module__}.{parent.__qualname__}" for parent in parents]


def serves_anonymous(view: object, request: HttpRequest) -> bool:
    """Tell whether a view says, by a mark or by its authentication classes, that it serves requests without a token.

    Args:
        view: The view, as the list of routes names it. A mark counts on itself or, of a class, on the method that runs.
        request: The request.

    Returns:
        Whether it does. Of a class with further methods that have no mark, a mark counts only where nothing could lead
        the request to one of them.
    """
    if hasattr(view, _IS_REQUIRED):
        return is_marked_optional(view, request)
    return any(one.is_optional for one in _our_authentication_classes(view)) or is_marked_optional(view, request)


def is_marked_optional(view: object, request: HttpRequest) -> bool:
    """Tell whether `ave_optional` marks a view; the authentication classes of REST framework have no part in it.

    Args:
        view: As in `serves_anonymous`.
        request: The request.

    Returns:
        As `serves_anonymous`.
    """
    is_required = getattr(view, _IS_REQUIRED, None)
    if is_required is not None:
        return is_required is False
    handlers = _handlers_of(view)
    handler = handlers.get((request.method or "").lower())
    return getattr(handler, _IS_REQUIRED, None) is False and (
        _are_guarded(handlers) or not _may_become_another_method(request)
    )


def _may_become_another_method(request: HttpRequest) -> bool:
    # HTP-027: by a middleware behind ours, even after this was asked. It may read a form, which must not be read here.
    return request.method == "POST" or WsgiRequest(request.META).overrides_method()


def unguarded_routes(patterns: Iterable[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    """Yield the routes of views that neither a decorator nor our authentication class guards."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from unguarded_routes(pattern.url_patterns, route)
        elif not _our_authentication_classes(pattern.callback) and not _is_guarded(pattern.callback):
            yield route


def _is_guarded(view: object) -> bool:
    if any(hasattr(layer, _IS_REQUIRED) for layer in layers(view)):
        return True
    return _are_guarded(_handlers_of(view))


def _are_guarded(handlers: dict[str, object]) -> bool:
    return bool(handlers) and all(hasattr(handler, _IS_REQUIRED) for handler in handlers.values())


def _handlers_of(view: object) -> dict[str, object]:
    """Return the methods of a class that serve requests, as `View.dispatch` finds them; none of any other view."""
    view_class = getattr(view, "view_class", None)
    if not isinstance(view_class, type) or not issubclass(view_class, View):
        return {}
    if view_class.dispatch is not View.dispatch or view_class.setup is not View.setup:
        # They may run another method than the request's, or something else before it.
        return {}
    options = getattr(view, "view_initkwargs", {})
    handlers = {
        name: handler
        for name in options.get("http_method_names", view_class.http_method_names)
        if (handler := getattr(view_class, name, None)) is not None and handler is not View.options
    }
    if "get" in handlers:
        handlers.setdefault("head", handlers["get"])
    return handlers


def _our_authentication_classes(view: object) -> list[Any]:
    """Return those of a view of REST framework."""
    drf: Any = sys.modules.get("aveverify.drf")
    view_class = getattr(view, "cls", None)
    if drf is None or view_class is None:
        return []
    options = getattr(view, "initkwargs", {})
    classes = options.get("authentication_classes", getattr(view_class, "authentication_classes", ()))
    if not isinstance(classes, Iterable):
        # A property: each object chooses its own.
        return []
    return [one for one in classes if isinstance(one, type) and issubclass(one, drf.AveAuthentication)]
