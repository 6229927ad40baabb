"""`Scene`: for every `Reason` one refused situation: a verifier, a request, and the options of a middleware.

A reason that an invalid token can cause has one of `FLAWS`. The others need a further provider, another JWK Set, an
outage, a broken clock, a malformed header or a rule of the application. RFC 6750; RFC 8725.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from aveverify._core.provider import Provider
from aveverify._http.app_user import make_refusal
from aveverify.errors import (
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)
from aveverify.fetcher import FetchError, FetchRequest, FetchResponse
from aveverify.testing._clock import FakeClock
from aveverify.testing._invalid_tokens import REASON_BY_FLAW
from aveverify.testing._issuer import Issuer
from aveverify.testing._keys import SigningKey, dump_json

if TYPE_CHECKING:
    from aveverify._core.identity import Identity
    from aveverify.verifier import Verifier

_HOUR_SECONDS: Final = 3600
_SCOPE: Final = "aveverify.testing:missing-scope"
_STATUS: Final = {
    Reason.KEYS_UNAVAILABLE: KeysUnavailableError.http_status,
    Reason.MALFORMED_AUTHORIZATION: InvalidRequestError.http_status,
    Reason.REPEATED_AUTHORIZATION: InvalidRequestError.http_status,
    Reason.INSUFFICIENT_SCOPE: InsufficientScopeError.http_status,
    Reason.MISCONFIGURED: ConfigurationError.http_status,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A situation that is refused for one reason; made by `FakeIssuer.scene`. Close it, or use it with `with`.

    Attributes:
        reason: The reason of the refusal.
        verifier: The verifier to build the application with.
        options: Keyword arguments for the middleware or integration (`scopes`, `check`), without which it would accept
            the request.
        token: The refused token, for a test of the verifier alone.
        headers: The headers of the refused request, as pairs of name and value. For `OTHER_USER` the request is
            accepted: it opens the WebSocket on which `reauthenticate(token)` is refused.
    """

    reason: Reason
    verifier: Verifier = field(repr=False)
    options: Mapping[str, Any]
    token: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def status(self) -> int:
        """The status of the response; 500 stands for an exception that only the programmer can fix."""
        return _STATUS.get(self.reason, InvalidTokenError.http_status)

    def close(self) -> None:
        """Close the verifier."""
        self.verifier.close()

    def __enter__(self) -> Self:
        """Return the scene itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the verifier."""
        self.close()


class _Plan(NamedTuple):
    """In what one scene differs from an accepted request."""

    token: str
    provider: Provider | None = None
    verifier_options: Mapping[str, Any] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    credentials: tuple[str, ...] | None = None
    closed: bool = False


class _OtherKeys:
    """A `Fetcher` with the issuer's discovery document and another JWK Set."""

    def __init__(self, issuer: Issuer, *jwks: Mapping[str, Any]) -> None:
        self._issuer = issuer
        self._body = json.dumps({"keys": jwks}).encode()

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer with the other JWK Set, or as the issuer does."""
        if request.url != self._issuer.jwks_uri:
            return self._issuer.fetch(request)
        return FetchResponse(status=200, headers={"Content-Type": "application/jwk-set+json"}, body=self._body)


class _UnreachableIssuer:
    """A `Fetcher` whose every request fails."""

    def fetch(self, _request: FetchRequest) -> FetchResponse:
        """Raise `FetchError`."""
        message = "the fake issuer is down"
        raise FetchError(message)


def make_scene(issuer: Issuer, reason: Reason, forge: Callable[[str], str]) -> Scene:
    """Make the scene of a reason.

    Args:
        issuer: Issues the token; stays as it is.
        reason: The reason of the refusal.
        forge: Makes the issuer's token with one flaw, by the name of the flaw.

    Returns:
        The scene.
    """
    plan = _PLANS[reason](issuer) if reason in _PLANS else _Plan(forge(_FLAW_BY_REASON[reason]))
    verifier = issuer.verifier(*([plan.provider] if plan.provider else []), **plan.verifier_options)
    if plan.closed:
        verifier.close()
    credentials = (f"Bearer {plan.token}",) if plan.credentials is None else plan.credentials
    headers = tuple(("Authorization", value) for value in credentials)
    return Scene(reason=reason, verifier=verifier, options=plan.options, token=plan.token, headers=headers)


def _without_scheme(issuer: Issuer) -> _Plan:
    bare = issuer.issuer.partition("://")[2]
    provider = Provider(issuer=f"https://{bare}", application_id=issuer.application_id)
    return _Plan(issuer.token(iss=bare), provider)


def _on_custom_jwt(issuer: Issuer, *, omit: tuple[str, ...] = (), **claims: int) -> _Plan:
    """Sign with a key of the scene's own: the issuer may have no key for ES256."""
    key = SigningKey("ES256")
    header = {name: text for name, text in {"alg": "ES256", "typ": "JWT", "kid": key.kid}.items() if name not in omit}
    token = key.sign_token(header, dump_json(issuer.claims() | claims))
    return _Plan(token, issuer.custom_jwt_provider("ES256"), {"fetcher": _OtherKeys(issuer, key.jwk)})


def _not_yet_valid(issuer: Issuer) -> _Plan:
    return _on_custom_jwt(issuer, nbf=int(issuer.clock.now()) + _HOUR_SECONDS // 2)


def _issued_in_the_future(issuer: Issuer) -> _Plan:
    return _on_custom_jwt(issuer, iat=int(issuer.clock.now()) + _HOUR_SECONDS // 2)


def _ambiguous_key(issuer: Issuer) -> _Plan:
    one, other = SigningKey("EdDSA"), SigningKey("EdDSA")
    token = one.sign_token({"alg": "EdDSA", "typ": "JWT"}, dump_json(issuer.claims()))
    return _Plan(token, None, {"fetcher": _OtherKeys(issuer, one.jwk, other.jwk)})


def _key_not_suitable(issuer: Issuer) -> _Plan:
    # RFC 8037 §2: an Ed25519 key has 32 bytes, this one 31; the good key beside it keeps the JWK Set usable.
    good, short = SigningKey("EdDSA"), SigningKey("EdDSA")
    token = short.sign_token({"alg": "EdDSA", "typ": "JWT", "kid": short.kid}, dump_json(issuer.claims()))
    return _Plan(token, None, {"fetcher": _OtherKeys(issuer, good.jwk, short.jwk | {"x": "A" * 42})})


def _no_id_token(issuer: Issuer) -> _Plan:
    client_id = issuer.application_id or "app_test"
    token = issuer.token(aud=client_id, azp="app_other")
    return _Plan(token, Provider.ave(client_id, issuer=issuer.issuer))


def _refuse_user(issuer: Issuer, reason: Reason) -> _Plan:
    """Refuse in `check`, which every framework takes: `load_user` has another signature in each."""

    def check(identity: Identity) -> NoReturn:
        raise make_refusal(reason, identity)

    return _Plan(issuer.token(), options={"check": check})


def _other_user(issuer: Issuer) -> _Plan:
    return _Plan(issuer.token(sub="user_grace"), credentials=(f"Bearer {issuer.token()}",))


def _repeated(issuer: Issuer) -> _Plan:
    token = issuer.token()
    return _Plan(token, credentials=(f"Bearer {token}", f"Bearer {token}"))


def _malformed(issuer: Issuer) -> _Plan:
    token = issuer.token()
    return _Plan(token, credentials=(f"Bearer {token} {token}",))


# Reasons that no token of the issuer's own provider can cause.
_PLANS: Final[dict[Reason, Callable[[Issuer], _Plan]]] = {
    Reason.ISSUER_WITHOUT_SCHEME: _without_scheme,
    Reason.KEY_ID_MISSING: lambda issuer: _on_custom_jwt(issuer, omit=("kid",)),
    Reason.AMBIGUOUS_KEY: _ambiguous_key,
    Reason.KEY_NOT_SUITABLE: _key_not_suitable,
    Reason.NOT_YET_VALID: _not_yet_valid,
    Reason.ISSUED_IN_THE_FUTURE: _issued_in_the_future,
    Reason.NOT_AN_ID_TOKEN: _no_id_token,
    Reason.REFUSED_BY_CHECK: lambda issuer: _Plan(issuer.token(), options={"check": lambda _identity: "revoked"}),
    Reason.UNKNOWN_USER: lambda issuer: _refuse_user(issuer, Reason.UNKNOWN_USER),
    Reason.INACTIVE_USER: lambda issuer: _refuse_user(issuer, Reason.INACTIVE_USER),
    Reason.OTHER_USER: _other_user,
    Reason.CLOCK_UNUSABLE: lambda issuer: _Plan(issuer.token(), None, {"clock": FakeClock(now=float("nan"))}),
    Reason.KEYS_UNAVAILABLE: lambda issuer: _Plan(issuer.token(), None, {"fetcher": _UnreachableIssuer()}),
    Reason.MALFORMED_AUTHORIZATION: _malformed,
    Reason.REPEATED_AUTHORIZATION: _repeated,
    Reason.INSUFFICIENT_SCOPE: lambda issuer: _Plan(issuer.token(), options={"scopes": (_SCOPE,)}),
    Reason.MISCONFIGURED: lambda issuer: _Plan(issuer.token(), closed=True),
}
# The first flaw of each reason.
_FLAW_BY_REASON: Final = {reason: flaw for flaw, reason in reversed(list(REASON_BY_FLAW.items()))}
