"""Project Wycheproof at two seams: the signature primitives, and compact JWS."""

from __future__ import annotations

import pytest

from tests.conformance import wycheproof
from tests.conformance.batches import check_each, in_batches
from tests.conformance.jws import payload_of, public_key
from tests.conformance.wycheproof import FILES, WHERE, JwsCase, SignatureCase, jws_cases, signature_cases

if wycheproof.folder() is None and not wycheproof.required():
    pytest.skip(f"Wycheproof's files are not here; {WHERE}", allow_module_level=True)

PRIMITIVES = [name for name in FILES if not name.startswith("json_web_")]

# The groups of json_web_signature_test.json whose keys and algorithms are allowed here. The others hold HMAC, PSS,
# longer hashes and other curves: whatever their label, every token of theirs is refused.
ALLOWED_GROUPS = {1, 2, 3, 9, 13, 17, 18, 19, 20, 22}

# The one valid token in json_web_key_test.json whose key is not symmetric.
VALID_UNDER_A_KEY_SET = {5}
# A modulus made by a flawed generator (CVE-2017-15361). Either answer is right: the flaw is not looked for.
FLAWED_MODULUS = 7


@pytest.mark.parametrize("file", FILES)
def test_the_files_are_here_and_are_those_of_the_expectations(file: str) -> None:
    assert wycheproof.folder() is not None, WHERE
    assert wycheproof.digest(file) == FILES[file]


def check_signature(case: SignatureCase) -> None:
    key = public_key(case.jwk)

    assert key is not None
    assert key.verify(case.signature, case.message) is case.valid


@in_batches([case for file in PRIMITIVES for case in signature_cases(file)])
def test_a_primitive_accepts_valid_signatures_and_no_others(batch: list[SignatureCase]) -> None:
    check_each(batch, check_signature)


def check_jws(case: JwsCase) -> None:
    accepted = payload_of(case.jws, case.keys) is not None

    assert accepted is (case.valid and case.group in ALLOWED_GROUPS)


@in_batches(jws_cases("json_web_signature_test.json"))
def test_a_jws_is_accepted_where_it_is_valid_and_its_algorithm_allowed(batch: list[JwsCase]) -> None:
    check_each(batch, check_jws)


def check_key_set(case: JwsCase) -> None:
    accepted = payload_of(case.jws, case.keys) is not None

    assert accepted is (case.number in VALID_UNDER_A_KEY_SET)


@in_batches([case for case in jws_cases("json_web_key_test.json") if case.number != FLAWED_MODULUS])
def test_a_key_set_verifies_only_by_keys_that_can_verify(batch: list[JwsCase]) -> None:
    check_each(batch, check_key_set)


def test_a_flawed_modulus_gets_an_answer() -> None:
    (case,) = [case for case in jws_cases("json_web_key_test.json") if case.number == FLAWED_MODULUS]

    assert payload_of(case.jws, case.keys) in {None, b"foo"}
