"""FastAPI: the identity of a request that meets a further rule of one view: a predicate, or one of several scopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastapi import Security

from aveverify._http.option_checks import check_function
from aveverify._http.policy import REFUSALS, require_allowed
from aveverify._http.scopes import RequiredScopes, check_scope_list
from aveverify.errors import ConfigurationError, Problem
from aveverify.fastapi._openapi import sign
from aveverify.fastapi._refusals import make_exception
from aveverify.fastapi._request_state import find_request_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from aveverify._core.identity import Identity
    from aveverify._http.auth_options import Allow
    from aveverify.fastapi._authenticator import Authenticator

# `Identity`, or `Identity | None`.
IdentityT = TypeVar("IdentityT", bound="Identity | None")


class AuthorizedIdentity(Generic[IdentityT]):
    """A dependency on the identity, which must meet a rule; `allow` and `any_scope` of `AveAuth` make it.

    It depends on the `AveAuth`, or on its `optional`, so a test that replaces that dependency replaces the identity,
    and the rule decides about the replacement. An anonymous request of `optional` meets every rule.

    Args:
        authenticator: Finds the identity of a request.
        identity_dependency: The dependency on the identity.
        allow: A predicate, already checked; None where there is none.
        any_scopes: Scopes, already checked, of which the token must hold one; empty where there are none.

    Attributes:
        identity_dependency: As given.

    Source: RFC 6750 §3.1; HTP-030; HTP-051.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        identity_dependency: Callable[..., Any],
        *,
        allow: Allow | None = None,
        any_scopes: Sequence[str] = (),
    ) -> None:
        self.identity_dependency = identity_dependency
        self._authenticator = authenticator
        self._allow = allow
        policy = authenticator.policy
        self._required = RequiredScopes(claims=policy.scopes.claims).and_also((), any_scopes)
        policy = policy.with_scopes((), any_scopes)
        self._policy = policy if allow is None else policy.with_allow(allow)
        # FastAPI reads it: the identity comes from the other dependency, which OpenAPI then describes, too.
        self.__signature__ = sign(identity=Security(identity_dependency))

    async def __call__(
        self, connection: HTTPConnection, security_scopes: SecurityScopes, identity: IdentityT
    ) -> IdentityT:
        """Return the identity; FastAPI calls this.

        Args:
            connection: The request or WebSocket.
            security_scopes: The scopes of this and the outer dependencies.
            identity: The verified identity; None where credentials are optional and there are none.

        Returns:
            The identity.

        Raises:
            HTTPException: It does not meet the rule: 403.
            WebSocketException: The same, where the server cannot answer a WebSocket with an HTTP response: close code
                1008.
        """
        await self._authorize(connection, security_scopes, identity)
        return identity

    async def authorize_early(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> None:
        """Find the identity and check the rule before the body of the request is read (HTP-051).

        Args:
            connection: The request.
            security_scopes: The scopes of this and the outer dependencies.

        Raises:
            HTTPException: The credentials are refused, or the identity does not meet the rule.
        """
        identity = await self._authenticator.authenticate(connection, security_scopes.scopes)
        await self._authorize(connection, security_scopes, identity)

    async def _authorize(
        self, connection: HTTPConnection, security_scopes: SecurityScopes, identity: Identity | None
    ) -> None:
        state, policy = find_request_state(connection.scope), self._policy
        if state is not None and identity is not None and state.authorized.get(self) is identity:
            return
        try:
            if identity is not None:
                self._required.check(identity)
                if self._allow is not None:
                    require_allowed(await policy.calls.call_async(self._allow, identity))
            await self._authenticator.check_further_tokens(connection.scope, identity, policy)
        except REFUSALS as error:
            # A token with all these scopes is enough; the predicate names none.
            names = policy.with_scopes(security_scopes.scopes).parameters.scopes if self._allow is None else ()
            raise make_exception(policy, connection, error, scopes=names) from None
        if state is not None and identity is not None:
            state.authorized[self] = identity


def check_predicate(predicate: Allow) -> Allow:
    """Return the argument of `allow`.

    Raises:
        ConfigurationError: It is missing, or no function of an identity.
    """
    if predicate is None:
        raise ConfigurationError(Problem.MISSING, "allow")
    check_function("allow", predicate)
    return predicate


def check_any_scopes(scopes: Sequence[str]) -> Sequence[str]:
    """Return the arguments of `any_scope`.

    Raises:
        ConfigurationError: There is no scope, or one is no scope token.
    """
    check_scope_list(scopes, may_be_empty=False, name="any_scope")
    return scopes
