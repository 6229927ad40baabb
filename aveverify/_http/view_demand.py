"""What a view requires of its request: the arguments of a decorator, checked when it is made. HTP-043."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aveverify._http.auth_options import Allow
from aveverify._http.option_checks import check_function
from aveverify._http.scopes import check_scope_list


class ViewDemand(NamedTuple):
    """What a view requires of its request.

    Attributes:
        required: Whether the view refuses anonymous requests.
        scopes: The scopes that a token must hold beside those of the policy.
        uses_identity: Whether the view runs and relies on the identity: then no refusal is deferred, and even a CORS
            preflight, which carries no credentials, is refused without them.
        any_scopes: Scopes of which a token must hold one.
        allow: Tells whether an identity may reach the view.
    """

    required: bool
    scopes: Sequence[str] = ()
    uses_identity: bool = False
    any_scopes: Sequence[str] = ()
    allow: Allow | None = None

    @property
    def asks_identity(self) -> bool:
        """Whether it requires more of an identity than the policy does."""
        return bool(self.scopes) or bool(self.any_scopes) or self.allow is not None


def make_demand(
    scopes: Sequence[str],
    any_scopes: Sequence[str],
    allow: Allow | None,
    *,
    required: bool,
    uses_identity: bool = False,
) -> ViewDemand:
    """Check the arguments of a decorator, and make the demand of its views.

    Args:
        scopes: As `ViewDemand.scopes`.
        any_scopes: As `ViewDemand.any_scopes`.
        allow: As `ViewDemand.allow`.
        required: As `ViewDemand.required`.
        uses_identity: As `ViewDemand.uses_identity`.

    Returns:
        The demand.

    Raises:
        ConfigurationError: The scopes are no list of scope tokens, or `allow` is no function of an identity.
    """
    check_scope_list(scopes)
    check_scope_list(any_scopes, name="any_scopes")
    check_function("allow", allow)
    return ViewDemand(required, scopes, uses_identity, any_scopes, allow)
