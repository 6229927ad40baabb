"""The plain function `aveverify.verify`, and the few verifiers that it keeps: the only global state of the package."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from aveverify.provider import Provider
from aveverify.verifier import Verifier

if TYPE_CHECKING:
    from aveverify.identity import Identity

# A program that verifies for more issuers than this through the plain function should make verifiers of its own.
MAX_KEPT_VERIFIERS: Final = 64
_kept: Final[LRUCache[Provider, Verifier]] = LRUCache(MAX_KEPT_VERIFIERS)
_lock: Final = Lock()


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
    with _lock:
        verifier = _kept.get(provider)
        if verifier is None:
            verifier = _kept[provider] = Verifier(provider)
    return verifier.verify(token)
