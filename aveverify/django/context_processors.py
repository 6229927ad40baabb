"""For templates: `current_identity`, the identity of the request.

`TEMPLATES[0]["OPTIONS"]["context_processors"] += ["aveverify.django.context_processors.current_identity"]`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.functional import SimpleLazyObject

from aveverify._core.identity import Identity
from aveverify._http.request_identity import get_user_identity
from aveverify.django._identity_user import IdentityUser

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["current_identity"]


def current_identity(request: HttpRequest) -> dict[str, Any]:
    """Return what templates see of the identity of a request.

    Args:
        request: The request for which a template is rendered.

    Returns:
        `current_identity`: the identity; None for an anonymous request. As in an `IdentityUser`, no claim passes for
        one of its attributes. Where the request was not verified, or its refusal is deferred, a template that reads it
        raises what `get_user_identity` does.
    """
    missing = object()
    found = getattr(request, "ave_identity", missing)
    # type(): a deferred refusal is a lazy object, and isinstance() would raise it.
    if type(found) is Identity:
        found = IdentityUser(found)
    elif found is missing:
        found = SimpleLazyObject(lambda: get_user_identity(request))
    return {"current_identity": found}
