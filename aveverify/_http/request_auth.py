"""One request of Flask or Django: its credentials are read and verified once, when its identity is first needed.

Middleware, decorator and view of one request share one `RequestAuth`. It knows a WSGI environ, or what looks like one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aveverify._core.identity import Identity
from aveverify._http.authentication import authenticate, authenticate_async, deny_anonymous
from aveverify._http.current_identity import current_identity, serving
from aveverify._http.policy import AuthPolicy, Denial
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.scopes import check_scopes
from aveverify._http.wsgi_request import WsgiRequest, find_cached_identity
from aveverify.errors import AveVerifyError, InsufficientScopeError
from aveverify.sources import DEFAULT_SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from wsgiref.types import WSGIEnvironment

    from aveverify._core.bearer import ErrorResponse
    from aveverify._http.app_user import Users
    from aveverify._http.authentication import Outcome


class ViewDemand(NamedTuple):
    """What a view requires of its request.

    Attributes:
        required: Whether the view refuses anonymous requests.
        scopes: The scopes that a token must hold beside those of the policy.
        uses_identity: Whether the view runs and relies on the identity: then no refusal is deferred, and even a CORS
            preflight, which carries no credentials, is refused without them.
    """

    required: bool
    scopes: Sequence[str] = ()
    uses_identity: bool = False


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

    __slots__ = ("_environ", "_is_authenticated", "_outcome", "_path", "error", "policy", "user", "users")

    def __init__(self, policy: AuthPolicy, environ: WSGIEnvironment, path: str, users: Users | None = None) -> None:
        self.policy = policy
        self.error: AveVerifyError | None = None
        self.user: Any = None
        self.users = users
        self._environ = environ
        self._path = path
        self._outcome: Outcome = None
        self._is_authenticated = False

    @property
    def _request(self) -> WsgiRequest:
        # Made where it is needed: a token that was accepted before needs none.
        return WsgiRequest(self._environ, self._path)

    @property
    def is_exempt(self) -> bool:
        """Whether the path needs no credentials, so that nothing is read."""
        exempt = self.policy.exempt
        return bool(exempt) and self._request.is_exempt(exempt)

    @property
    def has_looked(self) -> bool:
        """Whether the response depends on the credentials: they were read, even if there were none (HTP-050)."""
        return self._is_authenticated and not self.is_exempt

    @property
    def is_personal(self) -> bool:
        """Whether the request carries credentials, good or bad."""
        return self._outcome is not None

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
            known = find_cached_identity(self.policy.cached_identity, self._environ)
            if known is not None and users is None:
                self._outcome, self._is_authenticated = known, True
            else:
                admit = None if users is None else partial(self._load_user, users)
                self._note(authenticate(self.policy, self._request, required=False, known=known, admit=admit))
        return self._outcome

    async def authenticate_async(self) -> Outcome:
        """Read, verify and load without blocking the event loop; see `authenticate`."""
        if not self._is_authenticated:
            users = self.users
            known = find_cached_identity(self.policy.cached_identity, self._environ)
            if known is not None and users is None:
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
        outcome = self._outcome
        if isinstance(outcome, Identity):
            # What all requests need was checked before there was an identity.
            return self._authorize_scopes(outcome, demand.scopes) if demand.scopes else None
        if isinstance(outcome, Denial):
            return outcome
        if isinstance(outcome, DeferredError):
            return Denial(outcome.error, self.error_response(outcome.error)) if demand.uses_identity else None
        return self._authorize_anonymous(demand) if demand.required else None

    def _authorize_scopes(self, identity: Identity, scopes: Sequence[str]) -> Denial | None:
        policy = self.policy.with_scopes(scopes)
        try:
            check_scopes(identity, policy.parameters.scopes)
        except InsufficientScopeError as error:
            return policy.deny(error)
        return None

    def _authorize_anonymous(self, demand: ViewDemand) -> Denial | None:
        policy = self.policy.with_scopes(demand.scopes)
        denial = policy.deny(None) if demand.uses_identity else deny_anonymous(policy, self._request)
        if isinstance(denial, Denial):
            return denial
        self._request.drop_body()
        return None

    def owns(self, error: AveVerifyError) -> bool:
        """Tell whether an error that a view raised is about this request.

        The refusal of some other token, which the application verified by itself, is not. Missing scopes always are.
        """
        return error is self.error or isinstance(error, InsufficientScopeError)

    def error_response(self, error: AveVerifyError) -> ErrorResponse:
        """Return the response to an error that this request owns."""
        return self.policy.error_response(error)
