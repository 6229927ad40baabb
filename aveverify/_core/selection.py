"""Step 2: issuer and audience choose the provider; the first one in written order that fits, and no other (SEL-03).

One dictionary, built once: issuer -> {audience -> index, any audience -> index}. The work does not grow with the
number of providers. Nothing is fetched here, and nothing of the token becomes an address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from aveverify._core.registered import UnverifiedClaims
from aveverify.errors import Hint, InvalidTokenError, Reason

_SIMILAR: Final = re.compile(r"^(?:\w+://)?(?:api\.|www\.)?([^/:]*)(?::\d+)?(.*?)/*$")


class Configured(Protocol):
    """What selection needs to know of a provider."""

    @property
    def issuer(self) -> str:
        """The text that is compared with `iss`."""

    @property
    def application_id(self) -> str | None:
        """The audience that is asked for; None takes any."""


class _Routes:
    """The providers of one issuer: which index serves which audience."""

    __slots__ = ("any_audience", "by_audience")

    def __init__(self) -> None:
        self.by_audience: dict[str, int] = {}
        self.any_audience: int | None = None


class ProviderTable:
    """The providers of a verifier, by issuer and audience."""

    __slots__ = ("_by_issuer", "_similar")

    def __init__(self, providers: Sequence[Configured]) -> None:
        self._by_issuer: dict[str, _Routes] = {}
        for index, provider in enumerate(providers):
            routes = self._by_issuer.setdefault(provider.issuer.rstrip("/"), _Routes())
            if provider.application_id is not None:
                # SEL-03: the lowest index wins.
                routes.by_audience.setdefault(provider.application_id, index)
            elif routes.any_audience is None:
                routes.any_audience = index
        self._similar = frozenset(map(_simplify, self._by_issuer))

    def select(self, claims: UnverifiedClaims) -> int:
        """Choose the provider of a token.

        Args:
            claims: What the token says.

        Returns:
            The index of the first provider in written order that fits.

        Raises:
            InvalidTokenError: `UNKNOWN_ISSUER` or `AUDIENCE_MISMATCH`.

        Source: SEL-01 to SEL-05.
        """
        # SEL-02: no other normalisation; case, ports, blanks and dot segments all count.
        issuer = claims.issuer if claims.issuer.startswith(("https://", "http://")) else f"https://{claims.issuer}"
        routes = self._by_issuer.get(issuer.rstrip("/"))
        if routes is None:
            hint = Hint.SIMILAR_ISSUER if _simplify(issuer) in self._similar else None
            raise InvalidTokenError(Reason.UNKNOWN_ISSUER, rule="SEL-04", issuer=claims.issuer, hint=hint)
        # SEL-01
        found = [index for text in claims.audiences if (index := routes.by_audience.get(text)) is not None]
        if routes.any_audience is not None:
            found.append(routes.any_audience)
        if not found:
            raise InvalidTokenError(
                Reason.AUDIENCE_MISMATCH, rule="SEL-01", issuer=claims.issuer, hint=_hint_at_audience(claims, routes)
            )
        return min(found)


def _simplify(issuer: str) -> str:
    found = _SIMILAR.match(issuer[:512].lower())
    return f"{found[1]}{found[2]}" if found else issuer


def _hint_at_audience(claims: UnverifiedClaims, routes: _Routes) -> Hint:
    if not claims.audiences:
        return Hint.NO_AUDIENCE
    if claims.issuer in claims.audiences:
        # Ave's access tokens are for Ave itself and carry the client in `cid`.
        return Hint.AVE_ACCESS_TOKEN if "cid" in claims.claims else Hint.ACCESS_TOKEN
    if "" in routes.by_audience:
        # CFG-17
        return Hint.EMPTY_APPLICATION_ID
    wanted = routes.by_audience
    if any(text.startswith("origin:") for text in claims.audiences) or any(
        text.startswith("origin:") for text in wanted
    ):
        return Hint.ORIGIN_AUDIENCE
    return Hint.OTHER_CLIENT
