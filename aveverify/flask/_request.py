"""One request of Flask: its `RequestAuth`, and the proxies `current_identity` and `current_user`."""

from __future__ import annotations

from operator import methodcaller
from typing import Any, Final, cast

from flask import Request, Response, current_app, has_request_context, request
from werkzeug.local import LocalProxy

from aveverify._core.identity import Identity
from aveverify._http.caching import mark
from aveverify._http.current_identity import current_identity as identity_of_context
from aveverify._http.policy import AuthPolicy
from aveverify._http.request_auth import RequestAuth, ViewDemand
from aveverify._http.request_identity import IDENTITY_KEY, LazyIdentity
from aveverify._http.wsgi_request import route_path
from aveverify.errors import ConfigurationError, Problem
from aveverify.flask._refusals import raise_denial
from aveverify.flask._unguarded_views import EXTENSION, ExtensionState, watch

# Attributes of a request object: its `RequestAuth`, and the scope or environ that was served around it when that was
# made. They do not stand in `g`, which a test may keep for several requests.
_REQUEST_AUTH: Final = "_aveverify_request_auth"
_SERVED_AROUND: Final = "_aveverify_served_around"

# Werkzeug's documented way to the object of a proxy; each attribute that is read through the proxy costs a lookup.
_unwrap: Final[Any] = methodcaller("_get_current_object")


class Installation:
    """The extension in one application."""

    def __init__(self, extension: ExtensionState, policy: AuthPolicy) -> None:
        self.policy = policy
        self._extension = extension
        self._checked_decorations = -1

    def begin_request(self) -> None:
        """Run before each request.

        Raises:
            ConfigurationError: A view of the application is registered without its guard; no request is served.
        """
        if self._checked_decorations != watch.decorations:
            self._refuse_unguarded_views()
        request_auth = self.request_auth(current_request())
        if self.policy.required and not isinstance(request_auth.authenticate(), Identity):
            raise_denial(request_auth.authorize(ViewDemand(required=request_auth.requires_credentials)))

    def _refuse_unguarded_views(self) -> None:
        decorations = watch.decorations
        watch.refuse_unguarded(_unwrap(current_app), self._extension)
        self._checked_decorations = decorations

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

    def request_auth(self, request: Request) -> RequestAuth:
        """Return the `RequestAuth` of a request; the first call makes it."""
        members = request.__dict__
        request_auth = members.get(_REQUEST_AUTH)
        if not isinstance(request_auth, RequestAuth):
            policy, environ = self.policy, request.environ
            path = route_path(environ) if policy.exempt else ""
            request_auth = members[_REQUEST_AUTH] = RequestAuth(policy, environ, path, self._extension.users)
            members[_SERVED_AROUND] = identity_of_context.entered()
            # HTP-010: the identity of this request replaces whatever stood there.
            environ[IDENTITY_KEY] = LazyIdentity(request_auth.identity_or_raise)
        return request_auth


def current_request() -> Request:
    """Return the request object behind Flask's proxy; outside of a request, raise Flask's own error."""
    found: Request = _unwrap(request)
    return found


def current_request_auth() -> RequestAuth:
    """Return the `RequestAuth` of the request that is served.

    Raises:
        ConfigurationError: The extension is not installed in this application.
    """
    found = current_request()
    installation = current_app.extensions.get(EXTENSION)
    if not isinstance(installation, Installation):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request", "no AveAuth is installed in this application")
    return installation.request_auth(found)


def _find_identity() -> Identity | None:
    return current_request_auth().identity_or_raise()


def _find_user() -> object:
    request_auth = current_request_auth()
    if request_auth.identity_or_raise() is not None and request_auth.users is None:
        raise ConfigurationError(Problem.MISSING, "load_user", "current_user needs it")
    return request_auth.user


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
