"""How many functions one verification calls: counted, not timed, so that a step more does not slip in unnoticed.

A number that grew needs a reason; one that shrank is to be written here, so that it stays. Counted on one version of
Python only, each lane for itself: other versions compile the same source to other calls.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import pytest

from aveverify import InvalidTokenError, Verifier
from aveverify._accelerators import ACCELERATORS
from tests.core.jose_factory import TestClock, custom_jwt_verifier, encode, es256, good_claims, oidc_verifier, rs256

COUNTED_ON = (3, 11)
LANE = "plain" if ACCELERATORS is None else "fast"

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != COUNTED_ON or sys.implementation.name != "cpython",
    reason=f"calls are counted on CPython {COUNTED_ON[0]}.{COUNTED_ON[1]} only",
)

CLAIMS = {"name": "Ada", "email": "a@mail.example", "email_verified": True, "nonce": "n", "auth_time": 1, "plan": "pro"}
# Without blanks, as issuers write it.
PAYLOADS = [json.dumps(good_claims(sub=f"u{index}", **CLAIMS), separators=(",", ":")).encode() for index in range(4)]
OIDC = [rs256().token(payload) for payload in PAYLOADS]
CUSTOM = [es256().token(payload) for payload in PAYLOADS]


def oidc(size: int) -> Verifier:
    return oidc_verifier(rs256().jwk, clock=TestClock(), token_cache_size=size)


def custom(size: int) -> Verifier:
    return custom_jwt_verifier(es256().jwk, algorithm="ES256", clock=TestClock(), token_cache_size=size)


def count_calls(call: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called below one call."""
    calls = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    # A collection in between would count the finalizers of others.
    gc.disable()
    before = sys.getprofile()
    try:
        sys.setprofile(note)
        call()
        sys.setprofile(before)
    finally:
        sys.setprofile(before)
        gc.enable()
    # Less the call that ends the counting.
    return calls - 1


def sync_calls(verifier: Verifier, token: str) -> int:
    return count_calls(lambda: verifier.verify(token))


def async_calls(verifier: Verifier, token: str) -> int:
    def call() -> None:
        try:
            verifier.verify_async(token).send(None)
        except StopIteration:
            return

    return count_calls(call)


EXPECTED = {
    ("oidc", "cold", "sync"): {"plain": 84, "fast": 79},
    ("oidc", "cold", "async"): {"plain": 85, "fast": 80},
    ("oidc", "warm", "sync"): {"plain": 11, "fast": 11},
    ("oidc", "warm", "async"): {"plain": 12, "fast": 12},
    ("customJwt", "cold", "sync"): {"plain": 99, "fast": 94},
    ("customJwt", "cold", "async"): {"plain": 100, "fast": 95},
    ("customJwt", "warm", "sync"): {"plain": 11, "fast": 11},
    ("customJwt", "warm", "async"): {"plain": 12, "fast": 12},
}


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("state", ["cold", "warm"])
@pytest.mark.parametrize("kind", ["oidc", "customJwt"])
def test_one_verification_calls_no_more_and_no_fewer_functions(kind: str, state: str, way: str) -> None:
    make, tokens = (oidc, OIDC) if kind == "oidc" else (custom, CUSTOM)
    with make(0 if state == "cold" else 10) as verifier:
        # Keys are fetched, the header is known, and Python has specialised what it specialises.
        for token in tokens * 20:
            verifier.verify(token)
            async_calls(verifier, token)
        counted = {(sync_calls if way == "sync" else async_calls)(verifier, token) for token in tokens}

    expected = EXPECTED[kind, state, way][LANE]
    assert counted == {expected}, "more: justify it, or undo it; fewer: write the lower number into EXPECTED"


def filled(unit: str) -> str:
    """An array of 11 KB, which leaves room for the rest of a token of 16 KiB."""
    return "[" + ",".join([unit] * (11_000 // (len(unit) + 1))) + "]"


# What an attacker can put thousands of into a token.
CROWDS = {
    "empty arrays": f'"x":{filled("[]")}',
    "empty objects": f'"x":{filled("{}")}',
    "small objects": f'"x":{filled(json.dumps({"": 0}))}',
    "small objects beside an escape": f'"y":"\\u00e9","x":{filled(json.dumps({"": 0}))}',
    "small objects before a name twice": f'"x":{filled(json.dumps({"": 0}))},"x":1',
    "small objects before a syntax error": f'"x":{filled(json.dumps({"": 0}))},',
    "nested arrays": f'"x":{filled("[" * 100 + "]" * 100)}',
    "nested objects": f'"x":{filled(json.dumps({"": {"": {"": 0}}}))}',
    "arrays that nest too deep": f'"x":{"[" * 5_000}{"]" * 5_000}',
    "integers": f'"x":{filled("1")}',
    "texts": f'"x":{filled(json.dumps(""))}',
    "audiences": f'"aud":{filled(json.dumps("a"))}',
}


@pytest.mark.parametrize("segment", ["payload", "header"])
@pytest.mark.parametrize("crowd", CROWDS)
def test_a_refused_token_costs_no_call_for_each_thing_in_it(crowd: str, segment: str) -> None:
    """JSN-020: a long token may cost more bytes to look at, not thousands of calls of Python."""
    usual = {"payload": PAYLOADS[0].decode(), "header": '{"alg":"RS256","kid":"k1"}'}
    usual[segment] = f"{usual[segment][:-1]},{CROWDS[crowd]}}}"
    token = f"{encode(usual['header'].encode())}.{encode(usual['payload'].encode())}.{encode(b'x' * 256)}"
    assert len(token) <= 16_384

    def refuse() -> None:
        with suppress(InvalidTokenError):
            verifier.verify(token)
            pytest.fail("the token was accepted")

    with oidc(0) as verifier:
        verifier.verify(OIDC[0])
        refuse()

        assert count_calls(refuse) < 500
