"""`Verifier`: its options, and the two drivers of a verification, one for threads and one for event loops.

A driver runs the six steps of `aveverify._core.verification`; if they need other keys, it waits for a refresh of
`aveverify._jwks` and runs them again.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from aveverify._core.bearer import parse_authorization
from aveverify._core.identity import Identity
from aveverify._core.jose.jwt_claims import token_bytes
from aveverify._core.key_cache.state import RefreshReason
from aveverify._core.provider import Provider
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify._core.verification import KeysNeeded, verify_without_waiting
from aveverify._event_loops import find_event_loop
from aveverify._jwks.key_lookup import KeyLookup
from aveverify._jwks.registry import KeySetRegistry
from aveverify._jwks.status_report import describe_key_set
from aveverify._token_cache import TokenCache
from aveverify._verifier_checks import (
    check_has_provider,
    check_parts,
    check_provider_types,
    check_sizes,
    read_environment,
    warn_of_any_audience,
    warn_of_many_verifiers,
    warn_of_shadowed_providers,
)
from aveverify.auth_config import AuthConfig, parse_auth_config
from aveverify.cache_policy import CachePolicy
from aveverify.clock import Clock, SystemClock
from aveverify.errors import ConfigurationError, KeysUnavailableError, Problem, quote
from aveverify.errors._unknown_options import refuse_unknown
from aveverify.fetcher import Fetcher, HttpxFetcher
from aveverify.status import VerifierStatus

if TYPE_CHECKING:
    from aveverify._jwks.completion import Completion
    from aveverify._jwks.remote_key_set import RemoteKeySet
    from aveverify.document_store import DocumentStore
    from aveverify.events import OnEvent

DEFAULT_MAX_TOKEN_BYTES: Final = 16 * 1024
DEFAULT_TOKEN_CACHE_SIZE: Final = 10_000


class Verifier:
    """Verifies tokens of the configured providers. Make one and keep it: it holds the caches.

    Safe to share between threads and event loops: `verify` and `verify_async` use the same keys and the same cache of
    accepted tokens. After a fork, each process continues with the keys that it inherited.

    Args:
        providers: The providers, tried in this order: the first whose issuer and audience match decides.
        clock: The wall clock and the monotonic clock; those of this machine by default.
        fetcher: Fetches the documents of issuers; an `HttpxFetcher` by default.
        cache_policy: Durations, budgets and limits of the key cache.
        max_token_bytes: Longer tokens are refused unread; 1 to 16,777,216 bytes (16 MiB), 16,384 by default.
        token_cache_size: How many accepted tokens are cached, by their digest; 0 to 10,000,000, 10,000 by default.
        on_event: Called with each key-cache event, on the thread where it happens.
        document_store: Shares the documents of issuers between workers, so that one of them fetches for all.

    Attributes:
        cached_identity: `cached_identity(token)` returns the identity of a token, given as bytes, that was accepted
            before and would be accepted again at this moment without waiting; None for every other token, which
            `verify` then decides. It never fetches and never raises.

    Raises:
        ConfigurationError: There is no provider and no fetcher, or an argument is unknown or out of range.

    Example:
        ```python
        verifier = Verifier(Provider(issuer="https://idp.example", application_id="app_123"))
        identity = verifier.verify(token)
        ```
    """

    @refuse_unknown()
    def __init__(  # noqa: PLR0913 - public options, each by keyword
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
        check_provider_types(providers)
        check_sizes(max_token_bytes, token_cache_size)
        check_has_provider(providers, fetcher)
        check_parts(clock, fetcher, document_store, cache_policy, on_event)
        self._providers = providers
        self._max_token_bytes = max_token_bytes
        self._clock = clock if clock is not None else SystemClock()
        self._registry = KeySetRegistry(
            providers,
            ProviderIndex(providers),
            clock=self._clock,
            fetcher=fetcher if fetcher is not None else HttpxFetcher(),
            policy=cache_policy if cache_policy is not None else CachePolicy(),
            on_event=on_event,
            document_store=document_store,
        )
        self._tokens = TokenCache(token_cache_size, self._clock)
        # An attribute, not a method: one call less for each request.
        self.cached_identity = self._tokens.get_if_fresh
        self._closed = False
        self._has_warned = False
        if fetcher is None:
            warn_of_many_verifiers(providers)
        warn_of_any_audience(providers)
        warn_of_shadowed_providers(providers)

    @classmethod
    def from_auth_config(cls, config: AuthConfig, **options: Any) -> Self:  # noqa: ANN401 - options of `Verifier`
        """Make a verifier from what a Convex `auth.config` exports.

        Args:
            config: The exported object, its JSON text, or the path of a `.json` file.
            options: Keyword arguments of `Verifier`.

        Returns:
            The verifier.

        Raises:
            ConfigurationError: Names the field, the correction and Convex's code.
        """
        return cls(*parse_auth_config(config), **options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:  # noqa: ANN401 - as above
        """Make a verifier from environment variables.

        Reads `AVEVERIFY_AUTH_CONFIG` (a path or JSON), or else `AVEVERIFY_ISSUER` and `AVEVERIFY_APPLICATION_ID`.

        Args:
            environ: The variables; those of the process by default.
            options: Keyword arguments of `Verifier`.

        Returns:
            The verifier.

        Raises:
            ConfigurationError: A variable is missing, misspelt, empty or invalid.
        """
        found = read_environment(os.environ if environ is None else environ)
        return cls(found, **options) if isinstance(found, Provider) else cls.from_auth_config(found, **options)

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The providers, in the order in which they are tried."""
        return self._providers

    @property
    def clock(self) -> Clock:
        """The wall clock and the monotonic clock."""
        return self._clock

    def verify(self, token: str | bytes) -> Identity:
        """Verify a token. Blocks while keys are fetched; under an event loop, use `verify_async`.

        Args:
            token: The compact token, without an authentication scheme.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged (503).
            ConfigurationError: The verifier is closed.
            TypeError: The token is neither str nor bytes.
        """
        # Nearly every token is short ASCII text; `_read_unusual` checks all others.
        data = (
            token.encode()
            if type(token) is str and len(token) <= self._max_token_bytes and token.isascii()
            else self._read_unusual(token)
        )
        known = self.cached_identity(data)
        if known is not None:
            return known
        lookup = self._start_lookup()
        while True:
            outcome = self._attempt(data, lookup)
            if not isinstance(outcome, KeysNeeded):
                return outcome
            completion = lookup.request_refresh(outcome)
            self._warn_of_blocked_loop(completion)
            lookup.after_wait(is_done=completion.wait(lookup.wait_budget_seconds))

    async def verify_async(self, token: str | bytes) -> Identity:
        """Verify a token without blocking the event loop while keys are fetched.

        Args:
            token: The compact token, without an authentication scheme.

        Returns:
            The identity.

        Raises:
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged (503).
            ConfigurationError: The verifier is closed.
            TypeError: The token is neither str nor bytes.
        """
        # Nearly every token is short ASCII text; `_read_unusual` checks all others.
        data = (
            token.encode()
            if type(token) is str and len(token) <= self._max_token_bytes and token.isascii()
            else self._read_unusual(token)
        )
        known = self.cached_identity(data)
        if known is not None:
            return known
        lookup = self._start_lookup()
        while True:
            outcome = self._attempt(data, lookup)
            if not isinstance(outcome, KeysNeeded):
                return outcome
            completion = lookup.request_refresh(outcome)
            lookup.after_wait(is_done=await completion.wait_async(lookup.wait_budget_seconds))

    def verify_header(self, value: str | bytes | None) -> Identity | None:
        """Verify the token of an Authorization header.

        Args:
            value: The value of the header; None if the request has none.

        Returns:
            The identity; None if the header has no credentials, or those of another scheme (HTTP-06).

        Raises:
            InvalidRequestError: The header is malformed.
            InvalidTokenError: The token is refused.
            KeysUnavailableError: The issuer's keys are unavailable; the token was not judged (503).
            ConfigurationError: The verifier is closed.
        """
        self._check_open()
        token = parse_authorization(value)
        return None if token is None else self.verify(token)

    async def verify_header_async(self, value: str | bytes | None) -> Identity | None:
        """Verify the token of an Authorization header without blocking the event loop; see `verify_header`.

        Args:
            value: The value of the header; None where there is none.

        Returns:
            The identity; None for an anonymous request.
        """
        self._check_open()
        token = parse_authorization(value)
        return None if token is None else await self.verify_async(token)

    def warm_up(self, *, fail_closed: bool = False) -> None:
        """Fetch the keys of all providers before the first request.

        Args:
            fail_closed: Raise an error if keys are unavailable; otherwise the first token tries again.

        Raises:
            KeysUnavailableError: With `fail_closed`, for the first provider without keys.
            ConfigurationError: The verifier is closed.
        """
        for lookup, completion in self._missing_keys(fail_closed=fail_closed):
            lookup.after_wait(is_done=completion.wait(lookup.wait_budget_seconds))

    async def warm_up_async(self, *, fail_closed: bool = False) -> None:
        """Fetch the keys of all providers before the first request, without blocking the event loop; see `warm_up`.

        Args:
            fail_closed: Whether to raise if the keys of a provider are unavailable.
        """
        for lookup, completion in self._missing_keys(fail_closed=fail_closed):
            lookup.after_wait(is_done=await completion.wait_async(lookup.wait_budget_seconds))

    def status(self) -> VerifierStatus:
        """Return what is known of each provider's keys, without fetching anything.

        Returns:
            Plain frozen data; `as_dict()` serves a readiness endpoint.

        Raises:
            ConfigurationError: The verifier is closed.
            InvalidTokenError: `CLOCK_UNUSABLE`.
        """
        self._check_open()
        instant = self._registry.read_instant()
        providers = tuple(
            describe_key_set(provider, remote_keys, instant) for provider, remote_keys in self._registry.providers
        )
        return VerifierStatus(providers=providers, cached_tokens=len(self._tokens))

    def close(self) -> None:
        """Forget tokens and keys, and close the connections. Idempotent; any thread may call it.

        From now on every call raises `ConfigurationError`, also for tokens that were accepted before. Calls that wait
        for keys at this moment stop waiting and raise it at once.

        Source: CON-008; CON-014.
        """
        self._closed = True
        self._tokens.close()
        self._registry.close()

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

    def _start_lookup(self) -> KeyLookup:
        if self._closed:
            self._check_open()
        return KeyLookup(self._registry)

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError(Problem.CLOSED, "the verifier")

    def _read_unusual(self, token: str | bytes) -> bytes:
        """Read a token that is not short ASCII text."""
        self._check_open()
        return token_bytes(token, self._max_token_bytes)

    def _attempt(self, token: bytes, lookup: KeyLookup) -> Identity | KeysNeeded[RemoteKeySet]:
        """Verify a token with the keys as they are now: from the cache of accepted tokens, or by the six steps."""
        identity = self._tokens.get_if_still_valid(token, lookup)
        if identity is not None:
            return identity
        outcome = verify_without_waiting(token, lookup)
        if isinstance(outcome, KeysNeeded):
            return outcome
        self._tokens.put(token, outcome)
        # CON-014: closed meanwhile. Compared here first, one call less for every new token.
        if self._closed:
            self._check_open()
        return outcome.identity

    def _missing_keys(self, *, fail_closed: bool) -> Iterator[tuple[KeyLookup, Completion]]:
        """Yield each refresh to wait for until the keys of every provider are usable or unavailable."""
        self._check_open()
        for provider, remote_keys in self._registry.providers:
            lookup = self._start_lookup()
            try:
                while lookup.usable_keys(remote_keys) is None:
                    yield lookup, lookup.request_refresh(KeysNeeded(provider, remote_keys, RefreshReason.KEYS, None))
            except KeysUnavailableError:
                if fail_closed:
                    raise

    def _warn_of_blocked_loop(self, completion: Completion) -> None:
        if self._has_warned or completion.is_done or find_event_loop() is None:
            return
        self._has_warned = True
        warnings.warn(
            "Verifier.verify() waits for keys under a running event loop and blocks it; use verify_async()",
            RuntimeWarning,
            stacklevel=3,
        )
