"""What a `Verifier` checks of its options when it is made, and the mistakes of a deployment that it logs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aveverify._core.provider import Provider
from aveverify._lru_map import RecentlyUsed
from aveverify.cache_policy import CachePolicy
from aveverify.errors import ConfigurationError, Problem, quote
from aveverify.errors._unknown_options import refuse_misspelt

if TYPE_CHECKING:
    from aveverify.clock import Clock
    from aveverify.document_store import DocumentStore
    from aveverify.fetcher import Fetcher

log = logging.getLogger("aveverify")

_MAX_TOKEN_CACHE_SIZE: Final = 10_000_000
_MAX_TOKEN_BYTES_LIMIT: Final = 16 * 1024 * 1024
# This many verifiers of one provider in one process: the program makes one for each request.
_MANY_VERIFIERS: Final = 10
# How many verifiers were made for the network. It feeds one log record and decides nothing.
_made: Final[RecentlyUsed[Provider, int]] = RecentlyUsed(256)


def check_provider_types(providers: tuple[object, ...]) -> None:
    """Refuse arguments that are no providers.

    Raises:
        ConfigurationError: `NOT_A_PROVIDER`.
    """
    for index, provider in enumerate(providers):
        if not isinstance(provider, Provider):
            raise ConfigurationError(Problem.NOT_A_PROVIDER, f"providers[{index}]")


def check_has_provider(providers: tuple[Provider, ...], fetcher: Fetcher | None) -> None:
    """Refuse a verifier that would refuse every token.

    What a verifier without providers answers is defined (SEL-05), so tests with a fetcher of their own may make one. No
    integration accepts it.

    Raises:
        ConfigurationError: `NO_PROVIDERS`.

    Source: HTP-043.
    """
    if not providers and fetcher is None:
        raise ConfigurationError(Problem.NO_PROVIDERS, "providers")


def check_sizes(max_token_bytes: object, token_cache_size: object) -> None:
    """Refuse sizes out of range.

    Raises:
        ConfigurationError: `OUT_OF_RANGE`.

    Source: CFG-009.
    """
    _check_range("max_token_bytes", max_token_bytes, 1, _MAX_TOKEN_BYTES_LIMIT)
    _check_range("token_cache_size", token_cache_size, 0, _MAX_TOKEN_CACHE_SIZE)


def check_parts(
    clock: Clock | None,
    fetcher: Fetcher | None,
    document_store: DocumentStore | None,
    cache_policy: object,
    on_event: object,
) -> None:
    """Refuse objects that lack the methods that a verifier calls.

    Raises:
        ConfigurationError: `OUT_OF_RANGE`.
    """
    _check_methods("clock", clock, "now", "monotonic")
    _check_methods("fetcher", fetcher, "fetch")
    _check_methods("document_store", document_store, "get", "put", "lease")
    if cache_policy is not None and not isinstance(cache_policy, CachePolicy):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "cache_policy", "a CachePolicy")
    if on_event is not None and not callable(on_event):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "on_event", "a function of an event")


def read_environment(variables: Mapping[str, str]) -> str | Provider:
    """Return what the environment configures: the text of `AVEVERIFY_AUTH_CONFIG`, or else one provider.

    Raises:
        ConfigurationError: A variable is missing, misspelt, empty or invalid.
    """
    names = ("AVEVERIFY_AUTH_CONFIG", "AVEVERIFY_ISSUER", "AVEVERIFY_APPLICATION_ID")
    for name in names:
        # CFG-013: a variable without a value is a mistake of the deployment, and never counts as unset.
        if not variables.get(name, name).strip():
            raise ConfigurationError(Problem.EMPTY, name)
    config, issuer, application_id = map(variables.get, names)
    if config is not None:
        return config
    if issuer is None or application_id is None:
        refuse_misspelt(variables, names)
    if issuer is None:
        raise ConfigurationError(Problem.ENVIRONMENT, "AVEVERIFY_ISSUER")
    if application_id is None:
        raise ConfigurationError(Problem.ENVIRONMENT, "AVEVERIFY_APPLICATION_ID")
    return Provider(issuer=issuer, application_id=application_id)


def warn_of_many_verifiers(providers: tuple[Provider, ...]) -> None:
    """Warn, once for each provider, of a program that makes verifiers again and again instead of keeping one."""
    for provider in providers:
        made = _made.update(provider, lambda before: (before or 0) + 1)
        if made == _MANY_VERIFIERS:
            log.warning(
                "the %dth verifier for %s: each has caches of its own and asks the issuer anew; make one and keep it",
                made,
                quote(provider.issuer),
            )


def warn_of_any_audience(providers: tuple[Provider, ...]) -> None:
    """Warn of each provider that accepts tokens for any audience (SEC-03, XJW-007)."""
    for provider in providers:
        if provider.application_id is None:
            log.warning("provider %s accepts tokens made for any client of its issuer", quote(provider.issuer))


def warn_of_shadowed_providers(providers: tuple[Provider, ...]) -> None:
    """Warn of each provider that no token ever selects, because an earlier one takes all of its tokens (CFG-016)."""
    # As `ProviderIndex` compares: the issuer except for trailing slashes, and None takes every audience.
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
