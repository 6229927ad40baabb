"""FastAPI: the identity as a dependency, with scopes, OpenAPI and documented refusals.

`Annotated[Identity, Security(ave)]` demands credentials, `Security(ave.optional)` does not. A token is verified once
in a request, also behind a middleware with the same verifier. What a refusal says is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, cast, overload

from fastapi import FastAPI, HTTPException, Security, WebSocketException
from fastapi.openapi.models import HTTPBearer
from starlette.middleware import Middleware
from starlette.responses import Response

from aveverify._core.bearer import ErrorResponse, make_answer
from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, LoadUserAsync, LoadUserSync, UserT, find_user, withhold
from aveverify._http.asgi_caching import mark_message
from aveverify._http.asgi_request import OUTER_KEY, AsgiRequest, OuterScope, find_cached_identity
from aveverify._http.asgi_response import POLICY_VIOLATION, can_deny
from aveverify._http.authentication import identify_async
from aveverify._http.caching import choose_marking
from aveverify._http.current_identity import serving
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity, refuse_expired
from aveverify._http.openapi import BEARER_DESCRIPTION, BEARER_SCHEME, discovery_urls
from aveverify._http.option_checks import check_flag, check_function
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy, Check, make_policy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.scopes import check_scope_list, check_scopes
from aveverify._http.websocket import LiveConnection, serve_live
from aveverify._http.websocket_scope import LiveDict
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem, Reason
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.fastapi._body_order import BodyAfterToken, FailedError, raise_failure
from aveverify.fastapi._openapi import BearerScheme, describe_discovery, describe_refusals, sign
from aveverify.sources import DEFAULT_SOURCES, TokenSource

if TYPE_CHECKING:
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from aveverify.errors import AveVerifyError
    from aveverify.verifier import Verifier

# What an answer says of its own body: only for that body.
_OF_THE_BODY: Final = ("content-type", "content-length")


# Where Starlette keeps what it has made of the query.
_OF_THE_QUERY: Final = ("_query_params", "_url")
# Why a good token is refused.
_OF_THE_APPLICATION: Final = frozenset({Reason.UNKNOWN_USER, Reason.INACTIVE_USER, Reason.REFUSED_BY_CHECK})
# Where the scope holds what the dependencies of one request have found.
_ASKED: Final = "aveverify.fastapi"


class _Asked:
    """What the dependencies of one request have found so far.

    Args:
        in_front: The rules of whatever decided before any of them.
        found: What that found.
    """

    __slots__ = ("answers", "found", "in_front")

    def __init__(self, in_front: object, found: object) -> None:
        self.in_front = in_front
        self.found = found
        self.answers: dict[AveAuth, Identity | LiveIdentity | None] = {}


class RefusedError(HTTPException):
    """A refusal on its way to the client.

    FastAPI answers it with the right status and headers and a body of its own, `{"detail": …}`; after
    `AveAuth.install` the whole answer is that of the contract.

    Attributes:
        answer: The answer of the contract.
    """

    def __init__(self, answer: ErrorResponse, description: str) -> None:
        headers = {name: value for name, value in answer.headers if name not in _OF_THE_BODY}
        super().__init__(answer.status, description, headers)
        self.answer = answer


class AveAuth(BearerScheme):
    """Who makes the request, as a dependency: `Annotated[Identity, Security(ave)]`.

    Works for routes, routers and applications, for HTTP and WebSockets (refused before they are accepted), and adds the
    scopes of `Security(ave, scopes=[…])`, those of parent dependencies too. In tests, `app.dependency_overrides[ave]`
    replaces it.

    Args:
        verifier: Decides about tokens.
        scopes: What every token's `scope` claim must hold.
        realm: The realm named in challenges.
        resource_metadata: The URL of this service's metadata, named in challenges (RFC 9728).
        token_sources: Where to look for a token, from `aveverify.sources`.
        check: Asked about every identity; a text that it returns refuses the token. May be a coroutine function.
        scheme_name: What OpenAPI calls the bearer token.
        description: What OpenAPI says of it.

    Attributes:
        optional: The same, without demanding credentials: `Annotated[Identity | None, Security(ave.optional)]`.

    Raises:
        ConfigurationError: An argument is not what it must be.
    """

    @refuse_unknown()
    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        verifier: Verifier,
        *,
        scopes: Sequence[str] = (),
        realm: str | None = None,
        resource_metadata: str | None = None,
        token_sources: Sequence[TokenSource] = DEFAULT_SOURCES,
        check: Check | None = None,
        scheme_name: str = BEARER_SCHEME,
        description: str = BEARER_DESCRIPTION,
    ) -> None:
        self._policy = make_policy(
            verifier,
            required=True,
            scopes=scopes,
            realm=realm,
            resource_metadata=resource_metadata,
            token_sources=token_sources,
            check=check,
        )
        super().__init__(HTTPBearer(bearerFormat="JWT", description=description), scheme_name)
        self.optional = OptionalAveAuth(self)

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> Identity:
        """Return who makes the request; FastAPI calls this.

        Raises:
            HTTPException: It is refused, or has no credentials.
            WebSocketException: As above, where the server cannot answer a WebSocket.
        """
        identity = await self._find(connection, security_scopes.scopes)
        if identity is None:
            raise self._refuse(connection, None, security_scopes.scopes)
        return identity

    @overload
    def user(self, load_user: LoadUserAsync[UserT]) -> UserDependency[UserT]: ...

    @overload
    def user(self, load_user: LoadUserSync[UserT]) -> UserDependency[UserT]: ...

    def user(self, load_user: LoadUser[Any]) -> UserDependency[Any]:
        """Make a dependency on the application's own user: `Annotated[User, Security(ave.user(load_user))]`.

        Args:
            load_user: Makes the user of an identity; a coroutine function is awaited. None (`UNKNOWN_USER`), or a user
                whose `is_active` is false (`INACTIVE_USER`), refuses the token, also where credentials are optional.

        Returns:
            The dependency.

        Raises:
            ConfigurationError: It is no function of an identity.
        """
        return UserDependency(self, self, load_user)

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The refusals, for `APIRouter(responses=ave.responses)`; their bodies are those after `install`."""
        return describe_refusals()

    @refuse_unknown()
    def install(self, app: FastAPI, *, cache_headers: bool | None = None, close_expired: bool = True) -> None:
        """Let an application answer refusals exactly by the contract, before it reads a body, and end its WebSockets.

        FastAPI reads the body of a request before it solves dependencies. After this, every route that depends on an
        `AveAuth`, by itself, its router or the application, looks at the token first (HTP-051). A WebSocket ends when
        the token of its first dependency expires (code 3000), unless a middleware of this package sees to it: its
        application receives `websocket.disconnect` and nothing else. `current_identity` is known, and OpenAPI names the
        discovery documents of the issuers. A second call adds only what a further `AveAuth` needs.

        Args:
            app: The application, before it serves its first request.
            cache_headers: Whether answers tell caches by which headers they differ: as in `AuthOptions`.
            close_expired: Whether a WebSocket is closed when its token expires. Otherwise messages go on until
                `get_live_connection(websocket).until_expired()` is called, but without a user after `exp`.

        Raises:
            ConfigurationError: It is no application of FastAPI, or an option is not what it must be.
        """
        # HTP-043: a router has no middleware, and Starlette's applications know no dependencies.
        if not isinstance(app, FastAPI):
            raise ConfigurationError(Problem.NOT_AN_APPLICATION, "app", "a FastAPI application")
        check_flag("close_expired", close_expired)
        marks = choose_marking(self._policy.parameters.vary, chosen=cache_headers)
        app.add_exception_handler(RefusedError, _answer_refused)
        app.add_exception_handler(FailedError, raise_failure)
        installed: list[object] = [one.cls for one in app.user_middleware]
        if _InContext not in installed:
            app.add_middleware(_InContext, close_expired=close_expired)
            # Innermost, for the route stands in the scope that the router was given. What is added later, FastAPI
            # puts in front.
            app.user_middleware.append(Middleware(BodyAfterToken, is_early=_is_ours))
        if marks and _Marked not in installed:
            # HTP-050: also where only the second `AveAuth` of an application reads a cookie.
            app.user_middleware.append(Middleware(_Marked))
        urls = discovery_urls(self._policy.verifier.providers)
        app.openapi = partial(describe_discovery, app.openapi, self.scheme_name, urls)  # type: ignore[method-assign]

    async def _find(self, connection: HTTPConnection, scopes: Sequence[str]) -> Identity | None:
        """Return the identity; None where there are no credentials."""
        scope, policy = connection.scope, self._demanding(scopes)
        live = scope.get(LIVE_KEY)
        if not isinstance(live, LiveConnection):
            live = None
        elif live.has_expired:
            # HTP-041: this WebSocket has no user any longer, whatever was found before or would be found again.
            return None
        asked = scope.get(_ASKED)
        if not isinstance(asked, _Asked):
            asked = scope[_ASKED] = _Asked(scope.get(POLICY_KEY), scope.get(IDENTITY_KEY))
        # A middleware in front of a WebSocket may have seen another token meanwhile.
        found = live.in_front if live is not None and live.policy is asked.in_front else asked.found
        try:
            identity = await self._look(connection, policy, asked, found)
            if live is not None:
                await live.add_identity(identity, policy)
            elif identity is not None and scope["type"] == "websocket":
                refuse_expired(identity, policy.verifier)
        except REFUSALS as error:
            # What is deferred has been logged already.
            is_logged = isinstance(found, DeferredError) and error is found.error
            raise self._refuse(connection, error, scopes, is_logged=is_logged) from None
        asked.answers[self] = self._publish(scope, identity, live)
        return identity

    async def _watch(self, scope: Scope, identity: Identity | None, check: Check) -> None:
        """Put every further token of a WebSocket before the loader that has admitted the user of this one (HTP-044)."""
        live, asked = scope.get(LIVE_KEY), scope.get(_ASKED)
        # In a test that replaces the dependency, no token stands behind the identity.
        if (
            isinstance(live, LiveConnection)
            and isinstance(asked, _Asked)
            and self in asked.answers
            and _current(asked.answers[self]) is identity
        ):
            await live.add_identity(identity, self._policy.with_check(check))

    async def _look(
        self, connection: HTTPConnection, policy: AuthPolicy, asked: _Asked, found: object
    ) -> Identity | None:
        """Return the identity that this dependency or a middleware has found already, or that the token gives."""
        if self in asked.answers:
            # Another dependency of this request has asked the same already, perhaps with other scopes.
            identity = _current(asked.answers[self])
            if identity is not None:
                check_scopes(identity, policy.parameters.scopes)
            return identity
        in_front = asked.in_front
        is_same_verifier = isinstance(in_front, AuthPolicy) and in_front.verifier is policy.verifier
        if isinstance(found, DeferredError) and (is_same_verifier or _is_of_application(found.error)):
            # HTP-044: a user that the application does not admit is not admitted by another way to the same token.
            # Another verifier may accept a token that the one in front does not know.
            raise found.error.with_traceback(None)
        if (
            isinstance(found, Identity)
            and isinstance(in_front, AuthPolicy)
            and is_same_verifier
            # A dependency with sources of its own does not take what a middleware found in other ones.
            and policy.sources in (DEFAULT_SOURCES, in_front.sources)
        ):
            # A middleware in front has verified the token by the same verifier; its rules may differ.
            await policy.authorize_async(found)
            return found
        identity = find_cached_identity(policy.cached_identity, connection.scope)
        if identity is None:
            try:
                identity = await identify_async(policy, AsgiRequest(connection.scope))
            finally:
                _forget_query(connection)
        return identity

    def _publish(
        self, scope: Scope, identity: Identity | None, live: LiveConnection | None
    ) -> Identity | LiveIdentity | None:
        """Let the scope show what was found; return how to look it up, should it be asked for again."""
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one; but what another edge of
        # this package has found is not taken away where there is nothing to put in its place.
        counts = identity is not None or not isinstance(scope.get(POLICY_KEY), AuthPolicy)
        if counts:
            scope[IDENTITY_KEY], scope[POLICY_KEY] = identity, self._policy
        if scope["type"] != "websocket":
            return identity
        # HTP-041, HTP-046: of a WebSocket, the user of the moment.
        own = LiveIdentity(identity, self._policy.verifier)
        if live is None:
            if counts:
                scope[LIVE_KEY] = own
            return own
        if counts:
            live.show_in(scope, IDENTITY_KEY)
        return live if identity is live.identity else own

    def _demanding(self, scopes: Sequence[str]) -> AuthPolicy:
        """Return the rules with further scopes."""
        if scopes:
            check_scope_list(list(scopes))
        return self._policy.with_scopes(scopes)

    def _refuse(
        self,
        connection: HTTPConnection,
        error: AveVerifyError | None,
        scopes: Sequence[str],
        *,
        is_logged: bool = False,
    ) -> Exception:
        policy = self._demanding(scopes)
        answer = make_answer(error, policy.parameters) if is_logged else policy.deny(error).response
        if connection.scope["type"] == "websocket" and not can_deny(connection.scope):
            return WebSocketException(POLICY_VIOLATION)
        return RefusedError(answer, "Credentials are required" if error is None else error.description)


class OptionalAveAuth(BearerScheme):
    """Who makes the request, if anybody says so: `Annotated[Identity | None, Security(ave.optional)]`.

    Without credentials the identity is None; a bad token is refused all the same. Made by `AveAuth`.
    """

    def __init__(self, auth: AveAuth) -> None:
        super().__init__(auth.model, auth.scheme_name)
        self._auth = auth

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> Identity | None:
        """Return who makes the request, or None; FastAPI calls this.

        Raises:
            HTTPException: It is refused.
            WebSocketException: As above, where the server cannot answer a WebSocket.
        """
        return await self._auth._find(connection, security_scopes.scopes)  # noqa: SLF001 - its other half

    @overload
    def user(self, load_user: LoadUserAsync[UserT]) -> UserDependency[UserT | None]: ...

    @overload
    def user(self, load_user: LoadUserSync[UserT]) -> UserDependency[UserT | None]: ...

    def user(self, load_user: LoadUser[Any]) -> UserDependency[Any]:
        """Make a dependency on the application's own user, None for an anonymous request; see `AveAuth.user`."""
        return UserDependency(self._auth, self, load_user)


class UserDependency(Generic[UserT]):
    """The application's own user, as a dependency. Made by `AveAuth.user`."""

    def __init__(self, auth: AveAuth, source: AveAuth | OptionalAveAuth, load_user: LoadUser[Any]) -> None:
        if load_user is None:
            raise ConfigurationError(Problem.MISSING, "load_user")
        check_function("load_user", load_user)
        self._auth = auth
        self._load_user = load_user
        self.__signature__ = sign(identity=Security(source))

    async def __call__(
        self, connection: HTTPConnection, security_scopes: SecurityScopes, identity: Identity | None
    ) -> UserT:
        """Return the user; FastAPI calls this.

        Raises:
            HTTPException: There is no such user, or it is inactive (HTP-044).
            WebSocketException: As above, where the server cannot answer a WebSocket.
        """
        user: object = None
        try:
            if identity is not None:
                user = await find_user(self._load_user, identity)
            await self._auth._watch(connection.scope, identity, self._check)  # noqa: SLF001 - its other half
        except REFUSALS as error:
            withhold(connection.scope, DeferredError(error.with_traceback(None)))
            raise self._auth._refuse(connection, error, security_scopes.scopes) from None  # noqa: SLF001 - as above
        # None only where credentials are optional, and then UserT says so.
        return cast("UserT", user)

    async def _check(self, identity: Identity) -> None:
        await find_user(self._load_user, identity)


def _is_of_application(error: AveVerifyError) -> bool:
    """Tell whether a token was good, and what the application says of its user refused it."""
    return isinstance(error, InsufficientScopeError) or error.reason in _OF_THE_APPLICATION


def _current(answer: Identity | LiveIdentity | None) -> Identity | None:
    return answer.identity if isinstance(answer, LiveIdentity) else answer


def _forget_query(connection: HTTPConnection) -> None:
    """Let a WebSocket read its query anew: FastAPI has read it for our own parameters, with the token in it."""
    if connection.scope["type"] == "websocket":
        for name in _OF_THE_QUERY:
            connection.__dict__.pop(name, None)


def _is_ours(dependency: object) -> bool:
    # A class that overrides the call may have other parameters.
    return getattr(type(dependency), "__call__", None) in (AveAuth.__call__, OptionalAveAuth.__call__)  # noqa: B004 - that of the class


class _Marked:
    """Lets answers tell caches by which headers they differ, where a dependency has looked at credentials (HTP-050)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)

        def send_marked(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and isinstance(asked := scope.get(_ASKED), _Asked):
                for auth, identity in asked.answers.items():
                    message = mark_message(message, auth._policy, is_personal=identity is not None)  # noqa: SLF001 - one room
            return send(message)

        return self._app(scope, receive, send_marked)


class _InContext:
    """Serves every request with `current_identity`: who that is, dependencies say, and they are not told of its end."""

    def __init__(self, app: ASGIApp, *, close_expired: bool) -> None:
        self._app = app
        self._close_expired = close_expired

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # A token in the query is taken out of the server's scope, too, whatever copies it further in.
            scope = LiveDict(scope, **{OUTER_KEY: OuterScope(scope)})
            if not isinstance(scope.get(LIVE_KEY), LiveConnection):
                # No middleware is in front: the WebSocket ends with the token that the first dependency finds.
                live = LiveConnection(None, None, receive, send, closes=self._close_expired)
                await serve_live(self._app, scope, live)
                return
        with serving(scope):
            await self._app(scope, receive, send)


async def _answer_refused(_connection: HTTPConnection, error: Exception) -> Response:
    answer = cast("RefusedError", error).answer
    return Response(answer.body, answer.status, dict(answer.headers))
