"""Flask: an extension that verifies the bearer token of a request when a view first needs its user.

Refusals are exceptions, so error handlers see them; the extension's own handler answers by RFC 6750. Nothing is kept
from one request to the next. Flask's own documentation of extensions.
"""

from aveverify.flask._extension import AveAuth, FlaskOptions
from aveverify.flask._request import current_identity, current_user

__all__ = ["AveAuth", "FlaskOptions", "current_identity", "current_user"]
