"""FastAPI: `AveAuth.optional`, the identity of a request that may be anonymous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from aveverify._http.app_user import LoadUser, LoadUserAsync, LoadUserSync, UserT
from aveverify.fastapi._authorized_identity import AuthorizedIdentity, check_any_scopes, check_predicate
from aveverify.fastapi._openapi import BearerScheme
from aveverify.fastapi._user_dependency import UserDependency

if TYPE_CHECKING:
    from fastapi.openapi.models import SecurityBase as SecurityModel
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from aveverify._core.identity import Identity
    from aveverify._http.auth_options import Allow
    from aveverify.fastapi._authenticator import Authenticator


class OptionalAveAuth(BearerScheme):
    """The identity of a request, or None without credentials: `Annotated[Identity | None, Security(ave.optional)]`.

    A refused token is answered as by `AveAuth`; it never makes a request anonymous. `AveAuth.optional` is the only
    instance for an `AveAuth`.

    Args:
        model: What OpenAPI says of the scheme.
        scheme_name: The name of the scheme in OpenAPI.
        authenticator: Finds the identity of a request.
    """

    def __init__(self, model: SecurityModel, scheme_name: str, authenticator: Authenticator) -> None:
        super().__init__(model, scheme_name)
        self._authenticator = authenticator

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> Identity | None:
        """Return the identity of a request, or None; FastAPI calls this.

        Args:
            connection: The request or WebSocket.
            security_scopes: The scopes of this and the outer dependencies.

        Returns:
            The identity; None without credentials.

        Raises:
            HTTPException: The credentials are refused.
            WebSocketException: The same, where the server cannot answer a WebSocket with an HTTP response: close code
                1008.
        """
        return await self._authenticator.authenticate(connection, security_scopes.scopes)

    @overload
    def user(self, load_user: LoadUserAsync[UserT]) -> UserDependency[UserT | None]: ...

    @overload
    def user(self, load_user: LoadUserSync[UserT]) -> UserDependency[UserT | None]: ...

    def user(self, load_user: LoadUser[Any]) -> UserDependency[Any]:
        """Make a dependency on the application's own user, None for an anonymous request.

        Args:
            load_user: As for `AveAuth.user`; None, or an inactive user, refuses the token here, too.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: As `AveAuth.user`.

        Source: HTP-044.
        """
        return UserDependency(self._authenticator, self, load_user)

    def allow(self, predicate: Allow) -> AuthorizedIdentity[Identity | None]:
        """Make a dependency on an identity that a predicate allows, None for an anonymous request; see `AveAuth.allow`.

        Args:
            predicate: As there.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: As there.
        """
        return AuthorizedIdentity(self._authenticator, self, allow=check_predicate(predicate))

    def any_scope(self, *scopes: str) -> AuthorizedIdentity[Identity | None]:
        """Make a dependency on an identity with one of several scopes, None for an anonymous request.

        Args:
            scopes: The scopes.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: As `AveAuth.any_scope`.
        """
        return AuthorizedIdentity(self._authenticator, self, any_scopes=check_any_scopes(scopes))
