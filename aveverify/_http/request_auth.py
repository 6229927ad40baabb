"""One request as Flask and Django see it: its credentials are read and verified once, by whoever asks first.

Middleware, decorator and view of one request share one `RequestAuth`. It knows a WSGI environ, or what looks like one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aveverify._core.bearer import ErrorResponse, make_answer
from aveverify._core.identity import Identity
from aveverify._http.policy import REFUSALS, AuthPolicy, check_scopes
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError, current_identity
from aveverify._http.wsgi_request import find_cached_identity, pass_preflight, read_environ
from aveverify.errors import AveVerifyError, InsufficientScopeError
from aveverify.sources import DEFAULT_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from wsgiref.types import WSGIEnvironment

    from aveverify._http.app_user import Users


class _Candidate(dict[str, Identity]):
    """What the context serves while the loader judges the identity of a visit."""

    __slots__ = ("request_auth",)

    def __init__(self, request_auth: RequestAuth, identity: Identity) -> None:
        super().__init__({IDENTITY_KEY: identity})
        self.request_auth = request_auth


class RequestAuth:
    """What one request has shown so far.

    Args:
        policy: The rules.
        environ: The request.
        path: Its decoded path, as the router sees it; it decides whether the request is exempt (HTP-026).
        users: Loads the application's user of an identity, and may refuse it; None where the application has no users.

    Attributes:
        policy: The rules.
        error: Why the credentials were refused; None where they were not, or where nobody has looked.
        user: The application's user, once the visit is settled; None of an anonymous request, or without `users`.
        users: As given.
    """

    __slots__ = ("_environ", "_is_settled", "_outcome", "_path", "error", "policy", "user", "users")

    def __init__(self, policy: AuthPolicy, environ: WSGIEnvironment, path: str, users: Users | None = None) -> None:
        self.policy = policy
        self.error: AveVerifyError | None = None
        self.user: Any = None
        self.users = users
        self._environ = environ
        self._path = path
        self._outcome: Identity | DeferredError | ErrorResponse | None = None
        self._is_settled = False

    @property
    def is_exempt(self) -> bool:
        """Whether the path needs no credentials, so that nothing is read."""
        exempt = self.policy.exempt
        return bool(exempt) and self._path in exempt

    @property
    def has_looked(self) -> bool:
        """Whether the answer depends on the credentials: they were looked at, even if there were none (HTP-050)."""
        return self._is_settled and not self.is_exempt

    @property
    def is_personal(self) -> bool:
        """Whether the request has shown credentials, good or bad."""
        return self._outcome is not None

    def find_token(self) -> bytes | None:
        """Return the token; None where there is none or the path is exempt.

        Raises:
            InvalidRequestError: It is malformed, or there are several.
        """
        return None if self.is_exempt else read_environ(self._environ, self.policy.sources)

    @property
    def is_ambient(self) -> bool:
        """Whether the token, if any, may be one that a browser sent by itself, so that CSRF is still to be checked."""
        sources = self.policy.sources
        if sources is DEFAULT_SOURCES or not any(source.is_ambient for source in sources):
            return False
        return read_environ(self._environ, [source for source in sources if not source.is_ambient]) is None

    def settle(self) -> Identity | DeferredError | ErrorResponse | None:
        """Read and verify the credentials and load the application's user, unless that is done.

        Returns:
            The identity; None for an anonymous request; or what becomes of a refusal, which is logged here, once.
        """
        if not self._is_settled:
            users = self.users
            if users is not None and (candidate := self._find_candidate()) is not None:
                return candidate
            outcome: Identity | DeferredError | ErrorResponse | None = find_cached_identity(
                self.policy.cached_identity, self._environ
            )
            try:
                if outcome is None:
                    token = self.find_token()
                    outcome = None if token is None else self.policy.authenticate(token)
                if users is not None and isinstance(outcome, Identity):
                    with self._showing(outcome):
                        self.user = users.find(outcome)
            except REFUSALS as error:
                outcome = self._refuse(error)
            self._outcome = outcome
            self._is_settled = True
        return self._outcome

    async def settle_async(self) -> Identity | DeferredError | ErrorResponse | None:
        """Read, verify and load without blocking the event loop; see `settle`."""
        if not self._is_settled:
            users = self.users
            outcome: Identity | DeferredError | ErrorResponse | None = find_cached_identity(
                self.policy.cached_identity, self._environ
            )
            try:
                if outcome is None:
                    token = self.find_token()
                    outcome = None if token is None else await self.policy.authenticate_async(token)
                if users is not None and isinstance(outcome, Identity):
                    with self._showing(outcome):
                        self.user = await users.find_async(outcome)
            except REFUSALS as error:
                outcome = self._refuse(error)
            self._outcome = outcome
            self._is_settled = True
        return self._outcome

    def _refuse(self, error: AveVerifyError) -> ErrorResponse | DeferredError:
        # Without the frames of the verification, where a crash report would find the token among the locals.
        self.error = error.with_traceback(None)
        return self.policy.deny_or_defer(error)

    @contextmanager
    def _showing(self, identity: Identity) -> Iterator[None]:
        """Let the loader, and nothing else, see the identity that it is to judge (HTP-044)."""
        token = current_identity.enter(served := [_Candidate(self, identity)])
        try:
            yield
        finally:
            served.clear()
            current_identity.leave(token)

    def _find_candidate(self) -> Identity | None:
        """Return the identity that the loader judges, if it is the loader that asks: a log filter in it, for instance.

        To settle the visit for it would call the loader again, and again.
        """
        entered = current_identity.entered()
        return entered[IDENTITY_KEY] if isinstance(entered, _Candidate) and entered.request_auth is self else None

    def ask(self) -> Identity | None:
        """Return the identity; None for nobody.

        Raises:
            InvalidRequestError: The credentials are malformed.
            InvalidTokenError: The token is refused.
            InsufficientScopeError: The token lacks a scope that all requests need.
            KeysUnavailableError: The keys cannot be had.
        """
        outcome = self.settle()
        if self.error is not None:
            raise self.error.with_traceback(None)
        return outcome if isinstance(outcome, Identity) else None

    def judge(
        self, scopes: Sequence[str], *, required: bool, asks: bool = False
    ) -> AveVerifyError | ErrorResponse | None:
        """Decide whether the request may reach a view, once it is settled.

        Args:
            scopes: What the view demands of a token beside what all requests need.
            required: Whether the view needs somebody.
            asks: Whether the view runs and relies on the answer, so that no refusal is deferred, and that even a CORS
                preflight, which cannot carry credentials, is refused without them.

        Returns:
            None lets it pass. An error is the refusal of what the request has shown; an answer that of a request that
            has shown nothing.
        """
        outcome = self._outcome
        if isinstance(outcome, Identity) and not scopes:
            # Whatever all requests need was looked at before there was an identity.
            return None
        if isinstance(outcome, ErrorResponse) or (asks and self.error is not None):
            return self.error
        policy = self.policy.with_scopes(scopes)
        if isinstance(outcome, Identity):
            try:
                check_scopes(outcome, policy.parameters.scopes)
            except InsufficientScopeError as error:
                policy.deny(error)
                return error.with_traceback(None)
        elif outcome is None and required and (asks or not pass_preflight(self._environ)):
            return policy.deny(None)
        return None

    def owns(self, error: AveVerifyError) -> bool:
        """Tell whether an error that a view let through is about this client.

        The refusal of some other token, which the application verified by itself, is not. Scopes always are.
        """
        return error is self.error or isinstance(error, InsufficientScopeError)

    def write(self, error: AveVerifyError) -> ErrorResponse:
        """Write the answer to an error that this request owns."""
        parameters = self.policy.parameters
        if isinstance(error, InsufficientScopeError):
            parameters = parameters._replace(scopes=error.required)
        return make_answer(error, parameters)
