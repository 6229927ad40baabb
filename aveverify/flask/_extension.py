"""Flask: an extension that verifies the bearer token of a request when somebody first asks for its user.

Refusals are raised, so that error handlers see them; those of this extension write what RFC 6750 asks for. Nothing is
kept from one request to the next. Flask's own documentation of extensions; design §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, Unpack, cast, overload

from flask import Flask, Request, Response, current_app, has_request_context, request
from flask.sansio.scaffold import Scaffold
from werkzeug.exceptions import Unauthorized
from werkzeug.local import LocalProxy

from aveverify._core.bearer import ErrorResponse
from aveverify._core.identity import Identity
from aveverify._http.app_user import Users
from aveverify._http.caching import mark
from aveverify._http.current_identity import current_identity as identity_of_context
from aveverify._http.option_checks import check_flag, check_function, check_verifier, check_view
from aveverify._http.policy import AuthOptions, AuthPolicy, Denial
from aveverify._http.request_auth import RequestAuth, ViewDemand
from aveverify._http.request_identity import IDENTITY_KEY, LazyIdentity
from aveverify._http.scopes import check_scope_list
from aveverify._http.settings import NAMES, make_policy_from
from aveverify._http.wsgi_request import route_path
from aveverify.errors import AveVerifyError, ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_misspelt, refuse_unknown
from aveverify.flask._views import EXTENSION, PREFIX, Decorated, watch

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Scaffold)
LoadUser = Callable[[Identity], object | Awaitable[object]]
L = TypeVar("L", bound=LoadUser)

# Where a request object holds its visit, and what an edge was serving when that began: not in `g`, which a test may
# keep for several requests.
_VISIT: Final = "_aveverify_visit"
_AROUND: Final = "_aveverify_around"


class FlaskOptions(AuthOptions, total=False):
    """What the extension can be told; `AVEVERIFY_*` in the application's config counts more.

    Attributes:
        required: Whether every request needs credentials, but those to exempt paths; False by default.
    """

    required: bool


class AveAuth:
    """Verifies bearer tokens for a Flask application.

    Args:
        app: The application; or call `init_app` later, once for each application.
        verifier: Decides about tokens, where the application's config names no issuer.
        options: Everything else that an edge can be told: `FlaskOptions`.

    Raises:
        ConfigurationError: Names what is missing, unknown or wrong.
    """

    @refuse_unknown(FlaskOptions)
    def __init__(
        self, app: Flask | None = None, verifier: Verifier | None = None, **options: Unpack[FlaskOptions]
    ) -> None:
        if verifier is not None:
            check_verifier(verifier)
        self._verifier = verifier
        self._options = options
        self._users: Users | None = None
        self.decorated = Decorated()
        self.requires_all = options.get("required") is True
        watch.begin(self)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install the extension in an application.

        Args:
            app: The application; its config may hold `AVEVERIFY_ISSUER` and the like.

        Raises:
            ConfigurationError: Names the config that is missing, unknown or wrong, or a view whose decorator stands
                above its route.
        """
        # Quart's applications look alike, and await what runs before a request.
        if not isinstance(app, Flask):
            raise ConfigurationError(Problem.NOT_AN_APPLICATION, "app", "a Flask application")
        if EXTENSION in app.extensions:
            raise ConfigurationError(Problem.INSTALLED_TWICE, "app", "it has an AveAuth already")
        # Also a misspelt prefix, which leaves a setting of the config without effect.
        refuse_misspelt(app.config, [PREFIX + name for name in sorted(NAMES)])
        settings = {name.removeprefix(PREFIX): app.config[name] for name in app.config if name.startswith(PREFIX)}
        policy = make_policy_from(
            settings, PREFIX.__add__, verifier=self._verifier, options=self._options, awaits=False
        )
        watch.refuse_bare(app, self)
        installed = app.extensions[EXTENSION] = _Installed(self, policy)
        watch.end(self)
        app.before_request(installed.begin)
        if policy.marks:
            app.after_request(installed.end)
        # The root of all errors: a handler of the application, for one of them or for all, is found first or stays.
        if AveVerifyError not in app.error_handler_spec[None][None]:
            app.register_error_handler(AveVerifyError, _answer)

    @overload
    def required(self, view: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def required(self, /, *, scopes: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @refuse_unknown()
    def required(self, view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
        """Let only requests with a good token reach a view: `@ave.required`, or with scopes.

        It relies on the answer, so it refuses at once, also where the extension defers refusals.

        Args:
            view: The view, synchronous or not.
            scopes: What the token must hold beside what all requests need.

        Returns:
            The view behind the check; without a view, the decorator.

        Raises:
            ConfigurationError: The scopes are not a list of scope tokens, or the view is a class or no function.
        """
        return self._decorate(view, scopes, required=True)

    @overload
    def optional(self, view: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def optional(self, /, *, scopes: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @refuse_unknown()
    def optional(self, view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
        """Let requests without a token reach a view, too; a bad one is refused (HTP-036). See `required`."""
        return self._decorate(view, scopes, required=False)

    @refuse_unknown()
    def protect(self, blueprint: S, /, *, scopes: Sequence[str] = (), required: bool = True) -> S:
        """Do for all views of a blueprint what `required` or `optional` does for one.

        Args:
            blueprint: The blueprint, before it is registered.
            scopes: What a token must hold.
            required: Whether there must be one.

        Returns:
            The blueprint.

        Raises:
            ConfigurationError: It is no blueprint, or registered already, or an argument is not what it must be.
        """
        if not isinstance(blueprint, Scaffold):
            raise ConfigurationError(Problem.OUT_OF_RANGE, "blueprint", "a blueprint or an application")
        if getattr(blueprint, "_got_registered_once", False):
            # What Flask itself says of it is an AssertionError about setup methods.
            raise ConfigurationError(Problem.OUT_OF_RANGE, "blueprint", "protect it before it is registered")
        check_scope_list(scopes)
        check_flag("required", required)
        cast("Any", blueprint).before_request(lambda: _admit(scopes, required=required, asks=not _answers_by_itself()))
        return blueprint

    def load_user(self, loader: L, /) -> L:
        """Register the function that finds the application's own user of an identity, for `current_user`.

        It runs once for each request, as soon as the token is verified: before a view that demands or takes
        credentials, and in any other view when it asks for the identity or the user. A token is refused if the function
        returns None (`UNKNOWN_USER`), or a user whose `is_active` is false (`INACTIVE_USER`).

        Args:
            loader: The function; a coroutine function is run to its end.

        Returns:
            The same function.

        Raises:
            ConfigurationError: It is no function of an identity.

        Source: HTP-044.
        """
        if loader is None:
            raise ConfigurationError(Problem.MISSING, "load_user")
        check_function("load_user", loader)
        self._users = Users(loader, _run)
        return loader

    def _decorate(self, view: Callable[..., Any] | None, scopes: Sequence[str], *, required: bool) -> Any:  # noqa: ANN401 - as above
        check_scope_list(scopes)

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            check_view(view, "write decorators = [ave.required] in the class")
            is_async = iscoroutinefunction(view)

            @wraps(view)
            def checked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the view's own
                _admit(scopes, required=required)
                return current_app.ensure_sync(view)(*args, **kwargs) if is_async else view(*args, **kwargs)

            self.decorated.add(view, checked)
            watch.note_use(self)
            return checked

        return decorate if view is None else decorate(view)


class _Installed:
    """The extension in one application."""

    def __init__(self, extension: AveAuth, policy: AuthPolicy) -> None:
        self.extension = extension
        self.policy = policy
        self._looked_at = -1

    def begin(self) -> None:
        """Begin a request.

        Raises:
            ConfigurationError: A view of the application is registered without its decorator; no request is served.
        """
        if self._looked_at != watch.decorations:
            self._look()
        request_auth = self.request_auth(_request())
        if self.policy.required and not isinstance(request_auth.authenticate(), Identity):
            _raise(request_auth.authorize(ViewDemand(required=not request_auth.is_exempt)))

    def _look(self) -> None:
        decorations = watch.decorations
        watch.refuse_bare(cast("Any", current_app)._get_current_object(), self.extension)  # noqa: SLF001 - Werkzeug's documented name for it
        self._looked_at = decorations

    def end(self, response: Response) -> Response:
        """Let an answer tell caches by which headers it differs, where credentials are looked at (HTP-050)."""
        request_auth = _request().__dict__.get(_VISIT)
        if not isinstance(request_auth, RequestAuth) or request_auth.is_exempt:
            return response
        # A generator runs later, and may ask then. A file asks nothing.
        may_look = response.is_streamed and not response.direct_passthrough
        if request_auth.has_looked or may_look:
            is_personal = request_auth.is_personal or not request_auth.has_looked
            response.headers[:] = mark(response.headers, self.policy.parameters.vary, is_personal=is_personal)
        return response

    def request_auth(self, request: Request) -> RequestAuth:
        """Return the visit of a request; the first to ask makes it."""
        members = request.__dict__
        request_auth = members.get(_VISIT)
        if not isinstance(request_auth, RequestAuth):
            policy, environ = self.policy, request.environ
            path = route_path(environ) if policy.exempt else ""
            request_auth = members[_VISIT] = RequestAuth(policy, environ, path, self.extension._users)  # noqa: SLF001 - one room
            members[_AROUND] = identity_of_context.entered()
            # HTP-010: whatever stood there, this request's identity replaces it.
            environ[IDENTITY_KEY] = LazyIdentity(request_auth.identity_or_raise)
        return request_auth


def _installed() -> _Installed:
    found = current_app.extensions.get(EXTENSION)
    if not isinstance(found, _Installed):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request", "no AveAuth is installed in this application")
    return found


def _request() -> Request:
    # What the proxy stands for, once: every look through it costs. Without a request, Flask's own error.
    found: Request = cast("Any", request)._get_current_object()  # noqa: SLF001 - Werkzeug's documented name for it
    return found


def _request_auth() -> RequestAuth:
    found = _request()
    return _installed().request_auth(found)


def _admit(scopes: Sequence[str], *, required: bool, asks: bool = True) -> None:
    request_auth = _request_auth()
    request_auth.authenticate()
    _raise(request_auth.authorize(ViewDemand(required, scopes, uses_identity=required and asks)))


def _answers_by_itself() -> bool:
    # To OPTIONS, for which no view runs unless it says so.
    found = _request()
    return found.method == "OPTIONS" and getattr(found.url_rule, "provide_automatic_options", False)


def _raise(denial: Denial | None) -> None:
    if denial is None:
        return
    if denial.error is None:
        raise Unauthorized(response=_response(denial.response))
    raise denial.error


def _answer(error: AveVerifyError) -> Response:
    request_auth = _request_auth()
    if not request_auth.owns(error):
        raise error
    return _response(request_auth.error_response(error))


def _response(answer: ErrorResponse) -> Response:
    return Response(answer.body, answer.status, list(answer.headers))


def _run(function: Callable[..., Any]) -> Callable[..., Any]:
    # Which application serves is known at the request.
    return current_app.ensure_sync(function)


def _identity() -> Identity | None:
    return _request_auth().identity_or_raise()


def _user() -> object:
    request_auth = _request_auth()
    if request_auth.identity_or_raise() is not None and request_auth.users is None:
        raise ConfigurationError(Problem.MISSING, "load_user", "current_user needs it")
    return request_auth.user


def _find_carrier(entered: Any) -> Any:  # noqa: ANN401 - a scope or an environ
    """Return the environ of Flask's request, where our extension serves it and no edge serves another within it."""
    installed = current_app.extensions.get(EXTENSION) if has_request_context() else None
    if not isinstance(installed, _Installed):
        return entered
    found = _request()
    installed.request_auth(found)
    # A middleware in front was there when the visit began; a thread with a copy of Flask's context alone has none.
    return found.environ if entered is None or entered is found.__dict__[_AROUND] else entered


identity_of_context.look_in(_find_carrier)

# Typed as what they stand for, like Flask's own proxies. For a request that may be anonymous, ask
# `get_user_identity(request)`, whose type says so; the proxy of nobody is false.
current_identity: Identity = cast("Identity", LocalProxy(_identity))
current_user: Any = LocalProxy(_user)
