"""The whole verification on one page: six steps, each raises or returns a narrower type.

    text -> UnverifiedClaims -> provider -> UnverifiedToken -> key -> VerifiedToken -> Identity

`judge` never waits: where keys are missing it says so with a `Wait`, and whoever called it may wait and call again.
The order of the steps is Convex's and decides the code when several things are wrong (PRE-07, OIDC-26).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from aveverify._core.header_cache import HeaderCache
from aveverify._core.identity import Identity, make_identity
from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.jwk import KeySet, PublicKey
from aveverify._core.jose.jws import Header, UnverifiedToken
from aveverify._core.jose.jwt_claims import UnverifiedClaims, read_claims
from aveverify._core.jose.signature import verify_signature
from aveverify._core.key_cache.metadata import is_same_issuer
from aveverify._core.key_cache.state import RefreshReason, Snapshot
from aveverify._core.provider import Provider
from aveverify._core.rules import custom_jwt, oidc
from aveverify._core.rules.ave import check_id_token
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify.errors import (
    Hint,
    InvalidTokenError,
    KeysUnavailableError,
    ProviderKind,
    Reason,
)


class CheckBeforeKeys(Protocol):
    """A check that needs the token and one word of the configuration."""

    def __call__(self, token: UnverifiedToken, demand: str | None, /, *, is_known_header: bool) -> None:
        """Refuse what no key could mend."""


class Policy(NamedTuple):
    """What the two paths do differently: one row each."""

    parse_token: Callable[[UnverifiedClaims, Header | None], UnverifiedToken]
    check_before_keys: CheckBeforeKeys
    check_document: Callable[[UnverifiedClaims, Provider, str | None], None]
    select_key: Callable[[KeySet, UnverifiedToken], PublicKey]
    check_claims: Callable[[JsonObject, float, float], None]
    decide_validity: Callable[[JsonObject, float], tuple[int, int]]


SourceT = TypeVar("SourceT")


class Entry(NamedTuple, Generic[SourceT]):
    """One provider, made ready for its tokens.

    Attributes:
        provider: The configuration.
        source: Where its keys come from.
        policy: The row of its kind.
        demand: What `check_before_keys` asks for: the audience of OIDC, the algorithm of customJwt.
        leeway_seconds: Clock skew to forgive.
        ave_client_id: The client whose id_tokens alone are accepted; None without that preset.
        headers: The headers of tokens that it accepted.
    """

    provider: Provider
    source: SourceT
    policy: Policy
    demand: str | None
    leeway_seconds: float
    ave_client_id: str | None
    headers: HeaderCache


def make_entry(provider: Provider, source: SourceT) -> Entry[SourceT]:
    """Make a provider ready for its tokens.

    Args:
        provider: The configuration.
        source: Where its keys come from.

    Returns:
        The entry, which has seen no token yet.
    """
    return Entry(
        provider,
        source,
        RULES_BY_KIND[provider.kind],
        provider.application_id if provider.kind == "oidc" else provider.algorithm,
        provider.effective_leeway_seconds,
        provider.application_id if provider.preset == "ave" else None,
        HeaderCache(),
    )


class Wait(NamedTuple, Generic[SourceT]):
    """No verdict yet: the keys of a source have to be fetched first.

    Attributes:
        provider: The provider that the token chose.
        source: Whose keys.
        need: Why.
        refusal: What the verdict is if fetching cannot help.
    """

    provider: Provider
    source: SourceT
    need: RefreshReason
    refusal: InvalidTokenError | None


class Accepted(NamedTuple, Generic[SourceT]):
    """An accepted token, and for how long the same bytes may be accepted again without a look at them.

    Attributes:
        identity: The user.
        source: Whose keys vouched for it.
        generation: Which content of that source.
        valid_from: First second, by the wall clock, at which every check would surely pass again.
        valid_until: First second at which some check might not.
    """

    identity: Identity
    source: SourceT
    generation: int
    valid_from: int
    valid_until: int


class Sources(Protocol[SourceT]):
    """What the engine lays out for one verification."""

    @property
    def table(self) -> ProviderIndex:
        """Which provider a token belongs to."""

    @property
    def entries(self) -> Sequence[Entry[SourceT]]:
        """The providers in written order."""

    @property
    def now(self) -> float:
        """The instant of this look, in seconds since the epoch, after `usable_keys`; finite and not negative."""

    def usable_keys(self, source: SourceT) -> Snapshot | None:
        """Return the keys that may be used at this instant; None where they have to be fetched first."""


def judge(token: bytes, sources: Sources[SourceT]) -> Accepted[SourceT] | Wait[SourceT]:
    """Verify one token as far as that is possible without waiting.

    Args:
        token: The token, within the size limit.
        sources: Providers, their keys, and what time it is.

    Returns:
        The verdict, or what has to be waited for.

    Raises:
        InvalidTokenError: The token is refused.
        KeysUnavailableError: The issuer's discovery document speaks for somebody else.

    Source: the rules of the steps; DV-14; DV-15.
    """
    # 1 read: nothing is believed yet.
    unverified = read_claims(token)
    # 2 select the provider; there is no second try (SEL-03).
    entry = sources.entries[sources.table.select(unverified)]
    provider, source, policy, demand, leeway_seconds, ave_client_id, headers = entry
    _, header_end, _, _, _, issuer, _ = unverified
    # 3 parse everything, strictly. What no key could mend is refused before anybody asks the network.
    header_segment = token[:header_end]
    known = headers.find(header_segment)
    parsed = policy.parse_token(unverified, None if known is None else known.header)
    policy.check_before_keys(parsed, demand, is_known_header=known is not None)
    # 4 find the key.
    snapshot = sources.usable_keys(source)
    if snapshot is None:
        return Wait(provider, source, RefreshReason.KEYS, None)
    if issuer != snapshot.document_issuer:
        policy.check_document(unverified, provider, snapshot.document_issuer)
    try:
        if known is not None and known.key_set is snapshot.key_set:
            key = known.key
        else:
            key, known = policy.select_key(snapshot.key_set, parsed), None
        # 5 verify the signature.
        verified = verify_signature(parsed, key, provider.kind)
    except InvalidTokenError as error:
        # Without the frames that it came through: they would refer to it, and it to them.
        refusal = error.with_traceback(None)
    else:
        if known is None:
            headers.remember(header_segment, parsed.header, snapshot.key_set, key)
        claims, _, payload = verified
        # 6 check and map.
        policy.check_claims(claims, sources.now, leeway_seconds)
        if ave_client_id is not None:
            check_id_token(claims, ave_client_id)
        identity = make_identity(provider, payload, claims)
        valid_from, valid_until = policy.decide_validity(claims, leeway_seconds)
        return _new(Accepted, (identity, source, snapshot.generation, valid_from, valid_until))
    need = _REFRESH_REASONS.get(refusal.reason)
    # A token that would be refused anyway never spends a forced refetch.
    if need is None or not _claims_pass(entry, parsed.claims, sources.now):
        raise refusal.copy_without_traceback()
    return Wait(provider, source, need, refusal)


# DV-15: newer keys could turn these refusals into an acceptance.
_REFRESH_REASONS: Final = {
    Reason.UNKNOWN_KEY: RefreshReason.UNKNOWN_KEY,
    Reason.BAD_SIGNATURE: RefreshReason.BAD_SIGNATURE,
}
# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__
_WRONG_DOCUMENT_RETRY_SECONDS: Final = 30


def _claims_pass(entry: Entry[SourceT], claims: JsonObject, now: float) -> bool:
    try:
        entry.policy.check_claims(claims, now, entry.leeway_seconds)
        if entry.ave_client_id is not None:
            check_id_token(claims, entry.ave_client_id)
    except InvalidTokenError:
        return False
    return True


def _check_oidc_document(unverified: UnverifiedClaims, provider: Provider, document_issuer: str | None) -> None:
    # DISC-05. With a jwks_uri override there is no document: iss must equal the configured text.
    expected = provider.issuer if document_issuer is None else document_issuer
    if unverified.issuer == expected:
        return
    if not is_same_issuer(expected, provider.issuer):
        raise KeysUnavailableError(
            _WRONG_DOCUMENT_RETRY_SECONDS,
            kind="oidc",
            issuer=provider.issuer,
            cause="the discovery document belongs to another issuer",
        )
    raise InvalidTokenError(
        Reason.ISSUER_MISMATCH, rule="DISC-05", kind="oidc", issuer=unverified.issuer, hint=Hint.TRAILING_SLASH
    )


RULES_BY_KIND: Final[dict[ProviderKind, Policy]] = {
    "oidc": Policy(
        parse_token=oidc.parse_token,
        check_before_keys=oidc.check_before_keys,
        check_document=_check_oidc_document,
        select_key=oidc.select_key,
        check_claims=oidc.check_claims,
        decide_validity=oidc.decide_validity,
    ),
    "customJwt": Policy(
        parse_token=custom_jwt.parse_token,
        check_before_keys=custom_jwt.check_before_keys,
        # CJ-14: SEL has settled the issuer.
        check_document=lambda _unverified, _provider, _document_issuer: None,
        select_key=custom_jwt.select_key,
        check_claims=custom_jwt.check_claims,
        decide_validity=custom_jwt.decide_validity,
    ),
}
