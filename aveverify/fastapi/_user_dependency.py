"""FastAPI: the application's own user as a dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, cast

from fastapi import Security

from aveverify._http.app_user import LoadUser, UserT, find_user, withhold
from aveverify._http.option_checks import check_function
from aveverify._http.policy import REFUSALS
from aveverify._http.request_identity import DeferredError
from aveverify.errors import ConfigurationError, Problem
from aveverify.fastapi._openapi import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from aveverify._core.identity import Identity
    from aveverify.fastapi._authenticator import Authenticator


class UserDependency(Generic[UserT]):
    """A dependency on the application's own user; `AveAuth.user` and `OptionalAveAuth.user` make it.

    Args:
        authenticator: Finds the identity of a request.
        identity_dependency: The dependency on the identity.
        load_user: Returns the application's user of an identity.

    Raises:
        ConfigurationError: `load_user` is missing, or no function of an identity.

    Source: HTP-044.
    """

    def __init__(
        self, authenticator: Authenticator, identity_dependency: Callable[..., Any], load_user: LoadUser[Any]
    ) -> None:
        if load_user is None:
            raise ConfigurationError(Problem.MISSING, "load_user")
        check_function("load_user", load_user)
        self._authenticator = authenticator
        self._load_user = load_user
        # FastAPI reads it: the identity comes from the other dependency, which OpenAPI then describes, too.
        self.__signature__ = sign(identity=Security(identity_dependency))

    async def __call__(
        self, connection: HTTPConnection, security_scopes: SecurityScopes, identity: Identity | None
    ) -> UserT:
        """Return the user; FastAPI calls this.

        Args:
            connection: The request or WebSocket.
            security_scopes: The scopes of this and the outer dependencies.
            identity: The verified identity; None where credentials are optional and there are none.

        Returns:
            The user; None for an anonymous request.

        Raises:
            HTTPException: There is no such user, or it is inactive: 401.
            WebSocketException: The same, where the server cannot answer a WebSocket with an HTTP response: close code
                1008.
        """
        user: object = None
        try:
            if identity is not None:
                user = await find_user(self._load_user, identity)
            further = self._authenticator.policy.with_check(self._check_user)
            await self._authenticator.check_further_tokens(connection.scope, identity, further)
        except REFUSALS as error:
            withhold(connection.scope, DeferredError(error.with_traceback(None)))
            raise self._authenticator.refuse(connection, error, security_scopes.scopes) from None
        # None only where credentials are optional, and then UserT includes None.
        return cast("UserT", user)

    async def _check_user(self, identity: Identity) -> None:
        await find_user(self._load_user, identity)
