"""What one verification needs of a provider: its configuration, the rules of its kind, and what it has seen.

The two kinds of provider differ in the rows of one table here, in the checks of a configuration (`provider`), and in
which claims an identity shows (`identity`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aveverify._core.header_cache import HeaderCache
from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.jose.jws import Header, UnverifiedToken
from aveverify._core.jose.jwt_claims import UnverifiedClaims
from aveverify._core.jose.public_key import PublicKey
from aveverify._core.key_cache.metadata import is_same_issuer
from aveverify._core.provider import Provider
from aveverify._core.rules import custom_jwt, oidc
from aveverify.errors import Hint, InvalidTokenError, KeysUnavailableError, ProviderKind, Reason

RemoteKeysT = TypeVar("RemoteKeysT")

_WRONG_DOCUMENT_RETRY_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """What the two kinds of provider do differently: one row each.

    A function that refuses the token raises `InvalidTokenError`.

    Attributes:
        parse_token: Step 3: reads the whole token strictly; takes the header of an equal segment that is known.
        check_header: Step 3: refuses a header that no key could make acceptable; takes the configured algorithm.
        check_audiences: Step 3: takes the configured audience; OIDC refuses further ones, customJwt refuses none.
        check_document_issuer: Step 4: compares `iss` with the issuer of the discovery document, if there is one; also
            raises `KeysUnavailableError`, if that document belongs to another issuer.
        select_key: Step 4: chooses the key.
        check_claims: Step 6: takes the claims, the instant and the leeway, in seconds.
        compute_validity: Between which seconds `check_claims` certainly passes again; raises nothing.
    """

    parse_token: Callable[[UnverifiedClaims, Header | None], UnverifiedToken]
    check_header: Callable[[Header, str | None], None]
    check_audiences: Callable[[UnverifiedClaims, str | None], None]
    check_document_issuer: Callable[[str, Provider, str | None], None]
    select_key: Callable[[KeySet, UnverifiedToken], PublicKey]
    check_claims: Callable[[JsonObject, float, float], None]
    compute_validity: Callable[[JsonObject, float], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ProviderContext(Generic[RemoteKeysT]):
    """One provider, made ready for its tokens. Slots: the attribute of a tuple takes 6 ns more to read.

    Attributes:
        provider: The configuration.
        remote_keys: Where its keys come from.
        rules: The row of its kind.
        only_audience: The audiences of a token that names the configured one alone.
        leeway_seconds: Clock skew to forgive.
        ave_client_id: The client whose id_tokens alone are accepted; None without that preset.
        headers: The headers of tokens that it accepted.
    """

    provider: Provider
    remote_keys: RemoteKeysT
    rules: ProviderRules
    only_audience: tuple[str | None]
    leeway_seconds: float
    ave_client_id: str | None
    headers: HeaderCache


def make_context(provider: Provider, remote_keys: RemoteKeysT) -> ProviderContext[RemoteKeysT]:
    """Make a provider ready for its tokens.

    Args:
        provider: The configuration.
        remote_keys: Where its keys come from.

    Returns:
        The context, which has seen no token yet.
    """
    return ProviderContext(
        provider=provider,
        remote_keys=remote_keys,
        rules=_RULES_BY_KIND[provider.kind],
        only_audience=(provider.application_id,),
        leeway_seconds=provider.effective_leeway_seconds,
        ave_client_id=provider.application_id if provider.preset == "ave" else None,
        headers=HeaderCache(),
    )


def _check_oidc_document_issuer(issuer: str, provider: Provider, document_issuer: str | None) -> None:
    # DISC-05. With a jwks_uri override there is no document: iss must equal the configured text.
    expected = provider.issuer if document_issuer is None else document_issuer
    if issuer == expected:
        return
    if not is_same_issuer(expected, provider.issuer):
        raise KeysUnavailableError(
            _WRONG_DOCUMENT_RETRY_SECONDS,
            kind="oidc",
            issuer=provider.issuer,
            cause="the discovery document belongs to another issuer",
        )
    raise InvalidTokenError(
        Reason.ISSUER_MISMATCH, rule="DISC-05", kind="oidc", issuer=issuer, hint=Hint.TRAILING_SLASH
    )


def _check_no_document_issuer(_issuer: str, _provider: Provider, _document_issuer: str | None) -> None:
    """Compare nothing: customJwt has no discovery document; step 2 compared `iss` already (CJ-14)."""


_RULES_BY_KIND: Final[dict[ProviderKind, ProviderRules]] = {
    "oidc": ProviderRules(
        parse_token=oidc.parse_token,
        check_header=oidc.check_header,
        check_audiences=oidc.check_audiences,
        check_document_issuer=_check_oidc_document_issuer,
        select_key=oidc.select_key,
        check_claims=oidc.check_claims,
        compute_validity=oidc.compute_validity,
    ),
    "customJwt": ProviderRules(
        parse_token=custom_jwt.parse_token,
        check_header=custom_jwt.check_header,
        check_audiences=custom_jwt.check_audiences,
        check_document_issuer=_check_no_document_issuer,
        select_key=custom_jwt.select_key,
        check_claims=custom_jwt.check_claims,
        compute_validity=custom_jwt.compute_validity,
    ),
}
