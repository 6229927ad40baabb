"""Which views and blueprints serve anonymous requests where the application requires credentials of all others.

A view counts where it, or what it says that it wraps, is a guard of `optional`. What only looks like a wrapper does not
count: a wrong guess would open a view that is meant to be closed. For the same reason one method of a class counts only
where it is known that the class runs the method of the request. HTP-036.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from flask.views import MethodView

from aveverify._http.option_checks import View, declared_layers
from aveverify._http.wsgi_request import WsgiRequest

if TYPE_CHECKING:
    from flask import Flask, Request
    from flask.sansio.scaffold import Scaffold

# Their `Resource` selects a method as Flask's `MethodView` does, and has a `dispatch_request` of its own.
_LIBRARIES_OF_RESOURCES: Final = ("flask_restful", "flask_restx")

_guards: Final[weakref.WeakSet[View]] = weakref.WeakSet()
_blueprints: Final[weakref.WeakSet[Scaffold]] = weakref.WeakSet()


def open_view(guard: View) -> None:
    """Record the guard of a view that also serves anonymous requests."""
    _guards.add(guard)


def open_blueprint(blueprint: Scaffold) -> None:
    """Record a blueprint whose views also serve anonymous requests."""
    _blueprints.add(blueprint)


def admits_anonymous(app: Flask, request: Request) -> bool:
    """Tell whether the view of a request also serves anonymous ones.

    Args:
        app: The application.
        request: The request.

    Returns:
        False, too, of a request that no view serves.
    """
    if request.url_rule is None:
        return False
    if any(app.blueprints[name] in _blueprints for name in request.blueprints):
        return True
    view = app.view_functions.get(request.url_rule.endpoint)
    return any(layer in _guards for layer in _layers(view, request))


def _layers(view: object, request: Request) -> Iterator[View]:
    for layer in declared_layers(view):
        yield layer
        view_class: Any = getattr(layer, "view_class", None)
        if view_class is not None:
            yield from declared_layers(_handler_of(view_class, request))


def _handler_of(view_class: Any, request: Request) -> object:  # noqa: ANN401 - the application's class
    """Return the function of a class that a request reaches first: one method of HTTP, or what stands in front of all.

    A `dispatch_request` of the application may run another method than the request's. A function that runs before the
    view may take another from a header or the query. HTP-027.
    """
    dispatch = getattr(view_class, "dispatch_request", None)
    selects_as_flask = any(dispatch is known for known in _known_dispatches())
    if not selects_as_flask or WsgiRequest(request.environ).overrides_method():
        return dispatch
    method = request.method.lower()
    handler = getattr(view_class, method, None)
    return getattr(view_class, "get", None) if handler is None and method == "head" else handler


def _known_dispatches() -> Iterator[object]:
    """Yield the functions that run the method of the request and, for HEAD, `get` where there is no `head`."""
    yield MethodView.dispatch_request
    for name in _LIBRARIES_OF_RESOURCES:
        # Not imported here: a class of theirs has imported them.
        resource = getattr(sys.modules.get(name), "Resource", None)
        if resource is not None:
            yield resource.dispatch_request
