"""How a refusal is raised in a request of Flask, and how its response keeps status and challenge."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from flask import Request, Response, after_this_request, has_request_context, request

from aveverify._http.caching import merge_vary
from aveverify._http.policy import Denial
from aveverify.flask._refused_error import make_refused, make_response

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

# The key of an extension in `app.extensions`.
EXTENSION: Final = "aveverify"
# Attribute of a request object: the `_Noted` refusal that was raised in it last, or that ends it.
_NOTED: Final = "_aveverify_refusal"
# What an application answers, or an extension, where it does not know an exception.
_UNKNOWN_EXCEPTION: Final = 500

# Werkzeug's documented way to the object of a proxy; each attribute that is read through the proxy costs a lookup.
unwrap: Final[Any] = methodcaller("_get_current_object")


class _Noted(NamedTuple):
    """A refusal that was raised in a request.

    Attributes:
        denial: The refusal.
        ends_request: Whether the request has no other response: its view does not run, or did not catch the refusal.
    """

    denial: Denial
    ends_request: bool


def raise_denial(denial: Denial, *, ends_request: bool = True) -> NoReturn:
    """Raise the exception of a refused request, for the application's error handlers.

    Args:
        denial: The refusal.
        ends_request: False in a view that reads the identity, and may catch the refusal.

    Raises:
        RefusedError: The request is refused.
    """
    if has_request_context():
        note_refusal(denial, ends_request=ends_request)
    raise make_refused(denial)


def note_refusal(denial: Denial, *, ends_request: bool) -> None:
    """Let the response of the request keep status and challenge of a refusal, whatever makes its body.

    Not where the exception is raised: a crash report shows that frame, and the request holds the token.

    Args:
        denial: The refusal.
        ends_request: Whether the request has no other response. That stays so: a later read of the identity
            does not take it back.
    """
    members = current_request().__dict__
    noted: _Noted | None = members.get(_NOTED)
    if noted is None:
        after_this_request(_keep_head)
    elif noted.ends_request and not ends_request:
        # An error handler that answers the refusal asks for the identity, and catches what it gets.
        return
    members[_NOTED] = _Noted(denial, ends_request)


def current_request() -> Request:
    """Return the request object behind Flask's proxy; outside of a request, raise Flask's own error."""
    found: Request = unwrap(request)
    return found


def _keep_head(response: Response) -> Response:
    """Give the response of a refused request the status and the headers that it has lost.

    Extensions and handlers make a body of their own from the status alone, or take every exception for a crash. RFC
    6750 §3: a 401 has a challenge.
    """
    denial, ends_request = current_request().__dict__[_NOTED]
    if ends_request and response.status_code == _UNKNOWN_EXCEPTION:
        return make_response(denial.response)
    # Another status is another response: the application has caught the refusal.
    if response.status_code == denial.refusal.status:
        for name, value in denial.refusal.headers:
            _add_missing(response.headers, name, value)
    return response


def _add_missing(headers: Headers, name: str, value: str) -> None:
    if name == "vary":
        headers[name] = merge_vary(headers.get(name), value)
    elif name != "www-authenticate":
        headers.setdefault(name, value)
    elif not any(given[:6].lower() == "bearer" for given in headers.getlist(name)):
        headers.add(name, value)
