"""The extension `AveAuth`: installation, decorators, protected blueprints and the user loader."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast, overload

from flask import Flask, current_app, has_app_context
from flask.sansio.scaffold import Scaffold

from aveverify._core.provider_checks import check_flag
from aveverify._http.app_calls import AppCalls
from aveverify._http.app_user import LoadUser, Users
from aveverify._http.auth_options import Allow, AuthOptions
from aveverify._http.option_checks import View, check_function, check_verifier, check_view
from aveverify._http.settings import NAMES, make_policy_from
from aveverify._http.view_demand import ViewDemand, make_demand
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem
from aveverify.errors._unknown_options import refuse_misspelt, refuse_unknown
from aveverify.flask._error_handling import handle_errors
from aveverify.flask._optional_views import open_blueprint, open_view
from aveverify.flask._refusals import EXTENSION, current_request, raise_denial
from aveverify.flask._refused_error import RefusedError
from aveverify.flask._request import (
    Installation,
    current_identity,
    current_installation,
    current_request_auth,
    get_verifier,
)
from aveverify.flask._unguarded_views import PREFIX, ExtensionState, watch

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Scaffold)
L = TypeVar("L", bound=LoadUser[Any])


class FlaskOptions(AuthOptions, total=False):
    """The options of the extension. `AVEVERIFY_*` in the application's config takes precedence.

    Attributes:
        required: Whether every request needs credentials, except to exempt paths; False by default.
    """

    required: bool


class AveAuth:
    """Verifies bearer tokens for a Flask application.

    Args:
        app: The application; without it, call `init_app` later, once for each application.
        verifier: Verifies tokens, unless the application's config names an issuer or another verifier.
        options: `FlaskOptions`, all optional.

    Raises:
        ConfigurationError: An option is missing, unknown or wrong; names it.

    Example:
        ```python
        ave = AveAuth(app, Verifier(Provider.ave("app_123")))


        @app.get("/me")
        @ave.required
        def me() -> dict:
            return dict(current_identity.to_convex())
        ```
    """

    @refuse_unknown(FlaskOptions)
    def __init__(
        self, app: Flask | None = None, verifier: Verifier | None = None, **options: Unpack[FlaskOptions]
    ) -> None:
        if verifier is not None:
            check_verifier(verifier)
        self._verifier = verifier
        self._options = options
        self._state = ExtensionState(requires_all=options.get("required") is True)
        self._installed: weakref.WeakSet[Installation] = weakref.WeakSet()
        watch.begin(self._state)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install the extension in an application.

        Args:
            app: The application; its config may hold `AVEVERIFY_ISSUER` and the like.

        Raises:
            ConfigurationError: A config value is missing, unknown or wrong, or a decorator stands above the route of
                its view; names it.
        """
        # Quart's applications have the same methods, and await what runs before a request.
        if not isinstance(app, Flask):
            raise ConfigurationError(Problem.NOT_AN_APPLICATION, "app", "a Flask application")
        if EXTENSION in app.extensions:
            raise ConfigurationError(Problem.INSTALLED_TWICE, "app", "it has an AveAuth already")
        # A misspelt prefix, too, would leave a setting of the config without effect.
        refuse_misspelt(app.config, [PREFIX + name for name in sorted(NAMES)])
        settings = {name.removeprefix(PREFIX): app.config[name] for name in app.config if name.startswith(PREFIX)}
        policy = make_policy_from(
            settings, PREFIX.__add__, verifier=self._verifier, options=self._options, calls=AppCalls(_make_sync)
        )
        watch.refuse_unguarded(app, self._state)
        installation = app.extensions[EXTENSION] = Installation(self._state, policy)
        self._installed.add(installation)
        watch.end(self._state)
        app.before_request(installation.begin_request)
        if policy.marks:
            app.after_request(installation.end_request)
        if policy.ends_streams:
            app.after_request(installation.end_stream)
        # Read when a template uses it, and not before.
        app.context_processor(lambda: {"current_identity": current_identity})
        handle_errors(app)

    @property
    def verifier(self) -> Verifier:
        """The verifier of the current application; outside of its context that of the only one, or the given one.

        Raises:
            ConfigurationError: There is none, or several applications have one each.
        """
        if has_app_context():
            return get_verifier()
        installed = list(self._installed)
        if len(installed) == 1:
            return installed[0].policy.verifier
        if self._verifier is None:
            raise ConfigurationError(Problem.MISSING, "verifier", "enter the context of an application with AveAuth")
        return self._verifier

    @overload
    def required(self, view: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def required(
        self, /, *, scopes: Sequence[str] = (), any_scopes: Sequence[str] = (), allow: Allow | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @refuse_unknown()
    def required(
        self,
        view: Callable[..., Any] | None = None,
        /,
        *,
        scopes: Sequence[str] = (),
        any_scopes: Sequence[str] = (),
        allow: Allow | None = None,
    ) -> Any:
        """Decorate a view that needs a verified token.

        A bad token is refused before the view runs, even with `on_invalid="defer"`. The decorator stands below the
        route: `@app.get("/me")`, then `@ave.required`.

        Args:
            view: The view, synchronous or not.
            scopes: The scopes that the token must hold, beside those of the application.
            any_scopes: Scopes of which the token must hold one.
            allow: Called with the identity; a false value refuses with 403. It may be a coroutine function.

        Returns:
            The guarded view; without a view, the decorator: `@ave.required(scopes=["notes:write"])`.

        Raises:
            ConfigurationError: The scopes are no list of scope tokens, `allow` is no function of an identity, or the
                view is a class or no function.
        """
        return self._decorate(view, make_demand(scopes, any_scopes, allow, required=True, uses_identity=True))

    @overload
    def optional(self, view: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def optional(
        self, /, *, scopes: Sequence[str] = (), any_scopes: Sequence[str] = (), allow: Allow | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @refuse_unknown()
    def optional(
        self,
        view: Callable[..., Any] | None = None,
        /,
        *,
        scopes: Sequence[str] = (),
        any_scopes: Sequence[str] = (),
        allow: Allow | None = None,
    ) -> Any:
        """Decorate a view that also serves requests without a token; a bad token is refused (HTP-036).

        So it does where the application requires credentials (`required`), too. Decorators above it must use
        `functools.wraps` then, or the view stays closed.

        Args:
            view: The view, synchronous or not.
            scopes: The scopes that a token must hold, if there is one.
            any_scopes: Scopes of which it must hold one.
            allow: As for `required`; not called for requests without a token.

        Returns:
            The guarded view; without a view, the decorator.

        Raises:
            ConfigurationError: As `required`.
        """
        return self._decorate(view, make_demand(scopes, any_scopes, allow, required=False))

    @refuse_unknown()
    def protect(
        self,
        blueprint: S,
        /,
        *,
        scopes: Sequence[str] = (),
        any_scopes: Sequence[str] = (),
        allow: Allow | None = None,
        required: bool = True,
    ) -> S:
        """Guard all views of a blueprint, as `required` or `optional` guards one.

        Args:
            blueprint: The blueprint, before it is registered.
            scopes: The scopes that a token must hold.
            any_scopes: Scopes of which it must hold one.
            allow: As for `required`.
            required: Whether a request needs a token; False also where the application requires one of all others.

        Returns:
            The blueprint.

        Raises:
            ConfigurationError: It is no blueprint, or registered already, or another argument is wrong.
        """
        if not isinstance(blueprint, Scaffold):
            raise ConfigurationError(Problem.OUT_OF_RANGE, "blueprint", "a blueprint or an application")
        if getattr(blueprint, "_got_registered_once", False):
            # Flask itself would raise an AssertionError about setup methods.
            raise ConfigurationError(Problem.OUT_OF_RANGE, "blueprint", "protect it before it is registered")
        check_flag("required", required)
        demand = make_demand(scopes, any_scopes, allow, required=required)
        cast("Any", blueprint).before_request(
            lambda: _authorize(demand._replace(uses_identity=required and not _is_answered_by_flask()))
        )
        if not required:
            open_blueprint(blueprint)
        return blueprint

    def load_user(self, loader: L, /) -> L:
        """Register the function that returns the application's user of an identity, for `current_user`.

        It runs once for each request with a verified token: before a view that is decorated or protected, and in any
        other view when it reads the identity or the user. A token is refused if the function returns None
        (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`).

        Args:
            loader: A function of an `Identity`; a coroutine function is run to its end.

        Returns:
            The same function.

        Raises:
            ConfigurationError: It is no function of an identity.

        Source: HTP-044.
        """
        if loader is None:
            raise ConfigurationError(Problem.MISSING, "load_user")
        check_function("load_user", loader)
        self._state.users = Users(loader, AppCalls(_make_sync))
        return loader

    def _decorate(self, view: View | None, demand: ViewDemand) -> View:
        def decorate(view: View) -> View:
            check_view(view, "write decorators = [ave.required] in the class")
            is_async = iscoroutinefunction(view)

            @wraps(view)
            def guard(*args: object, **kwargs: object) -> object:
                _authorize(demand)
                try:
                    return current_app.ensure_sync(view)(*args, **kwargs) if is_async else view(*args, **kwargs)
                except InsufficientScopeError as error:
                    if isinstance(error, RefusedError):
                        raise
                    # Extensions that answer exceptions by themselves know the HTTP errors of Werkzeug only.
                    raise_denial(current_installation().deny(error))

            self._state.add_guard(view, guard)
            if not demand.required:
                open_view(guard)
            return guard

        return decorate if view is None else decorate(view)


def _authorize(demand: ViewDemand) -> None:
    request_auth = current_request_auth()
    request_auth.authenticate()
    denial = request_auth.authorize(demand)
    if denial is not None:
        raise_denial(denial)


def _is_answered_by_flask() -> bool:
    # Flask answers OPTIONS itself, without running the view, unless the route says otherwise.
    found = current_request()
    return found.method == "OPTIONS" and getattr(found.url_rule, "provide_automatic_options", False)


def _make_sync(function: View) -> View:
    # The application is known only while it serves a request.
    return current_app.ensure_sync(function)
