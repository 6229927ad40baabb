"""Every token vector, through `verify` and `verify_async`, on a fresh verifier and again on the same warm one."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pytest

from tests.vectors.collection import TokenVector, token_vectors
from tests.vectors.world import World, ask, ask_async, exact

ROUNDS = ("fresh", "warm")


def name(vector: TokenVector) -> str:
    """The id of a vector, as the id of its test."""
    return vector.name


def check(vector: TokenVector) -> None:
    """Compare every way of asking with the expected answer, and see that no request was led astray."""
    for token in vector.presentations:
        world = World(vector)
        answers = {**answers_of_verify(world, token), **asyncio.run(answers_of_verify_async(world, token))}
        assert exact(answers) == exact(dict.fromkeys(answers, vector.expect))
        assert world.endpoints.strays == []


def answers_of_verify(world: World, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(world.verifier()) as verifier:
        return {f"verify, {state}": ask(verifier.verify, token) for state in ROUNDS}


async def answers_of_verify_async(world: World, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(world.verifier()) as verifier:
        return {f"verify_async, {state}": await ask_async(verifier.verify_async, token) for state in ROUNDS}


@pytest.mark.parametrize("vector", token_vectors("convex"), ids=name)
def test_a_token_gets_the_answer_that_convex_gives(vector: TokenVector) -> None:
    check(vector)


@pytest.mark.parametrize("vector", token_vectors("attacks"), ids=name)
def test_an_attack_is_refused_and_the_good_token_beside_it_accepted(vector: TokenVector) -> None:
    check(vector)
