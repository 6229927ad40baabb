"""Step 2: issuer and audience select the provider: the first one in written order that fits, and no other (SEL-03).

One dictionary, built once: issuer -> {audience -> index, any audience -> index}. The work does not grow with the
number of providers. Nothing of the token becomes a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from aveverify._core.jose.jwt_claims import UnverifiedClaims
from aveverify.errors import Hint, InvalidTokenError, Reason

_SCHEMES: Final = ("https://", "http://")
# A token may name thousands of audiences. Looked up one by one they cost more than an intersection with the known ones;
# a hint looks at the first few.
_MANY_AUDIENCES: Final = 8
_SIMILAR: Final = re.compile(r"^(?:\w+://)?(?:api\.|www\.)?([^/:]*)(?::\d+)?(.*?)/*$")


class Configured(Protocol):
    """The part of a provider that selection uses."""

    @property
    def issuer(self) -> str:
        """The text that is compared with `iss`."""

    @property
    def application_id(self) -> str | None:
        """The audience that a token must have; None accepts every audience."""


class _Routes:
    """The providers of one issuer: the index of the provider for each audience."""

    __slots__ = ("any_audience", "by_audience")

    def __init__(self) -> None:
        self.by_audience: dict[str, int] = {}
        self.any_audience: int | None = None


class ProviderIndex:
    """The providers of a verifier, by issuer and audience."""

    __slots__ = ("_as_written", "_by_issuer", "_similar")

    def __init__(self, providers: Sequence[Configured]) -> None:
        self._by_issuer: dict[str, _Routes] = {}
        for index, provider in enumerate(providers):
            routes = self._by_issuer.setdefault(provider.issuer.rstrip("/"), _Routes())
            if provider.application_id is not None:
                # SEL-03: the lowest index wins.
                routes.by_audience.setdefault(provider.application_id, index)
            elif routes.any_audience is None:
                routes.any_audience = index
        # Most tokens spell the issuer as it is configured.
        self._as_written = {
            provider.issuer: self._by_issuer[provider.issuer.rstrip("/")]
            for provider in providers
            if provider.issuer.startswith(_SCHEMES)
        }
        self._similar = frozenset(map(_simplify, self._by_issuer))

    def select(self, unverified: UnverifiedClaims) -> int:
        """Select the provider of a token.

        Args:
            unverified: What the token says.

        Returns:
            The index of the first provider in written order that fits.

        Raises:
            InvalidTokenError: `UNKNOWN_ISSUER` or `AUDIENCE_MISMATCH`.

        Source: SEL-01 to SEL-05.
        """
        routes = self._as_written.get(unverified.issuer) or self._find_routes(unverified.issuer)
        # SEL-01; SEL-03: the lowest index wins.
        found = routes.any_audience
        audiences: Iterable[str] = unverified.audiences
        if unverified.audiences[_MANY_AUDIENCES:]:
            audiences = routes.by_audience.keys() & unverified.audiences
        for text in audiences:
            index = routes.by_audience.get(text)
            if index is not None and (found is None or index < found):
                found = index
        if found is None:
            raise InvalidTokenError(
                Reason.AUDIENCE_MISMATCH,
                rule="SEL-01",
                issuer=unverified.issuer,
                hint=_hint_at_audience(unverified, routes),
            )
        return found

    def _find_routes(self, text: str) -> _Routes:
        # SEL-02: no other normalisation; case, ports, blanks and dot segments all count.
        issuer = text if text.startswith(_SCHEMES) else f"https://{text}"
        routes = self._by_issuer.get(issuer.rstrip("/"))
        if routes is None:
            similar = self._similar
            raise InvalidTokenError(
                Reason.UNKNOWN_ISSUER,
                rule="SEL-04",
                issuer=text,
                hint=lambda: Hint.SIMILAR_ISSUER if _simplify(issuer) in similar else None,
            )
        return routes


def _simplify(issuer: str) -> str:
    found = _SIMILAR.match(issuer[:512].lower())
    return f"{found[1]}{found[2]}" if found else issuer


def _hint_at_audience(unverified: UnverifiedClaims, routes: _Routes) -> Hint:
    if not unverified.audiences:
        return Hint.NO_AUDIENCE
    if unverified.issuer in unverified.audiences:
        # Ave's access tokens are for Ave itself and carry the client in `cid`.
        return Hint.AVE_ACCESS_TOKEN if "cid" in unverified.claims else Hint.ACCESS_TOKEN
    if "" in routes.by_audience:
        # CFG-17
        return Hint.EMPTY_APPLICATION_ID
    wanted = routes.by_audience
    compared = [*unverified.audiences[:_MANY_AUDIENCES], *islice(wanted, _MANY_AUDIENCES)]
    if any(text.startswith("origin:") for text in compared):
        return Hint.ORIGIN_AUDIENCE
    return Hint.OTHER_CLIENT
