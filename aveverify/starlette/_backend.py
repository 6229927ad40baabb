"""Starlette: a backend for Starlette's own `AuthenticationMiddleware`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Unpack, cast, overload

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, UnauthenticatedUser

from aveverify._core.identity import Identity
from aveverify._http.app_user import LoadUser, LoadUserAsync, LoadUserSync, UserT, find_user
from aveverify._http.asgi_request import AsgiRequest, find_cached_identity
from aveverify._http.asgi_response import may_hide_body
from aveverify._http.auth_options import AuthOptions
from aveverify._http.auth_record import record_outcome
from aveverify._http.authentication import Outcome, Preflight, authenticate_async
from aveverify._http.live_identity import LIVE_KEY, LiveIdentity
from aveverify._http.option_checks import check_function
from aveverify._http.policy import POLICY_KEY, REFUSALS, Denial, make_policy
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.websocket import LiveConnection
from aveverify.errors import ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.starlette._refusals import RefusedResponse
from aveverify.starlette._shown_user import show

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.types import Scope

    from aveverify.verifier import Verifier


class _DeniedError(AuthenticationError):
    """A refusal on its way through Starlette's middleware to `on_error`."""

    def __init__(self, denial: Denial) -> None:
        super().__init__("refused")
        self.denial = denial


class AveAuthBackend(AuthenticationBackend, Generic[UserT]):
    """Lets Starlette's own `AuthenticationMiddleware` verify tokens.

    `Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)`. Without `on_error` Starlette
    answers 400 to every refusal. Starlette's middleware closes a refused WebSocket (code 1000) and knows nothing of
    what comes later: where WebSockets matter, or `current_identity`, install `AveAuthMiddleware` instead. Where
    credentials are required, it lets no preflight over HTTP/2 pass: Starlette's `CORSMiddleware` in front answers them.

    Args:
        verifier: Verifies the tokens.
        required: Whether a request without credentials is refused; there is no default.
        load_user: As for `AveAuthMiddleware`.
        options: The options of `aveverify.asgi.AuthOptions`.

    Raises:
        ConfigurationError: An argument has a wrong type or value, or an option is unknown.
    """

    @overload
    def __init__(
        self: AveAuthBackend[Identity],
        verifier: Verifier,
        *,
        required: bool,
        load_user: None = None,
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUserAsync[UserT],
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUserSync[UserT],
        **options: Unpack[AuthOptions],
    ) -> None: ...

    @refuse_unknown(AuthOptions)
    def __init__(
        self,
        verifier: Verifier,
        *,
        required: bool,
        load_user: LoadUser[Any] | None = None,
        **options: Unpack[AuthOptions],
    ) -> None:
        for name in ("cache_headers", "end_expired_streams"):
            if options.get(name):
                raise ConfigurationError(
                    Problem.OUT_OF_RANGE, name, "an option of AveAuthMiddleware: a backend sees no responses"
                )
        self._policy = make_policy(verifier, required=required, **options)
        check_function("load_user", load_user)
        self._load_user = load_user

    # Starlette's own views never look for more than the members that an Identity has, and a user of the application
    # need not have: the annotation of the base class is narrower than what Starlette does.
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, UserT] | None:  # type: ignore[override]
        """Authenticate a request; Starlette's middleware calls this.

        Args:
            conn: The request or WebSocket. `get_user_identity` finds the identity there afterwards.

        Returns:
            The credentials and the user; None for an anonymous request.

        Raises:
            AuthenticationError: It is refused; `on_error` makes the response.
        """
        scope = conn.scope
        policy = self._policy
        known = find_cached_identity(policy.cached_identity, scope)
        outcome, user = (known, known) if known and self._load_user is None else await self._decide(scope, known)
        if isinstance(outcome, Preflight):
            # HTP-027: nothing here can take such a body away from the application.
            outcome = policy.deny(None) if may_hide_body(scope) else None
        record_outcome(scope, policy, outcome)
        if isinstance(outcome, Denial):
            raise _DeniedError(outcome)
        if scope["type"] == "websocket" and not isinstance(outcome, DeferredError):
            await self._follow(scope, outcome)
        # HTP-010: whatever stood there, this request's identity replaces it, and None is one.
        scope[IDENTITY_KEY], scope[POLICY_KEY] = outcome, policy
        return None if outcome is None else show(outcome, user, policy.scopes.claims)

    async def _decide(self, scope: Scope, known: Identity | None) -> tuple[Outcome, Any]:
        load_user, user = self._load_user, None

        async def admit(identity: Identity) -> None:
            nonlocal user
            user = identity if load_user is None else await find_user(load_user, identity)

        # The user is loaded before the identity stands anywhere: middleware in front must not find one that is
        # refused (HTP-044).
        outcome = await authenticate_async(
            self._policy, AsgiRequest(scope), required=self._policy.required, known=known, admit=admit
        )
        return outcome, user

    async def _follow(self, scope: Scope, identity: Identity | None) -> None:
        """End the user of a WebSocket with its token, for `get_user_identity` (HTP-041)."""
        live = scope.get(LIVE_KEY)
        if not isinstance(live, LiveConnection):
            scope[LIVE_KEY] = LiveIdentity(identity, self._policy.verifier)
            return
        try:
            await live.add_identity(identity, self._policy)
        except REFUSALS as error:
            denial = self._policy.deny(error)
            record_outcome(scope, self._policy, denial)
            raise _DeniedError(denial) from None

    def on_error(self, conn: HTTPConnection, error: Exception) -> Response:
        """Return the response to a refusal; Starlette's middleware calls this.

        The exception handlers of the application may answer in its place, as behind `AveAuthMiddleware`.

        Args:
            conn: The request.
            error: What `authenticate` raised.

        Returns:
            The response.
        """
        del conn
        if not isinstance(error, _DeniedError):
            raise error
        return RefusedResponse(error.denial, self._policy, hides_user=True)

    def get_user(self, conn: HTTPConnection) -> UserT | None:
        """Return `request.user` with its type.

        Args:
            conn: A request that this backend has seen.

        Returns:
            The user; None for an anonymous request.
        """
        user = conn.user
        return None if isinstance(user, UnauthenticatedUser) else cast("UserT", user)
