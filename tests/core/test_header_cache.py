"""What is remembered of headers: only what was verified, a bounded number, and no key of an older key set."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify import KeysUnavailableError, Verifier
from aveverify._core.header_cache import MAX_HEADERS, HeaderCache
from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.jose.jws import Header
from aveverify._core.jose.public_key import PublicKey
from aveverify.errors import Reason
from tests.core.jose_factory import (
    KEYS_URL,
    NOW,
    Documents,
    TestClock,
    custom_jwt_verifier,
    eddsa,
    encode,
    es256,
    good_claims,
    issuer_documents,
    key_set,
    key_set_document,
    oidc_verifier,
    raised,
    refused,
    rs256,
)

HEADER = Header("RS256", "k", None, None, crit=False)
KEYS = key_set(rs256().jwk)


def key_of(keys: KeySet) -> PublicKey:
    key = keys.candidates[0].key
    assert key is not None
    return key


def cache_of(verifier: Verifier) -> HeaderCache:
    return verifier._registry.contexts[0].headers


def segment(token: str) -> bytes:
    return token.partition(".")[0].encode()


def test_a_verified_token_makes_its_header_known() -> None:
    with oidc_verifier(rs256().jwk) as verifier:
        verifier.verify(rs256().token())

        known = cache_of(verifier).find(segment(rs256().token()))
        assert known is not None
        assert known.header.alg == "RS256"
        assert known.key.algorithm.name == "RS256"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"signature": "AAAA"}, Reason.BAD_SIGNATURE, id="forged"),
        pytest.param({"kid": "other"}, Reason.UNKNOWN_KEY, id="unknown key"),
        pytest.param({"typ": "at+jwt"}, Reason.TYPE_NOT_ALLOWED, id="another kind of token"),
    ],
)
def test_a_refused_token_makes_nothing_known(change: dict[str, Any], reason: Reason) -> None:
    forged = change.pop("signature", None)
    token = rs256().token(**change)
    if forged is not None:
        token = f"{token.rpartition('.')[0]}.{forged}"
    with oidc_verifier(rs256().jwk) as verifier:
        assert refused(lambda: verifier.verify(token)).reason is reason

        assert cache_of(verifier)._known == {}


def test_a_known_header_proves_nothing_about_the_rest_of_a_token() -> None:
    """Payload, audiences, signature and segments of the next token are looked at as always."""
    good = rs256().token()
    header, payload, signature = good.split(".")
    other = rs256("other")
    with oidc_verifier(rs256().jwk, token_cache_size=0) as verifier:
        verifier.verify(good)
        expected = {
            f"{header}.{encode(b'{}')}.{signature}": Reason.CLAIM_MISSING,
            f"{header}.{payload}.{signature}.": Reason.MALFORMED_TOKEN,
            f"{header}.{payload}": Reason.MALFORMED_TOKEN,
            f"{header}.{payload}.{signature}=": Reason.MALFORMED_SIGNATURE,
            f"{header}.{payload}.AAAA": Reason.BAD_SIGNATURE,
            rs256().token(good_claims(aud=["app", "x"])): Reason.EXTRA_AUDIENCE,
            rs256().token(good_claims(email=1)): Reason.CLAIM_TYPE,
            rs256().token(good_claims(exp=NOW)): Reason.EXPIRED,
            f"{header}.{other.token().split('.', 1)[1]}": Reason.BAD_SIGNATURE,
        }
        found = {token: refused(lambda token=token: verifier.verify(token)).reason for token in expected}  # type: ignore[misc]

    assert found == expected


def test_a_known_header_has_three_segments_on_custom_jwt_too() -> None:
    good = es256().token()
    with custom_jwt_verifier(es256().jwk, algorithm="ES256", token_cache_size=0) as verifier:
        verifier.verify(good)

        assert refused(lambda: verifier.verify(f"{good}.")).reason is Reason.MALFORMED_TOKEN
        assert verifier.verify(good).subject == "u1"


def test_a_key_that_the_issuer_withdrew_verifies_nothing() -> None:
    """The header is known, but its key counts only for the key set in which it was chosen."""
    documents = issuer_documents(rs256().jwk)
    clock = TestClock()
    with oidc_verifier(clock=clock, fetcher=Documents(documents), token_cache_size=0) as verifier:
        token = rs256().token()
        verifier.verify(token)
        documents[KEYS_URL] = key_set_document(rs256("other").jwk | {"kid": rs256().kid})
        clock.tick(700)

        assert refused(lambda: verifier.verify(token)).reason is Reason.BAD_SIGNATURE
        verifier.verify(rs256("other").token(kid=rs256().kid))
        assert {known.key.thumbprint for known in cache_of(verifier)._known.values()} == {
            key_of(key_set(rs256("other").jwk)).thumbprint
        }


def test_keys_of_an_older_key_set_go_when_one_of_the_next_is_remembered() -> None:
    cache, newer = HeaderCache(), key_set(eddsa().jwk)
    cache.remember(b"a", HEADER, KEYS, key_of(KEYS))
    cache.remember(b"b", HEADER, KEYS, key_of(KEYS))
    assert set(cache._known) == {b"a", b"b"}

    cache.remember(b"c", HEADER, newer, key_of(newer))

    assert set(cache._known) == {b"c"}


@pytest.mark.parametrize(("count", "kept"), [(MAX_HEADERS - 1, 63), (MAX_HEADERS, 64), (MAX_HEADERS + 1, 1)], ids=str)
def test_the_number_of_known_headers_is_bounded(count: int, kept: int) -> None:
    cache = HeaderCache()
    for index in range(count):
        cache.remember(str(index).encode(), HEADER, KEYS, key_of(KEYS))

    assert len(cache._known) == kept


def test_a_known_header_does_not_outlive_the_keys() -> None:
    """DV-14: without usable keys no token is accepted, whatever is known of its header."""
    documents = issuer_documents(rs256().jwk)
    clock = TestClock()
    with oidc_verifier(clock=clock, fetcher=Documents(documents), token_cache_size=0) as verifier:
        verifier.verify(rs256().token())
        clock.tick(100_000_000)
        documents.clear()

        raised(KeysUnavailableError, lambda: verifier.verify(rs256().token(good_claims(exp=NOW + 200_000_000))))
