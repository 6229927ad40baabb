"""Refusals: for every `Reason` one `Scene` that is refused for it.

A reason that an invalid token can cause has one of `FLAWS`. The others need a further provider, another JWK Set, an
outage, a broken clock, a malformed header or a rule of the application. RFC 6750; RFC 8725.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from aveverify._core.provider import Provider
from aveverify._http.app_user import make_user_error
from aveverify.errors import Reason
from aveverify.fetcher import FetchError, FetchRequest, FetchResponse
from aveverify.testing._clock import FakeClock
from aveverify.testing._invalid_tokens import REASON_BY_FLAW
from aveverify.testing._issuer import Issuer
from aveverify.testing._keys import SigningKey, dump_json
from aveverify.testing._scene import Scene

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

_HOUR_SECONDS: Final = 3600
_SCOPE: Final = "aveverify.testing:missing-scope"


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
        raise make_user_error(reason, identity)

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
    Reason.NOT_ALLOWED: lambda issuer: _Plan(issuer.token(), options={"allow": lambda _identity: False}),
    Reason.MISCONFIGURED: lambda issuer: _Plan(issuer.token(), closed=True),
}
# The first flaw of each reason.
_FLAW_BY_REASON: Final = {reason: flaw for flaw, reason in reversed(list(REASON_BY_FLAW.items()))}
