"""The plain function `aveverify.verify`, and the verifiers that it keeps: the only global state of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aveverify._core.provider import Provider
from aveverify._lru_map import RecentlyUsed
from aveverify.verifier import Verifier

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

# A program with more issuers than this should make verifiers of its own.
MAX_KEPT_VERIFIERS: Final = 64


class _KeptVerifiers(RecentlyUsed[Provider, Verifier]):
    """Verifiers by their provider."""

    def of(self, provider: Provider) -> Verifier:
        """Return the verifier of a provider, made at the first call."""
        return self.update(provider, lambda verifier: Verifier(provider) if verifier is None else verifier)

    def clear(self) -> None:
        """Close and forget all of them."""
        for verifier in self.take_all():
            verifier.close()


kept: Final = _KeptVerifiers(MAX_KEPT_VERIFIERS)


def verify(token: str | bytes, *, issuer: str, application_id: str, leeway_seconds: float | None = None) -> Identity:
    """Verify a token of one OIDC issuer, with a verifier that is kept for the next call.

    For scripts and first steps. A server makes a `Verifier`, which has all options and can be closed.

    Args:
        token: The compact token, without `Bearer` in front.
        issuer: The issuer's URL; `https://` is put in front of a text without scheme.
        application_id: The client id that `aud` must name.
        leeway_seconds: Clock skew to forgive, 0 to 300; None is Convex's own, which is 0.

    Returns:
        The identity.

    Raises:
        InvalidTokenError: The token is refused (401).
        KeysUnavailableError: The issuer's keys are unavailable; the token was not judged (503).
        ConfigurationError: Issuer, audience or leeway cannot be right.
        TypeError: The token is neither str nor bytes.

    Example:
        >>> identity = verify(token, issuer="https://aveid.net", application_id="app_123")  # doctest: +SKIP
        >>> identity.subject  # doctest: +SKIP
        'u_123'

    Source: the six steps of `aveverify._core.verification`.
    """
    provider = Provider(issuer=issuer, application_id=application_id, leeway_seconds=leeway_seconds)
    return kept.of(provider).verify(token)
