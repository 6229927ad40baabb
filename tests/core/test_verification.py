"""The whole verification: the order of the steps, which keys are needed, and how long a result may be reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest

from aveverify import KeysUnavailableError, Provider
from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.key_cache.state import Instant, RefreshReason, Snapshot
from aveverify._core.provider_context import ProviderContext, make_context
from aveverify._core.rules.custom_jwt import check_claims
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify._core.verification import Accepted, KeysNeeded, verify_without_waiting
from aveverify.errors import Hint, Reason, Step
from tests.core.jose_factory import (
    APPLICATION_ID,
    ISSUER,
    KEYS_URL,
    METADATA_URL,
    NOW,
    Documents,
    Json,
    Signer,
    compact,
    custom_jwt_provider,
    eddsa,
    encode,
    es256,
    good_claims,
    issuer_documents,
    key_set,
    oidc_verifier,
    raised,
    refused,
    rs256,
    without,
)

OIDC = Provider(issuer=ISSUER, application_id=APPLICATION_ID)
AVE = Provider.ave("app_1", issuer=ISSUER)
CUSTOM = custom_jwt_provider(rs256().jwk)


def snapshot_of(keys: KeySet, document_issuer: str | None = ISSUER, generation: int = 3) -> Snapshot:
    return Snapshot(keys, document_issuer, b"", 1, Instant(0.0, 0.0), 480.0, 600.0, 4200.0, generation)


@dataclass
class HandmadeKeys:
    """A `VerificationInput` made by hand, which notes whose keys were asked for."""

    layout: Sequence[tuple[Provider, Snapshot | None]]
    asked: list[int] = field(default_factory=list)
    now: float = NOW

    @property
    def provider_index(self) -> ProviderIndex:
        return ProviderIndex([provider for provider, _ in self.layout])

    @cached_property
    def contexts(self) -> Sequence[ProviderContext[int]]:
        return [make_context(provider, index) for index, (provider, _) in enumerate(self.layout)]

    def usable_keys(self, remote_keys: int) -> Snapshot | None:
        self.asked.append(remote_keys)
        return self.layout[remote_keys][1]


def keys_of(
    provider: Provider = OIDC, *jwks: Json, document_issuer: str | None = ISSUER, has_keys: bool = True
) -> HandmadeKeys:
    """One provider, and the keys of its issuer unless `has_keys` is False."""
    keys = key_set(*(jwks or (rs256().jwk, eddsa().jwk)), dialect=provider.kind)
    return HandmadeKeys([(provider, snapshot_of(keys, document_issuer) if has_keys else None)])


def token(signer: Signer | None = None, *, header: Json | None = None, **changes: JsonValue) -> bytes:
    signer = rs256() if signer is None else signer
    return signer.token(good_claims(**changes), **(header or {})).encode()


FORGED = token()[:-8] + b"AAAAAAAA"


# --- acceptance


@pytest.mark.parametrize("signer", [rs256(), eddsa()], ids=["RS256", "EdDSA"])
def test_a_good_oidc_token_is_accepted(signer: Signer) -> None:
    accepted = verify_without_waiting(token(signer, plan="pro"), keys_of())

    assert isinstance(accepted, Accepted)
    assert (accepted.identity.issuer, accepted.identity.subject) == (ISSUER, "u1")
    assert accepted.identity["plan"] == "pro"
    assert accepted.identity.provider is OIDC
    assert (accepted.remote_keys, accepted.generation) == (0, 3)
    assert (accepted.valid_from, accepted.valid_until) == (0, NOW + 3600)


@pytest.mark.parametrize("signer", [rs256(), es256()], ids=["RS256", "ES256"])
def test_a_good_custom_jwt_token_is_accepted(signer: Signer) -> None:
    provider = custom_jwt_provider(signer.jwk, algorithm=signer.alg)

    accepted = verify_without_waiting(token(signer, org={"id": 1}), keys_of(provider, signer.jwk, document_issuer=None))

    assert isinstance(accepted, Accepted)
    assert accepted.identity["org.id"] == 1
    assert accepted.identity.provider is provider
    assert accepted.valid_until == NOW + 3605
    assert accepted.valid_from <= NOW


def test_the_first_fitting_provider_decides_and_its_keys_alone_are_asked_for() -> None:
    """SEL-03; DV-16."""
    keys = snapshot_of(key_set(rs256().jwk))
    other = Provider(issuer=ISSUER, application_id="other")
    layout = HandmadeKeys([(other, keys), (OIDC, keys), (Provider(issuer=ISSUER, application_id=APPLICATION_ID), keys)])

    accepted = verify_without_waiting(token(), layout)

    assert isinstance(accepted, Accepted)
    assert accepted.remote_keys == 1
    assert layout.asked == [1]


def test_there_is_no_second_try() -> None:
    """SEL-03: the keys of a later provider that would fit are not looked at."""
    wrong = snapshot_of(key_set(rs256("other").jwk | {"kid": "rsa"}))
    layout = HandmadeKeys([(OIDC, wrong), (OIDC, snapshot_of(key_set(rs256().jwk)))])

    assert isinstance(verify_without_waiting(token(), layout), KeysNeeded)
    assert layout.asked == [0]


# --- refusals before any fetch


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"opaque", Reason.MALFORMED_TOKEN, id="no token"),
        pytest.param(b"e30.e30=.AA", Reason.MALFORMED_PAYLOAD, id="payload"),
        pytest.param(token(exp="soon"), Reason.CLAIM_TYPE, id="type of a date"),
        pytest.param(token(exp=10**13), Reason.CLAIM_OUT_OF_RANGE, id="milliseconds"),
        pytest.param(token(iss=None), Reason.CLAIM_MISSING, id="no issuer"),
        pytest.param(token(iss="https://other.example"), Reason.UNKNOWN_ISSUER, id="unknown issuer"),
        pytest.param(token(aud="other"), Reason.AUDIENCE_MISMATCH, id="unknown audience"),
        pytest.param(token(iss="idp.example"), Reason.ISSUER_WITHOUT_SCHEME, id="issuer without scheme"),
        pytest.param(token().rpartition(b".")[0], Reason.MALFORMED_TOKEN, id="two segments"),
        pytest.param(token() + b".AA", Reason.MALFORMED_TOKEN, id="four segments"),
        pytest.param(b"!" + token(), Reason.MALFORMED_HEADER, id="header"),
        pytest.param(token() + b"=", Reason.MALFORMED_SIGNATURE, id="signature"),
        pytest.param(token(header={"alg": "nope"}), Reason.UNKNOWN_ALGORITHM, id="name of the algorithm"),
        pytest.param(token(email=1), Reason.CLAIM_TYPE, id="type of a standard claim"),
        pytest.param(token(sub=None), Reason.CLAIM_MISSING, id="no subject"),
        pytest.param(token(header={"typ": "at+jwt"}), Reason.TYPE_NOT_ALLOWED, id="typ"),
        pytest.param(token(header={"cty": "JWT"}), Reason.CONTENT_TYPE_PRESENT, id="cty"),
        pytest.param(token(header={"crit": ["b64"]}), Reason.CRITICAL_HEADER, id="crit"),
        pytest.param(token(header={"alg": "none"}), Reason.ALGORITHM_NOT_ALLOWED, id="alg none"),
        pytest.param(token(header={"alg": "HS256"}), Reason.ALGORITHM_NOT_ALLOWED, id="alg HS256"),
        pytest.param(token(aud=["app", "x"]), Reason.EXTRA_AUDIENCE, id="a second audience"),
    ],
)
def test_a_token_that_no_key_could_make_acceptable_asks_for_no_keys(data: bytes, reason: Reason) -> None:
    """Design §2."""
    layout = keys_of(has_keys=False)

    assert refused(lambda: verify_without_waiting(data, layout)).reason is reason
    assert layout.asked == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(token(header={"crit": []}), Reason.CRITICAL_HEADER, id="crit"),
        pytest.param(token(header={"kid": None}), Reason.KEY_ID_MISSING, id="no kid"),
        pytest.param(token(header={"alg": "ES256"}), Reason.ALGORITHM_NOT_ALLOWED, id="another algorithm"),
    ],
)
def test_such_a_custom_jwt_token_asks_for_no_keys_either(data: bytes, reason: Reason) -> None:
    layout = keys_of(CUSTOM, has_keys=False)

    assert refused(lambda: verify_without_waiting(data, layout)).reason is reason
    assert layout.asked == []


# --- the order of the steps decides the code


@pytest.mark.parametrize(
    ("data", "reason", "code"),
    [
        pytest.param(b"!" + token(iss="https://x.example"), Reason.UNKNOWN_ISSUER, "NoAuthProvider", id="PRE-07"),
        pytest.param(
            token(header={"alg": "nope"}, exp=1), Reason.UNKNOWN_ALGORITHM, "InvalidAuthHeader", id="OIDC-26, alg"
        ),
        pytest.param(
            token(header={"typ": "at+jwt"}, email=1), Reason.CLAIM_TYPE, "InvalidAuthHeader", id="OIDC-26, type"
        ),
        pytest.param(
            token(header={"typ": "at+jwt"}, exp=1), Reason.TYPE_NOT_ALLOWED, "Unauthenticated", id="kind before time"
        ),
        pytest.param(token(header={"kid": "x"}, exp=1), Reason.UNKNOWN_KEY, "Unauthenticated", id="key before time"),
        pytest.param(token(exp=1)[:-8] + b"AAAAAAAA", Reason.BAD_SIGNATURE, "Unauthenticated", id="signature first"),
        pytest.param(token(exp=1), Reason.EXPIRED, "Unauthenticated", id="time last"),
    ],
)
def test_when_several_things_are_wrong_the_first_step_decides(data: bytes, reason: Reason, code: str) -> None:
    error = refused(lambda: verify_without_waiting(data, keys_of()))

    assert (error.reason, error.convex_code) == (reason, code)


# --- keys that are needed


@pytest.mark.parametrize("changes", [{}, {"exp": 1}], ids=["a good token", "an expired token"])
def test_without_keys_every_well_formed_token_needs_them(changes: Json) -> None:
    """Design §2: with no usable keys at all the keys decide first: unavailable, not expired."""
    needed = verify_without_waiting(token(**changes), keys_of(has_keys=False))

    assert needed == KeysNeeded(OIDC, 0, RefreshReason.KEYS, None)


@pytest.mark.parametrize(
    ("data", "need", "reason"),
    [
        pytest.param(token(header={"kid": "new"}), RefreshReason.UNKNOWN_KEY, Reason.UNKNOWN_KEY, id="an unknown key"),
        pytest.param(FORGED, RefreshReason.BAD_SIGNATURE, Reason.BAD_SIGNATURE, id="a bad signature"),
    ],
)
def test_newer_keys_might_turn_a_refusal_into_an_acceptance(data: bytes, need: RefreshReason, reason: Reason) -> None:
    """DV-15."""
    needed = verify_without_waiting(data, keys_of())

    assert isinstance(needed, KeysNeeded)
    assert (needed.provider, needed.remote_keys, needed.refresh_reason) == (OIDC, 0, need)
    assert needed.refusal is not None
    assert needed.refusal.reason is reason


@pytest.mark.parametrize(
    "changes",
    [{"exp": NOW}, {"exp": NOW - 100}, {"azp": "other"}],
    ids=["just expired", "long expired", "refused by the preset"],
)
@pytest.mark.parametrize(
    ("header", "reason"),
    [({"kid": "new"}, Reason.UNKNOWN_KEY), ({}, Reason.BAD_SIGNATURE)],
    ids=["an unknown key", "a bad signature"],
)
def test_a_token_that_would_be_refused_anyway_never_spends_a_forced_refresh(
    changes: Json, header: Json, reason: Reason
) -> None:
    """Design §2."""
    claims: Json = {"aud": "app_1", "azp": "app_1"} | changes
    data = token(header=header, **claims)[:-8] + b"AAAAAAAA"

    assert refused(lambda: verify_without_waiting(data, keys_of(AVE))).reason is reason


@pytest.mark.parametrize(
    ("jwks", "reason"),
    [
        pytest.param([rs256("a").jwk, rs256("b").jwk], Reason.AMBIGUOUS_KEY, id="ambiguous"),
        pytest.param([eddsa().jwk, {"kty": "RSA"}], Reason.KEY_NOT_SUITABLE, id="unfit"),
    ],
)
def test_a_choice_that_newer_keys_would_not_change_is_refused_at_once(jwks: list[Json], reason: Reason) -> None:
    """Design §5: ambiguous = refuse, no refetch."""
    data = token(header={"kid": None})

    assert refused(lambda: verify_without_waiting(data, keys_of(OIDC, *jwks))).reason is reason


# --- the issuer of the document


@pytest.mark.parametrize(
    ("configured", "document_issuer", "iss", "good"),
    [
        pytest.param(ISSUER, ISSUER, ISSUER, True, id="all the same"),
        pytest.param(f"{ISSUER}/", ISSUER, ISSUER, True, id="the configuration has a slash more"),
        pytest.param(ISSUER, f"{ISSUER}/", f"{ISSUER}/", True, id="document and token have a slash more"),
        pytest.param(ISSUER, f"{ISSUER}/", ISSUER, False, id="only the document has"),
        pytest.param(ISSUER, ISSUER, f"{ISSUER}/", False, id="only the token has"),
        pytest.param(ISSUER, None, ISSUER, True, id="no document: the configured text"),
        pytest.param(ISSUER, None, f"{ISSUER}/", False, id="no document: another text"),
    ],
)
def test_the_issuer_equals_that_of_the_document(
    configured: str, document_issuer: str | None, iss: str, *, good: bool
) -> None:
    """DISC-05."""
    provider = Provider(issuer=configured, application_id=APPLICATION_ID)
    layout = keys_of(provider, document_issuer=document_issuer)

    if good:
        assert isinstance(verify_without_waiting(token(iss=iss), layout), Accepted)
    else:
        error = refused(lambda: verify_without_waiting(token(iss=iss), layout))
        assert (error.reason, error.rule, error.step) == (Reason.ISSUER_MISMATCH, "DISC-05", Step.KEY)
        assert (error.convex_code, error.hint) == ("AuthProviderDiscoveryFailed", Hint.TRAILING_SLASH)


def test_a_document_of_another_issuer_makes_the_keys_unavailable() -> None:
    """DISC-05; DV-14: two providers may share an address of discovery and not an issuer."""
    layout = keys_of(document_issuer="https://other.example")

    error = raised(KeysUnavailableError, lambda: verify_without_waiting(token(), layout))

    assert error.convex_code == "AuthProviderDiscoveryFailed"
    assert error.retry_after_seconds >= 1


def test_the_issuer_of_the_document_is_compared_under_a_known_header_too() -> None:
    """DISC-05."""
    layout = keys_of()
    keys = layout.layout[0][1]
    assert keys is not None
    assert isinstance(verify_without_waiting(token(), layout), Accepted)
    assert layout.contexts[0].headers._known

    layout.layout = [(OIDC, snapshot_of(keys.key_set, f"{ISSUER}/"))]
    assert refused(lambda: verify_without_waiting(token(), layout)).reason is Reason.ISSUER_MISMATCH
    layout.layout = [(OIDC, snapshot_of(keys.key_set, "https://other.example"))]
    raised(KeysUnavailableError, lambda: verify_without_waiting(token(), layout))


def test_the_document_comes_before_the_key() -> None:
    data = token(iss=f"{ISSUER}/", header={"kid": "new"})

    assert refused(lambda: verify_without_waiting(data, keys_of())).reason is Reason.ISSUER_MISMATCH


def test_custom_jwt_has_no_document() -> None:
    """CJ-14; CJ-28."""
    accepted = verify_without_waiting(token(iss="idp.example"), keys_of(CUSTOM, rs256().jwk, document_issuer=None))

    assert isinstance(accepted, Accepted)
    assert accepted.identity.issuer == "idp.example"


# --- step 6


def test_the_leeway_of_the_provider_counts() -> None:
    lenient = Provider(issuer=ISSUER, application_id=APPLICATION_ID, leeway_seconds=10)

    assert isinstance(verify_without_waiting(token(exp=NOW - 9), keys_of(lenient)), Accepted)
    assert refused(lambda: verify_without_waiting(token(exp=NOW - 10), keys_of(lenient))).reason is Reason.EXPIRED
    assert refused(lambda: verify_without_waiting(token(exp=NOW), keys_of())).reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 6}, Reason.EXPIRED), ({"nbf": NOW + 6}, Reason.NOT_YET_VALID),
        ({"iat": NOW + 6}, Reason.ISSUED_IN_THE_FUTURE), ({"sub": ""}, Reason.CLAIM_MISSING),
    ],
    ids=["expired", "not yet valid", "issued in the future", "an empty subject"],
)  # fmt: skip
def test_custom_jwt_checks_three_dates_and_two_claims(changes: Json, reason: Reason) -> None:
    error = refused(lambda: verify_without_waiting(token(**changes), keys_of(CUSTOM, rs256().jwk)))

    assert (error.reason, error.convex_code) == (reason, "InvalidAuthHeader")


@pytest.mark.parametrize("name", ["nbf", "azp", "nonce", "auth_time"])
def test_oidc_does_not_compare_these(name: str) -> None:
    """OIDC-09; OIDC-21; OIDC-22; OIDC-24."""
    value: Any = NOW + 100_000 if name in ("nbf", "auth_time") else "x"

    assert isinstance(verify_without_waiting(token(**{name: value}), keys_of()), Accepted)
    assert isinstance(verify_without_waiting(token(iat=NOW + 100_000), keys_of()), Accepted)


def test_ave_takes_id_tokens_for_its_client_only() -> None:
    """AVE-01 to AVE-03; the same token passes without the preset."""
    plain = Provider(issuer=ISSUER, application_id="app_1")
    good, foreign = token(aud="app_1", azp="app_1"), token(aud="app_1", azp="app_1", cid="app_1")

    assert isinstance(verify_without_waiting(good, keys_of(AVE)), Accepted)
    error = refused(lambda: verify_without_waiting(foreign, keys_of(AVE)))
    assert (error.reason, error.rule, error.convex_code) == (Reason.NOT_AN_ID_TOKEN, "AVE-03", "Unauthenticated")
    assert isinstance(verify_without_waiting(foreign, keys_of(plain)), Accepted)


@pytest.mark.parametrize(
    "claims",
    [good_claims(exp=NOW + 10.5, nbf=NOW - 3.5), good_claims(exp=NOW + 1, iat=NOW + 4), without(good_claims(), "iat")],
    ids=["fractions", "issued in the grace", "no time of issue"],
)
def test_a_result_may_be_reused_only_while_every_check_passes(claims: Json) -> None:
    """TOK-006; TOK-007."""
    accepted = verify_without_waiting(rs256().token(claims).encode(), keys_of(CUSTOM, rs256().jwk))

    assert isinstance(accepted, Accepted)
    for second in (accepted.valid_from, accepted.valid_until - 1):
        check_claims(claims, second, 5)


# --- hints at common mistakes


@pytest.mark.parametrize(
    ("before", "behind", "hint"),
    [
        pytest.param("Bearer ", "", Hint.BEARER_PREFIX, id="with its scheme"),
        pytest.param("bearer ", "", Hint.BEARER_PREFIX, id="with its scheme in lower case"),
        pytest.param('"', '"', Hint.QUOTED, id="in quotes"),
        pytest.param("'", "'", Hint.QUOTED, id="in single quotes"),
        pytest.param(" ", "", Hint.QUOTED, id="with a blank in front"),
        pytest.param("", "\n", Hint.QUOTED, id="with a line feed behind"),
        pytest.param("", "\r\n", Hint.QUOTED, id="with the end of a line behind"),
    ],
)
@pytest.mark.parametrize("provider", [OIDC, CUSTOM], ids=["oidc", "customJwt"])
def test_the_refusal_of_a_wrapped_token_hints_at_the_wrapping(
    provider: Provider, before: str, behind: str, hint: Hint
) -> None:
    """Common mistakes: the payload can be read, but the header or the signature cannot."""
    data = f"{before}{token().decode()}{behind}".encode()

    error = refused(lambda: verify_without_waiting(data, keys_of(provider, rs256().jwk)))

    assert error.convex_code == "InvalidAuthHeader"
    assert error.hint is hint


def test_the_refusal_of_an_encrypted_token_hints_at_it() -> None:
    header = {"alg": "RSA-OAEP", "enc": "A128GCM"}
    data = b".".join([compact(header, {}).split(b".")[0], *[encode(b"\x00\x01\x02").encode()] * 4])

    assert refused(lambda: verify_without_waiting(data, keys_of())).hint is Hint.ENCRYPTED


@pytest.mark.parametrize("hint", list(Hint))
def test_every_hint_has_a_sentence(hint: Hint) -> None:
    assert hint.value.isprintable()
    assert not hint.value.endswith(".")


# --- through a verifier


def test_a_verifier_accepts_what_this_function_accepts() -> None:
    with oidc_verifier(rs256().jwk, eddsa().jwk) as verifier:
        accepted = verify_without_waiting(token(), keys_of())

        assert isinstance(accepted, Accepted)
        assert verifier.verify(token()) == accepted.identity


def test_no_address_comes_from_a_token() -> None:
    """DV-09; SEC-06: `jku` and `x5u` lead nowhere."""
    header = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}
    documents = Documents(issuer_documents(rs256().jwk))

    with oidc_verifier(fetcher=documents) as verifier:
        verifier.verify(token(header=header))

    assert [request.url for request in documents.requests] == [METADATA_URL, KEYS_URL]
