"""FastAPI: `AveAuth`, the identity of a request as a dependency.

What the dependency demands and says stands here; how it finds the identity, in `_authenticator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from fastapi import FastAPI
from fastapi.openapi.models import HTTPBearer

from aveverify._core.provider_checks import check_flag
from aveverify._core.refusal import RenderRefusal
from aveverify._http.app_user import LoadUser, LoadUserAsync, LoadUserSync, UserT
from aveverify._http.auth_options import Allow, Check
from aveverify._http.caching import choose_marking
from aveverify._http.openapi import BEARER_DESCRIPTION, BEARER_SCHEME
from aveverify._http.policy import make_policy
from aveverify._http.scopes import DEFAULT_SCOPE_CLAIMS
from aveverify.errors import ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.fastapi._authenticator import Authenticator
from aveverify.fastapi._authorized_identity import AuthorizedIdentity, check_any_scopes, check_predicate
from aveverify.fastapi._installation import install_middleware, install_openapi
from aveverify.fastapi._openapi import BearerScheme, describe_refusals
from aveverify.fastapi._optional_dependency import OptionalAveAuth
from aveverify.fastapi._user_dependency import UserDependency
from aveverify.sources import DEFAULT_SOURCES, TokenSource

if TYPE_CHECKING:
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from aveverify._core.identity import Identity
    from aveverify.fastapi._body_order import Early
    from aveverify.verifier import Verifier


class AveAuth(BearerScheme):
    """The verified identity of a request as a dependency: `Annotated[Identity, Security(ave)]`.

    A request without credentials, or with a token that the verifier refuses, is answered before the view runs: 401,
    403, 400 or 503 with the challenge of RFC 6750. A WebSocket is refused before it is accepted. The dependency works
    for routes, routers and applications. It adds the scopes of `Security(ave, scopes=[…])` and of parent dependencies
    to its own. In one request each `AveAuth` reads and verifies the token once. Behind a middleware of this package
    with the same verifier it takes the identity that the middleware has found.

    Args:
        verifier: Verifies the tokens.
        scopes: As in `aveverify.asgi.AuthOptions`, like the options down to `render_refusal`.
        any_scopes: See there.
        scope_claims: See there.
        allow: See there.
        realm: See there.
        resource_metadata: See there.
        token_sources: See there.
        check: See there.
        render_refusal: See there.
        scheme_name: The name of the bearer token among the security schemes of OpenAPI.
        description: Its description there.

    Attributes:
        optional: The same without demanding credentials: `Annotated[Identity | None, Security(ave.optional)]`.

    Raises:
        ConfigurationError: An argument is not what it must be; the error names it.

    Example:
        ```python
        ave = AveAuth(Verifier(Provider.ave("app_123")))
        app = FastAPI()
        ave.install(app)


        @app.get("/me", responses=ave.responses)
        async def me(identity: Annotated[Identity, Security(ave)]) -> str:
            return identity.subject
        ```

        A test replaces it: `app.dependency_overrides[ave] = lambda: identity`.

    Source: RFC 6750; HTP-029; HTP-034.
    """

    @refuse_unknown()
    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        verifier: Verifier,
        *,
        scopes: Sequence[str] = (),
        any_scopes: Sequence[str] = (),
        scope_claims: Sequence[str] = DEFAULT_SCOPE_CLAIMS,
        allow: Allow | None = None,
        realm: str | None = None,
        resource_metadata: str | None = None,
        token_sources: Sequence[TokenSource] = DEFAULT_SOURCES,
        check: Check | None = None,
        render_refusal: RenderRefusal | None = None,
        scheme_name: str = BEARER_SCHEME,
        description: str = BEARER_DESCRIPTION,
    ) -> None:
        policy = make_policy(
            verifier,
            required=True,
            scopes=scopes,
            any_scopes=any_scopes,
            scope_claims=scope_claims,
            allow=allow,
            realm=realm,
            resource_metadata=resource_metadata,
            token_sources=token_sources,
            check=check,
            render_refusal=render_refusal,
        )
        super().__init__(HTTPBearer(bearerFormat="JWT", description=description), scheme_name)
        self._authenticator = Authenticator(policy)
        self.optional = OptionalAveAuth(self.model, self.scheme_name, self._authenticator)

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> Identity:
        """Return the identity of a request; FastAPI calls this.

        Args:
            connection: The request or WebSocket.
            security_scopes: The scopes of this and the outer dependencies.

        Returns:
            The identity.

        Raises:
            HTTPException: The request has no credentials, or they are refused.
            WebSocketException: The same, where the server cannot answer a WebSocket with an HTTP response: close code
                1008.
        """
        identity = await self._authenticator.authenticate(connection, security_scopes.scopes)
        if identity is None:
            raise self._authenticator.refuse(connection, None, security_scopes.scopes)
        return identity

    @overload
    def user(self, load_user: LoadUserAsync[UserT]) -> UserDependency[UserT]: ...

    @overload
    def user(self, load_user: LoadUserSync[UserT]) -> UserDependency[UserT]: ...

    def user(self, load_user: LoadUser[Any]) -> UserDependency[Any]:
        """Make a dependency on the application's own user: `Annotated[User, Security(ave.user(load_user))]`.

        Args:
            load_user: Returns the user of an identity; a coroutine function is awaited. None (`UNKNOWN_USER`), or a
                user whose `is_active` is false (`INACTIVE_USER`), refuses the token: 401.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: `load_user` is missing, or no function of an identity.

        Source: HTP-044.
        """
        return UserDependency(self._authenticator, self, load_user)

    def allow(self, predicate: Allow) -> AuthorizedIdentity[Identity]:
        """Make a dependency on an identity that a predicate allows: `Annotated[Identity, Security(ave.allow(is_pro))]`.

        For views, routers and applications; with `scopes=` of `Security`, both must hold.

        Args:
            predicate: Called with the verified identity; a false value refuses with 403 (`NOT_ALLOWED`). A coroutine
                function is awaited.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: `predicate` is missing, or no function of an identity.
        """
        return AuthorizedIdentity(self._authenticator, self, allow=check_predicate(predicate))

    def any_scope(self, *scopes: str) -> AuthorizedIdentity[Identity]:
        """Make a dependency on an identity with one of several scopes: `Security(ave.any_scope("admin", "editor"))`.

        Args:
            scopes: The scopes.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: There is no scope, or one is no scope token of RFC 6749 §3.3.
        """
        return AuthorizedIdentity(self._authenticator, self, any_scopes=check_any_scopes(scopes))

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The refusals for OpenAPI: `APIRouter(responses=ave.responses)`.

        They describe status, headers and, as it is after `install`, the body; not that of a `render_refusal` of yours.
        """
        return describe_refusals(self._authenticator.policy.render)

    @refuse_unknown()
    def install(
        self,
        app: FastAPI,
        *,
        cache_headers: bool | None = None,
        close_expired: bool = True,
        end_expired_streams: bool = False,
    ) -> None:
        """Add to an application what a dependency alone cannot do.

        - The body of a refusal is `{"error": …, "error_description": …}`, or that of `render_refusal`, instead of
          FastAPI's `{"detail": …}`. An exception handler of the application for HTTPException, for the status code or
          for `RefusedError` comes first.
        - The token is verified before the body of the request is read, on every route that depends on an `AveAuth`,
          by itself, its router or the application (HTP-051). FastAPI alone reads and parses the body first.
        - A WebSocket ends when the token of its first dependency expires (code 3000): the application receives
          `websocket.disconnect` and nothing else. A middleware of this package in front does that by its own options.
        - `aveverify.current_identity` finds the identity until the request ends.
        - OpenAPI names the discovery documents of the issuers.

        A second call, also by another `AveAuth`, adds only what is missing.

        Args:
            app: The application, before it serves its first request.
            cache_headers: Whether responses tell caches by which headers they differ; as in
                `aveverify.asgi.AuthOptions`.
            close_expired: Whether a WebSocket is closed when its token expires. With False, messages go on until
                `get_live_connection(websocket).until_expired()` is called, but after `exp` there is no user.
            end_expired_streams: Whether a response that goes on is ended when the first of its tokens expires; as in
                `aveverify.asgi.AuthOptions`.

        Raises:
            ConfigurationError: `app` is no FastAPI application, or an option is not what it must be.

        Source: HTP-034; HTP-037; HTP-041; HTP-050; HTP-051.
        """
        # HTP-043: a router has no middleware, and Starlette's applications know no dependencies.
        if not isinstance(app, FastAPI):
            raise ConfigurationError(Problem.NOT_AN_APPLICATION, "app", "a FastAPI application")
        check_flag("close_expired", close_expired)
        check_flag("end_expired_streams", end_expired_streams)
        policy = self._authenticator.policy
        adds_cache_headers = choose_marking(policy.parameters.vary, chosen=cache_headers)
        install_middleware(
            app,
            policy._replace(ends_streams=end_expired_streams),
            _find_early,
            close_expired=close_expired,
            adds_cache_headers=adds_cache_headers,
        )
        install_openapi(app, self.scheme_name, policy.verifier.providers)


def _find_early(dependency: object) -> Early | None:
    """Return what runs for a dependency before the body of a request is read; None where it has to wait."""
    if isinstance(dependency, AuthorizedIdentity) and _is_token_dependency(dependency.identity_dependency):
        return dependency.authorize_early
    return cast("Early", dependency) if _is_token_dependency(dependency) else None


def _is_token_dependency(dependency: object) -> bool:
    """Tell whether a dependency is an `AveAuth`; a subclass with a `__call__` of its own may have other parameters."""
    return isinstance(dependency, (AveAuth, OptionalAveAuth)) and type(dependency).__call__ in (
        AveAuth.__call__,
        OptionalAveAuth.__call__,
    )
