"""`Verifier`: the configuration, and two drivers that call `verify_without_waiting` and wait for the keys it needs.

Everything that decides is in `aveverify._core`; everything that waits is in `aveverify._jwks.registry`.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from aveverify._core.bearer import parse_authorization
from aveverify._core.identity import Identity
from aveverify._core.jose.jwt_claims import token_bytes
from aveverify._core.key_cache.decisions import RefreshReason
from aveverify._core.provider import Provider
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify._core.verification import KeysNeeded, verify_without_waiting
from aveverify._jwks.key_lookup import KeyLookup
from aveverify._jwks.registry import KeySetRegistry
from aveverify._jwks.remote_key_set import RemoteKeySet
from aveverify._jwks.status_report import describe_source
from aveverify._lru_map import RecentlyUsed
from aveverify._token_cache import TokenCache
from aveverify.auth_config import AuthConfig, parse_auth_config
from aveverify.cache_policy import CachePolicy
from aveverify.clock import Clock, SystemClock
from aveverify.errors import ConfigurationError, KeysUnavailableError, Problem, quote
from aveverify.errors._unknown_options import refuse_misspelt, refuse_unknown
from aveverify.fetcher import Fetcher, HttpxFetcher
from aveverify.status import VerifierStatus

if TYPE_CHECKING:
    from aveverify._jwks.completion import Completion
    from aveverify.document_store import DocumentStore
    from aveverify.events import OnEvent

log = logging.getLogger("aveverify")

DEFAULT_MAX_TOKEN_BYTES: Final = 16 * 1024
DEFAULT_TOKEN_CACHE_SIZE: Final = 10_000
_MAX_TOKEN_CACHE_SIZE: Final = 10_000_000
_LARGEST_MAX_TOKEN_BYTES: Final = 16 * 1024 * 1024
# So many verifiers of one provider in one process are a verifier for each request.
_MANY_VERIFIERS: Final = 10
# How many verifiers were made for the network; feeds one log record, decides nothing.
_made: Final[RecentlyUsed[Provider, int]] = RecentlyUsed(256)


class Verifier:
    """Verifies tokens of the configured providers. Make one and keep it: it holds the caches.

    Safe to share between threads and event loops; `verify` and `verify_async` use the same keys.

    Args:
        providers: The providers, tried in this order; the first whose issuer and audience fit decides.
        clock: Where time comes from.
        fetcher: Where documents come from.
        cache_policy: Durations, budgets and limits of the key cache.
        max_token_bytes: Longer tokens are refused unread; 1 to 16 MiB.
        token_cache_size: How many accepted tokens are remembered, by digest; 0 remembers none.
        on_event: Called with each event of the key cache, on the thread where it happens.
        document_store: Where the workers of a fleet share documents, so that one of them asks for all.

    Raises:
        ConfigurationError: There is no provider and no fetcher, or an argument is unknown or out of range.
    """

    @refuse_unknown()
    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        *providers: Provider,
        clock: Clock | None = None,
        fetcher: Fetcher | None = None,
        cache_policy: CachePolicy | None = None,
        max_token_bytes: int = DEFAULT_MAX_TOKEN_BYTES,
        token_cache_size: int = DEFAULT_TOKEN_CACHE_SIZE,
        on_event: OnEvent | None = None,
        document_store: DocumentStore | None = None,
    ) -> None:
        for index, provider in enumerate(providers):
            if not isinstance(provider, Provider):
                raise ConfigurationError(Problem.NOT_A_PROVIDER, f"providers[{index}]")
        _check_range("max_token_bytes", max_token_bytes, 1, _LARGEST_MAX_TOKEN_BYTES)
        _check_range("token_cache_size", token_cache_size, 0, _MAX_TOKEN_CACHE_SIZE)
        # HTP-043: a service that refuses every token is a mistake. What such a verifier says of a token is settled all
        # the same (SEL-05), so with a fetcher of its own, as tests have one, it can be made. No edge takes it.
        if not providers and fetcher is None:
            raise ConfigurationError(Problem.NO_PROVIDERS, "providers")
        _check_methods("clock", clock, "now", "monotonic")
        _check_methods("fetcher", fetcher, "fetch")
        _check_methods("document_store", document_store, "get", "put", "lease")
        if cache_policy is not None and not isinstance(cache_policy, CachePolicy):
            raise ConfigurationError(Problem.OUT_OF_RANGE, "cache_policy", "a CachePolicy")
        if on_event is not None and not callable(on_event):
            raise ConfigurationError(Problem.OUT_OF_RANGE, "on_event", "a function of an event")
        self._providers = providers
        self._max_token_bytes = max_token_bytes
        self._clock = clock if clock is not None else SystemClock()
        self._engine = KeySetRegistry(
            providers,
            ProviderIndex(providers),
            clock=self._clock,
            fetcher=fetcher if fetcher is not None else HttpxFetcher(),
            policy=cache_policy if cache_policy is not None else CachePolicy(),
            on_event=on_event,
            document_store=document_store,
        )
        self._tokens = TokenCache(token_cache_size, self._clock)
        # Returns the identity of a token that is surely accepted again; None leaves it to `verify`. Also for the edges.
        self.cached_identity = self._tokens.get_if_fresh
        self._closed = False
        self._warned = False
        if fetcher is None:
            _note_made(providers)
        for provider in providers:
            if provider.application_id is None:
                # SEC-03, XJW-007
                log.warning("provider %s accepts tokens made for any client of its issuer", quote(provider.issuer))
        _note_shadowed(providers)

    @classmethod
    def from_auth_config(cls, config: AuthConfig, **options: Any) -> Self:  # noqa: ANN401 - those of the constructor
        """Make a verifier from what a Convex `auth.config` exports.

        Args:
            config: The exported object, its JSON text, or the path of a `.json` file.
            options: Keyword arguments of the constructor.

        Returns:
            The verifier.

        Raises:
            ConfigurationError: Names the field and the mend, with Convex's code.
        """
        return cls(*parse_auth_config(config), **options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:  # noqa: ANN401 - as above
        """Make a verifier from environment variables.

        Reads `AVEVERIFY_AUTH_CONFIG` (a path or JSON), or else `AVEVERIFY_ISSUER` and `AVEVERIFY_APPLICATION_ID`.

        Args:
            environ: The variables; those of the process by default.
            options: Keyword arguments of the constructor.

        Returns:
            The verifier.

        Raises:
            ConfigurationError: A variable is missing, misspelt, empty or wrong.
        """
        variables = os.environ if environ is None else environ
        names = ("AVEVERIFY_AUTH_CONFIG", "AVEVERIFY_ISSUER", "AVEVERIFY_APPLICATION_ID")
        for name in names:
            # CFG-013: a variable without a value is a mistake of the deployment, and never counts as unset.
            if not variables.get(name, name).strip():
                raise ConfigurationError(Problem.EMPTY, name)
        config, issuer, application_id = map(variables.get, names)
        if config is not None:
            return cls.from_auth_config(config, **options)
        if issuer is None or application_id is None:
            refuse_misspelt(variables, names)
        if issuer is None:
            raise ConfigurationError(Problem.ENVIRONMENT, "AVEVERIFY_ISSUER")
        if application_id is None:
            raise ConfigurationError(Problem.ENVIRONMENT, "AVEVERIFY_APPLICATION_ID")
        return cls(Provider(issuer=issuer, application_id=application_id), **options)

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The providers, in the order in which they are tried."""
        return self._providers

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    def verify(self, token: str | bytes) -> Identity:
        """Verify a token.

        Args:
            token: The compact token, without any scheme in front.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys cannot be had; the token is not to blame.
            ConfigurationError: The verifier is closed.
            TypeError: The token is neither str nor bytes.
        """
        # What nearly every token is; `_read_unusual` has the questions of all others.
        data = (
            token.encode()
            if type(token) is str and len(token) <= self._max_token_bytes and token.isascii()
            else self._read_unusual(token)
        )
        known = self.cached_identity(data)
        if known is not None:
            return known
        desk = self._open_desk()
        while True:
            outcome = self._look(data, desk)
            if not isinstance(outcome, KeysNeeded):
                return outcome
            landing = desk.settle(outcome)
            self._warn_of_blocked_loop(landing)
            desk.resume(landed=landing.wait(desk.wait_budget_seconds))

    async def verify_async(self, token: str | bytes) -> Identity:
        """Verify a token without ever blocking the event loop for the network.

        Args:
            token: The compact token, without any scheme in front.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys cannot be had; the token is not to blame.
            ConfigurationError: The verifier is closed.
            TypeError: The token is neither str nor bytes.
        """
        # What nearly every token is; `_read_unusual` has the questions of all others.
        data = (
            token.encode()
            if type(token) is str and len(token) <= self._max_token_bytes and token.isascii()
            else self._read_unusual(token)
        )
        known = self.cached_identity(data)
        if known is not None:
            return known
        desk = self._open_desk()
        while True:
            outcome = self._look(data, desk)
            if not isinstance(outcome, KeysNeeded):
                return outcome
            landing = desk.settle(outcome)
            desk.resume(landed=await landing.wait_async(desk.wait_budget_seconds))

    def verify_header(self, value: str | bytes | None) -> Identity | None:
        """Verify the token of an Authorization header.

        Args:
            value: The header's one value; None where there is none.

        Returns:
            The identity; None where there are no credentials or those of another scheme (HTTP-06).

        Raises:
            InvalidRequestError: The header is malformed.
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys cannot be had; the token is not to blame.
            ConfigurationError: The verifier is closed.
        """
        self._check_open()
        token = parse_authorization(value)
        return None if token is None else self.verify(token)

    async def verify_header_async(self, value: str | bytes | None) -> Identity | None:
        """Verify the token of an Authorization header without blocking the event loop; see `verify_header`."""
        self._check_open()
        token = parse_authorization(value)
        return None if token is None else await self.verify_async(token)

    def warm_up(self, *, fail_closed: bool = False) -> None:
        """Fetch the keys of all providers before the first request.

        Args:
            fail_closed: Raise where keys cannot be had, instead of trying again at the first token.

        Raises:
            KeysUnavailableError: With `fail_closed`, for the first provider without keys.
            ConfigurationError: The verifier is closed.
        """
        self._check_open()
        for provider, source in self._engine.providers:
            desk = self._open_desk()
            try:
                while desk.usable_keys(source) is None:
                    landing = desk.settle(KeysNeeded(provider, source, RefreshReason.KEYS, None))
                    desk.resume(landed=landing.wait(desk.wait_budget_seconds))
            except KeysUnavailableError:
                if fail_closed:
                    raise

    async def warm_up_async(self, *, fail_closed: bool = False) -> None:
        """Fetch the keys of all providers before the first request, without blocking the event loop; see `warm_up`."""
        self._check_open()
        for provider, source in self._engine.providers:
            desk = self._open_desk()
            try:
                while desk.usable_keys(source) is None:
                    landing = desk.settle(KeysNeeded(provider, source, RefreshReason.KEYS, None))
                    desk.resume(landed=await landing.wait_async(desk.wait_budget_seconds))
            except KeysUnavailableError:
                if fail_closed:
                    raise

    def status(self) -> VerifierStatus:
        """Return what is known of every provider's keys, without fetching anything.

        Returns:
            Plain frozen data; `as_dict()` gives it to a readiness endpoint.

        Raises:
            ConfigurationError: The verifier is closed.
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        desk = self._open_desk()
        desk.read_clocks()
        providers = tuple(
            describe_source(provider, source, self._engine.policy, desk.now, desk.at)
            for provider, source in self._engine.providers
        )
        return VerifierStatus(providers=providers, cached_tokens=len(self._tokens))

    def close(self) -> None:
        """Forget tokens and keys, and close the connections. Idempotent; any thread may call it.

        From now on every call raises `ConfigurationError`, for tokens that were accepted before, too. Calls that wait
        for keys at this moment stop waiting and raise it at once.

        Source: CON-008; CON-014.
        """
        self._closed = True
        self._tokens.close()
        self._engine.close()

    def __enter__(self) -> Self:
        """Return the verifier itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the verifier."""
        self.close()

    def __repr__(self) -> str:
        """Show the issuers only."""
        return f"<Verifier {', '.join(quote(provider.issuer) for provider in self._providers)}>"

    def __reduce__(self) -> NoReturn:
        """Refuse: keys and caches belong to one process."""
        message = "a Verifier cannot be pickled; make one in each process"
        raise TypeError(message)

    def _open_desk(self) -> KeyLookup:
        if self._closed:
            self._check_open()
        return KeyLookup(self._engine)

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError(Problem.CLOSED, "the verifier")

    def _read_unusual(self, token: str | bytes) -> bytes:
        """Read what is not plainly a text of bearable length."""
        self._check_open()
        return token_bytes(token, self._max_token_bytes)

    def _look(self, token: bytes, desk: KeyLookup) -> Identity | KeysNeeded[RemoteKeySet]:
        """Look at the token once: at what is remembered of it (step 0), then with `verify_without_waiting`."""
        identity = self._tokens.get_if_still_valid(token, desk)
        if identity is not None:
            return identity
        outcome = verify_without_waiting(token, desk)
        if isinstance(outcome, KeysNeeded):
            return outcome
        self._tokens.put(token, outcome)
        # CON-014: closed meanwhile. Asked here first, less a call for every new token.
        if self._closed:
            self._check_open()
        return outcome.identity

    def _warn_of_blocked_loop(self, landing: Completion) -> None:
        if self._warned or landing.has_landed or "asyncio" not in sys.modules:
            return
        import asyncio  # noqa: PLC0415 - imported by the program already

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._warned = True
        warnings.warn(
            "Verifier.verify() waits for keys under a running event loop and blocks it; use verify_async()",
            RuntimeWarning,
            stacklevel=3,
        )


def _note_made(providers: tuple[Provider, ...]) -> None:
    """Warn, once for each provider, where verifiers are made again and again instead of kept."""
    for provider in providers:
        made = _made.update(provider, lambda before: (before or 0) + 1)
        if made == _MANY_VERIFIERS:
            log.warning(
                "the %dth verifier for %s: each has caches of its own and asks the issuer anew; make one and keep it",
                made,
                quote(provider.issuer),
            )


def _note_shadowed(providers: tuple[Provider, ...]) -> None:
    """Warn of each provider that no token ever reaches, because an earlier one takes all of its tokens (CFG-016)."""
    # As `ProviderIndex` compares: the issuer but for trailing slashes, and None takes every audience.
    earlier: dict[tuple[str, str | None], int] = {}
    for index, provider in enumerate(providers):
        issuer = provider.issuer.rstrip("/")
        found = [earlier.get((issuer, audience)) for audience in (provider.application_id, None)]
        taken = min((one for one in found if one is not None), default=None)
        if taken is not None:
            log.warning(
                "providers[%d] is never used: providers[%d] stands before it and takes every token of issuer %s that "
                "it would take; remove one, or put the narrower one first",
                index,
                taken,
                quote(provider.issuer),
            )
        earlier.setdefault((issuer, provider.application_id), index)


def _check_methods(name: str, value: object, *methods: str) -> None:
    if value is None:
        return
    if isinstance(value, type):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, f"a class; write {value.__name__}(…) with its arguments")
    if not all(callable(getattr(value, method, None)) for method in methods):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, f"an object with the methods {', '.join(methods)}")


def _check_range(name: str, value: object, low: int, high: int) -> None:
    # type(), not isinstance(): bool is an int.
    if type(value) is not int or not low <= value <= high:
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, f"{low} to {high}")
