"""One request of Flask: its `RequestAuth`, and the proxies `current_identity` and `current_user`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Request, Response, current_app, has_request_context
from werkzeug.local import LocalProxy

from aveverify._core.identity import Identity
from aveverify._http.app_user import Users
from aveverify._http.auth_record import record_outcome
from aveverify._http.caching import mark
from aveverify._http.current_identity import BoundIdentity
from aveverify._http.current_identity import current_identity as identity_of_context
from aveverify._http.ending_chunks import EndingChunks, StreamEnd
from aveverify._http.policy import AuthPolicy, Denial
from aveverify._http.request_auth import RequestAuth
from aveverify._http.request_identity import IDENTITY_KEY, LazyIdentity
from aveverify._http.view_demand import ViewDemand
from aveverify._http.wsgi_request import route_path
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem
from aveverify.flask._error_handling import handle_errors
from aveverify.flask._optional_views import admits_anonymous
from aveverify.flask._refusals import EXTENSION, current_request, raise_denial, unwrap
from aveverify.flask._unguarded_views import ExtensionState, watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aveverify.verifier import Verifier

# Attributes of a request object: its `RequestAuth`, and the scope or environ that was served around it when that was
# made. They do not stand in `g`, which a test may keep for several requests.
_REQUEST_AUTH: Final = "_aveverify_request_auth"
_SERVED_AROUND: Final = "_aveverify_served_around"

# Where no request is served: how Flask's proxies get one, or do without.
_WAYS_OUT: Final = "bind is that of aveverify.current_identity; or enter a request context, app.test_request_context()"


class NoRequestError(ConfigurationError, RuntimeError):
    """Flask serves no request here. A `RuntimeError`, as that of Flask's own proxies, which are false then."""


class Installation:
    """The extension in one application."""

    def __init__(self, extension: ExtensionState, policy: AuthPolicy) -> None:
        self.policy = policy
        self._extension = extension
        self._checked_decorations = -1

    @property
    def users(self) -> Users | None:
        """Loads the application's users; None until `load_user` registers a loader."""
        return self._extension.users

    def begin_request(self) -> None:
        """Run before each request.

        Raises:
            ConfigurationError: A view of the application is registered without its guard; no request is served.
        """
        if self._checked_decorations != watch.decorations:
            self._refuse_unguarded_views()
        request_auth = self.request_auth(current_request())
        if self.policy.required and not isinstance(request_auth.authenticate(), Identity):
            required = request_auth.requires_credentials and not admits_anonymous(
                unwrap(current_app), current_request()
            )
            denial = request_auth.authorize(ViewDemand(required))
            if denial is not None:
                raise_denial(denial)

    def _refuse_unguarded_views(self) -> None:
        decorations = watch.decorations
        watch.refuse_unguarded(unwrap(current_app), self._extension)
        self._checked_decorations = decorations

    def deny(self, error: InsufficientScopeError) -> Denial:
        """Refuse the request that is served, as its view says.

        Args:
            error: What the view has raised.

        Returns:
            The refusal, which is logged.
        """
        denial = self.policy.deny(error)
        record_outcome(current_request().environ, self.policy, denial)
        return denial

    def end_request(self, response: Response) -> Response:
        """Run after each request: name the headers that decide in `Vary`, where credentials were read (HTP-050)."""
        request_auth = current_request().__dict__.get(_REQUEST_AUTH)
        if not isinstance(request_auth, RequestAuth) or request_auth.is_exempt:
            return response
        # A generator runs after this, and may read the identity. A file does not.
        may_look = response.is_streamed and not response.direct_passthrough
        if request_auth.has_looked or may_look:
            is_personal = request_auth.is_personal or not request_auth.has_looked
            response.headers[:] = mark(response.headers, self.policy.parameters.vary, is_personal=is_personal)
        return response

    def end_stream(self, response: Response) -> Response:
        """Run after each request: let a response that goes on end with the token that was verified (HTP-042)."""
        request_auth = current_request().__dict__.get(_REQUEST_AUTH)
        identity = request_auth.known_identity if isinstance(request_auth, RequestAuth) else None
        if identity is not None and not response.is_sequence:
            end = StreamEnd(identity, self.policy, response.content_length)
            response.response = EndingChunks(cast("Iterable[bytes]", response.response), end)
        return response

    def request_auth(self, request: Request) -> RequestAuth:
        """Return the `RequestAuth` of a request; the first call makes it."""
        members = request.__dict__
        request_auth = members.get(_REQUEST_AUTH)
        if not isinstance(request_auth, RequestAuth):
            policy, environ = self.policy, request.environ
            path = route_path(environ) if policy.exempt or policy.optional else ""
            request_auth = members[_REQUEST_AUTH] = RequestAuth(policy, environ, path, self._extension.users)
            members[_SERVED_AROUND] = identity_of_context.entered()
            # HTP-010: the identity of this request replaces whatever stood there.
            environ[IDENTITY_KEY] = LazyIdentity(partial(_identity_or_refuse, request_auth))
        return request_auth


def current_installation() -> Installation:
    """Return the extension in the current application; without one, raise Flask's own error.

    Raises:
        ConfigurationError: The extension is not installed in this application.
    """
    installation = current_app.extensions.get(EXTENSION)
    if not isinstance(installation, Installation):
        raise _not_installed()
    return installation


def _not_installed() -> ConfigurationError:
    # A handler of the application for `AveVerifyError` must not answer this.
    handle_errors(unwrap(current_app))
    return ConfigurationError(Problem.NO_MIDDLEWARE, "the request", "no AveAuth is installed in this application")


def current_request_auth() -> RequestAuth:
    """Return the `RequestAuth` of the request that is served.

    Raises:
        ConfigurationError: No request is served, or the extension is not installed in this application.
    """
    try:
        found = current_request()
    except RuntimeError:
        raise NoRequestError(Problem.NO_REQUEST, "current_identity", _WAYS_OUT) from None
    # Not by `current_installation`, which would cost every request a call.
    installation = current_app.extensions.get(EXTENSION)
    if not isinstance(installation, Installation):
        raise _not_installed()
    return installation.request_auth(found)


def get_verifier() -> Verifier:
    """Return the verifier of the current application, within its context.

    Returns:
        The one that was given, or that its config has made.

    Raises:
        ConfigurationError: The extension is not installed in this application.
    """
    return current_installation().policy.verifier


def _identity_or_refuse(request_auth: RequestAuth) -> Identity | None:
    outcome = request_auth.authenticate()
    if isinstance(outcome, Identity):
        return outcome
    if request_auth.error is not None:
        denial = outcome if isinstance(outcome, Denial) else request_auth.make_denial(request_auth.error)
        raise_denial(denial, ends_request=False)
    return None


def _find_identity() -> Identity | None:
    bound = identity_of_context.find_bound()
    return _identity_or_refuse(current_request_auth()) if bound is None else bound.identity


def _find_user() -> object:
    bound = identity_of_context.find_bound()
    if bound is not None:
        return _find_bound_user(bound)
    request_auth = current_request_auth()
    if _identity_or_refuse(request_auth) is not None and request_auth.users is None:
        raise _no_loader()
    return request_auth.user


def _find_bound_user(bound: BoundIdentity) -> object:
    if bound.identity is None:
        return None
    users = current_installation().users
    if users is None:
        raise _no_loader()
    # Once for each block, as once for each request (HTP-044).
    loaded = cast("dict[object, object]", bound)
    if users not in loaded:
        loaded[users] = users.find(bound.identity)
    return loaded[users]


def _no_loader() -> ConfigurationError:
    return ConfigurationError(Problem.MISSING, "load_user", "current_user needs it")


def _find_environ(entered: object) -> object:
    """Return the environ of Flask's request; the argument where another integration serves a request within it."""
    installation = current_app.extensions.get(EXTENSION) if has_request_context() else None
    if not isinstance(installation, Installation):
        return entered
    found = current_request()
    installation.request_auth(found)
    # A middleware in front was entered before; a thread with a copy of Flask's context alone has entered nothing.
    return found.environ if entered is None or entered is found.__dict__[_SERVED_AROUND] else entered


identity_of_context.look_in(_find_environ)

# Typed as what they stand for, like Flask's own proxies. The proxy of an anonymous request is false; where a request
# may be anonymous, `get_user_identity(request)` has the type that says so.
current_identity: Identity = cast("Identity", LocalProxy(_find_identity))
current_user: Any = LocalProxy(_find_user)
