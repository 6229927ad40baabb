"""One request of Flask or Django: its credentials are read and verified once, when its identity is first needed.

Middleware, decorator and view of one request share one `RequestAuth`. It knows a WSGI environ, or what looks like one.
"""

from __future__ import annotations

from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from aveverify._core.identity import Identity
from aveverify._http.auth_record import RECORD_KEY, record_outcome
from aveverify._http.authentication import authenticate, authenticate_async, deny_anonymous
from aveverify._http.current_identity import current_identity, serving
from aveverify._http.policy import AuthPolicy, Denial, require_allowed
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.wsgi_request import WsgiRequest, find_cached_identity
from aveverify.errors import AveVerifyError, InsufficientScopeError
from aveverify.sources import DEFAULT_SOURCES

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from aveverify._http.app_user import Users
    from aveverify._http.authentication import Outcome
    from aveverify._http.view_demand import ViewDemand


class _Candidate(dict[str, Identity]):
    """What the context serves while the loader decides about the user of an identity."""

    __slots__ = ("request_auth",)

    def __init__(self, request_auth: RequestAuth, identity: Identity) -> None:
        super().__init__({IDENTITY_KEY: identity})
        self.request_auth = request_auth


class RequestAuth:
    """The authentication of one request.

    Args:
        policy: The rules.
        environ: The request.
        path: Its decoded path, as the router sees it; it decides whether the request is exempt (HTP-026).
        users: Loads the application's user of an identity, and may refuse it; None where the application has no users.

    Attributes:
        policy: The rules.
        error: Why the credentials were refused; None where they were not, or were not read yet.
        user: The application's user, once authenticated; None of an anonymous request, or without `users`.
        users: As given.
    """

    __slots__ = (
        "_deciding_in",
        "_environ",
        "_is_authenticated",
        "_outcome",
        "_path",
        "error",
        "policy",
        "user",
        "users",
    )

    def __init__(self, policy: AuthPolicy, environ: WSGIEnvironment, path: str, users: Users | None = None) -> None:
        self.policy = policy
        self.error: AveVerifyError | None = None
        self.user: Any = None
        self.users = users
        self._environ = environ
        self._path = path
        self._outcome: Outcome = None
        # The thread that decides about this request at the moment.
        self._deciding_in: int | None = None
        self._is_authenticated = False

    @property
    def _request(self) -> WsgiRequest:
        # Made where it is needed: a token that was accepted before needs none.
        return WsgiRequest(self._environ, self._path)

    @property
    def is_exempt(self) -> bool:
        """Whether the path needs no credentials, so that nothing is read."""
        exempt = self.policy.exempt
        return bool(exempt) and self._request.is_at(exempt)

    @property
    def requires_credentials(self) -> bool:
        """Whether the policy requires credentials of this request."""
        policy = self.policy
        return policy.required and not self.is_exempt and not (policy.optional and self._request.is_at(policy.optional))

    @property
    def has_looked(self) -> bool:
        """Whether the response depends on the credentials: they were read, even if there were none (HTP-050)."""
        # On an exempt path nothing is read, so there is no outcome.
        return self._is_authenticated and (self._outcome is not None or not self.is_exempt)

    @property
    def is_personal(self) -> bool:
        """Whether the request carries credentials, good or bad."""
        return self._outcome is not None

    @property
    def known_identity(self) -> Identity | None:
        """The identity that was verified so far; nothing is read for it."""
        return self._outcome if isinstance(self._outcome, Identity) else None

    @property
    def is_ambient(self) -> bool:
        """Whether the token, if any, may be one that a browser sent by itself, so that CSRF is still to be checked."""
        sources = self.policy.sources
        if sources is DEFAULT_SOURCES or not any(source.is_ambient for source in sources):
            return False
        return self._request.read_token([source for source in sources if not source.is_ambient]) is None

    def authenticate(self) -> Outcome:
        """Read and verify the credentials and load the application's user, at the first call.

        Returns:
            The identity; None for an anonymous request; or what follows from a refusal, which is logged here, once.
        """
        if not self._is_authenticated:
            users = self.users
            if users is not None and (candidate := self._find_candidate()) is not None:
                return candidate
            if self._deciding_in is not None and self._deciding_in == get_ident():
                return None
            known = find_cached_identity(self.policy.cached_identity, self._environ)
            if known is not None and users is None and RECORD_KEY not in self._environ:
                self._outcome, self._is_authenticated = known, True
            else:
                admit = None if users is None else partial(self._load_user, users)
                # The application's functions and a log filter may ask for the identity that is being decided about: to
                # authenticate for them would ask them again, and again. There is none so far.
                self._deciding_in = get_ident()
                try:
                    outcome = authenticate(self.policy, self._request, required=False, known=known, admit=admit)
                finally:
                    self._deciding_in = None
                self._note(outcome)
        return self._outcome

    async def authenticate_async(self) -> Outcome:
        """Read, verify and load without blocking the event loop; see `authenticate`."""
        if not self._is_authenticated:
            users = self.users
            known = find_cached_identity(self.policy.cached_identity, self._environ)
            if known is not None and users is None and RECORD_KEY not in self._environ:
                self._outcome, self._is_authenticated = known, True
            else:
                admit = None if users is None else partial(self._load_user_async, users)
                outcome = await authenticate_async(self.policy, self._request, required=False, known=known, admit=admit)
                self._note(outcome)
        return self._outcome

    def _note(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.error = outcome.error if isinstance(outcome, (Denial, DeferredError)) else None
        self._is_authenticated = True
        record_outcome(self._environ, self.policy, outcome)

    def _load_user(self, users: Users, identity: Identity) -> None:
        # HTP-044: the loader, and nothing else, sees the identity that it decides about.
        with serving(_Candidate(self, identity)):
            self.user = users.find(identity)

    async def _load_user_async(self, users: Users, identity: Identity) -> None:
        with serving(_Candidate(self, identity)):
            self.user = await users.find_async(identity)

    def _find_candidate(self) -> Identity | None:
        """Return the identity that the loader decides about, where the loader asks: a log filter in it, for instance.

        To authenticate for it would call the loader again, and again.
        """
        entered = current_identity.entered()
        return entered[IDENTITY_KEY] if isinstance(entered, _Candidate) and entered.request_auth is self else None

    def identity_or_raise(self) -> Identity | None:
        """Return the identity; None for an anonymous request.

        Raises:
            InvalidRequestError: The credentials are malformed.
            InvalidTokenError: The token is refused.
            InsufficientScopeError: The token lacks a scope that all requests need.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged.
        """
        outcome = self.authenticate()
        if self.error is not None:
            # A further read must not get a longer traceback.
            raise self.error.with_traceback(None)
        return outcome if isinstance(outcome, Identity) else None

    def authorize(self, demand: ViewDemand) -> Denial | None:
        """Decide whether the authenticated request may reach a view.

        Args:
            demand: What the view requires.

        Returns:
            None, or the refusal, which is logged: with an error where the request carries credentials, and without one
            where it carries none.
        """
        identity = self._outcome
        # What all requests need was checked before there was an identity.
        if not isinstance(identity, Identity):
            return self._authorize_other(demand)
        if not demand.asks_identity:
            return None
        policy = self.policy.with_scopes(demand.scopes, demand.any_scopes)
        try:
            policy.scopes.check(identity)
            if demand.allow is not None:
                require_allowed(policy.calls.call("allow", demand.allow, identity))
        except InsufficientScopeError as error:
            return self._record(policy.deny(error))
        return None

    async def authorize_async(self, demand: ViewDemand) -> Denial | None:
        """Decide whether the authenticated request may reach a view, without blocking the event loop; see `authorize`.

        Args:
            demand: What the view requires.
        """
        identity = self._outcome
        if demand.allow is None or not isinstance(identity, Identity):
            return self.authorize(demand)
        policy = self.policy.with_scopes(demand.scopes, demand.any_scopes)
        try:
            policy.scopes.check(identity)
            require_allowed(await policy.calls.call_async(demand.allow, identity))
        except InsufficientScopeError as error:
            return self._record(policy.deny(error))
        return None

    def _authorize_other(self, demand: ViewDemand) -> Denial | None:
        outcome = self._outcome
        if isinstance(outcome, Denial):
            return outcome
        if isinstance(outcome, DeferredError):
            return self.make_denial(outcome.error) if demand.uses_identity else None
        return self._authorize_anonymous(demand) if demand.required else None

    def _record(self, denial: Denial) -> Denial:
        record_outcome(self._environ, self.policy, denial)
        return denial

    def _authorize_anonymous(self, demand: ViewDemand) -> Denial | None:
        policy = self.policy.with_scopes(demand.scopes, demand.any_scopes)
        denial = policy.deny(None) if demand.uses_identity else deny_anonymous(policy, self._request)
        if isinstance(denial, Denial):
            return self._record(denial)
        self._request.drop_body()
        return None

    def deny_anonymous(self) -> Denial:
        """Return the refusal of a request without credentials, where they are required; it is logged here."""
        return self._record(self.policy.deny(None))

    def owns(self, error: AveVerifyError) -> bool:
        """Tell whether an error that a view raised is about this request.

        The refusal of some other token, which the application verified by itself, is not. Missing scopes always are.
        """
        return error is self.error or isinstance(error, InsufficientScopeError)

    def make_denial(self, error: AveVerifyError) -> Denial:
        """Return the refusal and the response of an error that this request owns; it is logged already."""
        return self._record(self.policy.make_denial(error))
