"""The plain function `aveverify.verify`, and the few verifiers that it keeps: the only global state of the package."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from aveverify._fork import renew_after_fork
from aveverify.provider import Provider
from aveverify.verifier import Verifier

if TYPE_CHECKING:
    from aveverify.identity import Identity

# A program that verifies for more issuers than this through the plain function should make verifiers of its own.
MAX_KEPT_VERIFIERS: Final = 64


class _KeptVerifiers:
    """A few verifiers by their provider; the one that was used least recently goes first."""

    def __init__(self) -> None:
        self._verifiers: LRUCache[Provider, Verifier] = LRUCache(MAX_KEPT_VERIFIERS)
        self._lock = Lock()
        renew_after_fork(self)

    def __len__(self) -> int:
        return len(self._verifiers)

    def of(self, provider: Provider) -> Verifier:
        """Return the verifier of a provider, the same as last time."""
        with self._lock:
            verifier = self._verifiers.get(provider)
            if verifier is None:
                verifier = self._verifiers[provider] = Verifier(provider)
            return verifier

    def clear(self) -> None:
        """Close and forget all of them."""
        with self._lock:
            verifiers = list(self._verifiers.values())
            self._verifiers.clear()
        for verifier in verifiers:
            verifier.close()

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = Lock()


kept: Final = _KeptVerifiers()


def verify(token: str | bytes, *, issuer: str, application_id: str, leeway_seconds: float | None = None) -> Identity:
    """Verify a token of one OIDC issuer, with a verifier that is kept for the next call.

    Args:
        token: The compact token, without any scheme in front.
        issuer: The issuer's URL.
        application_id: The client id that `aud` must name.
        leeway_seconds: 0 to 300; None is Convex's own, which is 0.

    Returns:
        The identity.

    Raises:
        InvalidTokenError: The token is refused.
        KeysUnavailableError: The issuer's keys cannot be had; the token is not to blame.
        ConfigurationError: Issuer, audience or leeway cannot be right.
    """
    provider = Provider(issuer=issuer, application_id=application_id, leeway_seconds=leeway_seconds)
    return kept.of(provider).verify(token)
