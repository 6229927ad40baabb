"""A JWK Set document: which are read, with which keys, and which are faults."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from aveverify._core.jose.jwk import Dialect
from aveverify._core.jose.jwk_set import MAX_KEYS, KeySetError, parse_key_set
from tests.core.jose_factory import (
    Json,
    document_beside_a_good_key,
    eddsa,
    es256,
    key_set,
    key_set_document,
    raised,
    rs256,
    rsa_jwk,
)

BOTH = pytest.mark.parametrize("dialect", get_args(Dialect))


@BOTH
def test_a_set_holds_its_keys_in_their_order(dialect: Dialect) -> None:
    keys = key_set(rs256("a").jwk, es256("b").jwk, eddsa("c").jwk | {"alg": None}, rsa_jwk(), dialect=dialect)

    assert [candidate.key_type for candidate in keys.candidates] == ["RSA", "EC", "OKP", "RSA"]
    assert keys.kids == ("a", "b", "c")
    assert all(candidate.key is not None and candidate.for_signatures for candidate in keys.candidates)


@BOTH
def test_keys_are_found_by_kid_in_their_order(dialect: Dialect) -> None:
    keys = key_set(rs256("a").jwk, rsa_jwk(kid="b"), es256("a").jwk, rsa_jwk(), dialect=dialect)

    assert [candidate.key_type for candidate in keys.with_kid("a")] == ["RSA", "EC"]
    assert len(keys.with_kid("b")) == 1
    assert keys.with_kid("c") == ()
    assert keys.with_kid("") == ()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"null", id="null"),
        pytest.param(b'[{"keys":[]}]', id="wrapped in an array"),
        pytest.param(json.dumps(rs256().jwk).encode(), id="a bare key"),
        pytest.param(b'{"keys":null}', id="keys null"),
        pytest.param(b'{"keys":{}}', id="keys an object"),
        pytest.param(b'{"keys":"x"}', id="keys a text"),
        pytest.param(key_set_document(rs256().jwk) + b"x", id="bytes behind"),
        pytest.param(b"\xef\xbb\xbf" + key_set_document(rs256().jwk), id="byte order mark"),
        pytest.param(document_beside_a_good_key('{"kid":"\\ud800"}'), id="lone surrogate inside a key"),
        pytest.param(document_beside_a_good_key('{"kid":1e400}'), id="beyond a double inside a key"),
        pytest.param(b'{"keys":[' + b"[" * 127 + b"]" * 127 + b"]}", id="too deep"),
        pytest.param(b'{"keys":[],"keys":' + json.dumps([rs256().jwk]).encode() + b"}", id="keys twice"),
    ],
)
@BOTH
def test_a_document_that_is_no_key_set_is_a_fault(body: bytes, dialect: Dialect) -> None:
    """DISC-06; JWKS-03; DV-08; KEY-037; KEY-039."""
    assert raised(KeySetError, lambda: parse_key_set(body, dialect)).cause


def test_a_fault_says_nothing_of_the_document() -> None:
    """SEC-14."""
    fault = raised(KeySetError, lambda: parse_key_set(b'{"keys":"s3cret"}', "oidc"))

    assert "s3cret" not in str(fault)


@BOTH
def test_other_members_of_a_document_do_not_matter(dialect: Dialect) -> None:
    body = b'{"x":1,"x":2,"keys":' + json.dumps([rs256().jwk]).encode() + b"}"

    assert [candidate.kid for candidate in parse_key_set(body, dialect).candidates] == ["rsa"]


@pytest.mark.parametrize(
    "jwks",
    [
        pytest.param([], id="no key"),
        pytest.param([rs256().jwk | {"use": "enc"}], id="only for encryption"),
        pytest.param([{"kty": "oct", "k": "AA"}], id="only a symmetric key"),
        pytest.param([es256().jwk | {"crv": "P-384"}], id="only a curve that no path supports"),
        pytest.param([rsa_jwk(1024)], id="only a key too short"),
        pytest.param([1, None, "x", [rs256().jwk]], id="no objects"),
    ],
)
@BOTH
def test_a_set_without_a_usable_key_is_a_fault(jwks: list[Any], dialect: Dialect) -> None:
    """DISC-11; JWKS-08; DV-14; KEY-036."""
    assert raised(KeySetError, lambda: key_set(*jwks, dialect=dialect)).cause


@pytest.mark.parametrize("jwk", [rs256().jwk, es256().jwk, eddsa().jwk], ids=["RSA", "EC", "OKP"])
@BOTH
def test_one_usable_key_is_enough_whichever_path_could_use_it(jwk: Json, dialect: Dialect) -> None:
    # Without one, `KeySetError`: see above.
    assert len(key_set(jwk, dialect=dialect).candidates) <= 1


def test_the_limit_is_a_hundred_keys() -> None:
    assert MAX_KEYS == 100


@pytest.mark.parametrize("count", [MAX_KEYS - 1, MAX_KEYS], ids=["one below", "at the limit"])
@BOTH
def test_a_hundred_keys_are_taken(count: int, dialect: Dialect) -> None:
    """KEY-038."""
    assert len(key_set(*[rs256().jwk] * count, dialect=dialect).candidates) == count


@BOTH
def test_more_than_a_hundred_keys_are_a_fault_even_if_unreadable(dialect: Dialect) -> None:
    """KEY-038: each costs a look."""
    raised(KeySetError, lambda: key_set(rs256().jwk, *[None] * MAX_KEYS, dialect=dialect))
