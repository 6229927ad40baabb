"""Whose request it is: where the identity stands, and how a view asks for it, with its request at hand or without.

Knows no framework and decides nothing: edges put the outcome there. HTTP-06; HTTP-09.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aveverify._core.identity import Identity
from aveverify.errors import AveVerifyError, ConfigurationError, InvalidTokenError, Problem, Reason

if TYPE_CHECKING:
    from aveverify.verifier import Verifier

# The one place in a scope or environ that counts; overwritten at every request (HTP-010).
IDENTITY_KEY: Final = "aveverify.identity"
# Where the scope of a WebSocket holds its `LiveIdentity`; behind a middleware that is a `LiveConnection`.
LIVE_KEY: Final = "aveverify.live"


class DeferredError(NamedTuple):
    """A refusal that waits until somebody asks for the identity (`on_invalid="defer"`, HTTP-09)."""

    error: AveVerifyError


class LazyIdentity(NamedTuple):
    """An identity that is looked for when somebody first asks for it, by the edges that verify lazily."""

    ask: Callable[[], Identity | None]


class LiveIdentity:
    """The user of a WebSocket at this moment: none after the `exp` of the token.

    Args:
        identity: The verified user; None for an anonymous WebSocket.
        verifier: Has the clock that counts.

    Source: CJ-29; HTP-041.
    """

    __slots__ = ("_identity", "_verifier")

    def __init__(self, identity: Identity | None, verifier: Verifier | None) -> None:
        self._identity = identity
        self._verifier = verifier

    @property
    def identity(self) -> Identity | None:
        """The user; None for an anonymous WebSocket, and after the `exp` of the token."""
        return None if self.has_expired else self._identity

    @property
    def has_expired(self) -> bool:
        """Whether the token has expired, or the clock gives no usable time."""
        return self.find_fault() is not None

    @property
    def _expires_at(self) -> float:
        return inf if self._identity is None else self._identity.expires_at

    def _rest_seconds(self) -> float | None:
        expires_at = self._expires_at
        # Where nothing can expire no clock is asked.
        return inf if self._verifier is None or expires_at == inf else seconds_until(expires_at, self._verifier)

    def find_fault(self) -> Reason | None:
        """Return why the user does not count any longer: `EXPIRED`, or `CLOCK_UNUSABLE`; None while it does."""
        return _fault_of(self._rest_seconds())


def seconds_until(instant: float, verifier: Verifier) -> float | None:
    """Return how long it is until an instant, by the clock of a verifier.

    Args:
        instant: In seconds since the epoch.
        verifier: Has the clock.

    Returns:
        Seconds, negative for an instant that has passed; None where the clock raises, or shows what is no time, such
        as NaN or a negative number. The caller must treat that as an instant that has passed.

    Source: CLK-003; HTP-048.
    """
    try:
        now = verifier.clock.now()
        return instant - now if 0 <= now < inf else None
    except Exception:  # noqa: BLE001 - whatever a clock raises, its token must not count any longer
        return None


def refuse_expired(identity: Identity, verifier: Verifier) -> None:
    """Refuse a token that may open or extend no WebSocket: the leeway is for single requests.

    Args:
        identity: The user of the token.
        verifier: Has accepted the token, and has the clock.

    Raises:
        InvalidTokenError: The token has expired, or the clock gives no usable time.

    Source: CJ-29: at `exp`, without leeway.
    """
    fault = _fault_of(seconds_until(identity.expires_at, verifier))
    if fault is not None:
        raise InvalidTokenError(fault, rule="CJ-29", kind=identity.provider.kind)


def _fault_of(rest_seconds: float | None) -> Reason | None:
    if rest_seconds is None:
        return Reason.CLOCK_UNUSABLE
    return Reason.EXPIRED if rest_seconds <= 0 else None


def get_user_identity(request: Any) -> Identity | None:  # noqa: ANN401 - a request of any framework
    """Return who makes this request, as `ctx.auth.getUserIdentity()` does in Convex.

    Args:
        request: A request or WebSocket with a `scope` or an `environ`, or one of these themselves.

    Returns:
        The identity, or None for an anonymous request. For a WebSocket, the user at this moment: after the `exp` of its
        token there is none.

    Raises:
        InvalidTokenError: The token was refused, and the middleware defers refusals.
        InsufficientScopeError: The token lacks a scope, and the middleware defers refusals.
        KeysUnavailableError: The keys could not be had, and the middleware defers refusals.
        ConfigurationError: No middleware ran: a forgotten middleware must not look like an anonymous user.

    Source: HTTP-06; HTTP-09.
    """
    carrier = scope_or_environ(request)
    try:
        found = carrier[IDENTITY_KEY]
        live = carrier.get(LIVE_KEY)
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request") from None
    if isinstance(live, LiveIdentity):
        return live.identity
    if found is None or isinstance(found, Identity):
        return found
    if isinstance(found, DeferredError):
        # Whoever asks twice must not get a longer traceback each time.
        raise found.error.with_traceback(None)
    if isinstance(found, LazyIdentity):
        return found.ask()
    raise ConfigurationError(Problem.NO_MIDDLEWARE, "the request")


def scope_or_environ(request: Any) -> Any:  # noqa: ANN401 - a request of any framework, and its scope or environ
    """Return the scope or environ of a request; the argument itself where it has neither."""
    carrier = getattr(request, "scope", None)
    return getattr(request, "environ", request) if carrier is None else carrier


class CurrentIdentity:
    """Who makes the request that is served here, for code that has no request at hand: `current_identity.get()`.

    It follows the context of the request: tasks see the identity of the request that began them for as long as that is
    served. After the request, or where no edge of this package serves it, asking is an error. Of requests within each
    other, the innermost counts.
    """

    __slots__ = ("_finders", "_served", "enter", "leave")

    def __init__(self) -> None:
        self._served: ContextVar[list[Any]] = ContextVar("aveverify.current_identity")
        # For the edges, around every request: `enter` begins to serve a scope or an environ, which stands alone in a
        # list, and `leave` ends what that began. At the end of the request the edge empties the list, first of all: a
        # context is copied, into tasks that go on and, by uvicorn, into the next request of a connection, and no copy
        # may know this user any longer. The variable's own methods: a call in between would cost every request.
        self.enter: Final[Callable[[list[Any]], Token[list[Any]]]] = self._served.set
        self.leave: Final[Callable[[Token[list[Any]]], None]] = self._served.reset
        self._finders: list[Callable[[Any], Any]] = []

    def entered(self) -> Any:  # noqa: ANN401 - a scope or an environ
        """Return what is served here, as it was entered; None where nothing is."""
        # A copy: another thread may empty it meanwhile.
        served = self._served.get([])[:1]
        return served[0] if served else None

    def look_in(self, finder: Callable[[Any], Any]) -> None:
        """Let a framework say which request it serves, where it keeps that in a context of its own.

        Its edge need not enter and leave every request then; the finder is called when somebody asks.

        Args:
            finder: Given what was entered last, or None; returns the scope or environ that counts, which is what it
                was given where the framework has no say.
        """
        self._finders.append(finder)

    def get(self) -> Identity | None:
        """Return the identity as `get_user_identity` does for the request; None for an anonymous one.

        Raises:
            ConfigurationError: No edge serves a request in this context.
            InvalidTokenError: As `get_user_identity`; so do the two that follow.
            InsufficientScopeError: As `get_user_identity`.
            KeysUnavailableError: As `get_user_identity`.
        """
        carrier = self.entered()
        for find in self._finders:
            carrier = find(carrier)
        return get_user_identity(carrier)


current_identity: Final = CurrentIdentity()
