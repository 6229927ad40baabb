"""Flask: an extension that verifies the bearer token of a request when a view first needs its user.

Refusals are HTTP errors of Werkzeug with a response by RFC 6750, so error handlers and other extensions see them.
Nothing is kept from one request to the next. Flask's own documentation of extensions.
"""

from aveverify.flask._extension import AveAuth, FlaskOptions
from aveverify.flask._refused_error import RefusedError
from aveverify.flask._request import current_identity, current_user, get_verifier

__all__ = ["AveAuth", "FlaskOptions", "RefusedError", "current_identity", "current_user", "get_verifier"]
