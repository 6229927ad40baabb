"""What changed between two key sets: by key id, and by the keys themselves."""

from __future__ import annotations

import pytest

from aveverify._core.key_cache.key_set_diff import Changes, compare_key_sets
from tests.core.jose_factory import Json, es256, key_set, rs256, rsa_jwk

A, B, OTHER_A = rs256("a").jwk, rs256("b").jwk, es256("a").jwk


def changed(
    *,
    added: tuple[str, ...] = (),
    removed: tuple[str, ...] = (),
    replaced: tuple[str, ...] = (),
    shares_no_key: bool = False,
) -> Changes:
    """What changed; by itself, nothing."""
    return Changes(added, removed, replaced, shares_no_key)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        pytest.param([A, B], [A, B], changed(), id="nothing"),
        pytest.param([A, B], [B, A], changed(), id="the order"),
        pytest.param([A], [A | {"alg": None, "x5t": "x"}], changed(), id="other members"),
        pytest.param([A], [A, B], changed(added=("b",)), id="a key was added"),
        pytest.param([A, B], [B], changed(removed=("a",)), id="a key was removed"),
        pytest.param([A], [B], changed(added=("b",), removed=("a",), shares_no_key=True), id="a hard rotation"),
        pytest.param([A], [OTHER_A], changed(replaced=("a",), shares_no_key=True), id="another key under a known id"),
        pytest.param([A, B], [OTHER_A, B], changed(replaced=("a",)), id="the same beside one that stayed"),
        pytest.param([A], [A, OTHER_A], changed(), id="a second key under a known id"),
        pytest.param(
            [A], [A | {"kid": "z"}], changed(added=("z",), removed=("a",)), id="the same key under another id"
        ),
        pytest.param([rsa_jwk()], [rsa_jwk(exponent=3)], changed(shares_no_key=True), id="keys without id, all others"),
        pytest.param([A, rsa_jwk()], [A], changed(), id="a key without id was removed"),
    ],
)
def test_two_key_sets_are_compared(old: list[Json], new: list[Json], changes: Changes) -> None:
    assert compare_key_sets(key_set(*old), key_set(*new)) == changes


def test_a_key_that_could_never_verify_has_not_been_replaced() -> None:
    """A P-384 key that stands in both sets must not raise an alarm at every rotation."""
    unreadable = {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "p384"}

    assert compare_key_sets(key_set(A, unreadable), key_set(A, B, unreadable)) == changed(added=("b",))
