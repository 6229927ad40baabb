"""Flask: an extension that verifies the bearer token of a request when somebody first asks for its user.

Refusals are raised, so that error handlers see them; those of this extension write what RFC 6750 asks for. Nothing is
kept from one request to the next. Flask's own documentation of extensions; design §6.
"""

from aveverify.flask._extension import AveAuth, FlaskOptions, current_identity, current_user

__all__ = ["AveAuth", "FlaskOptions", "current_identity", "current_user"]
