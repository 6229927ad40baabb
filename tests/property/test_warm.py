"""A warm verifier gives the result of a fresh one, for any earlier tokens and any passage of time."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aveverify import Identity, InvalidTokenError, Verifier
from tests.core.jose_factory import NOW, Json, TestClock, custom_jwt_verifier, eddsa, good_claims, oidc_verifier, rs256
from tests.suite.effort import examples

Make = Callable[[TestClock, int], Verifier]


def oidc(clock: TestClock, size: int) -> Verifier:
    return oidc_verifier(rs256().jwk, eddsa().jwk, clock=clock, token_cache_size=size)


def custom_jwt(clock: TestClock, size: int) -> Verifier:
    return custom_jwt_verifier(rs256().jwk, clock=clock, token_cache_size=size)


# Every kind of result, near its limits; made once, so that the same bytes come again.
CLAIMS: list[Json] = [
    good_claims(exp=NOW + offset, **more)
    for offset in (-10, -5, -0.5, 0, 0.5, 1, 5, 10, 10.5, 3600)
    for more in ({}, {"nbf": NOW + 5.5}, {"iat": NOW + 6}, {"aud": ["app", "x"]}, {"email": 1})
]
TOKENS = [rs256().token(claims) for claims in CLAIMS]
TOKENS += [token[:-6] + "AAAAAA" for token in TOKENS[:3]]
TOKENS += [rs256().token(CLAIMS[-5], kid="new"), rs256().token(CLAIMS[-5], typ="at+jwt"), "no token", TOKENS[-1] + "="]
TOKENS += [eddsa().token(claims) for claims in CLAIMS[::5]]


def splices(first: str, second: str) -> list[str]:
    """Tokens that share segments, beginnings and ends with two others."""
    halves = [f"{first[: len(first) // 2]}{second[len(first) // 2 :]}", f"{first[:-30]}{second[-30:]}"]
    segments = zip(first.split("."), second.split("."), strict=True)
    return [".".join(choice) for choice in itertools.product(*segments)] + halves


TOKENS += splices(TOKENS[-1], rs256().token(CLAIMS[-5])) + splices(TOKENS[-1], TOKENS[-2])
TOKENS += splices(rs256().token(good_claims(sub="u2")), rs256().token(CLAIMS[-5], typ="JWT"))

Steps = list[tuple[int, float]]
steps: st.SearchStrategy[Steps] = st.lists(
    st.tuples(st.integers(0, len(TOKENS) - 1), st.sampled_from([0, 0.25, 0.5, 1, 4, 5, 60, 300, -1, -5, -60])),
    max_size=25,
)


def result_of(verifier: Verifier, token: str) -> tuple[str, str] | Identity:
    try:
        return verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason.value, str(error)


@pytest.mark.parametrize(
    "size", [0, 1, 3, 10_000], ids=["no cache of tokens", "a cache of one", "a cache of three", "a large cache"]
)
@pytest.mark.parametrize("make", [oidc, custom_jwt], ids=["oidc", "customJwt"])
@settings(max_examples=examples(40))
@given(walk=steps)
def test_earlier_tokens_do_not_matter(make: Make, size: int, walk: Steps) -> None:
    """TOK-001 to TOK-007; TOK-016: nor does the header that is known by now.

    `seconds` may be negative, for a wall clock that is set back.
    """
    clock = TestClock()
    with make(clock, size) as warm:
        for index, seconds in walk:
            clock.wall += seconds
            clock.elapsed += max(seconds, 0)
            with make(TestClock(wall=clock.wall), 0) as fresh:
                assert result_of(warm, TOKENS[index]) == result_of(fresh, TOKENS[index])


@settings(max_examples=examples(60))
@given(exp=st.floats(NOW, NOW + 20), leeway=st.sampled_from([0, 5]), at=st.floats(NOW, NOW + 30))
def test_a_hit_expires_at_the_same_instant_as_a_look(exp: float, leeway: int, at: float) -> None:
    make = oidc if leeway == 0 else custom_jwt
    token = rs256().token(good_claims(exp=exp))
    clock = TestClock(wall=NOW - 1)
    with make(clock, 10) as warm, make(TestClock(wall=at), 0) as fresh:
        warm.verify(token)
        clock.wall = at

        assert result_of(warm, token) == result_of(fresh, token)
