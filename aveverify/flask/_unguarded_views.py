"""Finds the views that an application serves without the guard that a decorator made for them.

A decorator above the route guards nothing: Flask has registered the bare view by then, and serves it to everyone. At
that time the decorator may know no application, so its view is remembered, weakly, and looked for among the registered
views before the first request is served. HTP-043.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Final

from flask import Flask, request_started

from aveverify._http.app_user import Users
from aveverify._http.option_checks import View, layers
from aveverify.errors import ConfigurationError, Problem
from aveverify.flask._error_handling import handle_errors
from aveverify.flask._refusals import EXTENSION

# The prefix of the extension's config.
PREFIX: Final = "AVEVERIFY_"

# The guards that the decorators of all extensions have made.
_guards: Final[weakref.WeakSet[View]] = weakref.WeakSet()


class ExtensionState:
    """What one extension has collected, in an application or not: its decorated views and its user loader.

    Args:
        requires_all: Whether the extension was told that every request needs credentials.

    Attributes:
        requires_all: As given.
        users: Loads the application's users; None until `load_user` registers a loader.
    """

    __slots__ = ("__weakref__", "_decorated", "requires_all", "users")

    def __init__(self, *, requires_all: bool) -> None:
        self.requires_all = requires_all
        self.users: Users | None = None
        # The views that the decorators were given, and all that these wrap.
        self._decorated: weakref.WeakSet[View] = weakref.WeakSet()

    def add_guard(self, view: View, guard: View) -> None:
        """Record a decorated view.

        Args:
            view: The argument of the decorator.
            guard: The result of the decorator.
        """
        for layer in layers(view):
            self._decorated.add(layer)
        _guards.add(guard)
        watch.note_decoration(self)

    def forget_guarded(self, app: Flask) -> None:
        """Forget the views that an application serves behind their guards.

        An extension in no application is compared with every application; a view that is guarded in this one may be
        public in another.
        """
        for _, view in _registered(app):
            is_guarded = False
            for layer in layers(view):
                if is_guarded:
                    self._decorated.discard(layer)
                is_guarded = is_guarded or layer in _guards

    def find_unguarded(self, app: Flask) -> str | None:
        """Return the first view that an application would run without its guard.

        A view that is registered twice, once bare and once guarded, counts: nothing tells it from a route above the
        decorator. A public view is a function of its own, or stands behind `optional`.

        Args:
            app: The application.

        Returns:
            The endpoint, or the name of a function that runs before requests; None where every view has its guard.
        """
        return next((name for name, view in _registered(app) if self._is_unguarded(view)), None)

    def _is_unguarded(self, view: View) -> bool:
        for layer in layers(view):
            if layer in self._decorated:
                # A guard, too, where a further decorator was given it above the route.
                return True
            if layer in _guards:
                return False
        return False


class _Watch:
    """Checks the requests of applications without the extension, while an extension is in no application.

    Attributes:
        decorations: How many views were decorated; once it has grown, an application is checked again.
    """

    def __init__(self) -> None:
        self.decorations = 0
        self._idle: weakref.WeakSet[ExtensionState] = weakref.WeakSet()
        # Kept alive once a decorator was used: the extension may be a local variable of an application factory.
        self._used: set[ExtensionState] = set()

    def begin(self, extension: ExtensionState) -> None:
        """Start to watch an extension that is in no application."""
        self._idle.add(extension)
        request_started.connect(self._check, weak=False)

    def note_decoration(self, extension: ExtensionState) -> None:
        """Record that a decorator of an extension was used."""
        self.decorations += 1
        if extension in self._idle:
            self._used.add(extension)

    def end(self, extension: ExtensionState) -> None:
        """Stop to watch an extension: it is installed in an application."""
        self._idle.discard(extension)
        self._used.discard(extension)
        if not self._idle:
            # From here on the signal costs requests nothing.
            request_started.disconnect(self._check)

    def refuse_unguarded(self, app: Flask, *extensions: ExtensionState) -> None:
        """Refuse to serve an application that would run a view without its guard.

        Args:
            app: The application.
            extensions: The extensions whose decorated views are looked for, beside those in no application.

        Raises:
            ConfigurationError: It would; names the view.
        """
        idle = list(self._idle)
        for extension in (*extensions, *idle):
            name = extension.find_unguarded(app)
            if name is not None:
                raise ConfigurationError(Problem.UNGUARDED_VIEW, f"the view {name!r}")
        for extension in idle:
            extension.forget_guarded(app)

    def _check(self, app: Flask, **_signal: object) -> None:
        if EXTENSION in app.extensions:
            return
        try:
            self._refuse_unenforced(app)
        except ConfigurationError:
            # A handler of the application for `AveVerifyError` must not answer it.
            handle_errors(app)
            raise

    def _refuse_unenforced(self, app: Flask) -> None:
        if any(extension.requires_all for extension in self._idle) or (
            self._idle and any(name.startswith(PREFIX) for name in app.config)
        ):
            raise ConfigurationError(Problem.NOT_ENFORCED, "AveAuth", f"call init_app for {app!r}")
        self.refuse_unguarded(app)


watch: Final = _Watch()


def _registered(app: Flask) -> Iterator[tuple[str, View]]:
    yield from app.view_functions.items()
    for functions in app.before_request_funcs.values():
        for function in functions:
            yield getattr(function, "__qualname__", repr(type(function))), function
