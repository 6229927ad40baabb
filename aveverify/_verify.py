"""The plain function `aveverify.verify`, and the few verifiers that it keeps: the only global state of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aveverify._core.provider import Provider
from aveverify._lru_map import RecentlyUsed
from aveverify.verifier import Verifier

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

# A program that verifies for more issuers than this through the plain function should make verifiers of its own.
MAX_KEPT_VERIFIERS: Final = 64


class _KeptVerifiers(RecentlyUsed[Provider, Verifier]):
    """A few verifiers by their provider."""

    def of(self, provider: Provider) -> Verifier:
        """Return the verifier of a provider, the same as last time."""
        return self.update(provider, lambda verifier: Verifier(provider) if verifier is None else verifier)

    def clear(self) -> None:
        """Close and forget all of them."""
        for verifier in self.take_all():
            verifier.close()


kept: Final = _KeptVerifiers(MAX_KEPT_VERIFIERS)


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
