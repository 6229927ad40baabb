"""Starlette: what stands in `request.auth` and `request.user`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from starlette.authentication import AuthCredentials, UnauthenticatedUser

from aveverify._core.identity import Identity
from aveverify._http.app_user import RefusedUser
from aveverify._http.request_identity import DeferredError
from aveverify._http.scopes import granted_scopes

# The scope that `requires("authenticated")` asks for. A token that names it in its `scope` claim gains nothing.
AUTHENTICATED: Final = "authenticated"
# Where a scope of Starlette holds the credentials and the user.
NAMES: Final = ("auth", "user")


class TokenCredentials(AuthCredentials):
    """The scopes of a token, read from its claims when they are first needed, not at every request."""

    def __init__(self, identity: Identity, scope_claims: Sequence[str]) -> None:
        self._identity = identity
        self._scope_claims = scope_claims

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return [AUTHENTICATED, *granted_scopes(self._identity, self._scope_claims)]


def show(outcome: Identity | DeferredError | None, user: object, scope_claims: Sequence[str]) -> tuple[Any, Any]:
    """Return what becomes `request.auth` and `request.user`."""
    if isinstance(outcome, Identity):
        return TokenCredentials(outcome, scope_claims), user
    if outcome is None:
        return AuthCredentials(), UnauthenticatedUser()
    refused = RefusedUser(outcome)
    return refused, refused
