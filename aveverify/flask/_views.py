"""Which views the decorators of Flask's extension guard, and which of these an application serves without them.

A decorator above the route guards nothing: Flask has registered the bare view by then, and serves it to everyone. At
that time the decorator may know no application, so what it was given is remembered, weakly, and looked for among the
registered views before the first request is served. HTP-043.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from flask import Flask, request_started

from aveverify._http.option_checks import View, layers
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from aveverify.flask._extension import AveAuth

# The extension's name in an application, and the prefix of its config.
EXTENSION: Final = "aveverify"
PREFIX: Final = "AVEVERIFY_"

# What the decorators of every extension have made.
_guards: Final[weakref.WeakSet[View]] = weakref.WeakSet()


class Decorated:
    """The views that the decorators of one extension were given, and all that these wrap."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner: weakref.WeakSet[View] = weakref.WeakSet()

    def add(self, view: View, guard: View) -> None:
        """Note a decoration.

        Args:
            view: What the decorator was given.
            guard: What it has made of it.
        """
        for layer in layers(view):
            self._inner.add(layer)
        _guards.add(guard)
        watch.decorations += 1

    def forget_guarded(self, app: Flask) -> None:
        """Forget the views that an application serves behind their guards: these decorators stand where they belong.

        For an extension that is in no application, whose decorators would count in every application there is.
        """
        for _, view in _registered(app):
            is_guarded = False
            for layer in layers(view):
                if is_guarded:
                    self._inner.discard(layer)
                is_guarded = is_guarded or layer in _guards

    def find_bare(self, app: Flask) -> str | None:
        """Return what an application would run without the guard that a decorator has made for it.

        A view that is registered twice, once bare and once guarded, counts: nothing tells a wish from a route that was
        written above the decorator. A public view is a function of its own, or stands behind `optional`.

        Args:
            app: The application.

        Returns:
            The endpoint, or the name of a function that runs before requests; None where all is well.
        """
        return next((name for name, view in _registered(app) if self._is_bare(view)), None)

    def _is_bare(self, view: View) -> bool:
        for layer in layers(view):
            if layer in self._inner:
                # A guard, too, where another one was put around it.
                return True
            if layer in _guards:
                return False
        return False


class _Watch:
    """Looks at requests to applications without the extension, while there is an extension without an application.

    Attributes:
        decorations: How many there were; when it has grown, an application is looked at again.
    """

    def __init__(self) -> None:
        self.decorations = 0
        self._idle: weakref.WeakSet[AveAuth] = weakref.WeakSet()
        # One whose decorators were used stays: it may be a local variable of the function that made the application.
        self._used: set[AveAuth] = set()

    def begin(self, extension: AveAuth) -> None:
        """Note an extension that is in no application."""
        self._idle.add(extension)
        request_started.connect(self._look, weak=False)

    def note_use(self, extension: AveAuth) -> None:
        """Note that a decorator of an extension was used."""
        if extension in self._idle:
            self._used.add(extension)

    def end(self, extension: AveAuth) -> None:
        """Note that an extension is in an application."""
        self._idle.discard(extension)
        self._used.discard(extension)
        if not self._idle:
            # From here on a request costs nothing more.
            request_started.disconnect(self._look)

    def refuse_bare(self, app: Flask, *extensions: AveAuth) -> None:
        """Refuse to serve an application that would run a view without its guard.

        Args:
            app: The application.
            extensions: Whose decorators count, beside those of the extensions that are in no application.

        Raises:
            ConfigurationError: It would; names the view.
        """
        idle = list(self._idle)
        for extension in (*extensions, *idle):
            name = extension.decorated.find_bare(app)
            if name is not None:
                raise ConfigurationError(Problem.UNGUARDED_VIEW, f"the view {name!r}")
        for extension in idle:
            extension.decorated.forget_guarded(app)

    def _look(self, app: Flask, **_signal: object) -> None:
        if EXTENSION in app.extensions:
            return
        if any(extension.requires_all for extension in self._idle) or (
            self._idle and any(name.startswith(PREFIX) for name in app.config)
        ):
            raise ConfigurationError(Problem.NOT_ENFORCED, "AveAuth", f"call init_app for {app!r}")
        self.refuse_bare(app)


watch: Final = _Watch()


def _registered(app: Flask) -> Iterator[tuple[str, View]]:
    yield from app.view_functions.items()
    for functions in app.before_request_funcs.values():
        for function in functions:
            yield getattr(function, "__qualname__", repr(type(function))), function
